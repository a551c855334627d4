"""Simulated inspections: unbiased, covered, and better than random samples where the ranking is good."""

from __future__ import annotations

import pytest

from speechkit.audit.inspection import simulate_inspections
from speechkit.audit.verdict import Verdict
from speechkit.rng import rng


def verdicts(num: int, num_wrong: int, noise: float) -> tuple[list[Verdict], set[str]]:
    """A ranking in which the wrong ones come first but for noise."""
    gen = rng(0, "ranking", num, num_wrong)
    order = sorted(range(num), key=lambda k: (k >= num_wrong) + noise * gen.standard_normal())
    rows = [Verdict(str(k), rank, 0.5, False, "one") for rank, k in enumerate(order, start=1)]
    return rows, {str(k) for k in range(num_wrong)}


def test_a_good_ranking_tells_the_rate_more_exactly_than_chance() -> None:
    good = simulate_inspections(*verdicts(1000, 100, 0.2), num_draws=50)
    assert good["true"] == 10.0
    assert abs(good["bias"]) < 0.6
    assert good["sd"] < 1.5 < good["sd_of_random_samples"]
    assert good["coverage"] >= 85  # 95 - 3 standard deviations of 50 draws


def test_a_ranking_by_chance_is_unbiased_all_the_same() -> None:
    blind = simulate_inspections(*verdicts(1000, 300, 100.0), num_draws=50)
    assert abs(blind["bias"]) < 2.5
    assert blind["sd"] > 3
    assert blind["coverage"] >= 85


@pytest.mark.parametrize("num_wrong", [0, 20])
def test_all_or_none_wrong_has_no_spread(num_wrong: int) -> None:
    result = simulate_inspections(*verdicts(20, num_wrong, 0.1), num_draws=3)
    assert (result["sd"], result["mean"]) == (0.0, 5.0 * num_wrong)
