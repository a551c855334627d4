"""What makes frames of samples, and which moment each frame stands for; a codebook keeps both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from speechkit.errors import SpeechkitError

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class FrameTimes:
    """Which moment a frame stands for: frame t is centred at first_centre_seconds + t / frames_per_second."""

    frames_per_second: float
    first_centre_seconds: float

    def frame_of(self, seconds: float) -> int:
        """The first frame centred at or after a moment."""
        return max(0, int(np.ceil((seconds - self.first_centre_seconds) * self.frames_per_second - 1e-6)))


@dataclass(frozen=True)
class Extractor:
    """Features of one kind.

    Attributes:
        dim: values per frame.
        model_print: fingerprint of the weights of a neural model, else an empty text.
        extract: samples (S,) float32 at `sampling_rate` -> (T, dim) float32, neither normalised nor checked.
    """

    sampling_rate: int
    dim: int
    times: FrameTimes
    extract: Callable[[Floats], Floats]
    model_print: str = ""
    upsamples: bool = False
    is_normalized: bool = False

    def __call__(self, samples_S: Floats) -> Floats:
        """Frames (T, dim) of an utterance.

        Raises:
            SpeechkitError: it is too short for a single frame, or a value is not finite.
        """
        frames_TD = self.extract(samples_S)
        if len(frames_TD) == 0:
            raise SpeechkitError(f"{len(samples_S)} samples are too few for one frame of the features")
        if self.is_normalized:
            frames_TD = frames_TD - frames_TD.mean(axis=0)
            frames_TD /= frames_TD.std(axis=0) + np.float32(1e-3)  # a band that never changes stays at zero
        if not np.isfinite(frames_TD.sum()):
            raise SpeechkitError("features are not finite numbers")
        return np.ascontiguousarray(frames_TD, dtype=np.float32)
