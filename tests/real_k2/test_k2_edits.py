"""Posteriors of several edits at once by the real k2, against torch's loss of every combination of edits."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from speechkit.audit.k2_edits import edit_posteriors
from speechkit.errors import SpeechkitError

pytest.importorskip("k2")
pytestmark = pytest.mark.k2

Measure = Callable[[str, float], float]
STAR_PENALTY, SKIP_PENALTY, FRAME_PENALTY = 2.0, 0.5, 0.3
KEEP, STAR, SKIP, GAP_AND_KEEP = range(4)


def random_log_probs(num_frames: int, vocab_size: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (2.0 * torch.randn(num_frames, vocab_size, generator=generator, dtype=torch.float64)).log_softmax(-1)


def joined(words: list[list[int]], separator: int | None) -> tuple[list[int], list[tuple[int, int]]]:
    tokens: list[int] = []
    ranges = []
    for position, word in enumerate(words):
        tokens += [separator] if position and separator is not None else []
        ranges.append((len(tokens), len(tokens) + len(word)))
        tokens += word
    return tokens, ranges


def log_prob(log_probs_TV: Tensor, text: list[int]) -> float:
    """Float64, the star as the last column."""
    values = F.pad(log_probs_TV, (0, 1), value=-FRAME_PENALTY)[:, None]
    lengths = torch.tensor([len(values)]), torch.tensor([len(text)])
    return -float(F.ctc_loss(values, torch.tensor([text]).long().reshape(1, -1), *lengths, reduction="sum"))


def by_enumeration(log_probs_TV: Tensor, words: list[list[int]], separator: int | None) -> tuple[float, np.ndarray]:
    """Log of the sum over all combinations, and the posteriors in the order of the fields."""
    star, num_words = log_probs_TV.shape[1], len(words)
    logs, marks = [], []
    for choices in itertools.product(range(4), repeat=num_words):
        for at_end in (False, True) if choices[-1] in (KEEP, GAP_AND_KEEP) else (False,):
            items = [
                {KEEP: word, STAR: [star], GAP_AND_KEEP: [star, *word]}[choice]
                for word, choice in zip(words, choices, strict=True)
                if choice != SKIP
            ]
            text = joined(items, separator)[0] + [star] * at_end
            num_stars = sum(choice in (STAR, GAP_AND_KEEP) for choice in choices) + at_end
            logs.append(log_prob(log_probs_TV, text) - STAR_PENALTY * num_stars - SKIP_PENALTY * choices.count(SKIP))
            kept = [choice in (KEEP, GAP_AND_KEEP) for choice in choices]
            gaps = [choice == GAP_AND_KEEP for choice in choices] + [at_end]
            marks.append(kept + [c == STAR for c in choices] + [c == SKIP for c in choices] + gaps)
    total = np.logaddexp.reduce(logs)
    return float(total), np.exp(np.array(logs) - total) @ np.array(marks, dtype=float)


@pytest.mark.parametrize("separator", [None, 1])
@pytest.mark.parametrize("words", [[[2]], [[2, 3], [3]], [[2], [2], [2, 2]], [[3], [2, 3], [3, 2], [2]]])
@pytest.mark.parametrize("seed", [0, 1])
def test_posteriors_equal_the_sum_over_all_combinations(
    words: list[list[int]], separator: int | None, seed: int, measure: Measure
) -> None:
    values = random_log_probs(14, 4, seed)
    penalties = {"star_penalty": STAR_PENALTY, "skip_penalty": SKIP_PENALTY, "star_frame_penalty": FRAME_PENALTY}
    found = edit_posteriors(values, *joined(words, separator), **penalties)
    total, posteriors = by_enumeration(values, words, separator)
    ours = np.concatenate([found.keep_W, found.star_W, found.skip_W, found.gap_star_G])
    assert measure("sum over edits from torch", abs(found.log_total - total)) < 1e-4
    assert measure("edit posteriors from torch", float(np.abs(ours - posteriors).max())) < 1e-4
    np.testing.assert_allclose(found.keep_W + found.star_W + found.skip_W, 1.0, atol=1e-5)


def test_a_wrong_and_an_extra_word_are_found_together() -> None:
    said = [2, 3, 4, 5, 6]
    labels = torch.zeros(40, dtype=torch.int64)
    labels[4:40:8] = torch.tensor(said)
    values = (20.0 * F.one_hot(labels, 8).double()).log_softmax(-1)
    found = edit_posteriors(
        values, [2, 7, 4, 5, 3, 6], [(i, i + 1) for i in range(6)], star_penalty=8.0, skip_penalty=4.0
    )
    assert sorted(np.argsort(found.keep_W)[:2].tolist()) == [1, 4]
    assert found.keep_W[[1, 4]].max() < 0.1 < 0.5 < found.keep_W[[0, 2, 3, 5]].min()
    assert found.star_W[1] > found.skip_W[1]
    assert found.skip_W[4] > found.star_W[4]


def test_too_few_frames_and_no_words() -> None:
    values = random_log_probs(1, 4, 0)
    found = edit_posteriors(values, [2, 3], [(0, 2)])
    assert found.keep_W[0] == 0.0
    with pytest.raises(SpeechkitError, match="at least one word"):
        edit_posteriors(values, [], [])
