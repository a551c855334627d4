"""One pass over pairs of lines as bytes: those whose errors fit one machine word are counted, others named.

Whole words that two lines share at their start or end are found 64 bytes at a time. The words that remain are
compared by 128-bit keys, every one of the reference with every one of the hypothesis, eight at once.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from speechkit.kernels.characters import count_characters
from speechkit.kernels.edit_bits import (
    DEL,
    EQUAL,
    INS,
    MAX_SHORT_HYP,
    MAX_SHORT_REF,
    SECOND,
    SUB,
    TIES_KALDI,
    TIES_RAPIDFUZZ,
    TIES_SCLITE,
    TOO_LONG,
    UNSETTLED,
    WORK_SIZE,
    ends_diagonally,
    push_column,
    read_event,
    walk_back,
)
from speechkit.kernels.lanes import FULL, LANES, SPACE, equal
from speechkit.kernels.numba_types import Ints, Words
from speechkit.kernels.words import (
    common_end,
    common_start,
    count_words,
    end_of_word,
    find_words,
    is_hashed,
    same_bytes,
    word_key,
)

MAX_ERRORS = MAX_SHORT_REF + MAX_SHORT_HYP  # of one pair
_PER_LOAD = LANES // 8  # keys
# keys stand behind the work of the alignment, see edit_bits
_LOW = WORK_SIZE
_HIGH = _LOW + MAX_SHORT_REF + _PER_LOAD
_HYP_LOW = _HIGH + MAX_SHORT_REF + _PER_LOAD
_HYP_HIGH = _HYP_LOW + MAX_SHORT_HYP
LINE_WORK_SIZE = _HYP_HIGH + MAX_SHORT_HYP
_ZERO = np.uint64(0)
_ONE = np.uint64(1)


@nb.njit(cache=True, nogil=True)
def _drop_unlike(ref: Ints, hyp: Ints, bounds: Ints, m: int, j: int, found: np.uint64) -> np.uint64:
    """Of the reference words `found` by their hash, those that equal hypothesis word j."""
    start = bounds[2 * (m + j)]
    size = bounds[2 * (m + j) + 1] - start
    for i in range(m):
        if bounds[2 * i + 1] - bounds[2 * i] != size or not same_bytes(ref, bounds[2 * i], hyp, start, size):
            found &= ~(_ONE << np.uint64(i))
    return found


@nb.njit(cache=True, nogil=True, inline="always")
def _find_keys(ref: Ints, hyp: Ints, bounds: Ints, m: int, n: int, work: Words) -> None:
    """Write the keys of all words; a gap of no words follows those of the reference."""
    for i in range(m):
        low, high = word_key(ref, bounds[np.uint64(2 * i)], bounds[np.uint64(2 * i + 1)])
        work[np.uint64(_LOW + i)] = low
        work[np.uint64(_HIGH + i)] = high
    for i in range(m, m + _PER_LOAD):
        work[np.uint64(_LOW + i)] = _ZERO
    for j in range(n):  # apart from the comparison: to read at once what was just written in parts is slow
        low, high = word_key(hyp, bounds[np.uint64(2 * (m + j))], bounds[np.uint64(2 * (m + j) + 1)])
        work[np.uint64(_HYP_LOW + j)] = low
        work[np.uint64(_HYP_HIGH + j)] = high


@nb.njit(cache=True, nogil=True, inline="always")
def _solve(
    ref: Ints, hyp: Ints, size: tuple[int, int], ties: int, kept: tuple[int, bool], bounds: Ints, work: Words
) -> int:
    """Number of EVENTS of the words at `bounds`, or TOO_LONG or UNSETTLED.

    Args:
        size: words of the reference, words of the hypothesis.
        kept: how many words at the end of both are equal, 0 or 1, and whether more equal words follow.
    """
    m, n = size
    if m > MAX_SHORT_REF or n > MAX_SHORT_HYP:
        return TOO_LONG
    _find_keys(ref, hyp, bounds, m, n, work)
    is_pair = m - kept[0] == 1 and n - kept[0] == 1
    if ties == TIES_SCLITE and not is_pair:
        return TOO_LONG
    vp = FULL
    vn = _ZERO
    work[SECOND] = _ZERO
    for j in range(n):
        low = work[np.uint64(_HYP_LOW + j)]
        high = work[np.uint64(_HYP_HIGH + j)]
        found = _ZERO
        for i in range(0, m, _PER_LOAD):
            found |= (equal(work, _LOW + i, low) & equal(work, _HIGH + i, high)) << np.uint64(i)
        if (found != _ZERO) & is_hashed(high):
            found = _drop_unlike(ref, hyp, bounds, m, j, found)
        vp, vn = push_column(work, j, found, vp, vn, ties)
    if m > 0 and n > 0 and not is_pair:
        if kept[1] and not ends_diagonally(work, m, n):
            return UNSETTLED
        ends = (work[EQUAL] | (work[EQUAL + n - 1] >> np.uint64(m - 1))) & _ONE
        if ties == TIES_RAPIDFUZZ and ends != _ZERO:  # words after unlike white space: this rule must see all of them
            return TOO_LONG
    num: int = walk_back(work, m, n, ties)
    return num


@nb.njit(cache=True, nogil=True)
def _start_alike(ref: Ints, hyp: Ints, span: tuple[int, int, int, int]) -> bool:
    """Whether the first words of ref[span[0]:span[1]] and hyp[span[2]:span[3]] are equal."""
    r0, r1, h0, h1 = span
    while r0 < r1 and ref[r0] <= SPACE:
        r0 += 1
    while h0 < h1 and hyp[h0] <= SPACE:
        h0 += 1
    size = end_of_word(ref, r0, r1) - r0
    is_alike: bool = size == end_of_word(hyp, h0, h1) - h0 and same_bytes(ref, r0, hyp, h0, size)
    return is_alike


@nb.njit(cache=True, nogil=True, inline="always")
def _align_line(
    ref: Ints, hyp: Ints, span: tuple[int, int, int, int], ties: int, words: Ints, bounds: Ints, work: Words
) -> tuple[int, int]:
    """(EVENTS or TOO_LONG, reference words in `bounds`) of one pair of lines; words[3:5] gets the numbers of words."""
    head, shared = common_start(ref, hyp, span)
    r0, r1, h0, h1 = span[0] + head, span[1], span[2] + head, span[3]
    num = 0
    m = 0
    n = 0
    if r0 < r1 or h0 < h1:
        tail = common_end(ref, hyp, (r0, r1, h0, h1))
        keep = 0
        if ties == TIES_KALDI and tail > 0:  # one word of the common end stays, see edit._align_short
            keep = end_of_word(ref, r1 - tail, r1) - (r1 - tail)
            tail -= keep
        while True:
            m = find_words(ref, r0, r1 - tail, bounds, np.int64(0))
            n = find_words(hyp, h0, h1 - tail, bounds, m)
            num = _solve(ref, hyp, (m, n), ties, (int(keep > 0), keep > 0 and tail > 0), bounds, work)
            if num != UNSETTLED:
                break
            tail = 0
            keep = 0
        if ties == TIES_RAPIDFUZZ and num > 0 and min(m, n) == 0 and _start_alike(ref, hyp, (r0, r1, h0, h1)):
            num = TOO_LONG  # this rule goes on with equal words behind unlike white space
        shared += count_words(ref, r1 - tail, r1)
    words[3] = shared + m
    words[4] = shared + n
    return num, m


@nb.njit(cache=True, nogil=True, inline="always")
def _add_errors(pair: int, num_ref: int, bounds: Ints, work: Words, words: Ints, errors: Ints) -> None:
    """Write the EVENTS of one pair into `errors`, one row each in order of time, and count them."""
    last = errors.shape[0] - 1
    for k in range(errors.shape[0]):
        op, i, j = read_event(work, last - k)
        errors[k, 0] = pair
        errors[k, 1] = -1 if op == INS else bounds[2 * i]
        errors[k, 2] = -1 if op == DEL else bounds[2 * (num_ref + j)]
        words[op - SUB] += 1


@nb.njit(cache=True, nogil=True)
def count_short_lines(
    buffers: tuple[Ints, Ints],
    spans: Ints,
    ties: int,
    pairs: tuple[int, int],
    out: tuple[Ints, Ints, Ints, Ints],
    work: tuple[Words, Ints, Ints],
) -> tuple[int, int]:
    """Count pairs[0]..pairs[1]-1 of `spans` (N, 4), or as many as there is room for their errors.

    Args:
        out: words; chars, or no rows if they are not wanted; errors; and for each pair 1 if its words are too
            many, 2 if its characters are, 3 if both are.
        work: LINE_WORK_SIZE integers; places of words; MAX_CHARACTERS bytes.
    Returns:
        (the first pair that is not counted, number of errors).
    """
    ref, hyp = buffers
    words, chars, errors, too_long = out
    columns, bounds, carry = work
    used = 0
    for u in range(pairs[0], pairs[1]):
        if used + MAX_ERRORS > errors.shape[0]:
            return u, used
        r0, r1, h0, h1 = spans[u, 0], spans[u, 1], spans[u, 2], spans[u, 3]
        while r0 < r1 and ref[r0] <= SPACE:
            r0 += 1
        while r0 < r1 and ref[r1 - 1] <= SPACE:
            r1 -= 1
        while h0 < h1 and hyp[h0] <= SPACE:
            h0 += 1
        while h0 < h1 and hyp[h1 - 1] <= SPACE:
            h1 -= 1
        num, num_ref = _align_line(ref, hyp, (r0, r1, h0, h1), ties, words[u], bounds, columns)
        too_long[u] = num == TOO_LONG
        if num > 0:
            _add_errors(u, num_ref, bounds, columns, words[u], errors[used : used + num])
            used += num
        if chars.shape[0] > 0:
            count_characters(ref, hyp, (r0, r1, h0, h1), num != 0, chars[u], carry)
            if chars[u, 0] < 0:
                too_long[u] |= 2
    return pairs[1], used
