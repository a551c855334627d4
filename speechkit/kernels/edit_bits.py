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

from speechkit.kernels.numba_types import Ints, Ops, Words

COR, SUB, DEL, INS = 0, 1, 2, 3
TIES_KALDI, TIES_RAPIDFUZZ, TIES_SCLITE = 0, 1, 2
MAX_SHORT_HYP = 2048
_ONE = np.uint64(1)
_ZERO = np.uint64(0)
_FULL = np.uint64(0xFFFFFFFFFFFFFFFF)
_TOP = np.uint64(63)
_DENSE_WORDS = 1 << 20  # 64-bit words of pattern masks: 8 MiB


@nb.njit(cache=True, nogil=True)
def forward_64(ref: Ints, hyp: Ints, masks: Words, vertical: Words, second: Words, ties: int) -> None:
    """Fill one column per hypothesis word; bit i of `vertical` says that cell i+1 is one above cell i.

    Args:
        masks: zero for every id; used and cleaned here.
        second: horizontal +1 bits under the kaldi rule, vertical -1 bits under the rapidfuzz rule.
    """
    for i in range(ref.size):
        masks[np.uint32(ref[i])] |= _ONE << np.uint64(i)
    vp = _FULL
    vn = _ZERO
    for j in range(hyp.size):
        x = masks[np.uint32(hyp[j])]
        d0 = (((x & vp) + vp) ^ vp) | x | vn
        hp = vn | ~(d0 | vp)
        hn = d0 & vp
        if ties == TIES_KALDI:
            second[j] = hp
        hp = (hp << _ONE) | _ONE
        vp = (hn << _ONE) | ~(d0 | hp)
        vn = hp & d0
        vertical[j] = vp
        if ties == TIES_RAPIDFUZZ:
            second[j] = vn
    for i in range(ref.size):
        masks[np.uint32(ref[i])] = _ZERO


@nb.njit(cache=True, nogil=True)
def backtrace_64(ref: Ints, hyp: Ints, vertical: Words, second: Words, ties: int, ops: Ops, counts: Ints) -> int:
    """Walk back through the columns of `forward_64`, writing `ops` from its end; returns the first index written.

    kaldi: insertion if it is optimal, else deletion, else diagonal. rapidfuzz: deletion if it is optimal, else
    insertion if the cell before it is below its own upper neighbour, else diagonal. Adds sub, del, ins to `counts`.
    """
    i = ref.size
    j = hyp.size
    at = ops.size
    num_sub = 0
    num_del = 0
    num_ins = 0
    while i > 0 and j > 0:
        shift = np.uint64(i - 1)
        down = (vertical[np.uint64(j - 1)] >> shift) & _ONE
        if ties == TIES_KALDI:
            right = (second[np.uint64(j - 1)] >> shift) & _ONE
            down &= ~right
        else:
            right = (second[j - 2] >> shift) & ~down & _ONE if j > 1 else _ZERO
        at -= 1
        if (down | right) == _ZERO:
            i -= 1
            j -= 1
            wrong = ref[np.uint64(i)] != hyp[np.uint64(j)]
            ops[np.uint64(at)] = SUB if wrong else COR
            num_sub += wrong
        elif right != _ZERO:
            j -= 1
            ops[np.uint64(at)] = INS
            num_ins += 1
        else:
            i -= 1
            ops[np.uint64(at)] = DEL
            num_del += 1
    counts[0] += num_sub
    counts[1] += num_del
    counts[2] += num_ins
    first: int = finish(i, j, at, ops, counts)
    return first


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
    threshold = 0
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
        low += np.searchsorted(positions[low:high], first << 6)
        while low < high and positions[low] >> 6 <= last:
            rows[scratch, positions[low] >> 6] |= _ONE << np.uint64(positions[low] & 63)
            low += 1
    return scratch


@nb.njit(cache=True, nogil=True)
def block_column(
    masks: Words,
    vp: Words,
    vn: Words,
    first: int,
    last: int,
    top_bit: np.uint64,
    vertical: Words,
    second: Words,
    ties: int,
) -> int:
    """Advance blocks first..last by one column, store it, and return the change of the bottom cell."""
    carry_p = _ONE  # above the band each column costs one insertion
    carry_n = _ZERO
    change = 0
    for b in range(first, last + 1):
        p = vp[b]
        n = vn[b]
        x = masks[b] | carry_n
        d0 = (((x & p) + p) ^ p) | x | n
        hp = n | ~(d0 | p)
        hn = d0 & p
        if ties == TIES_KALDI:
            second[b - first] = hp
        if b == last:
            change = int((hp & top_bit) != _ZERO) - int((hn & top_bit) != _ZERO)
        out_p = hp >> _TOP
        out_n = hn >> _TOP
        hp = (hp << _ONE) | carry_p
        hn = (hn << _ONE) | carry_n
        p = hn | ~(d0 | hp)
        n = hp & d0
        vp[b] = p
        vn[b] = n
        vertical[b - first] = p
        if ties == TIES_RAPIDFUZZ:
            second[b - first] = n
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
