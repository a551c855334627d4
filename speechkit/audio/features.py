"""Log-mel features of a padded batch, on any device; a padded utterance gives the features it gives alone."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from speechkit.audio.config import FeatureConfig

_LOG_FLOOR = 1e-6  # of a full-scale window: -60 dB re a quiet room, keeps digital silence finite


def num_frames(num_samples: int, config: FeatureConfig) -> int:
    """Frames of an utterance: one per started hop, plus one."""
    return num_samples // config.hop_samples + 1


@lru_cache(maxsize=256)
def mel_matrix(config: FeatureConfig, warp: float = 1.0) -> Tensor:
    """Triangular mel weights (fft bins, F) float32; `warp` scales the band edges (vocal tract perturbation)."""
    num_fft = fft_size(config)
    high_hz = config.high_hz or 0.475 * config.sampling_rate
    low, high = (1127.0 * math.log1p(hz / 700.0) for hz in (config.low_hz, high_hz))
    mels = torch.linspace(low, high, config.num_mels + 2, dtype=torch.float64)
    edges = (700.0 * torch.expm1(mels / 1127.0) * warp).clamp(max=config.sampling_rate / 2)
    bins = torch.arange(num_fft // 2 + 1, dtype=torch.float64)[:, None] * config.sampling_rate / num_fft
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    rise = (bins - left) / (centre - left).clamp(min=1e-3)
    fall = (right - bins) / (right - centre).clamp(min=1e-3)
    return torch.minimum(rise, fall).clamp(min=0).float()


def log_mel(
    samples_BS: Tensor, num_samples_B: Tensor, config: FeatureConfig, *, warps: list[float] | None = None
) -> tuple[Tensor, Tensor]:
    """Normalised log-mel features.

    Args:
        samples_BS: float32 in [-1, 1]; zero after num_samples_B.
        num_samples_B: int64.
        warps: mel warp factor per utterance; none means 1.
    Returns:
        (B, T, F) float32, zero in the padding, and the number of frames (B,) int64.
    """
    num_fft = fft_size(config)
    window = torch.hann_window(config.frame_samples, device=samples_BS.device)
    spectrum = torch.stft(
        samples_BS, num_fft, config.hop_samples, config.frame_samples, window,
        center=True, pad_mode="constant", return_complex=True,
    )  # fmt: skip
    power_BTN = (spectrum.real.square() + spectrum.imag.square()).transpose(1, 2)
    if warps is None:
        mels_BTF = power_BTN @ mel_matrix(config).to(power_BTN.device)
    else:
        weights = torch.stack([mel_matrix(config, warp) for warp in warps])
        mels_BTF = torch.bmm(power_BTN, weights.to(power_BTN.device))
    num_frames_B = num_samples_B // config.hop_samples + 1
    log_BTF = (mels_BTF + _LOG_FLOOR).log()
    mask_BT1 = padding_mask(num_frames_B, log_BTF.shape[1])[..., None]
    if config.normalize == "utterance":
        log_BTF = _normalize(log_BTF, mask_BT1, num_frames_B)
    return log_BTF * mask_BT1, num_frames_B


def log_mel_of_recording(samples_S: Tensor, config: FeatureConfig, *, block_frames: int = 20_000) -> Tensor:
    """The features (T, F) that `log_mel` gives a whole recording, in the memory of one block for the spectra."""
    total = num_frames(len(samples_S), config)
    plain = config.model_copy(update={"normalize": "none"})
    hop, margin = config.hop_samples, -(-fft_size(config) // (2 * config.hop_samples))
    blocks = []
    for first in range(0, total, block_frames):
        start = max(0, first - margin)
        end = min(len(samples_S), (first + block_frames + margin) * hop)
        block_S = samples_S[start * hop : end]
        log_TF = log_mel(block_S[None], torch.tensor([len(block_S)]), plain)[0][0]
        blocks.append(log_TF[first - start : first - start + min(block_frames, total - first)])
    log_1TF = torch.cat(blocks)[None]
    if config.normalize == "utterance":
        num_frames_1 = torch.tensor([total])
        log_1TF = _normalize(log_1TF, padding_mask(num_frames_1, total)[..., None], num_frames_1)
    return log_1TF[0]


def padding_mask(lengths_B: Tensor, size: int) -> Tensor:
    """True (B, size) where a position lies before the end of its row."""
    return torch.arange(size, device=lengths_B.device)[None, :] < lengths_B[:, None]


def _normalize(log_BTF: Tensor, mask_BT1: Tensor, num_frames_B: Tensor) -> Tensor:
    count = num_frames_B[:, None, None]
    mean = (log_BTF * mask_BT1).sum(1, keepdim=True) / count
    centred = (log_BTF - mean) * mask_BT1
    variance = centred.square().sum(1, keepdim=True) / count
    # a constant band (digital silence) must not be blown up
    return centred / (variance + 0.01).sqrt()


def fft_size(config: FeatureConfig) -> int:
    """Samples of the Fourier transform: the power of two that holds a window."""
    return 1 << (config.frame_samples - 1).bit_length()
