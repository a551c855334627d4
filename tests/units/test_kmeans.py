"""k-means: nearest centres, the same bits however it is run, dead centres, and data that can not be clustered."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechkit.errors import SpeechkitError
from speechkit.units.config import KmeansConfig
from speechkit.units.kmeans import Assigner, Scale, State, fit, spread


def blobs(num: int = 6000, k: int = 8, dim: int = 5, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Frames around well separated centres, and which centre each is of."""
    gen = np.random.default_rng(seed)
    centres = gen.permutation(
        np.eye(dim, dtype=np.float32)[np.arange(k) % dim] * (20 * (1 + np.arange(k) // dim))[:, None]
    )
    owner = gen.integers(k, size=num)
    return (centres[owner] + gen.standard_normal((num, dim))).astype(np.float32), owner


def inertia(frames: np.ndarray, centres: np.ndarray) -> float:
    """Mean squared distance to the nearest centre, the slow way."""
    return float(np.square(frames[:, None] - centres).sum(-1).min(1).mean())


@settings(max_examples=50)
@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 6), st.integers(0, 1000))
def test_frames_belong_to_the_nearest_centre(num: int, k: int, dim: int, seed: int) -> None:
    gen = np.random.default_rng(seed)
    # whole numbers: no rounding, and ties that must go to the first
    frames = gen.integers(-3, 4, size=(num, dim)).astype(np.float32)
    centres = gen.integers(-3, 4, size=(k, dim)).astype(np.float32)
    labels, gains = Assigner(centres).with_gains(frames)
    distances = np.square(frames[:, None] - centres).sum(-1)
    assert labels.tolist() == distances.argmin(1).tolist()
    assert np.allclose(np.square(frames).sum(1) - 2 * gains, distances.min(1), atol=1e-4)


def test_separated_groups_are_found() -> None:
    frames, owner = blobs()
    state = fit(frames, KmeansConfig(k=8, seed=3))
    found = Assigner(state.centres_KD)(frames)
    assert len({(a, b) for a, b in zip(owner.tolist(), found.tolist(), strict=True)}) == 8
    assert state.history[-1]["inertia"] == pytest.approx(inertia(frames, state.centres_KD), rel=1e-3)
    assert state.history[-1]["used"] == 8


@pytest.mark.parametrize("init", ["kmeans++", "sample"])
def test_threads_change_no_bit(init: str) -> None:
    frames, _ = blobs(9000)
    config = KmeansConfig(k=12, init=init, batch_frames=5000, max_passes=2, final_passes=2, init_frames=500)
    one, many = (fit(frames, config, num_jobs=num_jobs) for num_jobs in (1, 3))
    assert one.centres_KD.tobytes() == many.centres_KD.tobytes()
    assert one.history == many.history


@pytest.mark.parametrize("stop_after", [0, 1, 2, 3])
def test_an_interrupted_run_ends_with_the_same_bits(stop_after: int) -> None:
    frames, _ = blobs(3000)
    config = KmeansConfig(k=12, batch_frames=512, max_passes=2, final_passes=3, tolerance=0, init_frames=300)
    whole = fit(frames, config)
    saved: list[State] = []

    def save(state: State) -> None:
        saved.append(state)
        if len(saved) > stop_after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(frames, config, save=save)
    resumed = fit(frames, config, state=saved[-1])
    assert resumed.centres_KD.tobytes() == whole.centres_KD.tobytes()
    assert resumed.history == whole.history


def test_another_seed_gives_another_start() -> None:
    frames = np.random.default_rng(0).standard_normal((2000, 4)).astype(np.float32)
    one, two = (fit(frames, KmeansConfig(k=20, max_passes=1, final_passes=1, seed=seed)) for seed in (0, 1))
    assert not np.array_equal(one.centres_KD, two.centres_KD)


def test_final_passes_never_raise_inertia() -> None:
    frames = np.random.default_rng(0).standard_normal((4000, 6)).astype(np.float32)
    state = fit(frames, KmeansConfig(k=30, max_passes=0, final_passes=8, tolerance=0, init="sample"))
    values = [record["inertia"] for record in state.passes("final")]
    assert len(values) == 8
    assert all(later <= earlier * (1 + 1e-6) for earlier, later in pairwise(values))
    assert inertia(frames, state.centres_KD) <= values[-1]


@pytest.mark.parametrize("max_passes, kind", [(2, "batches"), (0, "final")])
def test_dead_centres_move_to_far_frames(max_passes: int, kind: str) -> None:
    frames, _ = blobs(3000)
    centres = spread(frames, 8, np.random.default_rng(0))
    centres[3] = 1e4  # nobody is near
    config = KmeansConfig(k=8, max_passes=max_passes, final_passes=4)
    state = fit(frames, config, state=State(centres, np.zeros(8)))
    assert state.history[0]["kind"] == kind
    assert state.history[0]["moved"] == 1
    assert state.history[-1]["used"] == 8
    assert inertia(frames, state.centres_KD) < 1.2 * 5


def test_scaled_frames_are_what_is_clustered() -> None:
    frames, _ = blobs(2000)
    scale = Scale(frames.mean(0), np.array([1, 2, 4, 8, 16], np.float32))
    config = KmeansConfig(k=8, max_passes=1, final_passes=2)
    assert fit(frames, config, scale=scale).centres_KD.tobytes() == fit(scale(frames), config).centres_KD.tobytes()


def test_fewer_frames_than_centres_are_refused() -> None:
    with pytest.raises(SpeechkitError, match="3 frames are too few for 4 centres"):
        fit(np.zeros((3, 2), np.float32), KmeansConfig(k=4))


def test_fewer_different_frames_than_centres_are_refused() -> None:
    frames = np.repeat(np.arange(3, dtype=np.float32)[:, None], 50, axis=0)
    with pytest.raises(SpeechkitError, match="only 3 of 4 centres"):
        fit(frames, KmeansConfig(k=4))
    assert sorted(fit(frames, KmeansConfig(k=3)).centres_KD.ravel().tolist()) == [0, 1, 2]


def test_spread_keeps_away_from_given_centres() -> None:
    frames, owner = blobs(500)
    given_centres = np.stack([frames[owner == b].mean(0) for b in range(6)])
    new = spread(frames, 2, np.random.default_rng(0), given_KD=given_centres)
    nearest = {int(np.square(frames - centre).sum(1).argmin()) for centre in new}
    assert {int(owner[index]) for index in nearest} == {6, 7}
