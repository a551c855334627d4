"""Measures of joins: planted clicks and pitch steps are found, clean joins have none."""

from __future__ import annotations

import numpy as np

from speechkit.cutpaste.quality import click_levels, pitch_jumps

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
