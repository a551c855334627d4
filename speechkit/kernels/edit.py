"""Edit distance with alignment for batches of id sequences, under a named tie rule.

Many alignments have the same number of errors; the rule decides which one is reported:
`kaldi` (kaldialign, Kaldi's compute-wer), `rapidfuzz` (jiwer) or `sclite` (NIST, weights 4/3/3).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, get_args

import numba as nb
import numpy as np
import numpy.typing as npt

from speechkit.errors import ConfigError
from speechkit.kernels.edit_bits import (
    COR,
    DEL,
    EVENTS,
    IDS_PER_LOAD,
    INS,
    MAX_SHORT_HYP,
    MAX_SHORT_REF,
    SECOND,
    SUB,
    TIES_KALDI,
    TIES_SCLITE,
    TOO_LONG,
    UNSETTLED,
    WORK_SIZE,
    common_ids,
    ends_diagonally,
    push_column,
    read_event,
    walk_back,
)
from speechkit.kernels.edit_blocks import align_long_pairs
from speechkit.kernels.edit_hirschberg import align_trimmed_pairs
from speechkit.kernels.edit_weighted import align_weighted_pairs
from speechkit.kernels.lanes import FULL, LANES, equal
from speechkit.kernels.numba_types import Ints, Pairs, Results, Words

Ties = Literal["kaldi", "rapidfuzz", "sclite"]
TIES: tuple[str, ...] = get_args(Ties)
_PAIRS_PER_TASK = 4096
_ZERO = np.uint64(0)


@dataclass(frozen=True)
class Alignment:
    """Alignments of N pairs.

    counts: int64 (N, 3): substitutions, deletions, insertions.
    ops: int8: `COR`, `SUB`, `DEL`, `INS` of pair u stand in ops[starts[u]:ends[u]], in order of time.
    """

    counts: npt.NDArray[np.int64]
    ops: npt.NDArray[np.int8]
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]

    def ops_of(self, pair: int) -> npt.NDArray[np.int8]:
        """The operations of one pair."""
        return self.ops[self.starts[pair] : self.ends[pair]]


@nb.njit(cache=True, nogil=True, inline="always")
def _solve(ref: Ints, hyp: Ints, box: tuple[int, int, int, int], ties: int, goes_on: bool, work: Words) -> int:
    """Find the errors of ref[box[0]:box[1]] and hyp[box[2]:box[3]], which differ in their first words.

    Args:
        goes_on: equal words follow on both sides; the last words of the box are the first two of them.
    Returns:
        Number of EVENTS; TOO_LONG for one machine word; UNSETTLED if the words that follow must be in the box.
    """
    r0, r1, h0, h1 = box
    m = r1 - r0
    n = h1 - h0
    if m == 1 and n == 1:
        work[EVENTS] = np.uint64(SUB)
        return 1
    if m > MAX_SHORT_REF or n > MAX_SHORT_HYP or (ties == TIES_SCLITE and m + n > 0):
        return TOO_LONG
    if m > 0 and n > 0:
        used = FULL >> np.uint64(64 - m)
        vp = FULL
        vn = _ZERO
        work[SECOND] = _ZERO
        for j in range(n):
            x = equal(ref, r0, hyp[h0 + j])
            for more in range(IDS_PER_LOAD, m, IDS_PER_LOAD):
                x |= equal(ref, r0 + more, hyp[h0 + j]) << np.uint64(more)
            vp, vn = push_column(work, j, x & used, vp, vn, ties)
        if goes_on and not ends_diagonally(work, m, n):
            return UNSETTLED
    num: int = walk_back(work, m, n, ties)
    return num


@nb.njit(cache=True, nogil=True)
def _align_short(
    ids: tuple[Ints, Ints, int, int], first: int, ties: int, pairs: Pairs, out: Results, left: Ints
) -> int:
    """Align left.size pairs from `first`, whose `ops` must be zero, which is COR.

    Args:
        ids: ids of both sides with room for 64 bytes before and behind those of these pairs, and what to add to
            offsets to find them there.
    Returns:
        How many need more than one machine word; their numbers are written into `left`.
    """
    ref, hyp, ref_shift, hyp_shift = ids
    ref_offsets, hyp_offsets = pairs[1], pairs[3]
    counts, ops, starts = out
    work = np.empty(WORK_SIZE, np.uint64)
    num_left = 0
    for u in range(first, first + left.size):
        r0, ref_end = ref_offsets[u] + ref_shift, ref_offsets[u + 1] + ref_shift
        h0, hyp_end = hyp_offsets[u] + hyp_shift, hyp_offsets[u + 1] + hyp_shift
        head, tail = common_ids(ref, hyp, (r0, ref_end, h0, hyp_end))
        r0 += head
        h0 += head
        r1, h1 = ref_end - tail, hyp_end - tail
        # Under the kaldi rule an error may take the place of words of the common end, but of none if not of the
        # first; where one word is left on each side, every rule says substitution.
        goes_on = ties == TIES_KALDI and tail > 0 and (r1 - r0 != 1 or h1 - h0 != 1)
        num = _solve(ref, hyp, (r0, r1 + goes_on, h0, h1 + goes_on), ties, goes_on and tail > 1, work)
        if num == UNSETTLED:
            num = _solve(ref, hyp, (r0, ref_end, h0, hyp_end), ties, False, work)
        if num == TOO_LONG:
            left[num_left] = u
            num_left += 1
            continue
        # operations stand at the end of the room for this pair; events come from the last to the first
        shift_ref = hyp_offsets[u + 1] + r0 - ref_shift
        shift_hyp = ref_offsets[u + 1] + h0 - hyp_shift
        num_del = 0
        num_ins = 0
        for k in range(num):
            op, i, j = read_event(work, k)
            ops[shift_hyp + j - num_del if op == INS else shift_ref + i - num_ins] = op
            num_del += op == DEL
            num_ins += op == INS
        counts[u, 0] = num - num_del - num_ins
        counts[u, 1] = num_del
        counts[u, 2] = num_ins
        starts[u] = ref_offsets[u] + hyp_offsets[u + 1] - num_ins
    return num_left


# by tie rule; each is compiled only when a pair needs it
_ALIGN_LONG = {"kaldi": align_long_pairs, "rapidfuzz": align_trimmed_pairs, "sclite": align_weighted_pairs}


def _with_room(pairs: Pairs, begin: int, end: int) -> Iterator[tuple[tuple[Ints, Ints, int, int], int, int]]:
    """Pairs begin..end-1 as arguments `ids` of `_align_short`, first pair and end: edges of the arrays are copied."""
    ref, ref_offsets, hyp, hyp_offsets = pairs
    sides = ((ref, ref_offsets), (hyp, hyp_offsets))
    first = max(int(np.searchsorted(offsets, LANES)) for _, offsets in sides)
    last = min(int(np.searchsorted(offsets, ids.size - LANES, "right")) - 1 for ids, offsets in sides)
    first, last = min(max(first, begin), end), min(max(last, begin), end)
    if first >= last:
        first = last = end
    if first < last:
        yield (ref, hyp, 0, 0), first, last
    for a, b in ((begin, first), (last, end)):
        if a < b:
            copies = [np.pad(ids[offsets[a] : offsets[b]], LANES) for ids, offsets in sides]
            yield (copies[0], copies[1], LANES - int(ref_offsets[a]), LANES - int(hyp_offsets[a])), a, b


def align_ids(
    ref: Ints,
    ref_offsets: Ints,
    hyp: Ints,
    hyp_offsets: Ints,
    *,
    vocab_size: int,
    ties: str = "kaldi",
    num_threads: int = 1,
) -> Alignment:
    """Align pair u: ref[ref_offsets[u]:ref_offsets[u+1]] with hyp[hyp_offsets[u]:hyp_offsets[u+1]].

    Args:
        ref, hyp: int32 ids in 0..vocab_size-1, all pairs behind each other; offsets int64 (N + 1,), offsets[0] = 0.
        ties: `kaldi`, `rapidfuzz` or `sclite`.
        num_threads: the result does not depend on it.
    Raises:
        ConfigError: an unknown tie rule.
    Cost: about 0.1 us per 20-word pair on one core.  Test: full-matrix Python reference, kaldialign, rapidfuzz.
    """
    if ties not in TIES:
        raise ConfigError(f"unknown tie rule `{ties}`", expected=" or ".join(TIES))
    ref, hyp = (np.require(ids, np.int32, ["C", "W"]) for ids in (ref, hyp))
    ref_offsets, hyp_offsets = (np.require(offsets, np.int64, ["C", "W"]) for offsets in (ref_offsets, hyp_offsets))
    pairs = (ref, ref_offsets, hyp, hyp_offsets)
    num_pairs = pairs[1].size - 1
    out = (
        np.zeros((num_pairs, 3), np.int64),
        np.zeros(pairs[0].size + pairs[2].size, np.int8),
        np.empty(num_pairs, np.int64),
    )
    step = _PAIRS_PER_TASK if num_threads > 1 else max(1, num_pairs)

    def work(begin: int) -> None:
        left = []
        for ids, first, last in _with_room(pairs, begin, min(begin + step, num_pairs)):
            numbers = np.empty(last - first, np.int64)
            left.append(numbers[: _align_short(ids, first, TIES.index(ties), pairs, out, numbers)])
        numbers = np.concatenate(left)
        if numbers.size:
            _ALIGN_LONG[ties](pairs, numbers, np.full(vocab_size, -1, np.int32), out)

    begins = range(0, num_pairs, step)
    if len(begins) > 1:
        with ThreadPoolExecutor(num_threads) as pool:
            list(pool.map(work, begins))
    else:
        list(map(work, begins))
    return Alignment(*out, pairs[1][1:] + pairs[3][1:])


def align_words(refs: Sequence[Iterable[str]], hyps: Sequence[Iterable[str]], *, ties: str = "kaldi") -> Alignment:
    """Align lists of words (or of characters); `refs[u]` with `hyps[u]`."""
    ids: dict[str, int] = {}
    ref, ref_offsets = _number(refs, ids)
    hyp, hyp_offsets = _number(hyps, ids)
    return align_ids(ref, ref_offsets, hyp, hyp_offsets, vocab_size=len(ids), ties=ties)


def _number(texts: Sequence[Iterable[str]], ids: dict[str, int]) -> tuple[Ints, Ints]:
    flat: list[int] = []
    offsets = [0]
    for words in texts:
        flat += [ids.setdefault(word, len(ids)) for word in words]
        offsets.append(len(flat))
    return np.array(flat, np.int32), np.array(offsets, np.int64)


__all__ = ["COR", "DEL", "INS", "SUB", "TIES", "Alignment", "align_ids", "align_words"]


def warm() -> None:
    """Compile every kernel for the types in use, or load it from the cache."""
    for ties in TIES:
        align_words([["a", "b"], ["a"] * 99], [["a", "c", "d"], ["b"] * 70], ties=ties)
