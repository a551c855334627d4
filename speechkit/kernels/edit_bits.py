"""Bit-parallel edit distance with alignment for pairs of id sequences.

Columns are hypothesis words, bits are reference words (Myers 1999 in the form of Hyyro 2003). References of
up to 64 words take one machine word; longer pairs take blocks of 64 in a band around the diagonal, widened
until the distance fits it (Ukkonen 1985), and keep only checkpoints of the matrix when it is large.

Every cell outside an optimal path holds an upper bound, so the tie rules see the same optimal paths
as they would in the full matrix.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from speechkit.kernels.lanes import LANES, differ, leading_zeros, trailing_zeros
from speechkit.kernels.numba_types import Ints, Ops, Pairs, Words

COR, SUB, DEL, INS = 0, 1, 2, 3
TIES_KALDI, TIES_RAPIDFUZZ, TIES_SCLITE = 0, 1, 2
MAX_SHORT_REF, MAX_SHORT_HYP = 64, 2048
TOO_LONG, UNSETTLED = -1, -2  # instead of a number of events
# Parts of the work array of a short pair. EQUAL: which reference words equal a hypothesis word; VERTICAL and
# SECOND: what `push_column` keeps of each column; EVENTS: what `walk_back` finds.
EQUAL = 0
VERTICAL = EQUAL + MAX_SHORT_HYP
SECOND = VERTICAL + MAX_SHORT_HYP
EVENTS = SECOND + MAX_SHORT_HYP + 1
WORK_SIZE = EVENTS + MAX_SHORT_HYP + MAX_SHORT_REF
IDS_PER_LOAD = LANES // 4  # ids are int32
_ONE = np.uint64(1)
_ZERO = np.uint64(0)
_FULL = np.uint64(0xFFFFFFFFFFFFFFFF)
_TOP = np.uint64(63)
_DENSE_WORDS = 1 << 20  # 64-bit words of pattern masks: 8 MiB


@nb.njit(cache=True, nogil=True, inline="always")
def push_column(
    work: Words, j: int, x: np.uint64, vp: np.uint64, vn: np.uint64, ties: int
) -> tuple[np.uint64, np.uint64]:
    """Keep the column of hypothesis word j, which equals the reference words `x`; returns its vertical +1 and -1 bits.

    Before the first column these are `FULL` and 0, and work[SECOND] must be 0. VERTICAL keeps the first of them;
    SECOND, which begins one column earlier, the second under the rapidfuzz rule, horizontal +1 bits under kaldi's.
    """
    d0 = (((x & vp) + vp) ^ vp) | x | vn
    hp = vn | ~(d0 | vp)
    shifted = (hp << _ONE) | _ONE
    hn = (d0 & vp) << _ONE
    vp = hn | ~(d0 | shifted)
    vn = shifted & d0
    work[EQUAL + j] = x
    work[VERTICAL + j] = vp
    work[SECOND + 1 + j] = hp if ties == TIES_KALDI else vn
    return vp, vn


@nb.njit(cache=True, nogil=True, inline="always")
def ends_diagonally(work: Words, num_ref: int, num_hyp: int) -> bool:
    """Whether the last step of the alignment under the kaldi rule uses a word of both sides."""
    moves = work[VERTICAL + num_hyp - 1] | work[SECOND + num_hyp]
    return (moves >> np.uint64(num_ref - 1)) & _ONE == _ZERO  # type: ignore[no-any-return, unused-ignore]


@nb.njit(cache=True, nogil=True)
def walk_back(work: Words, num_ref: int, num_hyp: int, ties: int) -> int:
    """Write the errors into EVENTS, from the last to the first, see `read_event`; returns their number.

    kaldi: insertion if it is optimal, else deletion, else diagonal. rapidfuzz: deletion if it is optimal, else
    insertion if the cell before it is below its own upper neighbour, else diagonal.
    """
    i = num_ref
    j = num_hyp
    num = 0
    back = 0 if ties == TIES_KALDI else 1
    while i > 0 and j > 0:
        shift = np.uint64(i - 1)
        down = work[VERTICAL + j - 1] >> shift
        right = work[SECOND + j - back] >> shift
        same = work[EQUAL + j - 1] >> shift
        if (down | right | ~same) & _ONE == _ZERO:
            i -= 1
            j -= 1
            continue
        if ties == TIES_KALDI:
            down &= ~right
        else:
            right &= ~down
        is_del: int = np.int64(down & _ONE)  # type: ignore[assignment, unused-ignore]
        is_ins: int = np.int64(right & _ONE)  # type: ignore[assignment, unused-ignore]
        i -= 1 - is_ins
        j -= 1 - is_del
        work[EVENTS + num] = np.uint64(SUB + is_del + 2 * is_ins | i << 2 | j << 32)
        num += 1
    while i > 0:
        i -= 1
        work[EVENTS + num] = np.uint64(DEL | i << 2)
        num += 1
    while j > 0:
        j -= 1
        work[EVENTS + num] = np.uint64(INS | j << 32)
        num += 1
    return num


@nb.njit(cache=True, nogil=True, inline="always")
def read_event(work: Words, number: int) -> tuple[int, int, int]:
    """(SUB, DEL or INS, index of the reference word unless INS, index of the hypothesis word unless DEL)."""
    event: int = np.int64(work[EVENTS + number])  # type: ignore[assignment, unused-ignore]
    return event & 3, (event >> 2) & 0xFFFF, event >> 32


@nb.njit(cache=True, nogil=True, inline="always")
def common_ids(ref: Ints, hyp: Ints, box: tuple[int, int, int, int]) -> tuple[int, int]:
    """Numbers of ids that ref[box[0]:box[1]] and hyp[box[2]:box[3]] share at their start, and at their end behind it.

    Args:
        ref, hyp: int32, with room for 64 bytes before and behind the box.
    """
    r0, r1, h0, h1 = box
    shortest = min(r1 - r0, h1 - h0)
    head = 0
    while head < shortest:
        alike = trailing_zeros(differ(ref, r0 + head, hyp, h0 + head))
        head += min(alike, IDS_PER_LOAD)
        if alike < IDS_PER_LOAD:
            break
    head = min(head, shortest)
    tail = 0
    while tail < shortest - head:
        unlike = differ(ref, r1 - tail - IDS_PER_LOAD, hyp, h1 - tail - IDS_PER_LOAD)
        alike = leading_zeros(unlike) - (64 - IDS_PER_LOAD)
        tail += alike
        if alike < IDS_PER_LOAD:
            break
    return head, min(tail, shortest - head)


@nb.njit(cache=True, nogil=True)
def sides(pairs: Pairs, u: int) -> tuple[Ints, Ints, int, int]:
    """Ids of both sides of pair u, and the part of the operations that is room for them."""
    ref, ref_offsets, hyp, hyp_offsets = pairs
    begin = ref_offsets[u] + hyp_offsets[u]
    end = ref_offsets[u + 1] + hyp_offsets[u + 1]
    return ref[ref_offsets[u] : ref_offsets[u + 1]], hyp[hyp_offsets[u] : hyp_offsets[u + 1]], begin, end


@nb.njit(cache=True, nogil=True)
def finish(i: int, j: int, at: int, ops: Ops, counts: Ints) -> int:
    """The path along the edge of the matrix: i deletions, then j insertions, written backwards."""
    counts[1] += i
    counts[2] += j
    while i > 0:
        i -= 1
        at -= 1
        ops[at] = DEL
    while j > 0:
        j -= 1
        at -= 1
        ops[at] = INS
    return at


@nb.njit(cache=True, nogil=True)
def occurrences(ref: Ints, local: Ints) -> tuple[Ints, Ints]:
    """Positions of each distinct id of `ref`, as (offsets, positions); fills `local` with the distinct number."""
    num = 0
    for i in range(ref.size):
        if local[ref[i]] < 0:
            local[ref[i]] = num
            num += 1
    offsets = np.zeros(num + 1, np.int64)
    for i in range(ref.size):
        offsets[local[ref[i]] + 1] += 1
    for w in range(num):
        offsets[w + 1] += offsets[w]
    fill = offsets[:num].copy()
    positions = np.empty(ref.size, np.int64)
    for i in range(ref.size):
        w = local[ref[i]]
        positions[fill[w]] = i
        fill[w] += 1
    return offsets, positions


@nb.njit(cache=True, nogil=True)
def dense_masks(offsets: Ints, positions: Ints, num_blocks: int) -> tuple[Ints, Words]:
    """Mask rows for the frequent ids, as many as fit the memory; row_of is -1 for the others."""
    num = offsets.size - 1
    max_rows = max(1, _DENSE_WORDS // num_blocks)
    threshold = 1
    while True:  # rare ids are cheap to set bit by bit
        num_rows = 0
        for w in range(num):
            num_rows += offsets[w + 1] - offsets[w] > threshold
        if num_rows <= max_rows:
            break
        threshold = 2 * threshold + 1
    row_of = np.full(num, -1, np.int64)
    rows = np.zeros((num_rows + 1, num_blocks), np.uint64)  # the last row is scratch
    row = 0
    for w in range(num):
        if offsets[w + 1] - offsets[w] > threshold:
            row_of[w] = row
            for p in range(offsets[w], offsets[w + 1]):
                rows[row, positions[p] >> 6] |= _ONE << np.uint64(positions[p] & 63)
            row += 1
    return row_of, rows


@nb.njit(cache=True, nogil=True)
def first_column(num_blocks: int) -> tuple[Words, Words, Ints]:
    """The `state` of `edit_blocks.sweep` before the first column."""
    bottom = np.empty(2, np.int64)
    bottom[0] = -1
    bottom[1] = 0
    return np.empty(num_blocks, np.uint64), np.empty(num_blocks, np.uint64), bottom


@nb.njit(cache=True, nogil=True)
def mask_row(word: int, offsets: Ints, positions: Ints, row_of: Ints, rows: Words, first: int, last: int) -> int:
    """The number of the row that holds the mask of local id `word` for blocks first..last."""
    if word >= 0 and row_of[word] >= 0:
        row: int = row_of[word]
        return row
    scratch: int = rows.shape[0] - 1
    for b in range(first, last + 1):
        rows[scratch, b] = _ZERO
    if word >= 0:
        low = offsets[word]
        high = offsets[word + 1]
        end = high
        while low < high:  # first position in the band
            middle = (low + high) >> 1
            if positions[middle] >> 6 < first:
                low = middle + 1
            else:
                high = middle
        while low < end and positions[low] >> 6 <= last:
            rows[scratch, positions[low] >> 6] |= _ONE << np.uint64(positions[low] & 63)
            low += 1
    return scratch


@nb.njit(cache=True, nogil=True, inline="always")
def block_column(
    rows: Words,
    row: int,
    vp: Words,
    vn: Words,
    first: int,
    last: int,
    top_bit: np.uint64,
    vertical: Words,
    second: Words,
    at: int,
    ties: int,
) -> int:
    """Advance blocks first..last by one column, store it, and return the change of the bottom cell."""
    carry_p = _ONE  # above the band each column costs one insertion
    carry_n = _ZERO
    change = 0
    line = np.uint64(at)  # an unsigned index is not checked for being negative
    for block in range(last + 1 - first):
        k = np.uint64(block)
        b = k + np.uint64(first)
        p = vp[b]
        n = vn[b]
        x = rows[np.uint64(row), b] | carry_n
        d0 = (((x & p) + p) ^ p) | x | n
        hp = n | ~(d0 | p)
        hn = d0 & p
        if ties == TIES_KALDI:
            second[line, k] = hp
        if first + block == last:
            change = int((hp & top_bit) != _ZERO) - int((hn & top_bit) != _ZERO)
        out_p = hp >> _TOP
        out_n = hn >> _TOP
        hp = (hp << _ONE) | carry_p
        hn = (hn << _ONE) | carry_n
        p = hn | ~(d0 | hp)
        n = hp & d0
        vp[b] = p
        vn[b] = n
        vertical[line, k] = p
        if ties == TIES_RAPIDFUZZ:
            second[line, k] = n
        carry_p = out_p
        carry_n = out_n
    return change


@nb.njit(cache=True, nogil=True)
def band(column: int, num_ref: int, num_hyp: int, width: int) -> tuple[int, int]:
    """First and last block of a column whose paths of cost <= width can pass."""
    diff = num_ref - num_hyp
    low = column + 1 - (width - diff) // 2
    high = min(num_ref, column + 1 + (width + diff) // 2)
    return max(0, low - 1) >> 6, max(0, high - 1) >> 6
