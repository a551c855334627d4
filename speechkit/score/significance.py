"""Is one system better than another? Paired tests on the same utterances.

MAPSSWE: Gillick and Cox 1989. McNemar, sign and Wilcoxon tests: as NIST sc_stats uses them, with exact
probabilities where the samples are small. Holm 1979 corrects for many comparisons.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from speechkit.rng import rng
from speechkit.score.bootstrap import replicate_sums

_MAX_CELLS = 4_000_000  # draws held in memory at once
Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def normal_p(z: float) -> float:
    """Two-sided probability of a standard normal value at least as far from 0."""
    return math.erfc(abs(z) / math.sqrt(2.0))


def mapsswe(errors_a: Counts, errors_b: Counts) -> dict[str, Any]:
    """Matched pairs on the errors of each segment; n is the number of segments, effect the mean difference."""
    difference = (errors_a - errors_b).astype(np.float64)
    n = len(difference)
    spread = float(difference.std(ddof=1)) if n > 1 else 0.0
    mean = float(difference.mean()) if n else 0.0
    z = mean / (spread / math.sqrt(n)) if spread > 0 else 0.0
    return {"unit": "segment", "n": n, "effect": mean, "statistic": z, "p": normal_p(z)}


def mcnemar(wrong_a: npt.NDArray[np.bool_], wrong_b: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Exact test on the n utterances that only one system has wrong; effect is the difference of the counts."""
    only_a = int((wrong_a & ~wrong_b).sum())
    only_b = int((wrong_b & ~wrong_a).sum())
    n = only_a + only_b
    return {"unit": "utterance", "n": n, "effect": only_a - only_b, "statistic": only_a, "p": _binomial_p(only_a, n)}


def sign_test(rates_a: Floats, rates_b: Floats, unit: str) -> dict[str, Any]:
    """Exact sign test on the rates of each unit; equal ones are left out."""
    above = int((rates_a > rates_b).sum())
    n = above + int((rates_a < rates_b).sum())
    return {"unit": unit, "n": n, "effect": 2 * above - n, "statistic": above, "p": _binomial_p(above, n)}


def _binomial_p(successes: int, trials: int) -> float:
    from scipy.stats import binomtest  # scipy.stats takes half a second to import

    return float(binomtest(successes, trials, 0.5).pvalue) if trials else 1.0


def wilcoxon(rates_a: Floats, rates_b: Floats, unit: str) -> dict[str, Any]:
    """Signed ranks of the rate differences; exact up to 25 units without equal differences, else normal."""
    from scipy.stats import wilcoxon as signed_rank

    difference = rates_a - rates_b
    difference = difference[difference != 0]
    n = len(difference)
    if not n:
        return {"unit": unit, "n": 0, "effect": 0.0, "statistic": 0.0, "p": 1.0}
    is_exact = n <= 25 and len(np.unique(np.abs(difference))) == n
    found = signed_rank(difference, method="exact" if is_exact else "approx")
    effect = float(np.median(difference))
    return {"unit": unit, "n": n, "effect": effect, "statistic": float(found.statistic), "p": float(found.pvalue)}


def paired_bootstrap(
    side_a: Counts, side_b: Counts, *, unit: str, level: float = 0.95, num_replicates: int = 10_000, seed: int = 0
) -> dict[str, Any]:
    """Resample units together for both systems; effect and interval are differences of rates in percent points.

    Args:
        side_a, side_b: (N, 2) errors and reference words of each unit (utterance or speaker).
    """
    name = f"paired {unit}"
    if np.array_equal(side_a[:, 1], side_b[:, 1]):
        columns = np.stack([side_a[:, 0] - side_b[:, 0], side_a[:, 1]], axis=1)
        sums = replicate_sums(columns, num_replicates=num_replicates, seed=seed, name=name)
        sums = sums[sums[:, 1] > 0]
        rates = 100.0 * sums[:, 0] / sums[:, 1]
    else:  # the systems chose alternatives of different lengths
        sums = _joint_sums(np.concatenate([side_a, side_b], axis=1), num_replicates, seed, name)
        sums = sums[(sums[:, 1] > 0) & (sums[:, 3] > 0)]
        rates = 100.0 * (sums[:, 0] / sums[:, 1] - sums[:, 2] / sums[:, 3])
    low, high = np.quantile(rates, [(1 - level) / 2, (1 + level) / 2])
    tail = min(int((rates <= 0).sum()), int((rates >= 0).sum()))
    total = [side.sum(axis=0) for side in (side_a, side_b)]
    return {
        "unit": unit,
        "n": len(side_a),
        "effect": float(100.0 * (total[0][0] / total[0][1] - total[1][0] / total[1][1])),
        "interval": [float(low), float(high)],
        "level": level,
        "num_replicates": num_replicates,
        "p": min(1.0, 2.0 * (tail + 1) / (len(rates) + 1)),
    }


def _joint_sums(columns: Counts, num_replicates: int, seed: int, name: str) -> Floats:
    """(num_replicates, C) sums of any number of columns over resampled rows."""
    kinds, frequency = np.unique(columns, axis=0, return_counts=True)
    generator = rng(seed, "bootstrap", name)
    step = max(1, _MAX_CELLS // len(kinds))
    parts = []
    for begin in range(0, num_replicates, step):
        size = min(step, num_replicates - begin)
        parts.append(generator.multinomial(len(columns), frequency / len(columns), size=size) @ kinds)
    return np.concatenate(parts).astype(np.float64)


def holm(probabilities: Sequence[float]) -> list[float]:
    """Probabilities corrected for the number of comparisons (Holm 1979), in the given order."""
    order = np.argsort(probabilities, kind="stable")
    corrected = [0.0] * len(order)
    highest = 0.0
    for rank, index in enumerate(order.tolist()):
        highest = max(highest, min(1.0, probabilities[index] * (len(order) - rank)))
        corrected[index] = highest
    return corrected
