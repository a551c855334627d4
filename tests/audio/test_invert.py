"""Audio from log-mel features."""

from __future__ import annotations

import pytest
import torch

from speechkit.audio.config import FeatureConfig
from speechkit.audio.features import log_mel, mel_matrix
from speechkit.audio.invert import audio_of_log_mel, power_of_log_mel

CONFIG = FeatureConfig(sampling_rate=8000, num_mels=40, frame_ms=32.0, hop_ms=10.0, normalize="none")


def vowel(seconds: float = 0.5) -> torch.Tensor:
    """A buzz of 120 Hz with some strong harmonics, and breath."""
    time = torch.arange(round(seconds * 8000)) / 8000
    gains = {1: 0.2, 5: 0.3, 12: 0.1, 20: 0.05}
    tones = sum((gain * torch.sin(2 * torch.pi * 120 * n * time) for n, gain in gains.items()), torch.zeros(1))
    return tones + 0.02 * torch.randn(len(time), generator=torch.Generator().manual_seed(0))


def bands(samples_S: torch.Tensor) -> torch.Tensor:
    return log_mel(samples_S[None], torch.tensor([len(samples_S)]), CONFIG)[0][0]


def test_the_power_has_the_bands_it_was_asked_for_and_is_never_negative() -> None:
    mel_TF = bands(vowel())
    power_TN = power_of_log_mel(mel_TF, CONFIG)
    assert (power_TN >= 0).all()
    again_TF = (power_TN @ mel_matrix(CONFIG) + 1e-6).log()
    assert (again_TF - mel_TF).abs().mean() < 0.1


def test_audio_has_the_features_it_was_made_from() -> None:
    mel_TF = bands(vowel())
    samples_S = audio_of_log_mel(mel_TF, CONFIG, generator=torch.Generator().manual_seed(1), iterations=32)
    again_TF = bands(samples_S)
    assert again_TF.shape == mel_TF.shape
    # inner frames within 2 dB; those at the edges see silence beyond
    assert (again_TF - mel_TF)[3:-3].abs().mean() < 2.0 * 0.23
    wrong_S = torch.randn(len(samples_S), generator=torch.Generator().manual_seed(2)) * samples_S.std()
    assert (bands(wrong_S) - mel_TF)[3:-3].abs().mean() > 3.0 * 0.23


@pytest.mark.parametrize("num_frames", [1, 2, 7])
def test_as_many_frames_come_back_as_were_given(num_frames: int) -> None:
    mel_TF = torch.full((num_frames, 40), -2.0)
    samples_S = audio_of_log_mel(mel_TF, CONFIG, generator=torch.Generator().manual_seed(0), iterations=2)
    assert len(bands(samples_S)) == num_frames
    assert samples_S.isfinite().all()


def test_the_same_seed_gives_the_same_samples() -> None:
    mel_TF = bands(vowel(0.1))
    first, second, other = (
        audio_of_log_mel(mel_TF, CONFIG, generator=torch.Generator().manual_seed(seed), iterations=3)
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
