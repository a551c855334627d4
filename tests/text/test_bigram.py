"""The bigram model against its formula, and that it is a distribution."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechkit.text.bigram import Bigram, count_pairs, cross_validated_nats

V = 4


def model_of(sequences: list[list[int]]) -> Bigram:
    return Bigram(count_pairs(sequences, num_symbols=V))


SEQUENCES = st.lists(st.lists(st.integers(0, V - 1), max_size=6), max_size=5)


def slow_prob(sequences: list[list[int]], before: int, after: int) -> float:
    pairs = Counter(pair for row in sequences for pair in zip([V, *row], [*row, V], strict=True))
    single = Counter(symbol for (_, symbol), count in pairs.items() for _ in range(count))
    kinds = max(1, len(single))
    even = (single[after] + kinds / (V + 1)) / (sum(single.values()) + kinds)
    followers = len({b for a, b in pairs if a == before})
    total = sum(count for (a, _), count in pairs.items() if a == before)
    return (pairs[before, after] + followers * even) / (total + followers) if total else even


@given(SEQUENCES)
def test_probabilities_equal_the_formula_and_sum_to_one(sequences: list[list[int]]) -> None:
    probs = np.exp(model_of(sequences).log_probs)
    assert np.allclose(probs.sum(1), 1)
    for before in range(V + 1):
        for after in range(V + 1):
            assert math.isclose(probs[before, after], slow_prob(sequences, before, after), rel_tol=1e-9)


def test_nats_add_up_symbols_and_ends() -> None:
    model = model_of([[0, 1, 0, 1]])
    total, count = model.nats([[0, 1], []])
    expected = model.log_probs[V, 0] + model.log_probs[0, 1] + model.log_probs[1, V] + model.log_probs[V, V]
    assert math.isclose(total, -expected)
    assert count == 4


def test_cross_validation_hears_no_fold_before_it_is_scored() -> None:
    rows = [[0, 0], [1, 1], [2, 2]]
    expected = 0.0
    for number, row in enumerate(rows):
        expected += model_of(rows[:number] + rows[number + 1 :]).nats([row])[0]
    assert math.isclose(cross_validated_nats(rows, num_symbols=V), expected / 9)
    with pytest.raises(ValueError, match="two sequences"):
        cross_validated_nats([[1]], num_symbols=V)


def test_structure_makes_it_better_than_chance() -> None:
    chain = [[(start + step) % V for step in range(20)] for start in range(8)]
    assert cross_validated_nats(chain, num_symbols=V) < 0.5
