"""Confidence intervals of rates by resampling utterances (Efron 1979; Bisani and Ney 2004 for word error rates).

A corpus of N utterances has far fewer different (errors, words) pairs than utterances. Drawing N utterances with
replacement is the same as drawing how often each pair occurs from one multinomial, which is what is done here.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from speechkit.errors import ConfigError
from speechkit.rng import rng

Floats = npt.NDArray[np.float64]
_MAX_CELLS = 4_000_000  # draws held in memory at once


def replicate_sums(columns: npt.NDArray[np.int64], *, num_replicates: int, seed: int, name: str) -> Floats:
    """Sums of each column over resampled rows.

    Args:
        columns: (N, C) non-negative or signed counts per utterance (or per speaker).
        name: what is resampled; part of the seed.
    Returns:
        (num_replicates, C) float64, exact integers.
    """
    kinds, frequency = np.unique(columns, axis=0, return_counts=True)
    num_rows = int(frequency.sum())
    generator = rng(seed, "bootstrap", name)
    step = max(1, _MAX_CELLS // len(kinds))
    values = kinds.astype(np.float64)
    parts = []
    for begin in range(0, num_replicates, step):
        size = min(step, num_replicates - begin)
        drawn = generator.multinomial(num_rows, frequency / num_rows, size=size)
        parts.append(drawn @ values)
    return np.concatenate(parts)


def rate_interval(
    errors: npt.NDArray[np.int64],
    words: npt.NDArray[np.int64],
    *,
    level: float = 0.95,
    num_replicates: int = 1000,
    seed: int = 0,
) -> tuple[float, float] | None:
    """Percentile interval of 100 * sum(errors) / sum(words) in percent; None when there are no words.

    Args:
        errors, words: (N,) counts of the resampled units.
        level: for example 0.95.
    Raises:
        ConfigError: a level outside (0, 1).
    """
    if not 0 < level < 1:
        raise ConfigError(f"--ci {level} is not a level", expected="a number between 0 and 1, such as 0.95")
    if not words.sum():
        return None
    sums = replicate_sums(np.stack([errors, words], axis=1), num_replicates=num_replicates, seed=seed, name="rate")
    sums = sums[sums[:, 1] > 0]
    rates = 100.0 * sums[:, 0] / sums[:, 1]
    low, high = np.quantile(rates, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
