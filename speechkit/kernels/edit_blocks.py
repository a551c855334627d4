"""Long pairs: blocks of 64 reference words in a band around the diagonal, with checkpoints instead of a matrix."""

from __future__ import annotations

import numba as nb
import numpy as np

from speechkit.kernels.edit_bits import (
    COR,
    DEL,
    INS,
    SUB,
    TIES_KALDI,
    band,
    block_column,
    dense_masks,
    finish,
    first_column,
    mask_row,
    occurrences,
    sides,
)
from speechkit.kernels.numba_types import Ints, Ops, Pairs, Results, Words

_ONE = np.uint64(1)
_ZERO = np.uint64(0)
_FULL = np.uint64(0xFFFFFFFFFFFFFFFF)
_SEGMENT_WORDS = 1 << 18  # 64-bit words of one stored matrix: 2 MiB


@nb.njit(cache=True, nogil=True)
def sweep(
    hyp: Ints,
    local: Ints,
    index: tuple[Ints, Ints, Ints, Words],
    plan: tuple[int, int, int, int, int],
    state: tuple[Words, Words, Ints],
    store: tuple[Words, Words],
) -> None:
    """Advance columns begin..end-1 of one pair.

    Args:
        index: occurrence offsets and positions, row_of and rows of the masks.
        plan: (reference size, band width, begin, end, ties).
        state: vp and vn of every block, and [last block of the previous column, value of its bottom cell].
        store: vertical and second bits, one row per column from `begin`; a single row when nothing is kept.
    """
    offsets, positions, row_of, rows = index
    num_ref, width, begin, end, ties = plan
    vp, vn, bottom = state
    vertical, second = store
    keep = vertical.shape[0] > 1
    for j in range(begin, end):
        first, last = band(j, num_ref, hyp.size, width)
        while bottom[0] < last:  # a block that enters the band hangs below the one above by deletions
            bottom[0] += 1
            bottom[1] += num_ref - (bottom[0] << 6) if bottom[0] == vp.size - 1 else 64
            vp[bottom[0]] = _FULL
            vn[bottom[0]] = _ZERO
        row = mask_row(local[hyp[j]], offsets, positions, row_of, rows, first, last)
        top_bit = _ONE << np.uint64((num_ref - 1) & 63 if last == vp.size - 1 else 63)
        at = j - begin if keep else 0
        bottom[1] += block_column(rows, row, vp, vn, first, last, top_bit, vertical, second, at, ties)


@nb.njit(cache=True, nogil=True)
def _walk(
    ref: Ints,
    hyp: Ints,
    store: tuple[Words, Words],
    plan: tuple[int, int, int, int, int],
    place: Ints,
    ops: Ops,
    counts: Ints,
) -> None:
    """Walk back from place = [i, j, at] through the stored columns until the first of them or the upper edge."""
    vertical, second = store
    width, begin, ties = plan[1], plan[2], plan[4]
    i, j, at = place[0], place[1], place[2]
    while i > 0 and j > begin:
        block = (i - 1) >> 6
        bit = _ONE << np.uint64((i - 1) & 63)
        first, _ = band(j - 1, ref.size, hyp.size, width)
        at -= 1
        is_del = (vertical[j - 1 - begin, block - first] & bit) != _ZERO
        if ties == TIES_KALDI:
            is_ins = (second[j - 1 - begin, block - first] & bit) != _ZERO
            is_del = is_del and not is_ins
        else:
            is_ins = False
            if not is_del and j > 1:
                first, last = band(j - 2, ref.size, hyp.size, width)
                is_ins = first <= block <= last and (second[j - 2, block - first] & bit) != _ZERO
        if is_ins:
            j -= 1
            ops[at] = INS
            counts[2] += 1
        elif is_del:
            i -= 1
            ops[at] = DEL
            counts[1] += 1
        else:
            i -= 1
            j -= 1
            wrong = ref[i] != hyp[j]
            ops[at] = SUB if wrong else COR
            counts[0] += wrong
    place[0], place[1], place[2] = i, j, at


@nb.njit(cache=True, nogil=True)
def _save(checkpoint: tuple[Words, Words, Ints], spot: int, state: tuple[Words, Words, Ints], first: int) -> None:
    for block in range(first, state[2][0] + 1):
        checkpoint[0][spot, block - first] = state[0][block]
        checkpoint[1][spot, block - first] = state[1][block]
    checkpoint[2][spot, 0] = state[2][0]
    checkpoint[2][spot, 1] = state[2][1]


@nb.njit(cache=True, nogil=True)
def _load(checkpoint: tuple[Words, Words, Ints], spot: int, state: tuple[Words, Words, Ints], first: int) -> None:
    state[2][0] = checkpoint[2][spot, 0]
    state[2][1] = checkpoint[2][spot, 1]
    for block in range(first, state[2][0] + 1):
        state[0][block] = checkpoint[0][spot, block - first]
        state[1][block] = checkpoint[1][spot, block - first]


