"""How often each labeler is wrong, from calibrated probabilities of error and from decisions, with shrinkage.

Model: labeler l is wrong at a rate r_l ~ Beta(a, b), and utterance i of it speaks for an error by the likelihood
ratio that its probability holds against the rate of the corpus. a and b maximise the marginal likelihood of all
labelers (empirical Bayes); integrals over r are sums over a grid. With decisions alone this is the beta-binomial.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import betainc

from speechkit.rng import rng

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_MIN_STRENGTH, _MAX_STRENGTH = 1.0, 1000.0
_NUM_DRAWS = 2000
_EDGES = np.sin(np.linspace(0, np.pi / 2, 401)) ** 2  # finest where a share of few utterances is surest
_RATES = (_EDGES[1:] + _EDGES[:-1]) / 2
_SURE = 1e-6


@dataclass(frozen=True)
class Rates:
    """Rates of error of L labelers, the worst first.

    names; num_utterances (L,), num_errors (L,) expected ones; rate (L,) shrunken; low, high (L,) credible interval;
    rank_low, rank_high (L,) interval of the rank, from 1; a, b of the prior.
    """

    names: list[str]
    num_utterances: Ints
    num_errors: Floats
    rate: Floats
    low: Floats
    high: Floats
    rank_low: Ints
    rank_high: Ints
    prior: tuple[float, float]


def labeler_rates(
    labelers: Sequence[str],
    p_error: Floats,
    *,
    is_decided: npt.NDArray[np.bool_] | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Rates:
    """The rate of each labeler.

    Args:
        labelers: of each utterance.
        p_error: (N,) calibrated probabilities; 1 or 0 where somebody has decided.
        is_decided: (N,) where the probability is a decision and stays.
    """
    names, of_utterance = np.unique(np.array(labelers, dtype=np.str_), return_inverse=True)
    decided = np.zeros(len(p_error), np.bool_) if is_decided is None else is_decided
    undecided = p_error[~decided]
    common = float(np.clip(undecided.mean() if len(undecided) else 0.5, _SURE, 1 - _SURE))
    for_error = np.where(decided, p_error, p_error / common)
    against = np.where(decided, 1 - p_error, (1 - p_error) / (1 - common))
    evidence_LK: Floats = np.stack(
        [
            _sums(of_utterance, np.log(np.maximum(for_error * r + against * (1 - r), _SURE**2)), len(names))
            for r in _RATES.tolist()
        ],
        axis=1,
    )
    prior = fit_prior(evidence_LK)
    log_posterior = evidence_LK + _log_prior(*prior)
    posterior_LK = np.exp(log_posterior - log_posterior.max(axis=1, keepdims=True))
    posterior_LK /= posterior_LK.sum(axis=1, keepdims=True)
    rate = posterior_LK @ _RATES
    order = np.argsort(-rate, kind="stable")
    ranks = _ranks(posterior_LK, seed)
    tails = ((1 - level) / 2, (1 + level) / 2)
    rank_low, rank_high = (np.quantile(ranks, tail, axis=0).round().astype(np.int64)[order] for tail in tails)
    return Rates(
        names=[str(names[k]) for k in order.tolist()],
        num_utterances=np.bincount(of_utterance, minlength=len(names))[order],
        num_errors=_sums(of_utterance, p_error, len(names))[order],
        rate=rate[order],
        low=_quantile(posterior_LK, tails[0])[order],
        high=_quantile(posterior_LK, tails[1])[order],
        rank_low=rank_low,
        rank_high=rank_high,
        prior=prior,
    )


def _sums(of_utterance: Ints, values: Floats, num: int) -> Floats:
    return np.asarray(np.bincount(of_utterance, values, num), np.float64)


def _log_prior(a: float, b: float) -> Floats:
    """(K,) log of the mass of a beta distribution around each rate of the grid."""
    mass = np.diff(betainc(a, b, _EDGES))
    return np.asarray(np.log(np.maximum(mass, 1e-300)), np.float64)


def fit_prior(evidence_LK: Floats) -> tuple[float, float]:
    """a and b of the beta distribution under which the evidence about all labelers is most likely.

    Args:
        evidence_LK: log-likelihood of each rate of the grid. One labeler says nothing about others: then the prior is
            worth one utterance.
    """
    total = np.exp(evidence_LK.sum(axis=0) - evidence_LK.sum(axis=0).max())
    mean = float(np.clip(total @ _RATES / total.sum(), 1e-3, 1 - 1e-3))
    if len(evidence_LK) == 1:
        return mean, 1 - mean

    def cost(free: Floats) -> float:
        a, b = _shape(free)
        return -float(np.logaddexp.reduce(evidence_LK + _log_prior(a, b), axis=1).sum())

    bounds = [(-9.0, 9.0), (float(np.log(_MIN_STRENGTH)), float(np.log(_MAX_STRENGTH)))]
    start = [float(np.log(mean / (1 - mean))), float(np.log(10.0))]
    return _shape(minimize(cost, start, method="L-BFGS-B", bounds=bounds).x)


def _shape(free: Floats) -> tuple[float, float]:
    share, strength = 1 / (1 + float(np.exp(-free[0]))), float(np.exp(free[1]))
    return share * strength, (1 - share) * strength


def _quantile(posterior_LK: Floats, level: float) -> Floats:
    cumulated = np.concatenate([np.zeros((len(posterior_LK), 1)), np.cumsum(posterior_LK, axis=1)], axis=1)
    return np.array([np.interp(level, row, _EDGES) for row in cumulated], np.float64)


def _ranks(posterior_LK: Floats, seed: int) -> Ints:
    """(D, L) ranks of draws from the posteriors, 1 for the worst."""
    gen = rng(seed, "labeler ranks")
    uniform = gen.random((_NUM_DRAWS, len(posterior_LK)))
    cumulated = np.concatenate([np.zeros((len(posterior_LK), 1)), np.cumsum(posterior_LK, axis=1)], axis=1)
    drawn = np.stack([np.interp(uniform[:, k], row, _EDGES) for k, row in enumerate(cumulated)], axis=1)
    return np.asarray(1 + np.argsort(np.argsort(-drawn, axis=1), axis=1), np.int64)


__all__ = ["Rates", "fit_prior", "labeler_rates"]
