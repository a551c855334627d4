"""Planned batches: every utterance once, under the cap, little padding, another mix in each epoch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechkit.data.config_batch import BatchConfig
from speechkit.data.plan import pack, plan_epoch, plan_stats
from speechkit.errors import SpeechkitError


@given(
    durations=st.lists(st.floats(0.1, 20.0), min_size=1, max_size=200),
    max_seconds=st.floats(20.0, 100.0),
    max_utterances=st.integers(1, 20),
    pool_size=st.integers(1, 300),
    epoch=st.integers(0, 5),
)
def test_every_utterance_comes_once_and_no_batch_exceeds_the_caps(
    durations: list[float], max_seconds: float, max_utterances: int, pool_size: int, epoch: int
) -> None:
    config = BatchConfig(max_seconds=max_seconds, max_utterances=max_utterances, pool_size=pool_size)
    array = np.array(durations)
    batches = plan_epoch(array, config, seed=1, epoch=epoch)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(durations)))
    for batch in batches:
        assert len(batch) <= max_utterances
        assert len(batch) * array[batch].max() <= max_seconds * (1 + 1e-9)


def test_the_plan_is_a_pure_function_of_seed_and_epoch() -> None:
    durations = np.random.default_rng(0).uniform(1, 10, 500)
    config = BatchConfig(max_seconds=60)
    plans = [
        [b.tolist() for b in plan_epoch(durations, config, seed=s, epoch=e)]
        for s, e in [(0, 0), (0, 0), (0, 1), (1, 0)]
    ]
    assert plans[0] == plans[1] and plans[0] != plans[2] and plans[0] != plans[3]


def test_padding_is_below_two_percent_with_large_pools() -> None:
    durations = np.clip(np.random.default_rng(0).lognormal(1.5, 0.6, 50_000), 0.5, 30)
    config = BatchConfig(max_seconds=600, max_utterances=10_000)
    stats = plan_stats(plan_epoch(durations, config, seed=0, epoch=0), durations, config)
    assert stats.padding_waste < 0.02 and stats.fill > 0.95


def test_small_corpora_are_mixed_anew_in_each_epoch() -> None:
    durations = np.random.default_rng(0).uniform(1, 10, 400)
    config = BatchConfig(max_seconds=60)

    def pairs(epoch: int) -> set[tuple[int, int]]:
        plan = plan_epoch(durations, config, seed=0, epoch=epoch)
        return {(a, b) for batch in plan for a in batch.tolist() for b in batch.tolist() if a < b}

    first, second = pairs(0), pairs(1)
    assert len(first & second) / len(first) < 0.35


def test_an_utterance_above_the_cap_is_an_error_with_a_cure() -> None:
    with pytest.raises(SpeechkitError) as caught:
        plan_epoch(np.array([1.0, 50.0]), BatchConfig(max_seconds=20), seed=0, epoch=0)
    assert "1 utterances are longer than batch.max_seconds=20" in caught.value.what
    assert caught.value.hint.startswith("--set batch.max_seconds=50")


def test_pack_fills_greedily() -> None:
    durations = np.array([1.0, 1.0, 1.0, 2.0, 5.0])
    packed = pack(np.arange(5), durations, BatchConfig(max_seconds=6))
    assert [b.tolist() for b in packed] == [[0, 1, 2], [3], [4]]
