"""Measures of joins: planted clicks, pitch steps and detectable joins are found, clean ones are not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechkit.cutpaste.quality import area_under_curve, click_levels, detectability, pitch_jumps, window_features

RATE = 16000


def _voice(hertz: float, seconds: float, phase: float = 0.0) -> np.ndarray:
    """A buzz of ten harmonics."""
    t = np.arange(round(seconds * RATE)) / RATE
    waves = [np.sin(2 * np.pi * hertz * k * t + phase * k) / k for k in range(1, 11)]
    return (0.1 * np.sum(waves, axis=0)).astype(np.float32)


def test_a_step_is_a_click_and_a_smooth_place_is_none() -> None:
    samples = _voice(120, 1.0)
    samples[8000:] += 0.1
    step, smooth = click_levels(samples, np.array([8000, 4000]), RATE)
    assert step > 3 * smooth


def test_clicks_do_not_depend_on_the_level() -> None:
    samples = _voice(120, 1.0)
    samples[8000:] *= -1
    places = np.array([8000, 3000])
    np.testing.assert_allclose(click_levels(samples, places, RATE), click_levels(3 * samples, places, RATE), rtol=1e-3)


def test_pitch_jumps_are_in_semitones_and_need_voice_on_both_sides() -> None:
    noise = 0.01 * np.random.default_rng(0).normal(size=8000).astype(np.float32)
    samples = np.concatenate([_voice(120, 0.5), _voice(120 * 2 ** (5 / 12), 0.5), noise])
    jumps = pitch_jumps(samples, np.array([4000, 8000, 16000]), RATE)
    assert len(jumps) == 2  # the last place has noise behind it
    np.testing.assert_allclose(jumps, [0.0, 5.0], atol=0.6)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=12), st.lists(st.integers(0, 5), min_size=1, max_size=12))
def test_the_area_is_the_share_of_ordered_pairs(positive: list[int], negative: list[int]) -> None:
    pairs = [(p > n) + 0.5 * (p == n) for p in positive for n in negative]
    assert area_under_curve(np.array(positive), np.array(negative)) == pytest.approx(sum(pairs) / len(pairs))


def _places(kind: str, num: int, seed: int) -> np.ndarray:
    gen = np.random.default_rng(seed)
    rows = []
    for _ in range(num):
        samples = gen.normal(size=6400).astype(np.float32) * 0.05
        if kind == "gap":
            samples[3100:3300] = 0.0
        rows.append(window_features(samples, np.array([3200]), RATE)[0])
    return np.array(rows)


def test_gaps_of_digital_silence_are_found_and_equal_sounds_are_not() -> None:
    names = [str(i // 2) for i in range(60)]
    gaps, first, second = _places("gap", 60, 0), _places("noise", 60, 1), _places("noise", 60, 2)
    assert detectability(gaps, first, names, names) > 0.95
    assert 0.3 < detectability(second, first, names, names) < 0.7


def test_rows_of_one_utterance_are_never_on_both_sides() -> None:
    # rows that are equal within an utterance and random between: a leak would find all of them
    gen = np.random.default_rng(0)
    rows = np.repeat(gen.normal(size=(40, 50)), 5, axis=0)
    names = [str(i // 5) for i in range(100)]
    assert 0.25 < detectability(rows[:100], rows[100:], names, names) < 0.75
