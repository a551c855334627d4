"""From log-mel features back to audio: powers by non-negative fitting, phases by fast Griffin-Lim.

D. Griffin and J. Lim 1984; P. Balazs, N. Perraudin and P. Soendergaard 2013 for the momentum.
"""

from __future__ import annotations

import torch
from torch import Tensor

from speechkit.audio.config import FeatureConfig
from speechkit.audio.features import fft_size, mel_matrix

_MOMENTUM = 0.99
_UPDATES = 40
_LEAST = 1e-10


def power_of_log_mel(log_mel_TF: Tensor, config: FeatureConfig) -> Tensor:
    """Power spectra (T, bins) whose mel bands come close to the given ones; bins outside all bands are 0.

    Multiplicative updates (Lee and Seung 2001) for the Kullback-Leibler divergence, which keep bins at 0 or above and
    care for soft bands beside loud ones.
    """
    mel_NF = mel_matrix(config).to(log_mel_TF.device)
    given_TF, weights_N = log_mel_TF.exp(), mel_NF.sum(1).clamp(min=_LEAST)
    power_TN = given_TF @ mel_NF.T / weights_N
    for _ in range(_UPDATES):
        power_TN = power_TN * ((given_TF / (power_TN @ mel_NF).clamp(min=_LEAST)) @ mel_NF.T) / weights_N
    return power_TN


def audio_of_log_mel(
    log_mel_TF: Tensor, config: FeatureConfig, *, generator: torch.Generator, iterations: int
) -> Tensor:
    """Audio (S,) with these features, S such that `log_mel` finds as many frames in it.

    Args:
        log_mel_TF: natural logarithms as `log_mel` makes them, not normalised.
        generator: draws the first phases.
        iterations: of Griffin-Lim; 32 suffice.
    """
    magnitude_NT = power_of_log_mel(log_mel_TF, config).sqrt().T.contiguous()
    size, hop, frame = fft_size(config), config.hop_samples, config.frame_samples
    window = torch.hann_window(frame, device=log_mel_TF.device)
    num_samples = (len(log_mel_TF) - 1) * hop + (hop + 1) // 2

    def to_audio(spectrum_NT: Tensor) -> Tensor:
        return torch.istft(spectrum_NT, size, hop, frame, window, center=True, length=num_samples)

    angles_NT = 2 * torch.pi * torch.rand(magnitude_NT.shape, generator=generator).to(log_mel_TF.device)
    phases_NT, previous_NT = torch.polar(torch.ones_like(angles_NT), angles_NT), None
    for _ in range(iterations):
        rebuilt_NT = torch.stft(
            to_audio(magnitude_NT * phases_NT), size, hop, frame, window,
            center=True, pad_mode="constant", return_complex=True,
        )  # fmt: skip
        ahead_NT = rebuilt_NT if previous_NT is None else rebuilt_NT + _MOMENTUM * (rebuilt_NT - previous_NT)
        phases_NT, previous_NT = ahead_NT / (ahead_NT.abs() + _LEAST), rebuilt_NT
    return to_audio(magnitude_NT * phases_NT)
