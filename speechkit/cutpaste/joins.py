"""How far the sound jumps at joins, against boundaries between words that were spoken together.

The distance is that of the log-mel spectra of the 20 ms before and after a place: root mean square over 24 bands, in
nepers of power. The same function measures made and natural boundaries, on the samples one hears.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speechkit.cutpaste.edges import frame_mels

_FRAME_SECONDS = 0.020
_FLOOR = 1e-7


@dataclass(frozen=True)
class JoinDistances:
    """Distances at made joins and at natural boundaries, (K,) and (N,), and the ratio of their means."""

    made: np.ndarray
    natural: np.ndarray

    @property
    def ratio(self) -> float:
        """Mean distance at made joins over natural ones; nan when one of them is missing."""
        if len(self.made) == 0 or len(self.natural) == 0:
            return float("nan")
        return float(self.made.mean() / self.natural.mean())


def edge_distances(samples: np.ndarray, places: np.ndarray, sampling_rate: int) -> np.ndarray:
    """Distance of the spectra on both sides of each place, float64 (K,); samples float (S,), places in samples (K,)."""
    size = round(_FRAME_SECONDS * sampling_rate)
    padded = np.pad(samples, size)
    at = np.clip(np.asarray(places, np.int64), 0, len(samples))[:, None] + np.array([0, size])
    windows = padded[at[..., None] + np.arange(size)]
    log_mels = np.log(frame_mels(windows, sampling_rate) + _FLOOR)
    distances: np.ndarray = np.sqrt(np.square(log_mels[:, 0] - log_mels[:, 1]).mean(axis=-1))
    return distances
