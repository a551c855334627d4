"""Log-mel features: independent of padding and level, right at a tone, close to a peer."""

from __future__ import annotations

import numpy as np
import pydantic
import pytest
import torch
from torch import Tensor

from speechkit.audio.config import FeatureConfig
from speechkit.audio.features import log_mel, log_mel_of_recording, mel_matrix, num_frames

CONFIG = FeatureConfig(sampling_rate=8000, num_mels=40)


def _noise(*sizes: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    samples = torch.zeros(len(sizes), max(sizes))
    for row, size in zip(samples, sizes, strict=True):
        row[:size] = 0.1 * torch.randn(size, generator=generator)
    return samples, torch.tensor(sizes)


def test_a_padded_utterance_has_the_features_it_has_alone() -> None:
    samples, sizes = _noise(8000, 3000, 5123)
    together, frames = log_mel(samples, sizes, CONFIG)
    for index, size in enumerate(sizes.tolist()):
        alone, _ = log_mel(samples[index : index + 1, :size], sizes[index : index + 1], CONFIG)
        torch.testing.assert_close(together[index, : frames[index]], alone[0], atol=1e-5, rtol=1e-5)
        assert not together[index, frames[index] :].any()


@pytest.mark.parametrize("normalize", ["utterance", "none"])
@pytest.mark.parametrize("size", [100, 7999, 8000, 12345])
def test_a_recording_in_blocks_has_the_features_of_the_whole(normalize: str, size: int) -> None:
    config = CONFIG.model_copy(update={"normalize": normalize})
    samples, sizes = _noise(size)
    whole, _ = log_mel(samples, sizes, config)
    for block_frames in (1, 7, 40, 10_000):
        blocks = log_mel_of_recording(samples[0], config, block_frames=block_frames)
        torch.testing.assert_close(blocks, whole[0], atol=1e-4, rtol=1e-4)


def test_number_of_frames_is_announced_right() -> None:
    for size in (80, 799, 800, 801):
        features, frames = log_mel(*_noise(size), CONFIG)
        assert int(frames[0]) == features.shape[1] == num_frames(size, CONFIG)


def test_level_does_not_matter_after_normalisation() -> None:
    samples, sizes = _noise(8000)
    loud, _ = log_mel(samples, sizes, CONFIG)
    quiet, _ = log_mel(0.1 * samples, sizes, CONFIG)  # -20 dB
    torch.testing.assert_close(loud, quiet, atol=0.05, rtol=0)


def test_digital_silence_is_finite_and_zero() -> None:
    features, _ = log_mel(torch.zeros(1, 4000), torch.tensor([4000]), CONFIG)
    torch.testing.assert_close(features, torch.zeros_like(features))


def test_a_tone_peaks_in_the_band_of_its_frequency() -> None:
    config = FeatureConfig(sampling_rate=8000, num_mels=40, normalize="none")
    time = torch.arange(8000) / 8000
    features, _ = log_mel(torch.sin(2 * np.pi * 1000 * time)[None], torch.tensor([8000]), config)
    expected = int((mel_matrix(config)[32]).argmax())  # bin 32 of 256 is 1000 Hz
    assert int(features[0, 50].argmax()) == expected


def test_warp_moves_a_tone_to_another_band() -> None:
    config = FeatureConfig(sampling_rate=8000, num_mels=40, normalize="none")
    time = torch.arange(8000) / 8000
    tone = torch.sin(2 * np.pi * 1000 * time)[None].repeat(3, 1)
    features, _ = log_mel(tone, torch.tensor([8000] * 3), config, warps=[0.8, 1.0, 1.2])
    low, plain, high = features[:, 50].argmax(-1).tolist()
    assert low > plain > high


def test_without_warp_and_with_warp_one_agree() -> None:
    samples, sizes = _noise(4000, 3000)
    torch.testing.assert_close(
        log_mel(samples, sizes, CONFIG)[0], log_mel(samples, sizes, CONFIG, warps=[1.0, 1.0])[0], atol=1e-4, rtol=1e-4
    )


def test_mel_bands_agree_with_torchaudio() -> None:
    import torchaudio

    config = FeatureConfig(sampling_rate=16000, num_mels=40, low_hz=20, high_hz=7600)
    theirs = torchaudio.functional.melscale_fbanks(257, 20, 7600, 40, 16000, norm=None, mel_scale="htk")
    torch.testing.assert_close(mel_matrix(config), theirs, atol=2e-3, rtol=0)


def test_a_band_above_half_the_sampling_rate_is_refused() -> None:
    with pytest.raises(pydantic.ValidationError, match="half of sampling_rate"):
        FeatureConfig(sampling_rate=8000, high_hz=5000)


@pytest.mark.parametrize(
    "fields",
    [{"hop_ms": 0.01}, {"frame_ms": 5.0, "hop_ms": 10.0}, {"frame_ms": 0.01, "hop_ms": 0.01}, {"hop_ms": float("inf")}],
)
def test_a_hop_is_at_least_a_sample_and_at_most_a_frame(fields: dict[str, float]) -> None:
    with pytest.raises(pydantic.ValidationError, match="hop_ms"):
        FeatureConfig(**fields)  # type: ignore[arg-type]
