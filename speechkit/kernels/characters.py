"""Character errors of two lines: words joined by one space, Unicode characters, distance only."""

from __future__ import annotations

from typing import TypeAlias

import numba as nb
import numpy as np

from speechkit.kernels.edit_bits import common_ids
from speechkit.kernels.edit_blocks import distance_long
from speechkit.kernels.lanes import FULL, LANES, count_ones, differ, equal, leading_zeros, trailing_zeros
from speechkit.kernels.numba_types import Ints
from speechkit.kernels.words import find_words, inside, line_shape

Box: TypeAlias = tuple[int, int, int, int]  # start and end in a first array, start and end in a second one
MAX_CHARACTERS = 2048  # of a side without common ends, for bit vectors of a whole column
NUM_CODES = 0x110000
_MAX_SYMBOLS = 255
_NUM_SLOTS = 2 * MAX_CHARACTERS  # a power of two
_ONE = np.uint64(1)
_ZERO = np.uint64(0)
_TOP = np.uint64(63)
_PRIME = np.uint64(0x9E3779B97F4A7C15)


@nb.njit(cache=True, nogil=True)
def decode(buffer: Ints, bounds: Ints, num_words: int, out: Ints, at: int) -> int:
    """Write the characters of words (valid UTF-8), joined by spaces, into out[at:]; returns their end."""
    for k in range(num_words):
        if k > 0:
            out[at] = 0x20
            at += 1
        for spot in range(bounds[2 * k], bounds[2 * k + 1]):
            byte = np.int32(buffer[spot])
            if byte & 0xC0 == 0x80:
                out[at - 1] = (out[at - 1] << 6) | (byte & 0x3F)
                continue
            lead = 0x7F if byte < 0x80 else 0x1F if byte < 0xE0 else 0x0F if byte < 0xF0 else 0x07
            out[at] = byte & lead
            at += 1
    return at


@nb.njit(cache=True, nogil=True, inline="always")
def _slot_of(code: int, mask: int) -> int:
    return np.int64((np.uint64(code) * _PRIME) >> np.uint64(40)) & mask  # type: ignore[return-value, unused-ignore]


@nb.njit(cache=True, nogil=True)
def _number(codes: Ints, box: Box, slots: Ints, symbols: Ints) -> bool:
    """Write a byte for each code of the box: 1, 2, ... in the order of its first part, 0 for what that does not hold.

    Args:
        slots: (2, _NUM_SLOTS) numbers and codes; all numbers are 0, and left so.
    Returns:
        False: there are more than `_MAX_SYMBOLS`.
    """
    mask = 63
    while mask < 2 * (box[1] - box[0]):
        mask = 2 * mask + 1
    num = 0
    for k in range(box[0], box[1]):
        slot = _slot_of(codes[k], mask)
        while slots[0, slot] > 0 and slots[1, slot] != codes[k]:
            slot = (slot + 1) & mask
        if slots[0, slot] == 0:
            num += 1
            slots[0, slot] = num
            slots[1, slot] = codes[k]
        symbols[k] = slots[0, slot]
    for k in range(box[2], box[3]):
        slot = _slot_of(codes[k], mask)
        while slots[0, slot] > 0 and slots[1, slot] != codes[k]:
            slot = (slot + 1) & mask
        symbols[k] = slots[0, slot]
    for slot in range(mask + 1):
        slots[0, slot] = 0
    return num <= _MAX_SYMBOLS


@nb.njit(cache=True, nogil=True, inline="always")
def _step(x: np.uint64, vp: np.uint64, vn: np.uint64, above: np.uint64) -> tuple[np.uint64, np.uint64, np.uint64]:
    """One column of a block: new vertical +1 and -1 bits, and horizontal +1 and -1 of its last row as bits 0 and 1."""
    x |= above >> _ONE
    d0 = (((x & vp) + vp) ^ vp) | x | vn
    hp = vn | ~(d0 | vp)
    hn = d0 & vp
    below = (hp >> _TOP) | ((hn >> _TOP) << _ONE)
    hp = (hp << _ONE) | (above & _ONE)
    return (hn << _ONE) | (above >> _ONE) | ~(d0 | hp), hp & d0, below


@nb.njit(cache=True, nogil=True)
def _distance(pattern: Ints, text: Ints, box: Box, carry: Ints) -> int:
    """Edit distance of pattern[box[0]:box[1]] and text[box[2]:box[3]], two blocks of 64 rows after two (Hyyro 2003).

    Args:
        pattern, text: uint8.
        carry: room for the horizontal steps below a block in each column of the text.
    """
    size = box[1] - box[0]
    num_columns = box[3] - box[2]
    first = np.uint64(box[2])
    for j in range(num_columns):
        carry[np.uint64(j)] = 1
    value = num_columns
    row = 0
    while row + 64 < size:
        p0, n0, p1, n1 = FULL, _ZERO, FULL, _ZERO
        for j in range(num_columns):
            symbol = text[first + np.uint64(j)]
            p0, n0, below = _step(equal(pattern, box[0] + row, symbol), p0, n0, np.uint64(carry[np.uint64(j)]))
            p1, n1, below = _step(equal(pattern, box[0] + row + 64, symbol), p1, n1, below)
            carry[np.uint64(j)] = below
        used = inside(row + 64, size)
        value += count_ones(p0) - count_ones(n0) + count_ones(p1 & used) - count_ones(n1 & used)
        row += 128
    if row < size:
        p0, n0 = FULL, _ZERO
        for j in range(num_columns):
            x = equal(pattern, box[0] + row, text[first + np.uint64(j)])
            p0, n0, _ = _step(x, p0, n0, np.uint64(carry[np.uint64(j)]))
        used = inside(row, size)
        value += count_ones(p0 & used) - count_ones(n0 & used)
    return value


