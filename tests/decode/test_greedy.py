"""Greedy decoding merges repeats, drops blanks and ignores padding."""

from __future__ import annotations

import math

import pytest
import torch

from speechkit.decode.greedy import greedy_search


def _log_probs(paths: list[list[int]], size: int = 4) -> torch.Tensor:
    logits = torch.zeros(len(paths), max(map(len, paths)), size)
    for row, path in zip(logits, paths, strict=True):
        for frame, token in zip(row, path, strict=False):
            frame[token] = 5.0
    return logits.log_softmax(-1)


def test_repeats_merge_unless_a_blank_stands_between() -> None:
    found = greedy_search(_log_probs([[1, 1, 0, 1, 2, 2, 0, 0]]), torch.tensor([8]))
    assert found[0][0] == [1, 1, 2]


def test_padding_is_ignored() -> None:
    log_probs = _log_probs([[1, 0, 2, 3], [3, 3, 1, 1]])
    found = greedy_search(log_probs, torch.tensor([4, 2]))
    assert [tokens for tokens, _ in found] == [[1, 2, 3], [3]]
    assert found[1][1] == pytest.approx(2 * float(log_probs.max()), rel=1e-6)


def test_only_blanks_are_no_words() -> None:
    assert greedy_search(_log_probs([[0, 0, 0]]), torch.tensor([3]))[0][0] == []


def test_the_log_prob_is_that_of_every_frame_of_the_path_with_its_blanks_and_repeats() -> None:
    probs = torch.tensor([[0.1, 0.9, 0.0], [0.3, 0.7, 0.0], [0.6, 0.2, 0.2], [0.1, 0.4, 0.5], [0.2, 0.8, 0.0]])
    [(tokens, log_prob)] = greedy_search(probs.log()[None], torch.tensor([4]))
    assert tokens == [1, 2]
    assert log_prob == pytest.approx(math.log(0.9 * 0.7 * 0.6 * 0.5), rel=1e-5)
