"""Frames of an utterance: log-mel bands, cepstra, or a layer of a self-supervised model."""

from __future__ import annotations

import numpy as np
import torch
from scipy.fft import dct

from speechkit.audio.features import log_mel_of_recording
from speechkit.units.config import Features, HfConfig, LogMelConfig, MfccConfig, SslConfig
from speechkit.units.extractor import Extractor, Floats, FrameTimes

_SLOPE_REACH = 2  # frames on either side


def make_extractor(config: Features) -> Extractor:
    """The extractor of a configuration.

    Raises:
        ConfigError: a pipeline, layer, package or checkpoint that there is not.
    """
    if isinstance(config, SslConfig):
        from speechkit.units.ssl_features import torchaudio_extractor

        return torchaudio_extractor(config)
    if isinstance(config, HfConfig):
        from speechkit.units.hf_features import hf_extractor

        return hf_extractor(config)
    mel = config.mel()
    size = config.num_cepstra if isinstance(config, MfccConfig) else config.num_mels
    return Extractor(
        sampling_rate=config.sampling_rate,
        dim=size * (1 + config.deltas),
        times=FrameTimes(config.sampling_rate / mel.hop_samples, 0.0),  # windows are centred
        extract=lambda samples_S: _spectral(samples_S, config),
        is_normalized=config.normalize == "utterance",
    )


def _spectral(samples_S: Floats, config: LogMelConfig | MfccConfig) -> Floats:
    frames_TF: Floats = log_mel_of_recording(torch.from_numpy(samples_S), config.mel()).numpy()
    if isinstance(config, MfccConfig):
        frames_TF = dct(frames_TF, type=2, norm="ortho", axis=1)[:, : config.num_cepstra]
    parts = [frames_TF]
    for _ in range(config.deltas):
        parts.append(slopes(parts[-1]))
    return np.concatenate(parts, axis=1) if len(parts) > 1 else frames_TF


def slopes(frames_TF: Floats) -> Floats:
    """Regression slopes over five frames; the first and the last frame stand for those beyond (HTK book, 5.9)."""
    reach = _SLOPE_REACH
    padded = np.concatenate([frames_TF[:1]] * reach + [frames_TF] + [frames_TF[-1:]] * reach)
    size, total = len(frames_TF), np.zeros_like(frames_TF)
    for step in range(1, reach + 1):
        total += np.float32(step) * (padded[reach + step :][:size] - padded[reach - step :][:size])
    return total / np.float32(2 * sum(step * step for step in range(1, reach + 1)))
