"""What prompts have to beat: a linear machine on bags of units, logistic regression on pooled states.

scikit-learn is imported here only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from speechkit.audio.features import padding_mask
from speechkit.models.ulm import UnitLm, padded
from speechkit.rng import derive_seed

Predictor = Callable[[Sequence[Sequence[int]]], list[int]]
_POOLED = 64  # utterances in a batch of pooled states


def fit_bag_of_units(units: Sequence[Sequence[int]], labels: Sequence[int], *, seed: int) -> tuple[Predictor, int]:
    """Binary TF-IDF of single units and pairs, and a linear support vector machine; with its number of weights.

    Labels are of any kind of number; where there is only one of them, it is always the answer.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.svm import LinearSVC

    if len(set(labels)) == 1:
        return lambda rows: [labels[0]] * len(rows), 0
    bags = TfidfVectorizer(analyzer=_unigrams_and_bigrams, binary=True)
    machine = LinearSVC(random_state=derive_seed(seed, "bag of units", bits=31))
    machine.fit(bags.fit_transform(units), labels)
    size = machine.coef_.size + machine.intercept_.size
    return lambda rows: machine.predict(bags.transform(rows)).tolist(), size


def _unigrams_and_bigrams(units: Sequence[int]) -> list[tuple[int, ...]]:
    return [*((unit,) for unit in units), *pairwise(units)]


def fit_pooled_states(
    lm: UnitLm, units: Sequence[Sequence[int]], labels: Sequence[int], *, seed: int
) -> tuple[Predictor, int]:
    """Logistic regression on states of the language model averaged over each utterance; with its number of weights."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if len(set(labels)) == 1:
        return lambda rows: [labels[0]] * len(rows), 0
    machine = LogisticRegression(max_iter=2000, random_state=derive_seed(seed, "pooled states", bits=31))
    line = make_pipeline(StandardScaler(), machine)
    line.fit(pooled_states(lm, units), labels)
    size = machine.coef_.size + machine.intercept_.size
    return lambda rows: line.predict(pooled_states(lm, rows)).tolist(), size


@torch.no_grad()
def pooled_states(lm: UnitLm, units: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    """Mean state at the units of each utterance (N, D)."""
    order = sorted(range(len(units)), key=lambda number: len(units[number]))
    pooled_ND = np.empty((len(units), lm.config.dim))
    for first in range(0, len(order), _POOLED):
        numbers = order[first : first + _POOLED]
        source = padded([units[number] for number in numbers])
        states_BTD = lm.lm_states(*source)[:, 1:]
        mask_BT1 = padding_mask(source.lengths_B, states_BTD.shape[1])[..., None]
        sums_BD = states_BTD.where(mask_BT1, 0.0).sum(1)
        pooled_ND[numbers] = (sums_BD / source.lengths_B[:, None]).double().numpy()
    return pooled_ND
