"""Words of byte strings without Python objects: where they are, their keys, what two lines share.

White space is every byte up to 0x20. Buffers must end in at least `PADDING` bytes of white space.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from speechkit.kernels.lanes import (
    FULL,
    LANES,
    SPACE,
    continuations,
    count_ones,
    differ,
    leading_zeros,
    load8,
    spaces,
    trailing_zeros,
    unusual,
)
from speechkit.kernels.numba_types import Ints

PADDING = LANES
_PRIME = np.uint64(0x9E3779B97F4A7C15)
_ZERO = np.uint64(0)
_ONE = np.uint64(1)


@nb.njit(cache=True, nogil=True, inline="always")
def inside(at: int, end: int) -> np.uint64:
    """Bit k says that at + k < end, which is above at."""
    return FULL >> np.uint64(max(0, LANES - (end - at)))


@nb.njit(cache=True, nogil=True, inline="always")
def below(count: int) -> np.uint64:
    """The lowest `count` < 64 bits."""
    return (_ONE << np.uint64(count)) - _ONE


@nb.njit(cache=True, nogil=True)
def count_words(buffer: Ints, at: int, end: int) -> int:
    """Number of words in buffer[at:end]."""
    count = 0
    carry = _ZERO
    while at < end:
        solid = ~spaces(buffer, at) & inside(at, end)
        count += count_ones(solid & ~((solid << _ONE) | carry))
        carry = solid >> np.uint64(63)
        at += LANES
    return count


@nb.njit(cache=True, nogil=True)
def find_words(buffer: Ints, at: int, end: int, bounds: Ints, first: int) -> int:
    """Write start and end of each word of buffer[at:end] into bounds[2 * first:]; returns the number of words."""
    used = 2 * first
    carry = _ZERO
    while at < end:
        solid = ~spaces(buffer, at) & inside(at, end)
        edges = solid ^ ((solid << _ONE) | carry)
        carry = solid >> np.uint64(63)
        while edges != _ZERO:
            bounds[np.uint64(used)] = at + trailing_zeros(edges)
            used += 1
            edges &= edges - _ONE
        at += LANES
    if used & 1:
        bounds[used] = end
        used += 1
    return (used >> 1) - first


@nb.njit(cache=True, nogil=True)
def end_of_word(buffer: Ints, at: int, end: int) -> int:
    """Behind the first word of buffer[at:end]; `end` when there is none."""
    while at < end and buffer[at] <= SPACE:
        at += 1
    while at < end:
        gap = spaces(buffer, at) | ~inside(at, end)
        if gap != _ZERO:
            found: int = min(end, at + trailing_zeros(gap))
            return found
        at += LANES
    return end


@nb.njit(cache=True, nogil=True)
def common_start(a: Ints, b: Ints, spans: tuple[int, int, int, int]) -> tuple[int, int]:
    """(bytes, words) of the whole words that a[spans[0]:spans[1]] and b[spans[2]:spans[3]] share at their start."""
    size_a = spans[1] - spans[0]
    size_b = spans[3] - spans[2]
    shortest = min(size_a, size_b)
    words = 0
    last_start = 0
    carry = _ZERO
    at = 0
    while True:
        unlike = differ(a, spans[0] + at, b, spans[2] + at)
        if shortest - at < LANES:
            unlike |= FULL << np.uint64(shortest - at)
        solid = ~spaces(a, spans[0] + at)
        starts = solid & ~((solid << _ONE) | carry)
        if unlike != _ZERO:
            break
        if starts != _ZERO:
            last_start = at + 63 - leading_zeros(starts)
        words += count_ones(starts)
        carry = solid >> np.uint64(63)
        at += LANES
    size = trailing_zeros(unlike)
    starts &= below(size)
    if starts != _ZERO:
        last_start = at + 63 - leading_zeros(starts)
    words += count_ones(starts)
    same = at + size
    ends_here = (same == size_a or a[spans[0] + same] <= SPACE) and (same == size_b or b[spans[2] + same] <= SPACE)
    if same > 0 and a[spans[0] + same - 1] > SPACE and not ends_here:  # the word goes on, on one side at least
        return last_start, words - 1
    return same, words


@nb.njit(cache=True, nogil=True)
def common_end(a: Ints, b: Ints, spans: tuple[int, int, int, int]) -> int:
    """Number of bytes of whole words that two spans share at their end; less than there are near a buffer's start."""
    size_a = spans[1] - spans[0]
    size_b = spans[3] - spans[2]
    shortest = min(size_a, size_b)
    first_space = 0  # of the common bytes, counted from the end; a space itself may be left out
    at = 0
    while spans[1] - at >= LANES and spans[3] - at >= LANES:
        unlike = differ(a, spans[1] - at - LANES, b, spans[3] - at - LANES)
        if shortest - at < LANES:
            unlike |= FULL >> np.uint64(shortest - at)
        gaps = spaces(a, spans[1] - at - LANES)
        if unlike == _ZERO:
            if gaps != _ZERO:
                first_space = at + LANES - trailing_zeros(gaps)
            at += LANES
            continue
        size = leading_zeros(unlike)
        same: int = at + size
        if (same == size_a or a[spans[1] - 1 - same] <= SPACE) and (same == size_b or b[spans[3] - 1 - same] <= SPACE):
            return same
        if size > 0:
            gaps &= ~(FULL >> np.uint64(size))
            if gaps != _ZERO:
                first_space = at + LANES - trailing_zeros(gaps)
        return first_space
    return first_space


