"""k-means over frames on disk: mini-batches first, passes over all frames last.

Mini-batches: Sculley 2010. Start: Arthur and Vassilvitskii 2007, greedy among a few candidates. Blocks of frames
are worked on by threads and added up in order, so that the number of threads changes no bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from speechkit import log
from speechkit.errors import SpeechkitError
from speechkit.rng import rng
from speechkit.units.config import KmeansConfig
from speechkit.units.extractor import Floats

Labels = NDArray[np.int32]
_CACHED = 1024  # frames whose scores stay in the cache
_BLOCK = 2048  # frames that a thread works on


@dataclass(frozen=True)
class Scale:
    """What is taken from frames before they are clustered: mean and standard deviation (D,) float32."""

    mean: Floats
    std: Floats

    def __call__(self, frames_TD: Floats) -> Floats:
        """Scaled frames."""
        return (frames_TD - self.mean) / self.std


@dataclass(frozen=True)
class State:
    """Where clustering stands after a pass.

    centres_KD float32; weights_K float64: frames that have moved each centre; history: one record per pass.
    """

    centres_KD: Floats
    weights_K: NDArray[np.float64]
    history: list[dict[str, Any]] = field(default_factory=list)
    is_done: bool = False

    def passes(self, kind: str) -> list[dict[str, Any]]:
        """The records of one kind of pass."""
        return [record for record in self.history if record["kind"] == kind]


@dataclass
class _Tally:
    """Sums over frames, by centre."""

    sums_KD: NDArray[np.float64]
    counts_K: NDArray[np.int64]
    inertia: float = 0.0

    def add(self, other: _Tally) -> None:
        self.sums_KD += other.sums_KD
        self.counts_K += other.counts_K
        self.inertia += other.inertia


class Assigner:
    """Nearest centres by one matrix product per block of frames; of equally near ones the first."""

    def __init__(self, centres_KD: Floats) -> None:
        self._centres_DK = torch.from_numpy(np.ascontiguousarray(centres_KD.T))
        self._minus_half_norms_K = torch.from_numpy(-0.5 * np.square(centres_KD).sum(axis=1))

    def __call__(self, frames_TD: Floats) -> Labels:
        """Numbers of the nearest centres (T,)."""
        return self.with_gains(frames_TD)[0]

    def with_gains(self, frames_TD: Floats) -> tuple[Labels, Floats]:
        """Numbers of the nearest centres (T,), and half of |x|^2 - distance^2 (T,)."""
        labels, gains = np.empty(len(frames_TD), np.int32), np.empty(len(frames_TD), np.float32)
        frames = torch.from_numpy(frames_TD)
        for start in range(0, len(frames_TD), _CACHED):
            block = frames[start : start + _CACHED]
            scores = torch.addmm(self._minus_half_norms_K, block, self._centres_DK).numpy()
            found = scores.argmax(axis=1)  # several times faster than torch's maximum with indices
            labels[start : start + _CACHED] = found
            gains[start : start + _CACHED] = scores[np.arange(len(found)), found]
        return labels, gains


def fit(
    frames_ND: Floats,
    config: KmeansConfig,
    *,
    num_jobs: int = 1,
    scale: Scale | None = None,
    state: State | None = None,
    save: Callable[[State], None] = lambda _: None,
) -> State:
    """Cluster frames; the result does not depend on the number of threads or on where it was interrupted.

    Args:
        frames_ND: float32, in memory or mapped from a file.
        state: where an interrupted run stood.
        save: called after each pass.
    Raises:
        SpeechkitError: fewer different frames than centres.
    """
    torch.set_num_threads(1)
    if len(frames_ND) < config.k:
        raise SpeechkitError(f"{len(frames_ND)} frames are too few for {config.k} centres", hint="--k, or more audio")
    with ThreadPoolExecutor(num_jobs) as pool:
        work = _Work(frames_ND, config, scale, pool)
        if state is None:
            state = State(work.first_centres(), np.zeros(config.k))
            save(state)
        while not state.is_done:
            kind = "batches" if _goes_on(state, "batches", config) else "final"
            state = work.batches(state) if kind == "batches" else work.final(state)
            state = replace(state, is_done=kind == "final" and not _goes_on(state, "final", config))
            save(state)
            last = state.history[-1]
            log.info(
                f"k-means {kind} pass {len(state.passes(kind))}: inertia {last['inertia']:.6g} per frame, "
                f"{last['moved']} centres moved to far frames"
            )
    return state


def _goes_on(state: State, kind: str, config: KmeansConfig) -> bool:
    """Whether another pass of a kind is due."""
    done = state.passes(kind)
    if kind == "batches" and (state.passes("final") or len(done) >= config.max_passes):
        return False
    if len(done) >= config.final_passes and kind == "final":
        return False
    if len(done) < 2 or done[-1]["moved"]:
        return True
    return bool(done[-1]["inertia"] < (1 - config.tolerance) * done[-2]["inertia"])


class _Work:
    """The frames and how they are looked at."""

    def __init__(self, frames_ND: Floats, config: KmeansConfig, scale: Scale | None, pool: Executor) -> None:
        self.frames_ND = frames_ND
        self.config = config
        self.scale = scale
        self.pool = pool

    def rows(self, index: NDArray[np.int64] | slice) -> Floats:
        """Frames of some numbers, scaled."""
        frames = np.asarray(self.frames_ND[index])
        return self.scale(frames) if self.scale else frames

    def sample(self, *names: object) -> Floats:
        """Frames drawn evenly."""
        gen = rng(self.config.seed, "sample", *names)
        size = min(len(self.frames_ND), max(self.config.init_frames, 3 * self.config.k))
        return self.rows(np.sort(gen.choice(len(self.frames_ND), size, replace=False)))

    def first_centres(self) -> Floats:
        """Centres to start from, (K, D)."""
        gen = rng(self.config.seed, "init")
        sample_SD = self.sample("init")
        if self.config.init == "sample":
            chosen = gen.choice(len(sample_SD), self.config.k, replace=False)
            return sample_SD[np.sort(chosen)].copy()
        return spread(sample_SD, self.config.k, gen)

    def batches(self, state: State) -> State:
        """Move the centres after each mini-batch of one pass in an order of its own."""
        number = len(state.passes("batches"))
        order = rng(self.config.seed, "order", number).permutation(len(self.frames_ND))
        centres_KD, weights_K = state.centres_KD.copy(), state.weights_K.copy()
        total = _zero(centres_KD.shape)
        for start in range(0, len(order), self.config.batch_frames):
            batch = np.sort(order[start : start + self.config.batch_frames])
            blocks = [batch[first : first + _BLOCK] for first in range(0, len(batch), _BLOCK)]
            tally = self._tally(centres_KD, iter(blocks))
            weights_K += tally.counts_K
            shift_KD = tally.sums_KD - tally.counts_K[:, None] * centres_KD
            centres_KD += (shift_KD / np.maximum(weights_K, 1)[:, None]).astype(np.float32)
            total.add(tally)
        poor_K = total.counts_K < self.config.min_share * len(self.frames_ND) / self.config.k
        weights_K[poor_K] = 0
        return self._next(State(centres_KD, weights_K, state.history), total, poor_K, kind="batches")

    def final(self, state: State) -> State:
        """Move each centre to the mean of its frames."""
        blocks = (slice(first, first + _BLOCK) for first in range(0, len(self.frames_ND), _BLOCK))
        total = self._tally(state.centres_KD, blocks)
        empty_K = total.counts_K == 0
        means_KD = total.sums_KD / np.maximum(total.counts_K, 1)[:, None]
        centres_KD = np.where(empty_K[:, None], state.centres_KD, means_KD).astype(np.float32)
        return self._next(State(centres_KD, state.weights_K, state.history), total, empty_K, kind="final")

    def _next(self, state: State, total: _Tally, dead_K: NDArray[np.bool_], *, kind: str) -> State:
        centres_KD = state.centres_KD
        if dead_K.any():
            names = ("reseed", kind, len(state.passes(kind)))
            gen, alive = rng(self.config.seed, *names), centres_KD[~dead_K]
            centres_KD[dead_K] = spread(self.sample(*names), int(dead_K.sum()), gen, given_KD=alive)
        inertia = total.inertia / len(self.frames_ND)
        record = {"kind": kind, "inertia": inertia, "used": int((total.counts_K > 0).sum()), "moved": int(dead_K.sum())}
        return State(centres_KD, state.weights_K, [*state.history, record])

    def _tally(self, centres_KD: Floats, blocks: Iterator[Any]) -> _Tally:
        """Assign blocks of frames in threads; their sums are added in order."""
        assign, shape = Assigner(centres_KD), centres_KD.shape
        total = _zero(shape)

        def one(index: Any) -> _Tally:
            frames_TD = self.rows(index)
            labels, gains = assign.with_gains(frames_TD)
            own = _zero(shape)
            np.copyto(own.sums_KD, _sums_by_label(frames_TD, labels, len(centres_KD)))
            own.counts_K += np.bincount(labels, minlength=len(centres_KD))
            norms = np.einsum("td,td->t", frames_TD, frames_TD)
            own.inertia = float(np.maximum(norms - 2 * gains, 0).sum(dtype=np.float64))
            return own

        # groups, so that not all tallies of a long pass wait in memory
        while group := [block for _, block in zip(range(64), blocks, strict=False)]:
            for tally in self.pool.map(one, group):
                total.add(tally)
        return total


def _zero(shape: tuple[int, ...]) -> _Tally:
    return _Tally(np.zeros(shape), np.zeros(shape[0], np.int64))


def _sums_by_label(frames_TD: Floats, labels: Labels, k: int) -> Floats:
    sums = torch.zeros(k, frames_TD.shape[1])
    return sums.index_add_(0, torch.from_numpy(labels).long(), torch.from_numpy(frames_TD)).numpy()


def spread(sample_SD: Floats, num: int, gen: np.random.Generator, *, given_KD: Floats | None = None) -> Floats:
    """Frames far from each other and from given centres: k-means++, the best of a few candidates each time.

    Raises:
        SpeechkitError: there are not so many different frames.
    """
    sample = torch.from_numpy(np.ascontiguousarray(sample_SD))
    norms_S = sample.square().sum(1)
    chosen: list[int] = []
    if given_KD is None or len(given_KD) == 0:
        chosen.append(int(gen.integers(len(sample_SD))))
        given_KD = sample_SD[chosen]
    gains = torch.from_numpy(Assigner(given_KD).with_gains(np.ascontiguousarray(sample_SD))[1])
    nearest_S = (norms_S - 2 * gains).clamp_(min=0)
    num_candidates = 2 + int(np.log(max(num, 1)))
    while len(chosen) < num:
        mass_S = nearest_S.double().cumsum(0)
        # rounding leaves about 1e-6 of the norm between equal frames
        if float(nearest_S.max()) <= 1e-5 * float(norms_S.max()):
            raise SpeechkitError(
                f"only {len(chosen)} of {num} centres find a frame of their own among {len(sample_SD)} frames",
                hint="a smaller --k, or audio that is not all silence",
            )
        draws = torch.from_numpy(gen.random(num_candidates)) * mass_S[-1]
        places = torch.searchsorted(mass_S, draws, right=True).clamp_(max=len(sample_SD) - 1)
        candidates = sample[places]
        distances_CS = (norms_S + norms_S[places][:, None] - 2 * candidates @ sample.T).clamp_(min=0)
        distances_CS[torch.arange(num_candidates), places] = 0
        nearer_CS = torch.minimum(distances_CS, nearest_S)
        best = int(nearer_CS.sum(1, dtype=torch.float64).argmin())
        nearest_S = nearer_CS[best]
        chosen.append(int(places[best]))
    return sample_SD[chosen].copy()
