"""Alignment with missing and extra text: against all paths; the beam, the proof, and the memory of an hour."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechkit.kernels import ctc_align
from speechkit.kernels.ctc_align import Search, align_tokens


def random_log_probs(num_frames: int, num_labels: int, seed: int, scale: float = 2.0) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(size=(num_frames, num_labels)) * scale
    return (logits - np.log(np.exp(logits).sum(1, keepdims=True))).astype(np.float32)


def best_of_all(values: np.ndarray, tokens: list[int], words: list[tuple[int, int]], search: Search) -> float:
    """The best score by trying every sequence of places; place 2 u is the blank after u tokens, 2 u - 1 token u."""
    num_frames, num_tokens = len(values), len(tokens)
    edges = {0, num_tokens} | {start for start, _ in words}
    starts = [start for start, _ in words]
    ends = dict(zip(starts, [*starts[1:], num_tokens], strict=True))

    def emission(t: int, place: int) -> float:
        if place % 2:
            return float(values[t, tokens[place // 2]])
        own = float(values[t, 0])
        if search.star_penalty is not None and place // 2 in edges:
            own = max(own, float(values[t].max()) - search.star_penalty)
        return own

    def move(a: int, b: int) -> float:
        if b - a in (0, 1):
            return 0.0
        if b - a == 2 and a % 2 and tokens[a // 2] != tokens[b // 2]:
            return 0.0
        if search.skip_penalty is not None and a % 2 == b % 2 == 0 and ends.get(a // 2) == b // 2:
            return -search.skip_penalty
        return -math.inf

    best = -math.inf
    for path in itertools.product(range(2 * num_tokens + 1), repeat=num_frames):
        if path[0] <= 1 and path[-1] >= 2 * num_tokens - 1:
            moves = sum(move(a, b) for a, b in itertools.pairwise(path))
            if moves > -math.inf:
                best = max(best, moves + sum(emission(t, place) for t, place in enumerate(path)))
    return best


SEARCHES = [Search(), Search(star_penalty=0.7), Search(skip_penalty=1.5), Search(star_penalty=0.5, skip_penalty=1.0)]


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize(
    "tokens, words",
    [([1], [(0, 1)]), ([1, 1], [(0, 1), (1, 2)]), ([1, 2, 1], [(0, 2), (2, 3)]), ([2, 2, 3], [(0, 1), (2, 3)])],
)
def test_the_path_is_the_best_of_all(search: Search, tokens: list[int], words: list[tuple[int, int]]) -> None:
    for seed in range(6):
        values = random_log_probs(5, 4, seed)
        found = align_tokens(values, tokens, words=words, search=search)
        assert found.log_prob == pytest.approx(best_of_all(values, tokens, words, search), abs=1e-5)


def long_problem(
    seed: int, num_words: int = 40, peak: float = 4.0
) -> tuple[np.ndarray, list[int], list[tuple[int, int]]]:
    """Peaky log-probs of words of two tokens, each token two frames and one blank."""
    gen = np.random.default_rng(seed)
    tokens = gen.integers(1, 9, 2 * num_words).tolist()
    labels = [label for token in tokens for label in (token, token, 0)]
    values = random_log_probs(len(labels), 9, seed, 1.0)
    values[np.arange(len(labels)), labels] += peak
    values -= np.log(np.exp(values).sum(1, keepdims=True))
    return values.astype(np.float32), tokens, [(2 * k, 2 * k + 2) for k in range(num_words)]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.sampled_from(SEARCHES), st.sampled_from([0.5, 3.0, 40.0]))
def test_a_beam_is_never_better_and_a_proof_gives_the_best(seed: int, search: Search, beam: float) -> None:
    values, tokens, words = long_problem(seed, 12)
    full = align_tokens(values, tokens, words=words, search=search)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ctc_align, "MAX_FULL_CELLS", 0)
        patch.setattr(ctc_align, "FIRST_BEAM", beam)
        proven = align_tokens(values, tokens, words=words, search=search)
    options = Search(beam, search.star_penalty, search.skip_penalty)
    pruned = align_tokens(values, tokens, words=words, search=options)
    assert proven.log_prob == full.log_prob
    assert all(np.array_equal(a, b) for a, b in zip(full[:3], proven[:3], strict=True))
    assert pruned.log_prob <= full.log_prob + 1e-9
    if beam == 40.0:
        assert pruned.log_prob == full.log_prob


def test_words_that_the_audio_lacks_are_left_out() -> None:
    values, tokens, words = long_problem(1, peak=9.0)
    extra = [*tokens[:20], 5, 6, 5, 6, *tokens[20:]]  # two words that nobody said
    longer = [(2 * k, 2 * k + 2) for k in range(42)]
    path = align_tokens(values, extra, words=longer, search=Search(skip_penalty=4.0))
    left_out = [
        k for k, (start, end) in enumerate(longer) if (path.end_frames_U == path.start_frames_U)[start:end].all()
    ]
    assert left_out == [10, 11]
    kept = [k for k in range(44 * 2 - 4) if k not in range(20, 24)]
    truth = align_tokens(values, tokens, words=words)
    moved = np.abs(path.start_frames_U[kept] - truth.start_frames_U)
    assert np.mean(moved == 0) > 0.95  # the jumps take a frame each


def test_speech_that_the_text_lacks_goes_to_no_word() -> None:
    values, tokens, _ = long_problem(3, peak=9.0)
    short = [*tokens[:20], *tokens[32:]]  # six words, 36 frames, are not in the text
    words = [(2 * k, 2 * k + 2) for k in range(34)]
    path = align_tokens(values, short, words=words, search=Search(star_penalty=1.0))
    truth = align_tokens(values, tokens)
    assert np.array_equal(path.start_frames_U[:20], truth.start_frames_U[:20])
    assert np.array_equal(path.start_frames_U[20:], truth.start_frames_U[32:])
    assert path.is_extra_T[60:96].mean() > 0.6 and not path.is_extra_T[:58].any() and not path.is_extra_T[98:].any()


def test_no_frames_no_tokens_and_too_few_frames() -> None:
    values = random_log_probs(4, 3, 0)
    assert align_tokens(values[:0], []).log_prob == 0.0
    assert align_tokens(values, []).log_prob == pytest.approx(float(values[:, 0].sum()))
    assert align_tokens(values, [1, 1, 1]).log_prob == -math.inf
    assert align_tokens(values[:1], [1, 2]).log_prob == -math.inf
    assert align_tokens(values, [1, 2, 1, 2]).log_prob > -math.inf
    values[2] = np.nan
    assert math.isnan(align_tokens(values, [1, 2]).log_prob)


HOUR = """
import resource, numpy as np
from speechkit.kernels.ctc_align import Search, align_tokens
def make(num_tokens):
    gen = np.random.default_rng(0)
    tokens = gen.integers(1, 30, num_tokens)
    labels = np.zeros(10 * num_tokens, np.int64)
    labels[5::10] = tokens
    values = np.full((10 * num_tokens, 30), -8.0, np.float32)
    values[np.arange(len(labels)), labels] = -0.05
    return values, tokens
align_tokens(*make(50)); align_tokens(*make(50), search=Search(beam=30.0))
values, tokens = make(9000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for search in (Search(beam=30.0), Search()):
    path = align_tokens(values, tokens, search=search)
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, int(path.start_frames_U[-1]))
"""


def test_an_hour_needs_little_memory() -> None:
    done = subprocess.run([sys.executable, "-c", HOUR], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        megabytes, start = map(int, line.split())
        assert start == 89_995
        assert megabytes <= 100
