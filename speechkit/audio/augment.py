"""Perturbation of training audio: speed, level, room, noise on samples; tilt and SpecAugment on features.

Every draw comes from a generator seeded by (seed, epoch, utterance id) and a fixed order of draws, so the
same utterance is perturbed alike for any batch, worker or job. SpecAugment: Park et al. 2019.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from speechkit.audio.bank import SoundBank
from speechkit.audio.config import AugmentConfig
from speechkit.audio.noise import add_clicks, coloured_noise, convolve_rir, mix_at_snr, synthetic_rir
from speechkit.audio.resample import SPEED_STEPS, change_speed
from speechkit.rng import rng


@dataclass(frozen=True)
class Draw:
    """One utterance's perturbation in one epoch, apart from the noise samples themselves."""

    speed: float
    mel_warp: float
    tilt: float
    gen: np.random.Generator


def draw(config: AugmentConfig, *, seed: int, epoch: int, utt_id: str, max_speed: float = 2.0) -> Draw:
    """Draw the perturbation of an utterance; `max_speed` keeps it long enough for its text."""
    speed = draw_speed(config, seed=seed, epoch=epoch, utt_id=utt_id, max_speed=max_speed)
    gen = rng(seed, "augment", epoch, utt_id)
    warp = round(_uniform(gen, config.mel_warp), 2)
    return Draw(speed=speed, mel_warp=warp, tilt=config.tilt * float(gen.standard_normal()), gen=gen)


def draw_speed(config: AugmentConfig, *, seed: int, epoch: int, utt_id: str, max_speed: float = 2.0) -> float:
    """The speed that `draw` gives; apart, because batches are planned on the durations after it."""
    if config.speed == (1.0, 1.0):
        return 1.0
    speed = round(_uniform(rng(seed, "speed", epoch, utt_id), config.speed) * SPEED_STEPS) / SPEED_STEPS
    return speed if speed <= max_speed else int(max_speed * SPEED_STEPS) / SPEED_STEPS


def perturb_samples(
    samples: np.ndarray, config: AugmentConfig, chosen: Draw, sampling_rate: int, bank: SoundBank = SoundBank()
) -> np.ndarray:
    """Speed, clicks, room, noise and level of one utterance, float32 (S',); S' = S / speed.

    Rooms and noise come from the bank where it has some, else they are made.
    """
    gen = chosen.gen
    out = change_speed(samples, chosen.speed)
    if gen.random() < config.click_prob:
        out = add_clicks(out, int(gen.integers(1, 4)), sampling_rate, gen)
    if gen.random() < config.rir_prob:
        out = convolve_rir(out, _draw_rir(config, gen, sampling_rate, bank))
    if gen.random() < config.noise_prob:
        snr_db = _uniform(gen, config.noise_snr_db)
        out = mix_at_snr(out, _draw_noise(config, gen, len(out), bank), snr_db)
    gain = np.float32(10.0 ** (_uniform(gen, config.level_db) / 20.0))
    return out * gain


def perturb_features(features_TF: Tensor, config: AugmentConfig, chosen: Draw) -> None:
    """Tilt the spectrum and mask bands and stretches of one utterance (T, F), in place."""
    gen = chosen.gen
    num_frames, num_mels = features_TF.shape
    if chosen.tilt:
        features_TF += chosen.tilt * torch.linspace(-1.0, 1.0, num_mels)
    for _ in range(config.freq_masks):
        width = int(gen.integers(0, config.freq_mask_bands + 1))
        start = int(gen.integers(0, max(1, num_mels - width + 1)))
        features_TF[:, start : start + width] = 0.0
    for _ in range(config.time_masks):
        width = min(int(gen.integers(0, config.time_mask_frames + 1)), num_frames // 4)
        start = int(gen.integers(0, max(1, num_frames - width + 1)))
        features_TF[start : start + width] = 0.0


def _draw_rir(config: AugmentConfig, gen: np.random.Generator, sampling_rate: int, bank: SoundBank) -> np.ndarray:
    if bank.rirs:
        return bank.rirs[int(gen.integers(len(bank.rirs)))]
    rt60, direct_db = _uniform(gen, config.rir_rt60_seconds), _uniform(gen, config.rir_direct_db)
    return synthetic_rir(rt60, sampling_rate, gen, direct_to_reverb_db=direct_db)


def _draw_noise(config: AugmentConfig, gen: np.random.Generator, num_samples: int, bank: SoundBank) -> np.ndarray:
    if not bank.noises:
        return coloured_noise(num_samples, _uniform(gen, config.noise_exponent), gen)
    noise = bank.noises[int(gen.integers(len(bank.noises)))]
    start = int(gen.integers(max(1, len(noise) - num_samples + 1)))
    return noise[start : start + num_samples]


def _uniform(gen: np.random.Generator, bounds: tuple[float, float]) -> float:
    return float(gen.uniform(*bounds))