@nb.njit(cache=True, nogil=True)
def line_shape(buffer: Ints, at: int, end: int) -> tuple[int, int, bool]:
    """(words, characters of the words joined by one space, whether these are the bytes as they stand).

    The line has no white space at its ends.
    """
    words = 0
    characters = 0
    odd = _ZERO
    was_solid = _ZERO
    while at < end:
        line = inside(at, end)
        gaps = spaces(buffer, at) & line
        solid = ~gaps & line
        words += count_ones(solid & ~((solid << _ONE) | was_solid))
        characters += count_ones(solid & ~continuations(buffer, at))
        odd |= (unusual(buffer, at) & line) | (gaps & ~((solid << _ONE) | was_solid))
        was_solid = solid >> np.uint64(63)
        at += LANES
    return words, characters + max(0, words - 1), odd == _ZERO


@nb.njit(cache=True, nogil=True, inline="always")
def _lowest_bytes(count: int) -> np.uint64:
    half = np.uint64(4 * count)
    return ((_ONE << half) << half) - _ONE


@nb.njit(cache=True, nogil=True)
def word_key(buffer: Ints, start: int, end: int) -> tuple[np.uint64, np.uint64]:
    """128 bits of a word: its bytes if they are at most 16, else a hash that no such word has, see `is_hashed`."""
    size = end - start
    low = load8(buffer, start) & _lowest_bytes(min(size, 8))
    high = load8(buffer, start + 8) & _lowest_bytes(min(max(size - 8, 0), 8))
    if size > 16:
        at = start + 16
        while at < end:
            high = (high ^ (high >> np.uint64(29)) ^ (load8(buffer, at) & _lowest_bytes(min(end - at, 8)))) * _PRIME
            at += 8
        high = ((high ^ (high >> np.uint64(32))) | _ONE) << np.uint64(8)
    return low, high


@nb.njit(cache=True, nogil=True, inline="always")
def is_hashed(high: np.uint64) -> bool:
    """Whether words with this upper half of the key must be compared byte by byte."""
    return ((high & np.uint64(0xFF)) == _ZERO) & (high != _ZERO)  # type: ignore[no-any-return, unused-ignore]


@nb.njit(cache=True, nogil=True)
def same_bytes(a: Ints, a_at: int, b: Ints, b_at: int, size: int) -> bool:
    """Whether a[a_at:a_at+size] equals b[b_at:b_at+size]."""
    at = 0
    while at < size:
        if differ(a, a_at + at, b, b_at + at) & inside(at, size) != _ZERO:
            return False
        at += LANES
    return True


@nb.njit(cache=True, nogil=True)
def may_loop(buffer: Ints, spans: Ints, least: Ints) -> Ints:
    """Whether each text may hold an n-gram that occurs least[n - 1] times in a row, for n up to least.size.

    Words are compared by hash, so that a text may be named in error, but none is missed.
    """
    longest = 0
    for u in range(spans.shape[0]):
        longest = max(longest, spans[u, 1] - spans[u, 0])
    found = np.zeros(spans.shape[0], np.bool_)
    bounds = np.empty(longest + 4, np.int64)
    keys = np.empty(longest // 2 + 2, np.uint64)
    for u in range(spans.shape[0]):
        num = find_words(buffer, spans[u, 0], spans[u, 1], bounds, np.int64(0))
        for k in range(num):
            low, high = word_key(buffer, bounds[2 * k], bounds[2 * k + 1])
            keys[k] = low ^ (high * _PRIME)
        for size in range(1, least.size + 1):
            same = 0  # words in a row that equal the word `size` before them
            for k in range(size, num):
                same = same + 1 if keys[k] == keys[k - size] else 0
                if same >= size * (least[size - 1] - 1):
                    found[u] = True
    return found


def warm() -> None:
    """Compile the kernel, or load it from the cache."""
    may_loop(np.full(PADDING + 1, SPACE, np.uint8), np.zeros((1, 2), np.int64), np.ones(1, np.int64))
