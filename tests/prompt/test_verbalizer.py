"""Verbalizers: no two labels share a unit, ties are settled by number, and what is stored is all there is."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from prompt_corpus import random_lm, some_task

from speechkit.errors import SpeechkitError
from speechkit.prompt.examples import Example
from speechkit.prompt.tasks import Task
from speechkit.prompt.verbalizer import LabelMap, Verbalizer, label_log_probs, make_label_map

EXAMPLES = [Example("a", (5, 5, 2), (0,)), Example("b", (5, 3, 2), (1,)), Example("c", (2, 1), (1,))]


def _map(task: Task, examples: list[Example], num_units: int = 8, seed: int = 0) -> LabelMap:
    return make_label_map(task, examples, num_units=num_units, seed=seed)


@given(num_labels=st.integers(2, 12), num_more=st.integers(0, 5), seed=st.integers(0, 50))
@settings(max_examples=40, deadline=None)
@pytest.mark.parametrize("kind", ["random", "freq", "mi"])
def test_no_two_labels_share_a_unit(kind: str, num_labels: int, num_more: int, seed: int) -> None:
    # in the original the draw is repeated for each label: 12 labels over 100 units collide in half of all runs
    task = some_task(num_labels=num_labels, verbalizer=kind)
    num_units = max(6, num_labels + num_more)
    tokens = _map(task, EXAMPLES[: 1 + seed % 3], num_units, seed).tokens
    assert len(set(tokens)) == num_labels and all(0 <= token < num_units for token in tokens)


def test_a_random_verbalizer_follows_its_seed() -> None:
    task = some_task(num_labels=5, verbalizer="random")
    assert _map(task, EXAMPLES, seed=3) == _map(task, EXAMPLES[::-1], seed=3)
    assert len({_map(task, EXAMPLES, seed=seed).tokens for seed in range(5)}) > 1


def test_frequency_goes_by_count_and_ties_by_number() -> None:
    task = some_task(num_labels=3, verbalizer="freq")
    # units 2 and 5 are heard three times each, then 1 and 3 once; label 1 is first, then 0, then 2, never seen
    assert _map(task, EXAMPLES).tokens == (5, 2, 1)
    assert _map(task, EXAMPLES[::-1]).tokens == (5, 2, 1)


def test_mutual_information_finds_the_unit_of_each_label_even_if_two_want_the_same() -> None:
    task = some_task(num_labels=3, verbalizer="mi")
    found = [Example(f"{label}{k}", (0, 3 + label, 7 - (k % 2)), (label,)) for label in range(3) for k in range(4)]
    assert _map(task, found).tokens == (3, 4, 5)
    both = [Example("a", (1, 2), (0,)), Example("b", (1,), (0,)), Example("c", (4,), (1,)), Example("d", (5,), (2,))]
    tokens = _map(task, both).tokens
    assert tokens[0] == 1 and len(set(tokens)) == 3


def test_mutual_information_equals_brute_force() -> None:
    task = some_task(num_labels=2, verbalizer="mi")
    torch.manual_seed(1)
    examples = [Example(f"{k}", tuple(torch.randperm(6)[:3].tolist()), (int(torch.randint(2, ())),)) for k in range(15)]

    def information(label: int, unit: int) -> float:
        total = 0.0
        pairs = [(label in example.labels, unit in example.units) for example in examples]
        for pair in itertools.product((False, True), repeat=2):
            joint = pairs.count(pair) / len(pairs)
            first, second = (sum(own[k] == pair[k] for own in pairs) / len(pairs) for k in range(2))
            total += joint * torch.log(torch.tensor(joint / (first * second))).item() if joint else 0.0
        together = sum(own == (True, True) for own in pairs) * len(pairs)
        by_chance = sum(own[0] for own in pairs) * sum(own[1] for own in pairs)
        return total if together >= by_chance else -total

    best = max(
        itertools.permutations(range(6), 2),
        key=lambda units: sum(information(label, unit) for label, unit in enumerate(units)),
    )
    assert _map(task, examples, 6).tokens == best


@pytest.mark.parametrize("kind", ["random", "freq", "mi"])
def test_more_labels_than_units_are_refused_where_each_needs_one(kind: str) -> None:
    with pytest.raises(SpeechkitError, match="9 labels do not fit 8 units of their own") as caught:
        _map(some_task(num_labels=9, verbalizer=kind), EXAMPLES)
    assert "verbalizer: linear" in caught.value.hint
    assert len(_map(some_task(num_labels=9, verbalizer="linear"), EXAMPLES).tokens) == 9


def test_the_end_of_a_sequence_is_that_of_the_language_model() -> None:
    task = some_task(num_labels=3, verbalizer="freq", kind="sequence")
    assert _map(task, EXAMPLES).tokens == (5, 2, 1, 8)


@pytest.mark.parametrize("kind", ["linear", "hidden", "freq"])
def test_log_probs_sum_to_one_over_the_labels(kind: str) -> None:
    lm = random_lm()
    torch.manual_seed(0)
    label_map = _map(some_task(num_labels=5, verbalizer=kind), EXAMPLES)
    verbalizer = Verbalizer(label_map, num_tokens=lm.num_tokens, dim=lm.config.dim)
    states_BUD = torch.randn(3, 4, 16)
    found = verbalizer(states_BUD, lm)
    assert found.shape == (3, 4, 5)
    torch.testing.assert_close(found.exp().sum(-1), torch.ones(3, 4))
    torch.testing.assert_close(verbalizer(states_BUD[:, 1], lm), found[:, 1])
    assert torch.equal(verbalizer.token_of(torch.tensor([0, 4])), torch.tensor(label_map.tokens)[[0, 4]])


def test_a_fixed_verbalizer_reads_the_logits_of_its_units() -> None:
    lm = random_lm()
    verbalizer = Verbalizer(LabelMap("random", (6, 1, 3)), num_tokens=lm.num_tokens, dim=16)
    assert not list(verbalizer.parameters()) and not verbalizer.state_dict()
    states_BD = torch.randn(4, 16)
    torch.testing.assert_close(verbalizer(states_BD, lm), lm.logits(states_BD)[:, [6, 1, 3]].log_softmax(-1))


@torch.no_grad()
def test_the_bits_do_not_depend_on_other_rows_or_padding() -> None:
    lm = random_lm()
    torch.manual_seed(0)
    verbalizer = Verbalizer(LabelMap("linear", (1, 2, 3, 4, 5)), num_tokens=lm.num_tokens, dim=16)
    states_BD = torch.randn(40, 16)
    whole = verbalizer(states_BD, lm)
    for size in (1, 2, 3, 7, 33):
        assert torch.equal(verbalizer(states_BD[:size], lm), whole[:size])
    readout = verbalizer.readout()
    wide = type(readout)(
        torch.nn.functional.pad(readout.logit_weight_BVL, (0, 32)), None,
        torch.nn.functional.pad(readout.bias_BL, (0, 32), value=-torch.inf),
    )  # fmt: skip
    assert torch.equal(label_log_probs(states_BD, lm, wide)[:, :5], whole)
