"""Read and write audio with soundfile; every failure names the file, the reason and the cure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from speechkit.errors import SpeechkitError, disk_error

_FLAC_LEVEL = 0.5  # level 4 of 8: within 2 % of the size of level 8 at half its time


@dataclass(frozen=True)
class AudioInfo:
    """What the header of a file says."""

    sampling_rate: int
    num_samples: int
    num_channels: int

    @property
    def duration_seconds(self) -> float:
        """Length in seconds."""
        return self.num_samples / self.sampling_rate


def audio_info(path: Path) -> AudioInfo:
    """Header of an audio file.

    Raises:
        SpeechkitError: missing, empty or unreadable; the message names the file.
    """
    _check_file(path)
    try:
        info = soundfile.info(str(path))
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise _unreadable(path, error) from None
    return AudioInfo(info.samplerate, info.frames, info.channels)


def read_audio(path: Path, *, start_sample: int = 0, num_samples: int | None = None) -> tuple[np.ndarray, int]:
    """Samples of the first channel as float32 in [-1, 1], shape (S,), and the sampling rate in Hz.

    Raises:
        SpeechkitError: missing, empty or unreadable, it ends before `start_sample + num_samples`, or
            a sample is not finite.
    """
    _check_file(path)
    stop = None if num_samples is None else start_sample + num_samples
    try:
        samples, rate = soundfile.read(str(path), start=start_sample, stop=stop, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError, ValueError) as error:
        raise _unreadable(path, error) from None
    if num_samples is not None and len(samples) != num_samples:
        raise SpeechkitError(
            f"`{path}` is truncated: {len(samples)} samples from sample {start_sample}, {num_samples} needed",
            hint="copy the file again, or drop the utterance",
        )
    first = np.ascontiguousarray(samples[:, 0])
    if not np.isfinite(first.sum()):
        raise SpeechkitError(
            f"`{path}` holds samples that are not finite numbers", hint="convert it to 16-bit wav or flac"
        )
    return first, int(rate)


def write_flac(path: Path, samples: np.ndarray, sampling_rate: int) -> None:
    """Write float samples (S,) in [-1, 1] as 16-bit FLAC; the same samples give the same bytes.

    Raises:
        SpeechkitError: samples outside [-1, 1] or not finite, or the disk is full; the half-written file is removed.
    """
    peak = float(np.max(np.abs(samples), initial=0.0))
    if not np.isfinite(peak) or peak > 1.0:
        raise SpeechkitError(f"samples for `{path}` reach {peak}", expected="finite samples in [-1, 1]")
    pcm = np.round(samples * 32767.0).astype(np.int16)
    try:
        soundfile.write(str(path), pcm, sampling_rate, format="FLAC", subtype="PCM_16", compression_level=_FLAC_LEVEL)
    except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
        path.unlink(missing_ok=True)
        raise disk_error(path, pcm.nbytes, error) from None


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise SpeechkitError(f"audio file `{path}` does not exist")
    if path.stat().st_size == 0:
        raise SpeechkitError(f"audio file `{path}` is empty (0 bytes)", hint="copy the file again")


def _unreadable(path: Path, error: Exception) -> SpeechkitError:
    reason = str(getattr(error, "error_string", error)).strip().rstrip(".")
    return SpeechkitError(
        f"cannot read the audio file `{path}`: {reason}",
        expected="wav, flac, ogg, opus or mp3 that soundfile can decode",
        hint="copy the file again, or convert it to wav or flac",
    )