@nb.njit(cache=True, nogil=True)
def _try_width(
    ref: Ints,
    hyp: Ints,
    local: Ints,
    index: tuple[Ints, Ints, Ints, Words],
    width: int,
    ties: int,
    ops: Ops,
    counts: Ints,
) -> tuple[int, int]:
    """(value of the last cell, first index of `ops` written); ops are written only when the value is <= width."""
    m, n = ref.size, hyp.size
    num_blocks = (m + 63) >> 6
    per_column = min(num_blocks, (width >> 6) + 2)
    step = n if ties != TIES_KALDI else min(n, max(1, _SEGMENT_WORDS // per_column))
    num_segments = (n + step - 1) // step
    state = first_column(num_blocks)
    store = (np.empty((max(step, 2), per_column), np.uint64), np.empty((max(step, 2), per_column), np.uint64))
    scratch = (np.empty((1, per_column), np.uint64), np.empty((1, per_column), np.uint64))
    checkpoint = (
        np.empty((num_segments, per_column + 1), np.uint64),
        np.empty((num_segments, per_column + 1), np.uint64),
        np.empty((num_segments, 2), np.int64),
    )
    for spot in range(num_segments):
        begin = spot * step
        _save(checkpoint, spot, state, band(max(begin - 1, 0), m, n, width)[0])
        plan = (m, width, begin, min(n, begin + step), ties)
        sweep(hyp, local, index, plan, state, store if spot == num_segments - 1 else scratch)
    value = state[2][1]
    if value > width:
        return value, ops.size
    place = np.empty(3, np.int64)
    place[0], place[1], place[2] = m, n, ops.size
    for spot in range(num_segments - 1, -1, -1):
        begin = spot * step
        plan = (m, width, begin, min(n, begin + step), ties)
        if spot < num_segments - 1:
            _load(checkpoint, spot, state, band(max(begin - 1, 0), m, n, width)[0])
            sweep(hyp, local, index, plan, state, store)
        _walk(ref, hyp, store, plan, place, ops, counts)
    return value, finish(place[0], place[1], place[2], ops, counts)


@nb.njit(cache=True, nogil=True)
def align_long(ref: Ints, hyp: Ints, local: Ints, ties: int, limit: int, ops: Ops, counts: Ints) -> int:
    """Align one pair of any length; returns the first index of `ops` written.

    Args:
        local: -1 for every id; used and cleaned here.
        limit: the distance is known not to be above it.
    Cost: O(n d / 64) time for distance d, O(n d / 64) bits up to 4 MiB, then checkpoints.
    """
    if ref.size == 0 or hyp.size == 0:
        return finish(ref.size, hyp.size, ops.size, ops, counts)  # type: ignore[no-any-return, unused-ignore]
    offsets, positions = occurrences(ref, local)
    row_of, rows = dense_masks(offsets, positions, (ref.size + 63) >> 6)
    index = (offsets, positions, row_of, rows)
    width: int = min(limit, abs(ref.size - hyp.size) + max(64, ref.size >> 3))
    at: int = 0
    while True:
        value, at = _try_width(ref, hyp, local, index, width, ties, ops, counts)
        if value <= width:
            break
        width = min(value, 3 * width)  # the value of a narrow band is an upper bound of the distance
    for i in range(ref.size):
        local[ref[i]] = -1
    return at


@nb.njit(cache=True, nogil=True)
def distance_long(ref: Ints, hyp: Ints, local: Ints) -> int:
    """Edit distance alone, of one pair of any length; both sides have at least one item.

    Args:
        local: -1 for every id; used and cleaned here.
    """
    offsets, positions = occurrences(ref, local)
    num_blocks = (ref.size + 63) >> 6
    row_of, rows = dense_masks(offsets, positions, num_blocks)
    scratch = (np.empty((1, num_blocks + 1), np.uint64), np.empty((1, num_blocks + 1), np.uint64))
    width: int = abs(ref.size - hyp.size) + max(64, ref.size >> 3)
    while True:
        state = first_column(num_blocks)
        plan = (ref.size, width, np.int64(0), hyp.size, np.int64(TIES_KALDI))
        sweep(hyp, local, (offsets, positions, row_of, rows), plan, state, scratch)
        value: int = state[2][1]
        if value <= width:
            break
        width = min(value, 3 * width)
    for i in range(ref.size):
        local[ref[i]] = -1
    return value


@nb.njit(cache=True, nogil=True)
def align_long_pairs(pairs: Pairs, numbers: Ints, local: Ints, out: Results) -> None:
    """Align the pairs `numbers` under the kaldi rule; the operations are 0 before, `local` is -1 for every id."""
    for u in numbers:
        ref, hyp, begin, end = sides(pairs, u)
        head = 0
        while head < ref.size and head < hyp.size and ref[head] == hyp[head]:
            head += 1
        limit = max(ref.size, hyp.size)
        at = align_long(ref[head:], hyp[head:], local, np.int64(TIES_KALDI), limit, out[1][begin:end], out[0][u])
        out[2][u] = begin + at - head
