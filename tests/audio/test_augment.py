"""Perturbation depends on (seed, epoch, utterance) and nothing else, and does what its name says."""

from __future__ import annotations

import numpy as np
import pydantic
import pytest
import torch

from speechkit.audio.augment import change_speed, draw, draw_speed, perturb_features, perturb_samples, resample
from speechkit.audio.config import AugmentConfig

ALL = AugmentConfig(
    speed=(0.8, 1.25), level_db=(-6, 6), click_prob=1.0, noise_prob=1.0, rir_prob=1.0, mel_warp=(0.8, 1.2), tilt=0.3,
    freq_masks=2, time_masks=2,
)  # fmt: skip


def _tone(hertz: float, rate: int = 8000) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(rate) / rate).astype(np.float32)


def _peak_hertz(samples: np.ndarray, rate: int = 8000) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * rate / len(samples)


def _perturbed(seed: int, epoch: int, utt_id: str) -> tuple[np.ndarray, torch.Tensor, float]:
    chosen = draw(ALL, seed=seed, epoch=epoch, utt_id=utt_id)
    samples = perturb_samples(_tone(500), ALL, chosen, 8000)
    features = torch.ones(100, 40)
    perturb_features(features, ALL, chosen)
    return samples, features, chosen.mel_warp


def test_same_seed_epoch_and_id_give_the_same_perturbation() -> None:
    first, second = _perturbed(1, 2, "a"), _perturbed(1, 2, "a")
    np.testing.assert_array_equal(first[0], second[0])
    assert torch.equal(first[1], second[1]) and first[2] == second[2]


@pytest.mark.parametrize("other", [(2, 2, "a"), (1, 3, "a"), (1, 2, "b")])
def test_another_seed_epoch_or_id_gives_another_perturbation(other: tuple[int, int, str]) -> None:
    first, second = _perturbed(1, 2, "a"), _perturbed(*other)
    assert len(first[0]) != len(second[0]) or not np.array_equal(first[0], second[0])


def test_no_perturbation_leaves_samples_and_features_alone() -> None:
    none = AugmentConfig()
    chosen = draw(none, seed=0, epoch=0, utt_id="a")
    np.testing.assert_array_equal(perturb_samples(_tone(500), none, chosen, 8000), _tone(500))
    features = torch.randn(50, 40)
    before = features.clone()
    perturb_features(features, none, chosen)
    assert torch.equal(features, before)


@pytest.mark.parametrize("speed", [0.8, 0.975, 1.25])
def test_speed_changes_length_and_pitch_alike(speed: float) -> None:
    faster = change_speed(_tone(500), speed)
    assert len(faster) == pytest.approx(8000 / speed, abs=1)
    assert _peak_hertz(faster) == pytest.approx(500 * speed, abs=2)
    assert np.abs(faster[200:-200]).max() == pytest.approx(1.0, abs=0.02)


def test_speed_is_drawn_in_the_range_and_capped_for_short_utterances() -> None:
    speeds = [draw_speed(ALL, seed=0, epoch=0, utt_id=str(i)) for i in range(200)]
    assert 0.8 <= min(speeds) < 0.85 and 1.2 < max(speeds) <= 1.25
    capped = [draw_speed(ALL, seed=0, epoch=0, utt_id=str(i), max_speed=1.06) for i in range(200)]
    assert max(capped) == 1.05
    assert draw(ALL, seed=0, epoch=0, utt_id="7").speed == speeds[7]


def test_down_sampling_removes_what_the_lower_rate_cannot_hold() -> None:
    low = resample(_tone(1000, 16000), 16000, 8000)
    assert len(low) == 8000 and _peak_hertz(low) == pytest.approx(1000, abs=2)
    assert np.abs(resample(_tone(6000, 16000), 16000, 8000)[200:-200]).max() < 0.05


def test_masks_are_no_wider_than_asked() -> None:
    config = AugmentConfig(freq_masks=1, freq_mask_bands=5, time_masks=1, time_mask_frames=7)
    for index in range(50):
        features = torch.ones(200, 40)
        perturb_features(features, config, draw(config, seed=0, epoch=0, utt_id=str(index)))
        assert int((features[:, :].amax(0) == 0).sum()) <= 5 and int((features.amax(1) == 0).sum()) <= 7


@pytest.mark.parametrize(
    "fields, message", [({"speed": (1.2, 0.8)}, "above the upper end"), ({"mel_warp": (0.1, 1)}, "leaves 0.5..2")]
)
def test_senseless_ranges_are_refused(fields: dict[str, tuple[float, float]], message: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=message):
        AugmentConfig(**fields)  # type: ignore[arg-type]
