"""A small classifier of joins against natural word boundaries: what it can tell, a model could learn.

Rows are features of places, `speechkit.cutpaste.quality.window_features`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.optimize import minimize

NUM_FOLDS = 5
_RIDGE = 3.0
_MAX_ROUNDS = 100
_TINY = 1e-300

Pair = tuple[str, str]
Weights = tuple[np.ndarray, np.ndarray]


def detectability(
    joins: np.ndarray, natural: np.ndarray, join_groups: Sequence[str], groups: Sequence[str],
    weights: Weights | None = None,
) -> float:  # fmt: skip
    """Area under the curve of a logistic regression that tells joins from natural boundaries; 0.5: it cannot.

    Each group is scored by a model that has not seen it: five folds, drawn by the order of the sorted names.

    Args:
        joins, natural: features, (K, D) and (N, D).
        join_groups, groups: the text of each row, so that nothing is learned about the texts.
        weights: of joins (K,) and natural boundaries (N,), as of `balance`; none: one each.
    Returns:
        The area, nan when joins or natural boundaries with weight are of fewer groups than folds.
    """
    own, others = weights or (np.ones(len(joins)), np.ones(len(natural)))
    weighed = [{name for name, w in zip(*side, strict=True) if w} for side in ((join_groups, own), (groups, others))]
    if min(map(len, weighed)) < NUM_FOLDS:
        return float("nan")
    rows = np.concatenate([joins, natural])
    labels = np.concatenate([np.ones(len(joins)), np.zeros(len(natural))])
    weight = np.concatenate([own / own.sum(), others / others.sum()]) * (len(rows) / 2)
    # a text of both sides is one group; those of natural boundaries come first, so that every fold has some
    order = [*sorted(weighed[1]), *sorted({*groups, *join_groups} - weighed[1])]
    fold_of = {name: number % NUM_FOLDS for number, name in enumerate(order)}
    folds = np.array([fold_of[name] for name in (*join_groups, *groups)])
    scores = np.zeros(len(rows))
    for fold in range(NUM_FOLDS):
        held = folds == fold
        if held.any() and 0 < labels[~held].sum() < (~held).sum():
            scores[held] = _fit(rows[~held], labels[~held], weight[~held])(rows[held])
    return area_under_curve(scores[labels == 1], scores[labels == 0], (own, others))


def area_under_curve(positive: np.ndarray, negative: np.ndarray, weights: Weights | None = None) -> float:
    """Chance that a positive scores above a negative; a tie counts one half (Mann-Whitney). Pairs count by weight."""
    own, others = weights or (np.ones(len(positive)), np.ones(len(negative)))
    order = np.argsort(negative, kind="stable")
    sums = np.append(0.0, np.cumsum(others[order]))
    below, upto = (sums[np.searchsorted(negative[order], positive, side=side)] for side in ("left", "right"))
    return float(own @ (below + upto) / (2.0 * own.sum() * sums[-1]))


def balance(join_words: Sequence[Pair], words: Sequence[Pair]) -> Weights:
    """Weights of joins and natural boundaries that make the words before and behind them equally frequent.

    Texts never said have other words beside their joins than recorded texts have, and what a detector learns from that
    says nothing about joins. Both sides get the geometric mean of their frequencies, by iterative proportional fitting
    (Deming and Stephan 1940). Places with a word that the other side lacks weigh nothing; so do words unknown ("").

    Args:
        join_words, words: the words before and behind each place.
    """
    parts = (join_words, words)
    numbers = {
        word: number for number, word in enumerate(sorted({word for part in parts for pair in part for word in pair}))
    }
    codes = [np.array([[numbers[word] for word in pair] for pair in part], np.int64).reshape(-1, 2) for part in parts]
    weights = tuple(np.array([float("" not in pair) for pair in part]) for part in parts)
    for _ in range(_MAX_ROUNDS):
        for side in (0, 1):
            found = [np.bincount(rows[:, side], own, len(numbers)) for rows, own in zip(codes, weights, strict=True)]
            wanted = np.sqrt(found[0] * found[1])
            wanted /= wanted.sum() or 1.0
            for rows, own, sums in zip(codes, weights, found, strict=True):
                own *= (wanted / np.maximum(sums, _TINY))[rows[:, side]]
    return weights[0], weights[1]


def _fit(rows: np.ndarray, labels: np.ndarray, weight: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Log odds by ridge logistic regression on standardised features."""
    mean, scale = rows.mean(0), rows.std(0) + 1e-6
    features = np.hstack([(rows - mean) / scale, np.ones((len(rows), 1))])
    signs = 2.0 * labels - 1.0

    def loss(vector: np.ndarray) -> tuple[float, np.ndarray]:
        margins = signs * (features @ vector)
        slopes = -weight * signs / (1.0 + np.exp(np.clip(margins, -50, 50)))
        damped = np.append(vector[:-1], 0.0) * _RIDGE
        value = float((weight * np.logaddexp(0.0, -margins)).sum() + 0.5 * damped @ vector)
        return value, features.T @ slopes + damped

    found = minimize(loss, np.zeros(features.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 200}).x
    return lambda others: (others - mean) / scale @ found[:-1] + found[-1]
