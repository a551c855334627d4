"""Selectors against slow references: least squares from scratch, brute force over subsets."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.optimize import nnls

from speechkit.cutpaste.pursuit import facility_location, influence, match_gradients, match_partitions
from speechkit.errors import ConfigError


def _grads(num: int = 30, dim: int = 12, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(num, dim))


def _slow_pursuit(grads: np.ndarray, target: np.ndarray, num: int, ridge: float) -> tuple[list[int], np.ndarray]:
    damping = ridge * np.mean((grads**2).sum(1))
    rows: list[int] = []
    weights = np.zeros(0)
    for _ in range(num):
        residual = target - grads[rows].T @ weights
        gain = (grads @ residual) / np.sqrt((grads**2).sum(1) + damping)
        order = np.argsort(-gain, kind="stable")
        rows.append(int(next(row for row in order if row not in rows)))
        stacked = np.vstack([grads[rows].T, np.sqrt(damping) * np.eye(len(rows))])
        weights, _ = nnls(stacked, np.concatenate([target, np.zeros(len(rows))]))
    return rows, weights


@pytest.mark.parametrize("ridge", [0.0, 0.5])
@pytest.mark.parametrize("seed", range(4))
def test_incremental_pursuit_equals_least_squares_from_scratch(seed: int, ridge: float) -> None:
    grads = _grads(seed=seed)
    target = grads[:9].mean(0) + 0.1 * _grads(1, 12, seed + 100)[0]
    rows, weights = _slow_pursuit(grads, target, 8, ridge)
    found = match_gradients(grads, target, 8, ridge=ridge)
    assert found.rows == rows
    np.testing.assert_allclose(found.weights, weights, atol=1e-8)
    residual = np.linalg.norm(target - grads[rows].T @ weights) / np.linalg.norm(target)
    assert found.residual == pytest.approx(residual, abs=1e-8)


def test_pursuit_finds_the_rows_a_sparse_target_is_made_of() -> None:
    grads = _grads(200, 80, 5)
    target = 2.0 * grads[17] + 1.0 * grads[60] + 0.5 * grads[133]
    found = match_gradients(grads, target, 3, ridge=0.0)
    assert sorted(found.rows) == [17, 60, 133]
    assert found.residual < 1e-8


def test_a_penalised_row_gives_way_to_its_equal() -> None:
    grads = np.vstack([_grads(1, 12, 1), _grads(1, 12, 1), _grads(5, 12, 2)])
    assert match_gradients(grads, grads[0], 1).rows == [0]
    assert match_gradients(grads, grads[0], 1, penalty_N=np.array([0.1, 0, 0, 0, 0, 0, 0])).rows == [1]


def test_partitions_share_the_budget_and_choose_no_row_twice() -> None:
    grads, targets = _grads(60), _grads(7, seed=3)
    found = match_partitions(grads, targets, 20, partitions=3)
    assert len(found.rows) == len(set(found.rows)) == 20
    first = match_gradients(grads, targets[0::3].mean(0), 6)
    assert found.rows[:6] == first.rows


def test_one_partition_is_plain_matching() -> None:
    grads, targets = _grads(60), _grads(7, seed=3)
    assert match_partitions(grads, targets, 9, partitions=1).rows == match_gradients(grads, targets.mean(0), 9).rows


def test_facility_location_covers_as_well_as_the_greedy_bound_promises() -> None:
    grads, targets = _grads(9, 5, 1), _grads(6, 5, 2)
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (grads, targets)]
    similar = np.maximum(unit[0] @ unit[1].T, 0)
    best = max(similar[list(rows)].max(0).sum() for rows in combinations(range(9), 3))
    found = facility_location(grads, targets, 3)
    reached = similar[found.rows].max(0).sum()
    assert (1 - 1 / np.e) * best <= reached <= best
    assert found.residual == pytest.approx(1 - reached / 6)


def test_facility_location_goes_on_after_everything_is_covered() -> None:
    targets = np.eye(3)
    grads = np.vstack([np.eye(3), np.eye(3), -np.eye(3)])
    found = facility_location(grads, targets, 9)
    assert sorted(found.rows) == list(range(9))
    assert sorted(row % 3 for row in found.rows[:3]) == sorted(row % 3 for row in found.rows[3:6]) == [0, 1, 2]


def test_influence_takes_the_largest_inner_products() -> None:
    grads, target = _grads(20), _grads(1, seed=9)[0]
    expected = sorted(range(20), key=lambda row: -float(grads[row] @ target))[:5]
    assert influence(grads, target, 5).rows == expected


@pytest.mark.parametrize("choose", [match_gradients, influence])
def test_more_than_there_are_is_refused(choose: object) -> None:
    with pytest.raises(ConfigError, match="31 utterances are to be chosen from 30 candidates"):
        choose(_grads(), _grads(1)[0], 31)  # type: ignore[operator]
