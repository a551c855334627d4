"""Edit distance under sclite's weights: substitution 4, deletion 3, insertion 3 (NIST SCTK, net_dp.c).

On ties a cell prefers the diagonal, then the insertion, then the deletion. The matrix is filled row by row
inside a band that is widened until it must hold every optimal path; only a segment of directions is kept.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from speechkit.kernels.edit_bits import COR, DEL, INS, SUB, finish, sides
from speechkit.kernels.numba_types import Ints, Ops, Pairs, Results

SUB_COST, GAP_COST = 4, 3
_FAR = 1 << 29
_SEGMENT_CELLS = 1 << 22  # directions kept at once: 4 MiB


@nb.njit(cache=True, nogil=True)
def _row(ref_word: int, hyp: Ints, i: int, reach: tuple[int, int], above: Ints, here: Ints, directions: Ops) -> None:
    """Fill row i >= 1 for columns i - reach[0] .. i + reach[1]; directions[c] belongs to column low + c."""
    low = max(0, i - reach[0])
    high = min(hyp.size, i + reach[1])
    first = low
    if low == 0:
        here[0] = above[0] + GAP_COST
        first = 1
    else:
        here[low - 1] = _FAR
    if high < hyp.size or high == i + reach[1]:
        above[high] = above[high] if high <= i - 1 + reach[1] else _FAR
    for j in range(first, high + 1):
        same = hyp[j - 1] == ref_word
        best = above[j - 1] + (0 if same else SUB_COST)
        gone = above[j] + GAP_COST
        extra = here[j - 1] + GAP_COST
        direction = COR if same else SUB
        if best > gone or best > extra:
            if gone < extra:
                best = gone
                direction = DEL
            else:
                best = extra
                direction = INS
        here[j] = best
        directions[j - low] = direction


@nb.njit(cache=True, nogil=True)
def _walk(begin: int, reach: tuple[int, int], directions: Ops, place: Ints, ops: Ops, counts: Ints) -> None:
    i, j, at = place[0], place[1], place[2]
    while i > begin and j > 0:
        op = directions[i - 1 - begin, j - max(0, i - reach[0])]
        at -= 1
        ops[at] = op
        if op != COR:
            counts[op - 1] += 1
        if op != INS:
            i -= 1
        if op != DEL:
            j -= 1
    place[0], place[1], place[2] = i, j, at


@nb.njit(cache=True, nogil=True)
def _try_reach(ref: Ints, hyp: Ints, reach: tuple[int, int], ops: Ops, counts: Ints) -> tuple[int, int]:
    """(cost, first index of ops written, or -1 when the band may have missed a path of this cost).

    Args:
        reach: deletions and insertions in the band; their difference is that of the sizes.
    """
    m, n = ref.size, hyp.size
    width = min(n, reach[0] + reach[1]) + 1
    step = min(m, max(1, _SEGMENT_CELLS // width))
    num_segments = (m + step - 1) // step
    directions = np.empty((step, width), np.int8)
    starts = np.empty((num_segments, width + 1 if num_segments > 1 else 0), np.int32)  # the band of a row
    above = np.empty(n + 1, np.int32)
    here = np.empty(n + 1, np.int32)
    for j in range(n + 1):
        above[j] = GAP_COST * j
        here[j] = _FAR
    for i in range(1, m + 1):
        if num_segments > 1 and (i - 1) % step == 0:
            low = max(0, i - 1 - reach[0])
            for j in range(low, min(n, i - 1 + reach[1]) + 1):
                starts[(i - 1) // step, j - low] = above[j]
        _row(ref[i - 1], hyp, i, reach, above, here, directions[(i - 1) % step])
        above, here = here, above
    cost = above[n]
    # a path that leaves the band has more than reach[0] deletions or more than reach[1] insertions: the same cost
    if reach[0] < m and cost >= GAP_COST * (2 * reach[0] + 2 + n - m):
        return cost, -1
    place = np.empty(3, np.int64)
    place[0], place[1], place[2] = m, n, ops.size
    for spot in range(num_segments - 1, -1, -1):
        begin = spot * step
        if spot < num_segments - 1:
            low = max(0, begin - reach[0])
            for j in range(low, min(n, begin + reach[1]) + 1):
                above[j] = starts[spot, j - low]
            for i in range(begin + 1, begin + step + 1):
                _row(ref[i - 1], hyp, i, reach, above, here, directions[i - 1 - begin])
                above, here = here, above
        _walk(begin, reach, directions, place, ops, counts)
    return cost, finish(place[0], place[1], place[2], ops, counts)


@nb.njit(cache=True, nogil=True)
def align_weighted(ref: Ints, hyp: Ints, ops: Ops, counts: Ints) -> int:
    """Align one pair as sclite does; returns the first index of `ops` written.

    Cost: O(m * band) time; 4 MiB of directions and a band of costs per segment.
    """
    if ref.size == 0 or hyp.size == 0:
        return finish(ref.size, hyp.size, ops.size, ops, counts)  # type: ignore[no-any-return, unused-ignore]
    spare = 30 + (ref.size >> 4)
    while True:
        reach = (max(0, ref.size - hyp.size) + spare, max(0, hyp.size - ref.size) + spare)
        at: int = _try_reach(ref, hyp, reach, ops, counts)[1]
        if at >= 0:
            return at
        spare *= 2


@nb.njit(cache=True, nogil=True)
def align_weighted_pairs(pairs: Pairs, numbers: Ints, local: Ints, out: Results) -> None:
    """Align the pairs `numbers` under the sclite rule; the operations are 0 before, `local` is -1 for every id."""
    for u in numbers:
        ref, hyp, begin, end = sides(pairs, u)
        out[2][u] = begin + align_weighted(ref, hyp, out[1][begin:end], out[0][u])
