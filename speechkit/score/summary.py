"""From counts per utterance to the rates of a corpus or of a part of it."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from speechkit.score.bootstrap import rate_interval
from speechkit.score.wer import Scored

Rows = npt.NDArray[np.int64]


def percent(part: float, whole: float) -> float | None:
    """100 * part / whole rounded to 4 digits; None when there is nothing to divide by."""
    return round(100.0 * part / whole, 4) if whole else None


def summarise(
    scored: Scored, rows: Rows | None = None, *, level: float = 0.95, num_replicates: int = 1000, seed: int = 0
) -> dict[str, Any]:
    """Rates in percent, counts and intervals of the utterances `rows` (all of them by default).

    wer, cer = (sub + del + ins) / reference; mer = errors / (errors + correct); wil = 1 - correct^2 / (ref * hyp)
    (Morris et al. 2004); ser = utterances with an error. `ci95` is the bootstrap interval of the WER by utterance.
    """
    words = scored.words if rows is None else scored.words[rows]
    chars = scored.chars if rows is None else scored.chars[rows]
    sub, dele, ins, num_ref, num_hyp = (int(v) for v in words.sum(axis=0))
    errors = words[:, :3].sum(axis=1)
    correct = num_ref - sub - dele
    char_errors, num_ref_chars = int(chars[:, 0].sum()), int(chars[:, 1].sum())
    interval = partial(rate_interval, errors, words[:, 3], num_replicates=num_replicates, seed=seed)
    ci95 = interval(level=0.95)
    other = ci95 if level == 0.95 else interval(level=level)
    return {
        "wer": percent(sub + dele + ins, num_ref),
        "cer": percent(char_errors, num_ref_chars),
        "ser": percent(int((errors > 0).sum()), len(words)),
        "mer": percent(sub + dele + ins, sub + dele + ins + correct),
        "wil": round(100.0 - 100.0 * correct * correct / (num_ref * num_hyp), 4) if num_ref and num_hyp else None,
        "num_utterances": len(words),
        "num_ref_words": num_ref,
        "num_hyp_words": num_hyp,
        "sub": sub,
        "del": dele,
        "ins": ins,
        "num_ref_chars": num_ref_chars,
        "char_errors": char_errors,
        "num_empty_refs": int((words[:, 3] == 0).sum()),
        "ci95": _rounded(ci95),
        "ci": {"level": level, "wer": _rounded(other)},
    }


def _rounded(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else [round(v, 4) for v in interval]


def by_field(scored: Scored, name: str, **options: Any) -> dict[str, dict[str, Any]]:
    """One summary for each value of a field, in the order of the values.

    Raises:
        ConfigError: no such field.
    """
    values, numbers = scored.groups(name)
    return {value: summarise(scored, np.flatnonzero(numbers == k), **options) for k, value in enumerate(values)}


def group_counts(scored: Scored, name: str) -> dict[str, list[int]]:
    """Sums of sub, del, ins, reference and hypothesis words for each value of a field, without intervals."""
    values, numbers = scored.groups(name)
    sums = np.zeros((len(values), scored.words.shape[1]), np.int64)
    starts = np.flatnonzero(np.diff(numbers, prepend=-1))  # neighbours mostly are of one group
    np.add.at(sums, numbers[starts], np.add.reduceat(scored.words, starts, axis=0))
    return dict(zip(values, sums.tolist(), strict=True))


__all__ = ["by_field", "group_counts", "percent", "summarise"]
