"""Best paths of Gaussian chains against all paths, sums and margins against plain numpy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechkit.kernels import hmm


def make_problem(seed: int, num_frames: int, words: list[int]) -> tuple:
    """Frames, Gaussians, a chain of words with so many states between pauses, and transitions."""
    gen = np.random.default_rng(seed)
    num_gaussians = 1 + sum(words)
    gaussians = tuple(
        array.astype(np.float32)
        for array in (
            gen.normal(size=(num_gaussians, 3)),
            gen.uniform(0.5, 2.0, (num_gaussians, 3)),
            gen.normal(size=num_gaussians),
        )
    )
    ids, skip, first = [0], [0], 1
    for size in words:
        ids += [*range(first, first + size), 0]
        skip += [1] + [0] * size
        first += size
    stay = gen.uniform(0.2, 0.9, num_gaussians)
    frames = gen.normal(size=(num_frames, 3)).astype(np.float32)
    return frames, gaussians, (np.array(ids), np.array(skip, np.uint8)), (np.log(stay), np.log(1 - stay))


def all_scores(frames: np.ndarray, gaussians: tuple, chain: tuple, transitions: tuple) -> dict[tuple[int, ...], float]:
    """Log probability of every path that starts and ends as it may."""
    mean, inverse, constant = (array.astype(float) for array in gaussians)
    ids, skip = chain
    likelihood = constant[ids] - 0.5 * (((frames[:, None] - mean[ids]) ** 2) * inverse[ids]).sum(-1)
    num_states, scores = len(ids), {}
    for path in itertools.product(range(num_states), repeat=len(frames)):
        steps = np.diff(path)
        allowed = all(
            step in (0, 1) or (step == 2 and skip[after]) for step, after in zip(steps, path[1:], strict=True)
        )
        if path[0] <= 1 and path[-1] >= num_states - 2 and allowed:
            moves = [transitions[0 if step == 0 else 1][ids[a]] for step, a in zip(steps, path[:-1], strict=True)]
            scores[path] = float(sum(likelihood[t, s] for t, s in enumerate(path)) + sum(moves))
    return scores


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("words", [[1], [2], [1, 1], [2, 1]])
def test_best_path_is_the_best_of_all_paths(seed: int, words: list[int]) -> None:
    frames, gaussians, chain, transitions = make_problem(seed, 5, words)
    states = np.zeros(5, np.int64)
    score = hmm.best_path(frames, gaussians, chain, transitions, np.inf, states)
    scores = all_scores(frames, gaussians, chain, transitions)
    assert score == pytest.approx(max(scores.values()), rel=1e-5)
    assert scores[tuple(states.tolist())] == pytest.approx(score, rel=1e-5)


def test_too_few_frames_have_no_path_and_just_enough_have_one() -> None:
    for words in ([3], [2, 2], [1, 1, 1]):
        needed = int(hmm.fewest_frames(make_problem(0, 1, words)[2][1])[0])
        assert needed == sum(words)
        states = np.zeros(needed, np.int64)
        assert np.isfinite(hmm.best_path(*make_problem(0, needed, words), np.inf, states))
        assert hmm.best_path(*make_problem(0, needed - 1, words), np.inf, states[1:]) == -np.inf


@given(st.integers(0, 100), st.sampled_from([1.0, 5.0, 50.0]))
def test_a_beam_never_finds_a_better_path_and_a_wide_one_finds_the_best(seed: int, beam: float) -> None:
    problem = make_problem(seed, 40, [3, 2, 4, 3])
    full, pruned = np.zeros(40, np.int64), np.zeros(40, np.int64)
    best = hmm.best_path(*problem, np.inf, full)
    assert hmm.best_path(*problem, beam, pruned) <= best + 1e-9
    assert hmm.best_path(*problem, 1e4, pruned) == best
    assert np.array_equal(full, pruned)


def test_sums_are_those_of_the_frames_of_each_gaussian() -> None:
    gen = np.random.default_rng(0)
    frames, ids = gen.normal(size=(50, 4)).astype(np.float32), gen.integers(0, 3, 50)
    count, total, square = np.zeros(3), np.zeros((3, 4)), np.zeros((3, 4))
    hmm.accumulate(frames, ids, (count, total, square))
    for n in range(3):
        own = frames[ids == n].astype(float)
        assert count[n] == len(own)
        np.testing.assert_allclose(total[n], own.sum(0))
        np.testing.assert_allclose(square[n], (own**2).sum(0))


@settings(deadline=None)  # the first call loads or compiles
@given(st.lists(st.integers(0, 3), max_size=20))
def test_stays_are_counted_by_gaussian(path: list[int]) -> None:
    ids, spent, entered = np.array([0, 2, 1, 0]), np.zeros(3), np.zeros(3)
    hmm.count_stays(np.array(path, np.int64), ids, spent, entered)
    runs = [state for state, _ in itertools.groupby(path)]
    for n in range(3):
        assert spent[n] == sum(ids[state] == n for state in path)
        assert entered[n] == sum(ids[state] == n for state in runs)


def test_margins_compare_each_frame_with_the_best_rival() -> None:
    frames, (mean, inverse, constant), _, _ = make_problem(3, 10, [2, 3])
    ids = np.arange(10) % 6
    found = hmm.margins(frames, ids, (mean, inverse, constant), 3, 4)
    likelihood = constant - 0.5 * (((frames[:, None] - mean) ** 2) * inverse).sum(-1)
    expected = [likelihood[t, ids[t]] - likelihood[t, :3].max() for t in (0, 4, 8)]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_warm_compiles_the_types_in_use() -> None:
    hmm.warm()
    kernels = (hmm.best_path, hmm.accumulate, hmm.count_stays, hmm.margins)
    compiled = [len(kernel.signatures) for kernel in kernels]
    problem = make_problem(0, 6, [2])
    states = np.zeros(6, np.int64)
    hmm.best_path(*problem, 10.0, states)
    hmm.margins(problem[0], problem[2][0][states], problem[1], 1, 1)
    assert [len(kernel.signatures) for kernel in kernels] == compiled
