"""Recorded noises and room responses held in memory, drawn from by the perturbation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from speechkit.audio.config import AugmentConfig
from speechkit.audio.io import read_audio
from speechkit.audio.resample import resample
from speechkit.errors import SpeechkitError

_SUFFIXES = {".wav", ".flac", ".ogg", ".opus", ".mp3"}


@dataclass(frozen=True)
class SoundBank:
    """Noises and room responses at one sampling rate, float32 (S,) each; a response starts with a direct path of 1."""

    noises: tuple[np.ndarray, ...] = ()
    rirs: tuple[np.ndarray, ...] = ()


def load_bank(config: AugmentConfig, sampling_rate: int) -> SoundBank:
    """Read `noise_dir` and `rir_dir`, below them too, in the order of their names.

    Raises:
        SpeechkitError: a folder holds no audio, or files that are unreadable, silent or sampled too slowly; all listed.
    """
    return SoundBank(
        noises=_read_folder(config.noise_dir, sampling_rate),
        rirs=tuple(_from_direct_path(rir) for rir in _read_folder(config.rir_dir, sampling_rate)),
    )


def _read_folder(folder: str | None, sampling_rate: int) -> tuple[np.ndarray, ...]:
    if folder is None:
        return ()
    paths = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in _SUFFIXES)
    if not paths:
        raise SpeechkitError(f"`{folder}` holds no audio files", expected=", ".join(sorted(_SUFFIXES)))
    sounds, faults = [], []
    for path in paths:
        try:
            samples, rate = read_audio(path)
        except SpeechkitError as error:
            faults.append(error.what)
            continue
        if rate < sampling_rate:
            faults.append(f"`{path}` is sampled at {rate} Hz, below features.sampling_rate={sampling_rate}")
        elif not samples.any():
            faults.append(f"`{path}` is silent")
        else:
            sounds.append(resample(samples, rate, sampling_rate))
    if faults:
        raise SpeechkitError(f"{len(faults)} of {len(paths)} files in `{folder}` cannot be used", where=faults)
    return tuple(sounds)


def _from_direct_path(rir: np.ndarray) -> np.ndarray:
    # what lies before the strongest path is delay, and would shift the word times
    start = int(np.argmax(np.abs(rir)))
    direct: np.ndarray = rir[start:] / rir[start]
    return direct
