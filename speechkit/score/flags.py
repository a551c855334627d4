"""Utterances that look like a decoder gone wrong rather than a hard word: loops, bursts, silence, too much text."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from speechkit.kernels.edit import INS
from speechkit.kernels.words import may_loop
from speechkit.score.wer import Scored

MIN_REPEATS = (4, 3, 3, 3)  # of a 1-, 2-, 3- and 4-gram in a row
MIN_LOOP_ERRORS = 3  # words substituted or inserted in an utterance with a loop
MIN_BURST = 5  # insertions in a row
MAX_PER_SECOND = {"word": 7.0, "char": 30.0, "mixed": 15.0}
MIN_SILENT_REF = 3


def flag(scored: Scored, utterance: int, *, unit: str = "word") -> dict[str, Any]:
    """The flags of one utterance, with what raised them; empty for most."""
    found: dict[str, Any] = {}
    ref, hyp = scored.ref_words(utterance), scored.hyp_words(utterance)
    loop = longest_loop(hyp) if scored.words[utterance, [0, 2]].sum() >= MIN_LOOP_ERRORS else None
    if loop is not None and _length(loop) > _length(longest_loop(ref)):
        found["loop"] = f"{' '.join(loop[0])} x{loop[1]}"
    burst = _longest_burst([op for op, _, _ in scored.align(utterance)])
    if burst >= MIN_BURST:
        found["insertions"] = burst
    seconds = scored.seconds(utterance)
    if seconds > 0 and len(hyp) / seconds > MAX_PER_SECOND[unit] and len(hyp) > len(ref):
        found["words_per_second" if unit == "word" else "units_per_second"] = round(len(hyp) / seconds, 1)
    if not hyp and len(ref) >= MIN_SILENT_REF:
        found["silent"] = len(ref)
    return found


def _suspicious(scored: Scored, unit: str) -> npt.NDArray[np.bool_]:
    """(N,) utterances that any flag could concern, found without looking at their words in Python."""
    sub, _, ins, num_ref, num_hyp = scored.words.T
    seconds = scored.all_seconds()
    found: npt.NDArray[np.bool_] = (ins >= MIN_BURST) | ((num_hyp == 0) & (num_ref >= MIN_SILENT_REF))
    found |= (seconds > 0) & (num_hyp > num_ref) & (num_hyp > MAX_PER_SECOND[unit] * seconds)
    wrong = np.flatnonzero(sub + ins >= MIN_LOOP_ERRORS)
    spans = np.ascontiguousarray(scored.spans[wrong, 2:])
    found[wrong] |= may_loop(scored.hyp.data, spans, np.array(MIN_REPEATS, np.int64))
    found[list(scored.overrides)] = True
    return found


def longest_loop(words: list[str]) -> tuple[list[str], int] | None:
    """The n-gram (n <= 4) that covers most words by repeating in a row, and how often; None below MIN_REPEATS."""
    best: tuple[list[str], int] | None = None
    for size, least in enumerate(MIN_REPEATS, start=1):
        at = 0
        while at + size * least <= len(words):
            repeats = 1
            while words[at : at + size] == words[at + size * repeats : at + size * (repeats + 1)]:
                repeats += 1
            if repeats >= least and repeats * size > _length(best):
                best = words[at : at + size], repeats
            at += max(1, size * (repeats - 1))
    return best


def _length(loop: tuple[list[str], int] | None) -> int:
    return 0 if loop is None else len(loop[0]) * loop[1]


def _longest_burst(ops: list[int]) -> int:
    longest = current = 0
    for op in ops:
        current = current + 1 if op == INS else 0
        longest = max(longest, current)
    return longest


def flags(scored: Scored, limit: int = 1000, *, unit: str = "word") -> dict[str, Any]:
    """Numbers of flagged utterances by flag, and the utterances, worst first (at most `limit`)."""
    words = scored.words
    found = [(u, flag(scored, u, unit=unit)) for u in np.flatnonzero(_suspicious(scored, unit)).tolist()]
    found = [(u, f) for u, f in found if f]
    found.sort(key=lambda item: (-int(words[item[0], :3].sum()), item[0]))
    names = dict.fromkeys(name for _, f in found for name in f)
    return {
        "num_flagged": len(found),
        "counts": {name: sum(name in f for _, f in found) for name in names},
        "utterances": [{"id": scored.ids[u], "errors": int(words[u, :3].sum()), **f} for u, f in found[:limit]],
    }
