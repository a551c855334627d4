"""Baselines and scores: what they learn, and that a table shows mean and spread."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from prompt_corpus import random_lm, some_task

from speechkit.prompt.baselines import fit_bag_of_units, fit_pooled_states, pooled_states
from speechkit.prompt.config import TaskConfig
from speechkit.prompt.eval_table import mean_and_sd, table
from speechkit.prompt.score import score


def bags(num: int, *, seed: int) -> tuple[list[tuple[int, ...]], list[int]]:
    """Units 0 and 1 in both classes, in other order: single units say nothing, pairs all."""
    draw = random.Random(seed)
    labels = [draw.randint(0, 1) for _ in range(num)]
    return [((0, 1) if label else (1, 0)) + (5, 6) * draw.randint(0, 3) for label in labels], labels


def test_pairs_of_units_are_counted() -> None:
    answer, size = fit_bag_of_units(*bags(40, seed=0), seed=0)
    units, labels = bags(20, seed=1)
    assert answer(units) == labels
    assert size == len({0, 1, 5, 6} | {(0, 1), (1, 0), (5, 6), (6, 5), (1, 5), (0, 5)}) + 1


def test_a_single_class_is_always_the_answer() -> None:
    for fit in (fit_bag_of_units, lambda *args, **more: fit_pooled_states(random_lm(), *args, **more)):
        answer, size = fit([(1, 2), (3,)], [4, 4], seed=0)
        assert answer([(5,), (6, 7)]) == [4, 4] and size == 0


def test_pooled_states_are_means_without_the_padding() -> None:
    lm = random_lm()
    units = [(1, 2, 3), (4,), (5, 6, 7, 0, 1)]
    pooled_ND = pooled_states(lm, units)
    with torch.no_grad():
        for row, own in zip(pooled_ND, units, strict=True):
            states_TD = lm.lm_states(torch.tensor([own]), torch.tensor([len(own)]))[0, 1:]
            np.testing.assert_allclose(row, states_TD.mean(0).numpy(), atol=1e-5)


def test_pooled_states_tell_classes_apart() -> None:
    draw = random.Random(0)
    labels = [draw.randint(0, 2) for _ in range(60)]
    units = [
        tuple(draw.choices((0, 1, 2) if label == 0 else (3, 4) if label == 1 else (5, 6, 7), k=6)) for label in labels
    ]
    answer, _ = fit_pooled_states(random_lm(), units[:40], labels[:40], seed=0)
    assert answer(units[40:]) == labels[40:]


def test_scores_compare_values_and_unknown_ones_are_wrong() -> None:
    found = score(some_task().config, [("a",), ("b",), ("new",)], [("a",), ("c",), ("a",)])
    assert found.metric == "accuracy" and found.value == pytest.approx(100 / 3) and not found.is_error
    config = TaskConfig(name="s", kind="slots", label=("x", "y"))
    assert score(config, [("a", "b"), ("a", "c")], [("a", "b"), ("a", "b")]).value == 50.0
    config = TaskConfig(name="s", kind="sequence", label=("text",), token="char")
    found = score(config, [tuple("abcd"), tuple("xy")], [tuple("abd"), tuple("xyz")])
    assert found.metric == "cer" and found.value == pytest.approx(100 * 2 / 6) and found.num_exact == 0


def test_mean_and_spread() -> None:
    assert mean_and_sd([50.0]) == (50.0, None)
    mean, sd = mean_and_sd([90.0, 92.0, 94.0])
    assert mean == 92.0 and sd == pytest.approx(2.0)


def test_the_table_says_what_is_missing() -> None:
    row = {"name": "prompt", "mean": 91.234, "sd": 1.5, "values": [90.0, 92.0], "parameters": 3456,
           "share_percent": 0.88, "train_cpu_seconds": 3.25}  # fmt: skip
    report = {"task": "t", "num_labels": 4, "num_test": 10, "shots": 5, "metric": "accuracy", "systems": [row],
              "missing": ["full"], "num_unknown": 1}  # fmt: skip
    assert table(report) == (
        "task t: 4 labels, 10 test utterances, 5 training utterances per class\n"
        "\n"
        "system  accuracy %     sd  seeds   trained  of the LM  CPU s\n"
        "prompt       91.23   1.50      2      3456     0.88 %    3.2\n"
        "\nnot compared with: full\n"
        "\n1 test utterance with labels that training never saw"
    )
