"""Where words are cut, and the sound at the edges: against signals whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from speechkit.cutpaste.edges import NUM_MFCC, edge_features, find_room_tone, frame_mels, level_db, snap

RATE = 16000
PITCH, POWER = NUM_MFCC, NUM_MFCC + 1


def harmonic(hertz: float, seconds: float = 0.5) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return 0.1 * sum(np.sin(2 * np.pi * hertz * k * time) / k for k in range(1, int(3000 / hertz)))


def noise(seconds: float, level: float = 0.1) -> np.ndarray:
    return level * np.random.default_rng(0).standard_normal(round(seconds * RATE))


def test_a_cut_moves_to_the_quietest_place_within_reach() -> None:
    samples = noise(1.0)
    samples[8100:8200] = 0.0
    near, far = snap(samples, np.array([8000, 4000]), 240, RATE)
    assert 8130 <= near <= 8170
    assert abs(far - 4000) <= 240
    assert snap(samples, np.array([8000]), 50, RATE)[0] <= 8050
    assert snap(samples, np.array([8000]), 0, RATE)[0] == 8000


def test_in_silence_a_cut_stays_and_never_leaves_the_recording() -> None:
    silence = np.zeros(1000)
    assert snap(silence, np.array([0, 300, 1000]), 240, RATE).tolist() == [0, 300, 1000]
    assert (np.abs(snap(noise(0.1), np.array([0, 1600]), 240, RATE) - 800) <= 800).all()


@pytest.mark.parametrize("hertz", [70.0, 110.0, 180.0, 260.0, 400.0])
def test_the_pitch_of_a_voiced_edge_is_found(hertz: float) -> None:
    voiced = harmonic(hertz)
    samples = np.concatenate([noise(0.2, 0.002), voiced, noise(0.2)])
    starts, ends = np.array([3200, 11200]), np.array([11200, 14400])
    features = edge_features(samples.astype(np.float32), starts, ends, RATE)
    assert np.exp(features[0, :, PITCH]) == pytest.approx(hertz, rel=0.03)
    assert np.isnan(features[1, 1, PITCH])


def test_the_two_edges_are_those_of_the_word_and_know_its_power() -> None:
    loud, quiet = noise(0.5), 0.1 * noise(0.5)[::-1]
    samples = np.concatenate([loud, quiet]).astype(np.float32)
    features = edge_features(samples, np.array([0]), np.array([len(samples)]), RATE)
    assert features.shape == (1, 2, NUM_MFCC + 2)
    assert features[0, 0, POWER] - features[0, 1, POWER] == pytest.approx(2 * np.log(10), abs=0.1)
    # the second half is the first one backwards: the same envelope, whatever the level
    assert np.allclose(features[0, 0, :NUM_MFCC], features[0, 1, :NUM_MFCC], atol=0.2)


def test_edges_at_the_ends_of_a_recording_are_finite() -> None:
    samples = noise(0.03).astype(np.float32)
    features = edge_features(samples, np.array([0, 200]), np.array([480, 480]), RATE)
    assert np.isfinite(features[..., [*range(NUM_MFCC), POWER]]).all()


def test_a_tone_lights_up_its_own_band() -> None:
    time = np.arange(400) / RATE
    bands = [int(np.argmax(frame_mels(np.sin(2 * np.pi * hertz * time)[None], RATE))) for hertz in (200, 1000, 4000)]
    assert bands[0] < bands[1] < bands[2]


def test_the_level_is_that_of_the_loud_half_of_the_words() -> None:
    word = np.concatenate([noise(0.3, 0.1), noise(0.1, 0.001)])
    samples = np.concatenate([noise(2.0, 0.5), word])  # what lies outside the words does not count
    level = level_db(samples, np.array([2 * RATE]), np.array([len(samples)]), RATE)
    assert level == pytest.approx(-20, abs=0.5)
    assert level_db(np.zeros(100), np.array([0]), np.array([100]), RATE) == pytest.approx(-100)


def test_room_tone_is_the_quietest_stretch_but_not_digital_silence() -> None:
    samples = np.concatenate([np.zeros(4000), noise(0.5, 0.1), noise(0.2, 0.001), noise(0.5, 0.1)])
    start = find_room_tone(samples, 1600, -40)
    assert 4000 + 8000 <= start <= 4000 + 8000 + 3200 - 1600
    assert find_room_tone(samples, 1600, -80) == -1
    assert find_room_tone(np.concatenate([noise(0.2), np.zeros(3200)]), 1600, -40) == -1
    assert find_room_tone(np.zeros(3200), 1600, -40) == 0
    assert find_room_tone(np.zeros(100), 1600, -40) == -1
