"""From injected faults to probabilities: ridge logistic regression, isotonic curves, learning without clean examples.

Indicators are positives; the corpus itself is unlabelled and holds faults at an unknown rate (PU learning). With f1
the density of a score among indicators and fu that of the corpus, P(fault | score) = rate * f1 / fu, and the rate is
at most the least of fu / f1 over scores (Elkan and Noto 2008; best bin: Garg et al. 2021), as far as indicators are
like the faults of the corpus: what is harder to see than they are is missed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logsumexp

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_KNEES = (1.0, 2.0)  # deviations above which a feature gets a slope of its own
_MIN_TAIL = 0.5  # share of the positives that a bin must hold to tell the rate
_BOUND_TAIL = 0.9  # of the upper bound: nearly all positives, and what else scores as high
_Z = 1.0
_Z_BOUND = 1.645  # one-sided 95 %


@dataclass(frozen=True)
class Basis:
    """Features in deviations from the corpus, each with a bend at every knee."""

    mean_F: Floats
    scale_F: Floats

    @staticmethod
    def of(values_NF: Floats) -> Basis:
        """From the corpus."""
        return Basis(values_NF.mean(axis=0), values_NF.std(axis=0) + 1e-6)

    def __call__(self, values_NF: Floats) -> Floats:
        """(N, 4 F + 1)."""
        plain = (values_NF - self.mean_F) / self.scale_F
        bent = [np.maximum(plain - knee, 0.0) for knee in _KNEES]
        return np.concatenate([plain, *bent, np.ones((len(plain), 1))], axis=1)


def fit_logistic(values_NF: Floats, is_positive_N: Bools, weights_N: Floats, *, ridge: float) -> Floats:
    """(F,) weights of a logistic regression; the last feature, the constant, is not shrunk."""
    shrink_F = np.full(values_NF.shape[1], ridge)
    shrink_F[-1] = 0.0
    label_N = is_positive_N.astype(np.float64)

    def loss(weights_F: Floats) -> tuple[float, Floats]:
        logits_N = values_NF @ weights_F
        total = float((weights_N * (np.logaddexp(0.0, logits_N) - label_N * logits_N)).sum())
        slope_F = values_NF.T @ (weights_N * (expit(logits_N) - label_N)) + shrink_F * weights_F
        return total + 0.5 * float((shrink_F * weights_F**2).sum()), slope_F

    found = minimize(loss, np.zeros(values_NF.shape[1]), jac=True, method="L-BFGS-B")
    return np.asarray(found.x, np.float64)


def fit_softmax(values_NF: Floats, kinds_N: NDArray[np.int64], num_kinds: int, *, ridge: float) -> Floats:
    """(F, K) weights of a multinomial logistic regression."""
    shape = values_NF.shape[1], num_kinds
    target_NK = np.eye(num_kinds)[kinds_N]

    def loss(flat: Floats) -> tuple[float, Floats]:
        weights_FK = flat.reshape(shape)
        logits_NK = values_NF @ weights_FK
        log_probs_NK = logits_NK - logsumexp(logits_NK, axis=1, keepdims=True)
        total = -float((target_NK * log_probs_NK).sum()) + 0.5 * ridge * float((weights_FK**2).sum())
        return total, (values_NF.T @ (np.exp(log_probs_NK) - target_NK) + ridge * weights_FK).ravel()

    found = minimize(loss, np.zeros(shape[0] * shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 200})
    return np.asarray(found.x, np.float64).reshape(shape)


def isotonic(values_N: Floats, weights_N: Floats) -> Floats:
    """(N,) the closest rising sequence in least squares, by pooling adjacent violators."""
    means: list[float] = []
    totals: list[float] = []
    sizes: list[int] = []
    for value, weight in zip(values_N.tolist(), weights_N.tolist(), strict=True):
        means.append(value)
        totals.append(weight)
        sizes.append(1)
        while len(means) > 1 and means[-2] >= means[-1]:
            mean, total, size = means.pop(), totals.pop(), sizes.pop()
            means[-1] = (means[-1] * totals[-1] + mean * total) / (totals[-1] + total)
            totals[-1] += total
            sizes[-1] += size
    return np.repeat(means, sizes)


@dataclass(frozen=True)
class Curve:
    """Probability of a fault by score, rising between its points; the threshold of best F1.

    Args:
        rate, upper_rate: share of faults of the corpus, and what it is at most as far as indicators tell.
        expected_f1: of the threshold, as far as indicators and rate tell.
    """

    scores_K: Floats
    probs_K: Floats
    rate: float
    upper_rate: float
    threshold: float
    expected_f1: float

    def __call__(self, scores_N: Floats) -> Floats:
        """(N,) probabilities."""
        return np.interp(scores_N, self.scores_K, self.probs_K)


def fit_curve(corpus_N: Floats, positives_M: Floats, weights_M: Floats) -> Curve:
    """The curve of scores of the corpus and of (weighted) indicators."""
    rate = fault_rate(corpus_N, positives_M, weights_M)
    num, total = len(corpus_N), float(weights_M.sum())
    # equal scores are one point: whichever came first would otherwise be told apart
    scores, place = np.unique(np.concatenate([corpus_N, positives_M]), return_inverse=True)
    negative = np.bincount(place[:num], minlength=len(scores)) / num
    positive = np.bincount(place[num:], weights_M / total, minlength=len(scores))
    share = np.clip(isotonic(positive / (negative + positive), negative + positive), 1e-9, 1.0 - 1e-9)
    probs = np.minimum(1.0, rate * share / (1.0 - share))
    scores_K, probs_K = _centres(scores, probs)
    threshold, expected = best_threshold(corpus_N, positives_M, weights_M, rate)
    upper = max(rate, upper_rate(corpus_N, positives_M, weights_M))
    return Curve(scores_K, probs_K, rate, upper, threshold, expected)


def _centres(scores: Floats, probs: Floats) -> tuple[Floats, Floats]:
    """One point in the middle of each step, so that the curve between them has few ties."""
    ends = np.flatnonzero(np.diff(probs, append=np.inf))
    starts = np.concatenate([[0], ends[:-1] + 1])
    middles = np.array([np.median(scores[a : b + 1]) for a, b in zip(starts, ends, strict=True)])
    return middles, probs[ends]


def _tails(corpus_N: Floats, positives_M: Floats, weights_M: Floats) -> tuple[Floats, Floats, Floats]:
    """Thresholds (T,) from high to low, and the shares of positives and of the corpus at or above each."""
    thresholds = np.unique(np.concatenate([corpus_N, positives_M]))[::-1]
    order = np.argsort(positives_M)
    cumulated = np.concatenate([[0.0], np.cumsum(weights_M[order])]) / weights_M.sum()
    above_M = 1.0 - cumulated[np.searchsorted(positives_M[order], thresholds, "left")]
    above_N = 1.0 - np.searchsorted(np.sort(corpus_N), thresholds, "left") / len(corpus_N)
    return thresholds, above_M, above_N


def fault_rate(corpus_N: Floats, positives_M: Floats, weights_M: Floats) -> float:
    """Share of faults in the corpus: how much rarer high scores are there than among indicators, at the best bin."""
    _, above_M, above_N = _tails(corpus_N, positives_M, weights_M)
    enough = above_M >= _MIN_TAIL
    above_M, above_N = above_M[enough], above_N[enough]
    best = int(np.argmin(_careful_ratio(above_N, above_M, len(corpus_N), weights_M, _Z)))
    return float(np.clip(above_N[best] / above_M[best], 1.0 / (2 * len(corpus_N)), 1.0))


def upper_rate(corpus_N: Floats, positives_M: Floats, weights_M: Floats) -> float:
    """The share at most: everything that scores as high as nearly all indicators, with sampling error."""
    _, above_M, above_N = _tails(corpus_N, positives_M, weights_M)
    place = int(np.argmax(above_M >= _BOUND_TAIL))
    ratio = _careful_ratio(above_N[place : place + 1], above_M[place : place + 1], len(corpus_N), weights_M, _Z_BOUND)
    return float(min(1.0, ratio[0]))


def _careful_ratio(above_N: Floats, above_M: Floats, num: int, weights_M: Floats, z: float) -> Floats:
    """Of the share of the corpus over that of the positives, both by `z` standard errors to the high side."""
    size = weights_M.sum() ** 2 / (weights_M**2).sum()  # so many equal weights would be as sure
    high = above_N + z * np.sqrt(above_N * (1 - above_N) / num + 1.0 / num**2)
    low = np.maximum(above_M - z * np.sqrt(above_M * (1 - above_M) / size + 1.0 / size**2), 1e-9)
    return np.asarray(high / low, np.float64)


def best_threshold(corpus_N: Floats, positives_M: Floats, weights_M: Floats, rate: float) -> tuple[float, float]:
    """The threshold of the highest expected F1 at a rate, and that F1; needs no clean examples.

    F1 = 2 TP / (faults + flagged), where TP is the rate times the share of indicators above the threshold.
    """
    thresholds, above_M, above_N = _tails(corpus_N, positives_M, weights_M)
    found = np.minimum(rate * above_M, above_N)
    values = 2 * found / (rate + above_N)
    best = int(np.argmax(values))
    lower = thresholds[best + 1] if best + 1 < len(thresholds) else thresholds[best] - 1.0
    return float((thresholds[best] + lower) / 2), float(values[best])


def logit_ranks(scores_N: Floats) -> Floats:
    """(N,) logit of the mean rank of each score, as a share of all."""
    ranked = np.sort(scores_N)
    middle = (np.searchsorted(ranked, scores_N, "left") + np.searchsorted(ranked, scores_N, "right")) / 2
    share = np.clip(middle, 0.5, len(ranked) - 0.5) / len(ranked)
    return np.asarray(np.log(share / (1 - share)), np.float64)
