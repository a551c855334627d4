"""What goes wrong: confusion pairs, lists of words, errors on given words, words split or joined differently."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

from speechkit.kernels.edit import COR
from speechkit.score.summary import percent
from speechkit.score.wer import Scored, Step

Pair = tuple[str | None, str | None]


def error_pairs(scored: Scored) -> Counter[Pair]:
    """How often each (reference word or None, hypothesis word or None) is an error."""
    found: Counter[Pair] = Counter()
    table = scored.confusions
    for (ref, hyp), count in zip(table.pairs.tolist(), table.counts.tolist(), strict=True):
        found[table.word(ref), table.word(hyp)] = count
    for steps in scored.overrides.values():
        found.update((ref, hyp) for op, ref, hyp in steps if op != COR)
    return found


def error_lists(scored: Scored, limit: int = 100) -> dict[str, list[dict[str, Any]]]:
    """The most frequent confusions, substituted, deleted and inserted words; of equals, those that occur first."""
    if scored.overrides:
        return _lists_of_pairs(error_pairs(scored), limit)
    table = scored.confusions
    ref, hyp = table.pairs[:, 0], table.pairs[:, 1]
    both = (ref >= 0) & (hyp >= 0)
    substituted = np.bincount(ref[both], weights=table.counts[both], minlength=len(table.places)).astype(np.int64)

    def top(chosen: npt.NDArray[np.bool_]) -> list[tuple[int, int, int]]:
        rows = np.flatnonzero(chosen)
        rows = rows[_most(table.counts[rows], limit)]
        return [(int(ref[k]), int(hyp[k]), int(table.counts[k])) for k in rows.tolist()]

    most = _most(substituted, limit)
    return {
        "confusions": [{"ref": table.word(r), "hyp": table.word(h), "count": n} for r, h, n in top(both)],
        "substituted": [{"word": table.word(w), "count": int(substituted[w])} for w in most.tolist() if substituted[w]],
        "deleted": [{"word": table.word(r), "count": n} for r, _, n in top(hyp < 0)],
        "inserted": [{"word": table.word(h), "count": n} for _, h, n in top(ref < 0)],
    }


def _most(counts: npt.NDArray[np.int64], limit: int) -> npt.NDArray[np.int64]:
    """Indices of the `limit` greatest counts, from the greatest on; of equals, the first."""
    found = np.arange(len(counts))
    if 0 < limit < len(counts):
        found = np.flatnonzero(counts >= np.partition(counts, len(counts) - limit)[len(counts) - limit])
    return found[np.argsort(-counts[found], kind="stable")[:limit]]


def _lists_of_pairs(pairs: Counter[Pair], limit: int) -> dict[str, list[dict[str, Any]]]:
    confusions = Counter({pair: n for pair, n in pairs.items() if None not in pair})
    substituted: Counter[str | None] = Counter()
    for (ref, _), count in confusions.items():
        substituted[ref] += count
    lost = Counter({r: n for (r, h), n in pairs.items() if h is None})
    added = Counter({h: n for (r, h), n in pairs.items() if r is None})
    return {
        "confusions": [{"ref": r, "hyp": h, "count": n} for (r, h), n in confusions.most_common(limit)],
        "substituted": [{"word": w, "count": n} for w, n in substituted.most_common(limit)],
        "deleted": [{"word": w, "count": n} for w, n in lost.most_common(limit)],
        "inserted": [{"word": w, "count": n} for w, n in added.most_common(limit)],
    }


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


__all__ = ["error_lists", "error_pairs", "join_compounds", "word_rates"]
