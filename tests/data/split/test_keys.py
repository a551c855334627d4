"""Which texts count as one: heard alike, or one word apart."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechkit.data.split.keys import (
    ALONE,
    field_value,
    heard_words,
    in_order_of_appearance,
    join_near,
    make_groups,
    text_key,
)


@pytest.mark.parametrize(
    "one, other",
    [
        ("Turn on the light", "turn on the light."),
        ("turn  on\u00a0the light", "TURN ON THE LIGHT!"),
        ("good-bye e-mail", "goodbye email"),
        ("room 12", "room one two"),
        ("It's 5 o'clock", "its five oclock"),
        ("it\u2019s", "it's"),
        ("\uff37\uff4f\uff52\uff44", "word"),
        ("...", " ... "),
    ],
)
def test_texts_that_are_heard_alike_have_one_key(one: str, other: str) -> None:
    assert text_key(one) == text_key(other) != ""


@pytest.mark.parametrize("one, other", [("light", "lights"), ("room 12", "room 13"), ("caf\u00e9", "cafe"), ("?", "!")])
def test_texts_that_are_not_heard_alike_have_two_keys(one: str, other: str) -> None:
    assert text_key(one) != text_key(other)


@given(st.text(st.characters(max_codepoint=127), max_size=30))
def test_plain_texts_are_heard_as_others(text: str) -> None:
    # a character beyond ASCII that is not heard takes the other way
    assert heard_words(text) == heard_words(f"{text} \u2013".replace("`", "^")) or "`" in text


def test_groups_do_not_depend_on_the_order_of_the_utterances() -> None:
    values = ["b c.", "a", "B C", "d", "a"]
    groups = make_groups("text", values)
    assert groups.codes.tolist() == make_groups("text", values[::-1]).codes.tolist()[::-1]
    assert groups.num_values == len(groups.names) == 3
    assert groups.codes[0] == groups.codes[2] and groups.codes[1] == groups.codes[4]


def test_other_keys_are_compared_as_they_are() -> None:
    assert len(make_groups("speaker", ["Anna", "anna"]).names) == 2


def test_an_utterance_without_words_is_a_group_of_its_own() -> None:
    assert len(make_groups("text", [f"{ALONE}utt 1", f"{ALONE}utt 2", "utt one"], near_words=1).names) == 3


def test_priorities_are_those_of_the_name_and_the_seed_alone() -> None:
    few, many = make_groups("speaker", ["b", "d"]), make_groups("speaker", ["a", "b", "c", "d"])
    assert few.priorities(7).tolist() == many.priorities(7)[[1, 3]].tolist()
    assert few.priorities(7).tolist() != few.priorities(8).tolist()


def test_texts_one_word_apart_are_joined_from_a_length_on() -> None:
    texts = [
        "turn on the big light",
        "turn on the big lamp",
        "turn on the light",
        "big light",
        "big lamp",
        "go home now",
    ]
    assert make_groups("text", texts).num_values == 6
    joined = make_groups("text", texts, near_words=4)
    codes = joined.codes.tolist()
    assert codes[0] == codes[1] == codes[2] and len(set(codes)) == 4
    longer = make_groups("text", texts, near_words=5).codes.tolist()
    assert longer[0] == longer[1] != longer[2]


def _distance(one: list[str], other: list[str]) -> int:
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, start=1):
        previous, row[0] = row[0], i
        for j, b in enumerate(other, start=1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (a != b))
    return row[-1]


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=5), min_size=1, max_size=8), st.integers(1, 4))
def test_near_texts_are_those_within_one_edit(texts: list[list[str]], shortest: int) -> None:
    labels = list(range(len(texts)))
    for i, j in combinations(range(len(texts)), 2):
        if min(len(texts[i]), len(texts[j])) >= shortest and _distance(texts[i], texts[j]) <= 1:
            labels = [labels[i] if label == labels[j] else label for label in labels]
    assert join_near(texts, shortest).tolist() == in_order_of_appearance(np.array(labels)).tolist()


def test_fields_come_from_the_supervision_its_custom_fields_or_those_of_the_cut() -> None:
    supervision = {"text": "a", "speaker": "anna", "recording_id": "r1", "custom": {"age": 7, "box": {}}}
    cut = {"id": "u1", "custom": {"session": "s1", "age": 9}}
    values = [field_value(name, supervision, cut) for name in ("text", "speaker", "recording", "age", "session")]
    assert values == ["a", "anna", "r1", "7", "s1"]
    assert field_value("gender", supervision, cut) is None and field_value("box", supervision, cut) is None
