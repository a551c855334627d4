"""What goes wrong: confusion pairs, lists of words, errors on given words, words split or joined differently."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from speechkit.kernels.edit import COR, DEL, INS, SUB
from speechkit.score.summary import percent
from speechkit.score.wer import Scored, Step

Pair = tuple[str | None, str | None]


def error_pairs(scored: Scored) -> Counter[Pair]:
    """How often each (reference word or None, hypothesis word or None) is an error."""
    ids, words = scored.wrong_words
    codes, counts = np.unique(ids.astype(np.int64) @ np.array([1 << 32, 1]), return_counts=True)
    found: Counter[Pair] = Counter()
    for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
        hyp = ((code + 1) & 0xFFFFFFFF) - 1
        ref = (code - hyp) >> 32
        found[words[ref] if ref >= 0 else None, words[hyp] if hyp >= 0 else None] = count
    for steps in scored.overrides.values():
        found.update((ref, hyp) for op, ref, hyp in steps if op != COR)
    return found


def error_lists(scored: Scored, limit: int = 100) -> dict[str, list[dict[str, Any]]]:
    """The most frequent confusions, substituted, deleted and inserted words; ties in alphabetical order."""
    pairs = error_pairs(scored)
    confusions = {(r, h): n for (r, h), n in pairs.items() if r is not None and h is not None}
    substituted: Counter[str] = Counter()
    for (ref, _), count in confusions.items():
        substituted[ref] += count
    lost = {r: n for (r, h), n in pairs.items() if h is None and r is not None}
    added = {h: n for (r, h), n in pairs.items() if r is None and h is not None}
    return {
        "confusions": [{"ref": r, "hyp": h, "count": n} for (r, h), n in _top(confusions, limit)],
        "substituted": [{"word": w, "count": n} for w, n in _top(substituted, limit)],
        "deleted": [{"word": w, "count": n} for w, n in _top(lost, limit)],
        "inserted": [{"word": w, "count": n} for w, n in _top(added, limit)],
    }


def _top(counts: dict[Any, int], limit: int) -> list[tuple[Any, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:limit]


def word_rates(scored: Scored, words: frozenset[str]) -> dict[str, Any]:
    """Error rates of the reference words in `words` (biased) and of all others (unbiased).

    Substitutions and deletions belong to the reference word, insertions to the word inserted (Le et al. 2021).
    """
    total = [0, 0]
    for u in range(len(scored)):
        listed = sum(word in words for word in scored.ref_words(u))
        total[1] += listed
        total[0] += int(scored.words[u, 3]) - listed
    errors = [0, 0]
    for (ref, hyp), count in error_pairs(scored).items():
        errors[(ref if ref is not None else hyp) in words] += count
    return {
        "num_listed": len(words),
        "biased_wer": percent(errors[1], total[1]),
        "num_biased_words": total[1],
        "biased_errors": errors[1],
        "unbiased_wer": percent(errors[0], total[0]),
        "num_unbiased_words": total[0],
        "unbiased_errors": errors[0],
    }


def join_compounds(steps: list[Step]) -> list[Step]:
    """Runs of errors with the same letters on both sides (`car port`, `carport`) become one correct step per word."""
    out: list[Step] = []
    run: list[Step] = []
    for step in [*steps, (COR, None, None)]:
        if step[0] != COR:
            run.append(step)
            continue
        ref = [word for _, word, _ in run if word is not None]
        hyp = [word for _, _, word in run if word is not None]
        is_compound = bool(ref) and "".join(ref) == "".join(hyp)
        out += [(COR, word, word) for word in ref] if is_compound else run
        run = []
        out.append(step)
    return out[:-1]


__all__ = ["DEL", "INS", "SUB", "error_lists", "error_pairs", "join_compounds", "word_rates"]
