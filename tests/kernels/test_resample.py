"""Banked sums: the mean and the spread of ordinary resampling."""

from __future__ import annotations

import numpy as np
import pytest

from speechkit.kernels.resample import banked_sums, make_bank
from speechkit.score.bootstrap import replicate_sums


def test_banked_sums_have_the_mean_and_spread_of_resampling() -> None:
    source = np.random.default_rng(0)
    values = source.integers(0, 9, 5000)
    sums = banked_sums(values, make_bank(values, 2), 4000, 3)
    assert sums.mean() == pytest.approx(values.sum(), abs=4 * values.std() * np.sqrt(5000 / 4000))
    assert sums.std() == pytest.approx(values.std() * np.sqrt(5000), rel=0.05)
    assert (banked_sums(values, make_bank(values, 2), 10, 3) == sums[:10]).all()


def test_a_few_values_are_drawn_one_by_one() -> None:
    values = np.array([0, 1])
    sums = banked_sums(values, make_bank(values, 2), 4000, 1)
    assert set(sums.tolist()) == {0, 1, 2}
    assert sums.mean() == pytest.approx(1.0, abs=0.05)


def test_replicates_of_a_large_corpus_lie_around_its_sums() -> None:
    source = np.random.default_rng(1)
    columns = np.stack([source.integers(0, 900, 400_000), source.integers(1, 2000, 400_000)], axis=1)
    spread = columns.std(axis=0) * np.sqrt(len(columns))
    for seed in range(3):  # a bank whose mean is not that of the corpus would move them by 0.3 of their spread
        sums = replicate_sums(columns, num_replicates=400, seed=seed, name="utterance")
        assert (abs(sums.mean(axis=0) - columns.sum(axis=0)) < 0.16 * spread).all()
        assert sums.std(axis=0) == pytest.approx(spread, rel=0.12)