@nb.njit(cache=True, nogil=True, inline="always")
def _trim(a: Ints, b: Ints, box: Box) -> Box:
    """The box without the bytes that both sides share at their start and end; some stay near a buffer's start."""
    shortest = min(box[1] - box[0], box[3] - box[2])
    head = 0
    while head < shortest:
        alike = trailing_zeros(differ(a, box[0] + head, b, box[2] + head))
        head += alike
        if alike < LANES:
            break
    head = min(head, shortest)
    tail = 0
    while tail < shortest - head and min(box[1], box[3]) - tail >= LANES:
        alike = leading_zeros(differ(a, box[1] - tail - LANES, b, box[3] - tail - LANES))
        tail += alike
        if alike < LANES:
            break
    tail = min(tail, shortest - head)
    return box[0] + head, box[1] - tail, box[2] + head, box[3] - tail


@nb.njit(cache=True, nogil=True, inline="always")
def _flip(box: Box) -> Box:
    return box[2], box[3], box[0], box[1]


@nb.njit(cache=True, nogil=True)
def count_characters(ref: Ints, hyp: Ints, span: Box, is_wrong: bool, counts: Ints, carry: Ints) -> None:
    """counts = distance (-1: use `other_distances`), characters of ref[span[0]:span[1]] and of hyp[span[2]:span[3]].

    Args:
        span: no white space at the ends.
        is_wrong: False if the words are known to be equal.
        carry: room for MAX_CHARACTERS.
    """
    _, counts[1], ref_plain = line_shape(ref, span[0], span[1])
    counts[2] = counts[1]
    if not is_wrong:
        return
    _, counts[2], hyp_plain = line_shape(hyp, span[2], span[3])
    box = _trim(ref, hyp, span)
    m = box[1] - box[0]
    n = box[3] - box[2]
    if not (ref_plain and hyp_plain):
        counts[0] = -1
    elif min(m, n) == 0 or max(m, n) > MAX_CHARACTERS:
        counts[0] = max(m, n) if min(m, n) == 0 else -1
    elif m <= n:
        counts[0] = _distance(ref, hyp, box, carry)
    else:
        counts[0] = _distance(hyp, ref, _flip(box), carry)


@nb.njit(cache=True, nogil=True)
def _decode_pair(ref: Ints, hyp: Ints, span: Ints, bounds: Ints, codes: Ints) -> Box:
    """Write the characters of two lines; where they are without their common ends, the shorter first."""
    at = np.int64(LANES)
    first = np.int64(0)
    end = decode(ref, bounds, find_words(ref, span[0], span[1], bounds, first), codes, at)
    start = end + LANES
    last = decode(hyp, bounds, find_words(hyp, span[2], span[3], bounds, first), codes, start)
    head, tail = common_ids(codes, codes, (at, end, start, last))
    box = (at + head, end - tail, start + head, last - tail)
    return box if box[1] - box[0] <= box[3] - box[2] else _flip(box)


@nb.njit(cache=True, nogil=True)
def _decoded_distances(ref: Ints, hyp: Ints, spans: Ints, out: Ints) -> None:
    """Character distance of each pair of lines, -1 for those that are too long or have too many characters."""
    longest = _longest(spans)
    bounds = np.empty(longest + 4, np.int64)
    codes = np.empty(longest + 3 * LANES, np.int32)
    symbols = np.empty(longest + 3 * LANES, np.uint8)
    slots = np.zeros((2, _NUM_SLOTS), np.int32)
    carry = np.empty(MAX_CHARACTERS, np.uint8)
    for u in range(spans.shape[0]):
        box = _decode_pair(ref, hyp, spans[u], bounds, codes)
        out[u] = box[3] - box[2]
        if box[1] > box[0]:
            fits = out[u] <= MAX_CHARACTERS and _number(codes, box, slots, symbols)
            out[u] = _distance(symbols, symbols, box, carry) if fits else -1


@nb.njit(cache=True, nogil=True)
def _long_distances(ref: Ints, hyp: Ints, spans: Ints, out: Ints) -> None:
    """Character distance of each pair of lines whatever it holds."""
    longest = _longest(spans)
    bounds = np.empty(longest + 4, np.int64)
    codes = np.empty(longest + 3 * LANES, np.int32)
    local = np.full(NUM_CODES, -1, np.int32)
    for u in range(spans.shape[0]):
        box = _decode_pair(ref, hyp, spans[u], bounds, codes)
        out[u] = distance_long(codes[box[0] : box[1]], codes[box[2] : box[3]], local)


@nb.njit(cache=True, nogil=True, inline="always")
def _longest(spans: Ints) -> int:
    longest = 0
    for u in range(spans.shape[0]):
        longest = max(longest, spans[u, 1] - spans[u, 0] + spans[u, 3] - spans[u, 2])
    return longest


def other_distances(ref: Ints, hyp: Ints, spans: Ints) -> Ints:
    """Character distances of the lines ref[spans[u, 0]:spans[u, 1]] and hyp[spans[u, 2]:spans[u, 3]], any UTF-8."""
    out = np.empty(len(spans), np.int64)
    _decoded_distances(ref, hyp, spans, out)
    left = np.flatnonzero(out < 0)
    if left.size:
        distances = np.empty(left.size, np.int64)
        _long_distances(ref, hyp, spans[left], distances)
        out[left] = distances
    return out
