"""Cepstra with slopes, normalised over the utterance, and which frames are loud: the input of the Gaussian models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from speechkit.align.config import HmmConfig
from speechkit.audio.config import FeatureConfig
from speechkit.audio.features import log_mel_of_recording
from speechkit.audio.resample import resample
from speechkit.data.batch import Utterance, read_samples
from speechkit.errors import SpeechkitError

_QUIET, _LOUD = 5, 95  # percentiles of the level of an utterance's frames


@dataclass(frozen=True)
class Frames:
    """An utterance as the models see it: values_TF float32, is_loud_T bool."""

    values_TF: NDArray[np.float32]
    is_loud_T: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.values_TF)


def feature_config(config: HmmConfig, sampling_rate: int) -> FeatureConfig:
    """The log-mel features below the cepstra."""
    return FeatureConfig(
        sampling_rate=sampling_rate,
        num_mels=config.num_mels,
        frame_ms=config.frame_ms,
        hop_ms=config.hop_ms,
        normalize="none",
    )


def read_frames(utt: Utterance, config: HmmConfig, sampling_rate: int) -> Frames:
    """Read and analyse one utterance.

    Raises:
        SpeechkitError: its audio can not be read.
    """
    samples = resample(read_samples(utt), utt.sampling_rate, sampling_rate)
    mels_TF = log_mel_of_recording(torch.from_numpy(samples), feature_config(config, sampling_rate)).numpy()
    level_T = mels_TF.mean(axis=1)
    quiet, loud = np.percentile(level_T, (_QUIET, _LOUD))
    is_loud_T = level_T > quiet + config.loud_share * (loud - quiet)
    cepstra_TF = mels_TF @ _cosines(config.num_mels, config.num_cepstra)
    values_TF = np.concatenate([cepstra_TF, slopes(cepstra_TF)], axis=1)
    values_TF -= values_TF.mean(axis=0)
    values_TF /= values_TF.std(axis=0) + 1e-3  # a band that never changes stays at zero
    return Frames(np.ascontiguousarray(values_TF, dtype=np.float32), is_loud_T)


def slopes(values_TF: NDArray[np.float32]) -> NDArray[np.float32]:
    """Half the difference of the two neighbours of each frame; the first and last frame stand for those beyond."""
    padded = np.concatenate([values_TF[:1], values_TF, values_TF[-1:]])
    return np.asarray((padded[2:] - padded[:-2]) * np.float32(0.5))


@lru_cache(maxsize=8)
def _cosines(num_mels: int, num_cepstra: int) -> NDArray[np.float32]:
    """Orthonormal cosine transform, type II: (mels, cepstra)."""
    m, k = np.arange(num_mels)[:, None] + 0.5, np.arange(num_cepstra)[None, :]
    matrix = np.cos(np.pi * m * k / num_mels) * np.sqrt(2.0 / num_mels)
    matrix[:, 0] /= np.sqrt(2.0)
    return np.asarray(matrix, dtype=np.float32)


class FrameStore:
    """The frames of utterances; those of the first `keep_seconds` of audio asked for stay in memory."""

    def __init__(self, config: HmmConfig, sampling_rate: int, *, keep_seconds: float) -> None:
        self.config = config
        self.sampling_rate = sampling_rate
        self._kept: dict[str, Frames] = {}
        self._room_seconds = keep_seconds

    def __call__(self, utt: Utterance) -> Frames:
        """Frames of an utterance.  Raises: SpeechkitError: its audio can not be read."""
        frames = self._kept.get(utt.utt_id)
        return read_frames(utt, self.config, self.sampling_rate) if frames is None else frames

    def try_read(self, utt: Utterance) -> Frames | str:
        """Frames of an utterance, or why its audio can not be read."""
        try:
            return self(utt)
        except SpeechkitError as error:
            return error.what

    def keep(self, heard: Sequence[tuple[Utterance, Frames]]) -> None:
        """Remember frames as far as there is room."""
        for utt, frames in heard:
            self._room_seconds -= utt.duration_seconds
            if self._room_seconds < 0:
                return
            self._kept[utt.utt_id] = frames
