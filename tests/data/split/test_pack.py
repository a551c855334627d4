"""Whole groups on sides: sizes, strata, pins, and that groups keep their side."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechkit.data.split.keys import make_groups
from speechkit.data.split.pack import DEV, FREE, TEST, TRAIN, Goal, pack


def _pack(weights: list[float], dev: float, test: float, seed: int = 0, pinned: list[int] | None = None) -> np.ndarray:
    column = np.array(weights, float)[:, None]
    priorities = np.random.default_rng(seed).random(len(weights))
    pins = np.full(len(weights), FREE, np.int8) if pinned is None else np.array(pinned, np.int8)
    return pack(column, priorities, Goal(np.array([[0.0], [dev], [test]])), pins)


@pytest.mark.parametrize("seed", range(4))
def test_many_groups_meet_the_sizes(seed: int) -> None:
    weights = np.random.default_rng(seed).lognormal(2, 1, 3000)
    sides = _pack(weights.tolist(), 0.05 * weights.sum(), 0.1 * weights.sum(), seed)
    held = [weights[sides == side].sum() / weights.sum() for side in (DEV, TEST)]
    assert held == pytest.approx([0.05, 0.1], rel=0.01)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 20), min_size=3, max_size=7), st.integers(0, 5))
def test_few_groups_are_as_near_to_the_size_as_any_choice(weights: list[int], seed: int) -> None:
    wanted = 0.3 * sum(weights)
    sides = _pack(weights, 0.0, wanted, seed)
    choices = [
        sum(w for w, bit in zip(weights, bits, strict=True) if bit) for bits in product([0, 1], repeat=len(weights))
    ]
    best = min(abs(wanted - held) for held in choices if 0 < held < sum(weights))
    got = abs(wanted - sum(w for w, side in zip(weights, sides, strict=True) if side == TEST))
    assert got <= best + 0.1 * wanted + 1


def test_a_side_that_was_asked_for_is_not_empty() -> None:
    assert sorted(_pack([100, 100, 100, 100], 10, 10).tolist()) == [TRAIN, TRAIN, DEV, TEST]


def test_groups_with_a_given_side_keep_it_and_count() -> None:
    sides = _pack([10] * 20, 20, 40, pinned=[TEST, TEST, DEV, TRAIN] + [FREE] * 16)
    assert sides[:4].tolist() == [TEST, TEST, DEV, TRAIN]
    assert np.bincount(sides).tolist() == [14, 2, 4]


def test_strata_have_the_same_shares_on_every_side() -> None:
    gen = np.random.default_rng(3)
    weights = np.zeros((400, 3))
    weights[np.arange(400), gen.choice(3, 400, p=[0.6, 0.3, 0.1])] = gen.integers(5, 15, 400)
    total = weights.sum(axis=0)
    goal = Goal(np.stack([0 * total, 0.1 * total, 0.1 * total]))
    sides = pack(weights, gen.random(400), goal, np.full(400, FREE, np.int8))
    for side in (DEV, TEST):
        assert np.abs(weights[sides == side].sum(axis=0) - goal.sizes[side]).max() <= 0.02 * total.sum() * 0.1


def test_groups_keep_their_side_when_others_come() -> None:
    names = [f"spk{i}" for i in range(2000)]
    old, new = names[::2], names[: len(names) // 10] + names[::2]
    sides = {}
    for which, values in (("old", old), ("new", sorted(set(new)))):
        groups = make_groups("speaker", values)
        weights = np.ones((len(values), 1))
        goal = Goal(np.array([[0.0], [0.1], [0.1]]) * len(values))
        found = pack(weights, groups.priorities(0), goal, np.full(len(values), FREE, np.int8))
        sides[which] = dict(zip(groups.names, found.tolist(), strict=True))
    kept = [sides["old"][name] == sides["new"][name] for name in sides["old"]]
    assert np.mean(kept) > 0.97
