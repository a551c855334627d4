"""Is one system better than another? Paired tests on the same utterances.

MAPSSWE: Gillick and Cox 1989. McNemar, sign and Wilcoxon tests: as NIST sc_stats uses them, with exact
probabilities where the samples are small. Holm 1979 corrects for many comparisons.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from speechkit.score.bootstrap import replicate_sums

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def normal_p(z: float) -> float:
    """Two-sided probability of a standard normal value at least as far from 0."""
    return math.erfc(abs(z) / math.sqrt(2.0))


def mapsswe(errors_a: Counts, errors_b: Counts, *, level: float = 0.95) -> dict[str, Any]:
    """Matched pairs on the errors of each segment; n is the number of segments, effect the mean difference.

    The interval is that of the normal approximation which the test itself rests on. Where all segments differ by the
    same there is no z (sc_stats prints 0); p is then the exact one of permuted signs.
    """
    difference = (errors_a - errors_b).astype(np.float64)
    n = len(difference)
    spread = float(difference.std(ddof=1)) / math.sqrt(n) if n > 1 else 0.0
    mean = float(difference.mean()) if n else 0.0
    z = mean / spread if spread > 0 else 0.0
    reach = NormalDist().inv_cdf((1 + level) / 2) * spread
    found = {"unit": "segment", "n": n, "effect": mean, "interval": [mean - reach, mean + reach], "level": level}
    p = normal_p(z) if spread or not mean else 2.0 ** (1 - n)
    return {**found, "statistic": z, "p": p}


def mcnemar(wrong_a: npt.NDArray[np.bool_], wrong_b: npt.NDArray[np.bool_], *, level: float = 0.95) -> dict[str, Any]:
    """Exact test on the n utterances that only one system has wrong; effect is the difference of the counts."""
    only_a = int((wrong_a & ~wrong_b).sum())
    return _binomial("utterance", only_a, only_a + int((wrong_b & ~wrong_a).sum()), level)


def sign_test(rates_a: Floats, rates_b: Floats, unit: str, *, level: float = 0.95) -> dict[str, Any]:
    """Exact sign test on the rates of each unit; equal ones are left out."""
    above = int((rates_a > rates_b).sum())
    return _binomial(unit, above, above + int((rates_a < rates_b).sum()), level)


def _binomial(unit: str, successes: int, trials: int, level: float) -> dict[str, Any]:
    """Successes against failures; the interval of their difference is the exact one (Clopper and Pearson 1934)."""
    from scipy.stats import binomtest  # scipy.stats takes half a second to import

    found: dict[str, Any] = {"unit": unit, "n": trials, "effect": 2 * successes - trials}
    if not trials:
        return {**found, "interval": [0.0, 0.0], "level": level, "statistic": 0, "p": 1.0}
    test = binomtest(successes, trials, 0.5)
    share = test.proportion_ci(level)
    interval = [float(trials * (2 * limit - 1)) for limit in (share.low, share.high)]
    return {**found, "interval": interval, "level": level, "statistic": successes, "p": float(test.pvalue)}


def wilcoxon(rates_a: Floats, rates_b: Floats, unit: str, *, level: float = 0.95) -> dict[str, Any]:
    """Signed ranks of the rate differences; exact up to 25 units without equal differences, else normal.

    Effect is the median difference; its interval lies between two ordered differences, chosen by the binomial.
    """
    from scipy.stats import binom
    from scipy.stats import wilcoxon as signed_rank

    difference = np.sort(rates_a - rates_b)
    difference = difference[difference != 0]
    n = len(difference)
    if not n:
        return {"unit": unit, "n": 0, "effect": 0.0, "interval": [0.0, 0.0], "level": level, "statistic": 0.0, "p": 1.0}
    is_exact = n <= 25 and len(np.unique(np.abs(difference))) == n
    test = signed_rank(difference, method="exact" if is_exact else "approx")
    below = max(0, int(binom.ppf((1 - level) / 2, n, 0.5)) - 1)
    interval = [float(difference[below]), float(difference[n - 1 - below])]
    found = {"unit": unit, "n": n, "effect": float(np.median(difference)), "interval": interval, "level": level}
    return {**found, "statistic": float(test.statistic), "p": float(test.pvalue)}


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
        columns = np.concatenate([side_a, side_b], axis=1)
        sums = replicate_sums(columns, num_replicates=num_replicates, seed=seed, name=name)
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


def holm(probabilities: Sequence[float]) -> list[float]:
    """Probabilities corrected for the number of comparisons (Holm 1979), in the given order."""
    order = np.argsort(probabilities, kind="stable")
    corrected = [0.0] * len(order)
    highest = 0.0
    for rank, index in enumerate(order.tolist()):
        highest = max(highest, min(1.0, probabilities[index] * (len(order) - rank)))
        corrected[index] = highest
    return corrected
