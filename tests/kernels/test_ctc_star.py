"""Transcripts with stars against the sum over every transcript that the stars allow, each scored by plain CTC."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from speechkit.kernels import ctc, ctc_star

STAR, SPACE = 4, 3
Variant = tuple[tuple[int, ...], float, tuple[bool, ...], tuple[int, ...]]  # tokens, weight, is-star, stars per gap


def log_probs(num_frames: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    plain = torch.randn(num_frames, 4, generator=generator, dtype=torch.float64).log_softmax(-1)
    return torch.cat([plain, torch.randn(num_frames, 1, generator=generator, dtype=torch.float64) - 1.5], -1)


def plain_loss(values_TV: Tensor, tokens: tuple[int, ...]) -> Tensor:
    frames, num = torch.tensor([len(values_TV)]), torch.tensor([len(tokens)])
    return ctc.ctc_loss(values_TV[None], frames, torch.tensor([tokens], dtype=torch.int64), num)[0]


def variants(words: list[list[int]], word_weights: list[float], gap_weight: float, longest: int) -> list[Variant]:
    """Every token sequence that a graph without separators allows."""
    found: list[Variant] = []
    choices = [[False, True] if weight > -math.inf else [False] for weight in word_weights]
    counts = range(longest + 1) if gap_weight > -math.inf else range(1)
    for is_star in itertools.product(*choices):
        for stars in itertools.product(counts, repeat=len(words) + 1):
            tokens: list[int] = [STAR] * stars[0]
            for word, replaced, after in zip(words, is_star, stars[1:], strict=True):
                tokens += ([STAR] if replaced else word) + [STAR] * after
            if len(tokens) <= longest:
                weight = sum(w for w, replaced in zip(word_weights, is_star, strict=True) if replaced)
                weight += gap_weight * sum(stars) if sum(stars) else 0.0
                found.append((tuple(tokens), weight, is_star, stars))
    return found


@st.composite
def cases(draw: st.DrawFn) -> tuple[Tensor, list[list[int]], list[float], float]:
    words = draw(st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=2), max_size=3))
    weights = st.sampled_from([-math.inf, -2.0, 0.5])
    word_weights = draw(st.lists(weights, min_size=len(words), max_size=len(words)))
    return log_probs(draw(st.integers(1, 5)), draw(st.integers(0, 10**6))), words, word_weights, draw(weights)


def graph_of(words: list[list[int]], word_weights: list[float], gap_weight: float) -> ctc_star.StarGraph:
    ends = list(itertools.accumulate(map(len, words)))
    ranges = [(end - len(word), end) for word, end in zip(words, ends, strict=True)]
    tokens = [token for word in words for token in word]
    return ctc_star.star_graph(tokens, ranges, word_weights=word_weights, gap_weight=gap_weight, star_id=STAR)


@settings(max_examples=40, deadline=None)
@given(cases())
def test_loss_and_gradient_are_those_of_the_sum_over_all_variants(
    case: tuple[Tensor, list[list[int]], list[float], float],
) -> None:
    values, words, word_weights, gap_weight = case
    mine, theirs = (values.clone().requires_grad_() for _ in range(2))
    star = graph_of(words, word_weights, gap_weight)
    loss = ctc_star.graph_loss(mine[None], torch.tensor([len(values)]), [star.graph])
    parts = [w - plain_loss(theirs, tokens) for tokens, w, _, _ in variants(words, word_weights, gap_weight, 5)]
    expected = -torch.stack(parts).logsumexp(0)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-9)
    if math.isfinite(loss.item()):
        loss.sum().backward()  # type: ignore[no-untyped-call]
        expected.backward()  # type: ignore[no-untyped-call]
        assert mine.grad is not None
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-7, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(cases())
def test_posteriors_are_the_shares_of_the_variants(case: tuple[Tensor, list[list[int]], list[float], float]) -> None:
    values, words, word_weights, gap_weight = case
    found = ctc_star.star_posteriors(values.numpy(), graph_of(words, word_weights, gap_weight))
    every = [
        (math.exp(weight - float(plain_loss(values, tokens))), is_star, stars)
        for tokens, weight, is_star, stars in variants(words, word_weights, gap_weight, 5)
    ]
    if not sum(mass for mass, _, _ in every):
        assert found.log_prob == -math.inf
        return
    for number in range(len(words)):
        changed = sum(mass for mass, is_star, _ in every if is_star[number])
        kept = sum(mass for mass, is_star, _ in every if not is_star[number])
        if kept and changed:
            assert found.word_W[number] == pytest.approx(math.log(changed / kept), abs=1e-7)
        elif not changed:
            assert found.word_W[number] == -math.inf
    for gap in range(len(words) + 1):
        mean = sum(mass * stars[gap] for mass, _, stars in every) / sum(mass for mass, _, _ in every)
        used = 1 / (1 + math.exp(-found.gap_G[gap]))
        assert used == pytest.approx(min(mean, 1.0), abs=1e-7)


def test_a_star_takes_its_separator_with_it() -> None:
    """Between other words, and at the end where the separator before it goes."""
    values = log_probs(4, 3)
    tokens, words = [1, SPACE, 2, SPACE, 1], [(0, 1), (2, 3), (4, 5)]
    for number, expected in ((1, [1, SPACE, STAR, 1]), (2, [1, SPACE, 2, STAR]), (0, [STAR, 2, SPACE, 1])):
        weights = [0.0 if word == number else -math.inf for word in range(3)]
        star = ctc_star.star_graph(tokens, words, word_weights=weights, gap_weight=-math.inf, star_id=STAR)
        loss = ctc_star.graph_loss(values[None], torch.tensor([4]), [star.graph])
        # five tokens do not fit into four frames, so only the variant without its separator is left
        assert loss.item() == pytest.approx(float(plain_loss(values, tuple(expected))), rel=1e-9), number


def test_without_stars_it_is_plain_ctc_also_with_separators_and_padding() -> None:
    values = log_probs(9, 5)
    tokens, words = [1, 1, SPACE, 2, SPACE, 2], [(0, 2), (3, 4), (5, 6)]
    star = ctc_star.star_graph(tokens, words, word_weights=[-math.inf] * 3, gap_weight=-math.inf, star_id=STAR)
    padded = torch.cat([values, torch.full((3, 5), math.nan)])[None]
    loss = ctc_star.graph_loss(padded, torch.tensor([9]), [star.graph])
    assert loss.item() == pytest.approx(float(plain_loss(values, tuple(tokens))), rel=1e-9)


def test_too_few_frames_give_an_infinite_loss_without_gradient() -> None:
    values = log_probs(2, 1)[None].requires_grad_()
    star = ctc_star.star_graph([1, 1], [(0, 1), (1, 2)], word_weights=[-math.inf] * 2, gap_weight=-1.0, star_id=STAR)
    loss = ctc_star.graph_loss(values, torch.tensor([2]), [star.graph])
    assert loss.item() == math.inf
    loss.sum().backward()  # type: ignore[no-untyped-call]
    assert values.grad is not None
    assert not values.grad.any()


def test_the_star_emits_the_mean_of_the_non_blank_labels() -> None:
    plain = torch.tensor([[0.4, 0.1, 0.2, 0.3]]).log()
    assert ctc_star.with_star(plain)[0, -1].exp().item() == pytest.approx(0.2)
    assert ctc_star.with_star(plain, blank_id=3)[0, -1].exp().item() == pytest.approx(0.7 / 3)


def test_posteriors_point_at_the_word_that_was_not_said() -> None:
    """Audio that says 1 2 with certainty; transcripts with a wrong, an extra and a missing word."""
    said = torch.full((8, 4), 0.02)
    for frame, label in enumerate([0, 1, 1, 0, 0, 2, 2, 0]):
        said[frame, label] = 0.94
    values = torch.cat([said.log(), torch.zeros(8, 1)], -1).numpy()
    for text, wrong_words, wrong_gaps in (([1, 3], [1], []), ([1, 3, 2], [1], []), ([1], [], [1]), ([1, 2], [], [])):
        star = graph_of([[token] for token in text], [-4.0] * len(text), -4.0)
        found = ctc_star.star_posteriors(values, star)
        assert np.flatnonzero(found.word_W > 0).tolist() == wrong_words, text
        assert np.flatnonzero(found.gap_G > 0).tolist() == wrong_gaps, text
