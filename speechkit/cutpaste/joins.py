"""How far the sound jumps at joins, against boundaries between words that were spoken together.

The distance is that of the log-mel spectra of the 20 ms before and after a place: root mean square over 24 bands, in
nepers of power. The same function measures made and natural boundaries, on the samples one hears.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from speechkit.cutpaste.edges import frame_mels
from speechkit.cutpaste.plan_file import Plan, Planned, join_places
from speechkit.cutpaste.render import Renderer, load_pool

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


def measure_joins(plan: Plan, utterances: Sequence[Planned] | None = None) -> JoinDistances:
    """Distances at the joins of a plan (or some of its utterances) as rendered, and inside the recordings it uses.

    Sources that cannot be read are left out, with the utterances that need them.
    """
    chosen = plan.utterances if utterances is None else utterances
    wanted = sorted({piece.source for utterance in chosen for piece in utterance.pieces})
    pool = load_pool(plan.sources, wanted)
    chosen = [u for u in chosen if not any(piece.source in pool.faults for piece in u.pieces)]
    render = Renderer(plan, chosen, pool)
    rate = plan.sampling_rate
    made = [
        edge_distances(render(index), np.array(join_places(own), np.int64), rate) for index, own in enumerate(chosen)
    ]
    natural = []
    for number in wanted:
        source = plan.sources[number]
        if pool.first[number] >= 0:
            first = int(pool.first[number])
            own_samples = pool.samples[first : first + source.num_samples] / np.float32(32768)
            natural.append(edge_distances(own_samples, np.array(source.boundaries, np.int64), rate))
    empty = [np.zeros(0)]
    return JoinDistances(np.concatenate(made or empty), np.concatenate(natural or empty))
