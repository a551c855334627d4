"""The alignment that rapidfuzz (and so jiwer) reports: common ends off, large pairs halved as Hirschberg 1975.

Where rapidfuzz halves decides which of the equally good alignments it finds, so the same size limit is used here.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from speechkit.kernels.edit_bits import (
    COR,
    TIES_RAPIDFUZZ,
    band,
    dense_masks,
    finish,
    first_column,
    occurrences,
    sides,
)
from speechkit.kernels.edit_blocks import align_long, sweep
from speechkit.kernels.numba_types import Ints, Ops, Pairs, Results

_MAX_MATRIX_BYTES = 1 << 20
_FAR = 1 << 40
_ONE = np.uint64(1)


@nb.njit(cache=True, nogil=True)
def _column(ref: Ints, hyp: Ints, local: Ints, num_columns: int, width: int) -> Ints:
    """Cost of the first 0..m reference words against the first `num_columns` hypothesis words; far outside the band."""
    m = ref.size
    offsets, positions = occurrences(ref, local)
    num_blocks = (m + 63) >> 6
    row_of, rows = dense_masks(offsets, positions, num_blocks)
    state = first_column(num_blocks)
    scratch = (np.empty((1, num_blocks + 1), np.uint64), np.empty((1, num_blocks + 1), np.uint64))
    plan = (m, width, np.int64(0), num_columns, np.int64(TIES_RAPIDFUZZ))
    sweep(hyp, local, (offsets, positions, row_of, rows), plan, state, scratch)
    for i in range(m):
        local[ref[i]] = -1
    values = np.empty(m + 1, np.int64)
    for k in range(m + 1):
        values[k] = _FAR
    first, last = band(num_columns - 1, m, hyp.size, width)
    row = min(m, (last + 1) << 6)
    values[row] = state[2][1]
    while row > first << 6:
        word = (row - 1) >> 6
        bit = _ONE << np.uint64((row - 1) & 63)
        values[row - 1] = values[row] - int((state[0][word] & bit) != 0) + int((state[1][word] & bit) != 0)
        row -= 1
    return values


@nb.njit(cache=True, nogil=True)
def _halve(ref: Ints, hyp: Ints, local: Ints) -> tuple[int, int, int]:
    """(reference words, cost left, cost right) at the first best crossing of the middle of the hypothesis."""
    m, n = ref.size, hyp.size
    middle = n // 2
    width = abs(m - n) + max(64, m >> 3)
    ref_back = _reversed(ref)
    hyp_back = _reversed(hyp)
    while True:
        left = _column(ref, hyp, local, middle, width)
        right = _column(ref_back, hyp_back, local, n - middle, width)
        spot = 0
        for k in range(m + 1):
            if left[k] + right[m - k] < left[spot] + right[m - spot]:
                spot = k
        total: int = left[spot] + right[m - spot]
        if total <= width:
            return spot, left[spot], right[m - spot]
        width = min(total, 3 * width)


@nb.njit(cache=True, nogil=True)
def _reversed(ids: Ints) -> Ints:
    out = np.empty(ids.size, np.int32)
    for k in range(ids.size):
        out[k] = ids[ids.size - 1 - k]
    return out


@nb.njit(cache=True, nogil=True)
def common_ends(ref: Ints, hyp: Ints) -> tuple[int, int]:
    """Lengths of the common prefix, and of the common suffix of what remains."""
    shortest = min(ref.size, hyp.size)
    head = 0
    while head < shortest and ref[head] == hyp[head]:
        head += 1
    tail = 0
    while tail < shortest - head and ref[ref.size - 1 - tail] == hyp[hyp.size - 1 - tail]:
        tail += 1
    return head, tail


@nb.njit(cache=True, nogil=True)
def _is_large(num_ref: int, num_hyp: int, limit: int) -> bool:
    cells = 2 * min(num_ref, 2 * limit + 1) * num_hyp
    return cells // 8 >= _MAX_MATRIX_BYTES and num_ref >= 65 and num_hyp >= 10


@nb.njit(cache=True, nogil=True, inline="always")
def _push(pieces: Ints, num: int, piece: tuple[int, int, int, int, int]) -> int:
    for k in range(5):
        pieces[num, k] = piece[k]
    return num + 1


@nb.njit(cache=True, nogil=True)
def align_trimmed(ref: Ints, hyp: Ints, local: Ints, ops: Ops, counts: Ints) -> int:
    """Align one pair as rapidfuzz does; returns the first index of `ops` written.

    Args:
        local: -1 for every id; used and cleaned here.
    """
    pieces = np.empty((64 * 3, 5), np.int64)  # each halving of the hypothesis leaves at most two more
    num = _push(pieces, 0, (0, ref.size, 0, hyp.size, max(ref.size, hyp.size)))
    at = ops.size
    while num > 0:  # from the end of the pair to its start
        num -= 1
        r0, r1, h0, h1, limit = pieces[num, 0], pieces[num, 1], pieces[num, 2], pieces[num, 3], pieces[num, 4]
        head, tail = common_ends(ref[r0:r1], hyp[h0:h1])
        for _ in range(tail):
            at -= 1
            ops[at] = COR
        r = ref[r0 + head : r1 - tail]
        h = hyp[h0 + head : h1 - tail]
        limit = min(limit, max(r.size, h.size))
        if _is_large(r.size, h.size, limit):
            spot, left, right = _halve(r, h, local)
            middle = h.size // 2
            if head > 0:
                num = _push(pieces, num, (r0, r0 + head, h0, h0 + head, 0))
            r0 += head
            h0 += head
            num = _push(pieces, num, (r0, r0 + spot, h0, h0 + middle, left))
            num = _push(pieces, num, (r0 + spot, r1 - tail, h0 + middle, h1 - tail, right))
            continue
        if r.size == 0 or h.size == 0:
            at = finish(r.size, h.size, at, ops, counts)
        else:
            at = align_long(r, h, local, np.int64(TIES_RAPIDFUZZ), limit, ops[:at], counts)
        for _ in range(head):
            at -= 1
            ops[at] = COR
    return at


@nb.njit(cache=True, nogil=True)
def align_trimmed_pairs(pairs: Pairs, numbers: Ints, local: Ints, out: Results) -> None:
    """Align the pairs `numbers` under the rapidfuzz rule; the operations are 0 before, `local` is -1 for every id."""
    for u in numbers:
        ref, hyp, begin, end = sides(pairs, u)
        out[2][u] = begin + align_trimmed(ref, hyp, local, out[1][begin:end], out[0][u])
