"""Log-probs of a CTC model for recordings of any length: the encoder sees one chunk with its context at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from speechkit.align.config import CtcConfig
from speechkit.audio.features import log_mel_of_recording
from speechkit.audio.resample import resample
from speechkit.data.batch import Utterance, read_samples
from speechkit.models.table import Trained


def emission_seconds(trained: Trained) -> tuple[float, float]:
    """Time between encoder frames, and time of the first one."""
    hop_seconds = trained.features.hop_samples / trained.features.sampling_rate
    encoder: Any = trained.model.encoder
    return float(encoder.factor) * hop_seconds, float(encoder.centre) * hop_seconds


@torch.inference_mode()
def emissions(trained: Trained, utt: Utterance, config: CtcConfig) -> NDArray[np.float32]:
    """Natural log-probs (T', V) of an utterance.

    Raises:
        SpeechkitError: its audio can not be read.
    """
    rate = trained.features.sampling_rate
    samples = resample(read_samples(utt), utt.sampling_rate, rate)
    features_TF = log_mel_of_recording(torch.from_numpy(samples), trained.features)
    frames_per_second = rate / trained.features.hop_samples
    encoder: Any = trained.model.encoder
    factor = int(encoder.factor)
    # whole encoder frames, so that those of neighbouring chunks lie on one grid
    chunk = max(1, round(config.chunk_seconds * frames_per_second / factor))
    context = round(config.context_seconds * frames_per_second / factor)
    if len(features_TF) <= (chunk + context) * factor:
        return _log_probs(trained, features_TF, config)
    parts = []
    total = -(-len(features_TF) // factor)
    for first in range(0, total, chunk):
        start, end = max(0, first - context), first + chunk + context
        log_probs_TV = _log_probs(trained, features_TF[start * factor : end * factor], config)
        parts.append(log_probs_TV[first - start : first - start + chunk])
    return np.concatenate(parts)


def _log_probs(trained: Trained, features_TF: Tensor, config: CtcConfig) -> NDArray[np.float32]:
    batch = features_TF[None].to(config.device), torch.tensor([len(features_TF)], device=config.device)
    log_probs_1TV, num_frames_1 = trained.model(*batch)
    values: NDArray[np.float32] = log_probs_1TV[0, : int(num_frames_1[0])].float().cpu().contiguous().numpy()
    return values
