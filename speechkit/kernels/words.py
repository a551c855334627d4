"""Words of byte strings without Python objects: eight bytes at a time, small ids per pair of lines.

White space is every byte up to 0x20. A word of at most eight bytes is its own key; longer words are hashed and
compared byte by byte. Buffers must end in at least `PADDING` bytes of white space.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types
from numba.extending import intrinsic

from speechkit.kernels.numba_types import Ints, Words

PADDING = 16
SPACE = 0x20
_EACH = np.uint64(0x2121212121212121)
_HIGH = np.uint64(0x8080808080808080)
_PRIME = np.uint64(0x9E3779B97F4A7C15)
_ZERO = np.uint64(0)
_ONE = np.uint64(1)
_EIGHT = np.uint64(8)


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def _load(typingctx: Any, buffer: Any, at: Any) -> Any:
    """The eight bytes of a uint8 array from index `at`, as a little-endian integer; needs no alignment."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, args[0])
        pointer = builder.gep(array.data, [args[1]])
        return builder.load(builder.bitcast(pointer, ir.IntType(64).as_pointer()), align=1)

    return types.uint64(buffer, types.int64), codegen


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def _trailing_zeros(typingctx: Any, value: Any) -> Any:
    """Number of zero bits below the lowest one; `value` is not 0."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), codegen


@nb.njit(cache=True, nogil=True, inline="always")
def same_bytes(a: Ints, a_at: int, b: Ints, b_at: int, size: int) -> bool:
    """Whether a[a_at:a_at+size] equals b[b_at:b_at+size]."""
    i = 0
    while i + 8 <= size:
        if _load(a, a_at + i) != _load(b, b_at + i):
            return False
        i += 8
    if i == size:
        return True
    shift = np.uint64(8 * (8 - (size - i)))
    return bool((_load(a, a_at + i) << shift) == (_load(b, b_at + i) << shift))


@nb.njit(cache=True, nogil=True, inline="always")
def next_word(buffer: Ints, at: int, end: int) -> tuple[int, int, np.uint64]:
    """(start, end, key) of the first word of buffer[at:end]; start == end when there is none."""
    while at < end and buffer[at] <= SPACE:
        at += 1
    if at >= end:
        return end, end, _ZERO
    start = at
    key = _ZERO
    while True:
        chunk = _load(buffer, at)
        spaces = (chunk - _EACH) & ~chunk & _HIGH
        size = 8 if spaces == _ZERO else _trailing_zeros(spaces) >> 3
        size = min(size, end - at)
        if size < 8:
            chunk &= (_ONE << np.uint64(8 * size)) - _ONE
        if at == start:
            key = chunk
        elif size > 0:
            key = (key ^ (key >> np.uint64(29)) ^ chunk) * _PRIME
        at += size
        if size < 8:
            return start, at, key


@nb.njit(cache=True, nogil=True)
def count_words(buffer: Ints, at: int, end: int) -> int:
    """Number of words in buffer[at:end]."""
    count = 0
    inside = False
    for i in range(at, end):
        solid = buffer[i] > SPACE
        count += solid and not inside
        inside = solid
    return count


@nb.njit(cache=True, nogil=True)
def count_solid(buffer: Ints, at: int, end: int) -> int:
    """Number of Unicode characters in buffer[at:end] that are no white space."""
    count = 0
    for i in range(at, end):
        count += (buffer[i] > SPACE) & (buffer[i] & 0xC0 != 0x80)
    return count


@nb.njit(cache=True, nogil=True)
def common_words(a: Ints, b: Ints, spans: tuple[int, int, int, int], from_end: bool) -> int:
    """Number of bytes of whole words that two lines share at their start, or at their end."""
    size_a = spans[1] - spans[0]
    size_b = spans[3] - spans[2]
    shortest = min(size_a, size_b)
    same = 0
    if from_end:
        while same < shortest and a[spans[1] - 1 - same] == b[spans[3] - 1 - same]:
            same += 1
    else:
        while same + 8 <= shortest and _load(a, spans[0] + same) == _load(b, spans[2] + same):
            same += 8
        while same < shortest and a[spans[0] + same] == b[spans[2] + same]:
            same += 1
    # a word must end here on both sides
    while same > 0:
        at_a = spans[1] - 1 - same if from_end else spans[0] + same
        at_b = spans[3] - 1 - same if from_end else spans[2] + same
        if (same == size_a or a[at_a] <= SPACE) and (same == size_b or b[at_b] <= SPACE):
            break
        same -= 1
    return same


@nb.njit(cache=True, nogil=True, inline="always")
def _slot_of(key: np.uint64, mask: int) -> int:
    return np.int64((key * _PRIME) >> np.uint64(40)) & mask  # type: ignore[return-value, unused-ignore]


@nb.njit(cache=True, nogil=True)
def number_words(
    ref: Ints, hyp: Ints, spans: Ints, slots: Ints, places: Ints, keys: Words, ids: Ints, starts: Ints, ends: Ints
) -> tuple[int, int]:
    """Give small ids to the words of one reference and one hypothesis; equal words have equal ids.

    Args:
        spans: start and end in the buffer `ref`, start and end in the buffer `hyp`.
        slots: -1 when free, a power of two; left clean.
        places, keys: room for first index and slot, and for the key, of each id.
        ids, starts, ends: results; words of the reference first, then of the hypothesis.
    Returns:
        (reference words, hypothesis words).
    """
    mask = slots.size - 1
    total = 0
    num_ids = 0
    num_ref = 0
    guess = 0
    for side in range(2):
        buffer = ref if side == 0 else hyp
        at = spans[2 * side]
        end = spans[2 * side + 1]
        while True:
            start, at, key = next_word(buffer, at, end)
            if start == at:
                break
            size = at - start
            starts[total] = start
            ends[total] = at
            if guess < num_ref and size <= 8 and keys[ids[guess]] == key and ends[guess] - starts[guess] == size:
                ids[total] = ids[guess]  # a hypothesis mostly goes on with the next word of the reference
                total += 1
                guess += 1
                continue
            slot = _slot_of(key, mask)
            while True:
                word = slots[slot]
                if word < 0:
                    break
                first = places[word, 0]
                known = ref if first < num_ref or side == 0 else hyp
                is_like = keys[word] == key and ends[first] - starts[first] == size
                if is_like and (size <= 8 or same_bytes(buffer, start, known, starts[first], size)):
                    break
                slot = (slot + 1) & mask
            if word < 0:
                word = num_ids
                slots[slot] = word
                places[word, 0] = total
                places[word, 1] = slot
                keys[word] = key
                num_ids += 1
                guess += 1
            else:
                guess = places[word, 0] + 1
            ids[total] = word
            total += 1
        if side == 0:
            num_ref = total
            guess = 0
    for word in range(num_ids):
        slots[places[word, 1]] = -1
    return num_ref, total - num_ref


@nb.njit(cache=True, nogil=True)
def may_loop(buffer: Ints, spans: Ints, least: Ints) -> Ints:
    """Whether each text may hold an n-gram that occurs least[n - 1] times in a row, for n up to least.size.

    Long words are compared by hash, so that a text may be named in error, but none is missed.
    """
    found = np.zeros(spans.shape[0], np.bool_)
    keys = np.empty(1024, np.uint64)
    for u in range(spans.shape[0]):
        num = 0
        at = spans[u, 0]
        while True:
            start, at, key = next_word(buffer, at, spans[u, 1])
            if start == at:
                break
            if num == keys.size:
                grown = np.empty(2 * num, np.uint64)
                grown[:num] = keys
                keys = grown
            keys[num] = key
            num += 1
        for size in range(1, least.size + 1):
            same = 0  # words in a row that equal the word `size` before them
            for k in range(size, num):
                same = same + 1 if keys[k] == keys[k - size] else 0
                if same >= size * (least[size - 1] - 1):
                    found[u] = True
    return found
