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
from speechkit.kernels.edit_bits import COR, DEL, INS, SUB, TIES_RAPIDFUZZ, backtrace_64, finish, forward_64
from speechkit.kernels.edit_blocks import align_long
from speechkit.kernels.numba_types import Ints, Ops, Words

Ties = Literal["kaldi", "rapidfuzz"]
TIES: tuple[str, ...] = get_args(Ties)
_MAX_SHORT_HYP = 2048
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
def _align_range(
    pairs: tuple[Ints, Ints, Ints, Ints], vocab_size: int, ties: int, begin: int, end: int, out: tuple[Ints, Ops, Ints]
) -> None:
    ref, ref_offsets, hyp, hyp_offsets = pairs
    counts, ops, starts = out
    masks: Words = np.zeros(vocab_size, np.uint64)
    local = np.empty(0, np.int32)
    vertical: Words = np.empty(_MAX_SHORT_HYP, np.uint64)
    second: Words = np.empty(_MAX_SHORT_HYP, np.uint64)
    for u in range(begin, end):
        r = ref[ref_offsets[u] : ref_offsets[u + 1]]
        h = hyp[hyp_offsets[u] : hyp_offsets[u + 1]]
        base = ref_offsets[u] + hyp_offsets[u]
        top = base + r.size + h.size
        if ties == TIES_RAPIDFUZZ:  # rapidfuzz cuts the common prefix, then the common suffix
            shortest = min(r.size, h.size)
            tail = 0
            head = 0
            while head < shortest and r[head] == h[head]:
                head += 1
            while tail < shortest - head and r[r.size - 1 - tail] == h[h.size - 1 - tail]:
                tail += 1
            r = r[head : r.size - tail]
            h = h[head : h.size - tail]
            ops[top - tail : top] = COR
            top -= tail
        else:
            head = 0
        if r.size == 0 or h.size == 0:
            at = finish(r.size, h.size, top - base, ops[base:top], counts[u])
        elif r.size <= 64 and h.size <= _MAX_SHORT_HYP:
            forward_64(r, h, masks, vertical, second, ties)
            at = backtrace_64(r, h, vertical, second, ties, ops[base:top], counts[u])
        else:
            if local.size == 0:
                local = np.full(vocab_size, -1, np.int32)
            at = align_long(r, h, local, ties, ops[base:top], counts[u])
        ops[base + at - head : base + at] = COR
        starts[u] = base + at - head


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
        ties: `kaldi` or `rapidfuzz`.
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
