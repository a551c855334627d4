"""Edit distance with alignment for batches of id sequences, under a named tie rule.

Many alignments have the same number of errors; the rule decides which one is reported:
`kaldi` (kaldialign, Kaldi's compute-wer), `rapidfuzz` (jiwer) or `sclite` (NIST, weights 4/3/3).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    INS,
    MAX_SHORT_HYP,
    SUB,
    TIES_KALDI,
    TIES_RAPIDFUZZ,
    TIES_SCLITE,
    backtrace_64,
    finish,
    forward_64,
)
from speechkit.kernels.edit_blocks import align_long
from speechkit.kernels.edit_hirschberg import align_trimmed
from speechkit.kernels.edit_weighted import align_weighted
from speechkit.kernels.numba_types import Ints, Ops, Words

Ties = Literal["kaldi", "rapidfuzz", "sclite"]
TIES: tuple[str, ...] = get_args(Ties)
_PAIRS_PER_TASK = 4096


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


@nb.njit(cache=True, nogil=True)
def _align_long_pair(
    ref: Ints, hyp: Ints, ties: int, work: tuple[Words, Ints, Words, Words], space: Ops, counts: Ints
) -> int:
    at: int = 0
    if ties == TIES_SCLITE:
        at = align_weighted(ref, hyp, space, counts)
    elif ties == TIES_RAPIDFUZZ:
        at = align_trimmed(ref, hyp, work, space, counts)
    else:
        at = align_long(ref, hyp, work[1], ties, space, counts)
    return at


@nb.njit(cache=True, nogil=True, inline="always")
def align_pair(
    ref: Ints, hyp: Ints, ties: int, masks: Words, local: Ints, vertical: Words, second: Words, space: Ops, counts: Ints
) -> int:
    """Align one pair into `space` (its length is that of both sides together); returns the first index written.

    Args:
        masks, local: zeros and -1 for each id; left clean.
        vertical, second: MAX_SHORT_HYP words of room. They are no tuple, because taking arrays out of one costs
            as much as half an alignment.
        counts: sub, del, ins are added to it.
    """
    m = ref.size
    n = hyp.size
    head = 0
    tail = 0
    if ties != TIES_SCLITE:  # under the other rules a common start is matched word by word
        while head < m and head < n and ref[head] == hyp[head]:
            head += 1
    if ties == TIES_RAPIDFUZZ:  # and under this one a common end, too
        while tail < m - head and tail < n - head and ref[m - 1 - tail] == hyp[n - 1 - tail]:
            tail += 1
    top = m + n - tail
    if tail > 0:
        space[top:] = COR
    at: int = 0
    if head + tail == m or head + tail == n:
        at = finish(m - head - tail, n - head - tail, top, space, counts)
    elif ties != TIES_SCLITE and m - head - tail <= 64 and n <= MAX_SHORT_HYP:
        r = ref[head : m - tail]
        h = hyp[head : n - tail]
        if ties == TIES_KALDI:  # the constants let the compiler drop the other rule from the loops
            forward_64(r, h, masks, vertical, second, TIES_KALDI)
            at = backtrace_64(r, h, vertical, second, TIES_KALDI, space, counts)
        else:
            forward_64(r, h, masks, vertical, second, TIES_RAPIDFUZZ)
            at = backtrace_64(r, h, vertical, second, TIES_RAPIDFUZZ, space[:top], counts)
    else:
        work = (masks, local, vertical, second)
        at = _align_long_pair(ref[head : m - tail], hyp[head : n - tail], ties, work, space[:top], counts)
    for k in range(at - head, at):
        space[k] = COR
    first: int = at - head
    return first


@nb.njit(cache=True, nogil=True)
def _align_range(
    pairs: tuple[Ints, Ints, Ints, Ints], vocab_size: int, ties: int, begin: int, end: int, out: tuple[Ints, Ops, Ints]
) -> None:
    ref, ref_offsets, hyp, hyp_offsets = pairs
    counts, ops, starts = out
    masks = np.zeros(vocab_size, np.uint64)
    local = np.full(vocab_size, -1, np.int32)
    vertical = np.empty(MAX_SHORT_HYP, np.uint64)
    second = np.empty(MAX_SHORT_HYP, np.uint64)
    for u in range(begin, end):
        r = ref[ref_offsets[u] : ref_offsets[u + 1]]
        h = hyp[hyp_offsets[u] : hyp_offsets[u + 1]]
        base = ref_offsets[u] + hyp_offsets[u]
        space = ops[base : base + r.size + h.size]
        starts[u] = base + align_pair(r, h, ties, masks, local, vertical, second, space, counts[u])


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
    Cost: about 0.2 us per 20-word pair on one core.  Test: full-matrix Python reference, kaldialign, rapidfuzz.
    """
    if ties not in TIES:
        raise ConfigError(f"unknown tie rule `{ties}`", expected=" or ".join(TIES))
    pairs = tuple(
        np.require(a, t, ["C", "W"])
        for a, t in ((ref, np.int32), (ref_offsets, np.int64), (hyp, np.int32), (hyp_offsets, np.int64))
    )
    num_pairs = pairs[1].size - 1
    counts = np.zeros((num_pairs, 3), np.int64)
    ops = np.empty(pairs[0].size + pairs[2].size, np.int8)
    starts = np.empty(num_pairs, np.int64)
    rule = TIES.index(ties)

    def work(begin: int) -> None:
        end = min(num_pairs, begin + _PAIRS_PER_TASK) if num_threads > 1 else num_pairs
        _align_range(pairs, vocab_size, rule, begin, end, (counts, ops, starts))

    if num_threads > 1 and num_pairs > _PAIRS_PER_TASK:
        with ThreadPoolExecutor(num_threads) as pool:
            list(pool.map(work, range(0, num_pairs, _PAIRS_PER_TASK)))
    elif num_pairs:
        _align_range(pairs, vocab_size, rule, 0, num_pairs, (counts, ops, starts))
    return Alignment(counts, ops, starts, pairs[1][1:] + pairs[3][1:])


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
        align_words([["a", "b"]], [["a", "c", "d"]], ties=ties)
