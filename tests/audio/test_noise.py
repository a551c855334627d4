"""Noise has the asked colour and level; rooms keep the direct path and the loudness."""

from __future__ import annotations

import numpy as np
import pytest

from speechkit.audio.noise import add_clicks, coloured_noise, convolve_rir, mix_at_snr, synthetic_rir
from speechkit.errors import SpeechkitError
from speechkit.rng import rng


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_noise_falls_with_the_asked_exponent(exponent: float) -> None:
    noise = coloured_noise(1 << 16, exponent, rng(0, "colour"))
    assert np.sqrt(np.mean(noise**2)) == pytest.approx(1.0, rel=1e-3)
    power = np.abs(np.fft.rfft(noise)) ** 2
    low, high = power[200:400].mean(), power[6400:12800].mean()
    assert np.log(low / high) / np.log(32) == pytest.approx(exponent, abs=0.1)


def test_mix_has_the_asked_ratio_and_repeats_short_noise() -> None:
    gen = rng(1)
    speech = gen.standard_normal(8000).astype(np.float32)
    mixed = mix_at_snr(speech, coloured_noise(1000, 0.0, gen), 10.0)
    added = mixed - speech
    assert 10 * np.log10(np.mean(speech**2) / np.mean(added**2)) == pytest.approx(10.0, abs=1e-2)


def test_empty_noise_is_an_error() -> None:
    with pytest.raises(SpeechkitError, match="the noise is empty"):
        mix_at_snr(np.ones(10, np.float32), np.zeros(0, np.float32), 10.0)


def test_silent_speech_stays_silent() -> None:
    np.testing.assert_array_equal(mix_at_snr(np.zeros(100, np.float32), np.ones(100, np.float32), 0.0), 0.0)


def test_clicks_are_short_and_no_louder_than_the_speech() -> None:
    speech = 0.5 * np.sin(np.arange(16000) / 7).astype(np.float32)
    clicked = add_clicks(speech, 2, 8000, rng(5))
    added = np.abs(clicked - speech)
    assert 0.04 < added.max() <= 0.51 and 0 < np.count_nonzero(added) <= 2 * 0.12 * 8000
    np.testing.assert_array_equal(add_clicks(speech, 0, 8000, rng(5)), speech)


def test_room_starts_with_the_direct_path_and_decays_by_60_db() -> None:
    rir = synthetic_rir(0.5, 8000, rng(2), direct_to_reverb_db=6.0)
    assert rir[0] == 1.0 and len(rir) == 4000
    assert 10 * np.log10(1.0 / np.sum(rir[1:] ** 2)) == pytest.approx(6.0, abs=0.01)
    early, late = np.mean(rir[1:200] ** 2), np.mean(rir[3800:] ** 2)
    assert 10 * np.log10(early / late) == pytest.approx(57, abs=4)


def test_reverberation_keeps_length_and_loudness() -> None:
    speech = rng(3).standard_normal(4000).astype(np.float32)
    wet = convolve_rir(speech, synthetic_rir(0.3, 8000, rng(4)))
    assert len(wet) == len(speech)
    assert np.mean(wet**2) == pytest.approx(np.mean(speech**2), rel=1e-4)
