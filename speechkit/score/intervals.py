"""Bootstrap intervals of the rates beside the word error rate: characters, sentences, matches, information, words."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from speechkit.kernels.edit import COR
from speechkit.score.bootstrap import rate_interval, replicate_sums
from speechkit.score.wer import Scored

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def rate_intervals(
    scored: Scored, rows: Counts | None = None, *, level: float, num_replicates: int, seed: int
) -> dict[str, list[float] | None]:
    """Intervals of `cer`, `ser`, `mer` and `wil` of the utterances `rows` (all of them by default), in percent."""
    words = scored.words if rows is None else scored.words[rows]
    chars = scored.chars if rows is None else scored.chars[rows]
    errors = words[:, :3].sum(axis=1)
    correct = words[:, 3] - words[:, 0] - words[:, 1]
    interval = partial(rate_interval, level=level, num_replicates=num_replicates, seed=seed)
    sums = replicate_sums(
        np.stack([correct, words[:, 3], words[:, 4]], axis=1), num_replicates=num_replicates, seed=seed, name="wil"
    )
    sums = sums[(sums[:, 1] > 0) & (sums[:, 2] > 0)]
    lost = 100.0 - 100.0 * sums[:, 0] ** 2 / (sums[:, 1] * sums[:, 2])
    return {
        "cer": rounded(interval(chars[:, 0], chars[:, 1])),
        "ser": rounded(interval((errors > 0).astype(np.int64), np.ones(len(words), np.int64))),
        "mer": rounded(interval(errors, errors + correct)),
        "wil": rounded(_quantiles(lost, level)) if lost.size else None,
    }


def share_interval(num: int, total: int, **options: Any) -> list[float] | None:
    """The interval of a share, 100 * num / total."""
    hits = np.zeros(total, np.int64)
    hits[:num] = 1
    return rounded(rate_interval(hits, np.ones(total, np.int64), **options)) if total else None


def word_intervals(scored: Scored, words: Collection[str], **options: Any) -> dict[str, list[float] | None]:
    """Intervals of the biased and the unbiased word error rate, by utterance."""
    rows = np.array([_listed(scored, u, words) for u in range(len(scored))], np.int64)
    return {
        "biased_wer": rounded(rate_interval(rows[:, 0], rows[:, 1], **options)),
        "unbiased_wer": rounded(rate_interval(rows[:, 2], rows[:, 3], **options)),
    }


def _listed(scored: Scored, utterance: int, words: Collection[str]) -> tuple[int, int, int, int]:
    """Errors and reference words of the listed words, then of the others."""
    listed = sum(word in words for word in scored.ref_words(utterance))
    errors = [0, 0]
    if scored.words[utterance, :3].any():
        for op, ref, hyp in scored.align(utterance):
            errors[(ref if ref is not None else hyp) in words] += op != COR
    return errors[1], listed, errors[0], int(scored.words[utterance, 3]) - listed


def rounded(interval: tuple[float, float] | None) -> list[float] | None:
    """An interval for JSON."""
    return None if interval is None else [round(value, 4) for value in interval]


def _quantiles(values: Floats, level: float) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
