"""Perturbation depends on (seed, epoch, utterance) and nothing else, and does what its name says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydantic
import pytest
import soundfile
import torch
from make import make_wav

from speechkit.audio.augment import draw, draw_speed, perturb_features, perturb_samples
from speechkit.audio.bank import load_bank
from speechkit.audio.config import AugmentConfig
from speechkit.audio.resample import change_speed, resample
from speechkit.errors import SpeechkitError

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
    assert draw_speed(AugmentConfig(speed=(1.25, 1.25)), seed=0, epoch=0, utt_id="a", max_speed=1.1) == 1.1


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


def test_recorded_noise_and_rooms_are_used_where_given(tmp_path: Path) -> None:
    make_wav(tmp_path / "noise/fan/hum.wav", 3.0, 16000, frequency=2000)
    rir = np.zeros(2000)
    rir[[50, 450]] = 0.5, 0.25  # 50 samples of delay, then an echo after 400
    (tmp_path / "rir").mkdir()
    soundfile.write(tmp_path / "rir/hall.wav", rir, 8000)
    config = AugmentConfig(
        noise_prob=1.0, noise_snr_db=(0, 0), noise_dir=str(tmp_path / "noise"),
        rir_prob=1.0, rir_dir=str(tmp_path / "rir"),
    )  # fmt: skip
    bank = load_bank(config, 8000)
    np.testing.assert_allclose(bank.rirs[0][[0, 400]], [1.0, 0.5], atol=1e-3)
    click = np.zeros(8000, np.float32)
    click[1000] = 1.0
    wet = perturb_samples(
        click, config.model_copy(update={"noise_prob": 0.0}), draw(config, seed=0, epoch=0, utt_id="a"), 8000, bank
    )
    assert np.argmax(wet) == 1000 and wet[1400] == pytest.approx(0.5 * wet[1000], rel=1e-2)  # not delayed
    noisy = perturb_samples(_tone(500), config, draw(config, seed=0, epoch=0, utt_id="a"), 8000, bank)
    spectrum = np.abs(np.fft.rfft(noisy))
    assert spectrum[2000] == pytest.approx(spectrum[500], rel=0.1)


def test_every_unusable_sound_is_listed(tmp_path: Path) -> None:
    make_wav(tmp_path / "slow.wav", 0.2, 8000)
    soundfile.write(tmp_path / "silent.wav", np.zeros(1000), 16000)
    (tmp_path / "empty.wav").write_bytes(b"")
    with pytest.raises(SpeechkitError, match="3 of 3 files") as caught:
        load_bank(AugmentConfig(noise_dir=str(tmp_path)), 16000)
    assert all(
        word in line for word, line in zip(["is empty", "is silent", "8000 Hz"], caught.value.where, strict=True)
    )
    with pytest.raises(SpeechkitError, match="holds no audio files"):
        load_bank(AugmentConfig(rir_dir=str(tmp_path / "none")), 16000)
