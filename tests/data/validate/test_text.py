"""What is wrong with a transcript, how it is repaired, and what the rule of a set is."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechkit.data.validate.text import (
    DIGITS,
    LOWER,
    MIXED,
    PUNCTUATED,
    UPPER,
    check_text,
    needed_frames,
    num_symbols,
    repair_text,
    show,
    style_of,
)
from speechkit.kernels.ctc import required_frames

REPAIRED = {"text-spaces", "text-control", "text-composition", "text-markup", "text-blanks"}


def kinds(text: str) -> list[str]:
    return [kind for kind, _ in check_text(text)]


@pytest.mark.parametrize(
    "text",
    [
        "one two three",
        "I'D LIKE A ROCK-AND-ROLL BAND",
        "Printing, in the only sense!",
        "\u6570\u5b57",
        "na\u00efve caf\u00e9 stra\u00dfe",
        "\u043f\u0440\u0438\u0432\u0435\u0442 \u043c\u0438\u0440",
        "\u039a\u03b1\u03bb\u03b7\u03bc\u03ad\u03c1\u03b1",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # a zero-width non-joiner belongs to Persian words
        "\u0939\u093f\u0928\u094d\u0926\u0940",
        "<noise> yes [laughter]",
        "r & b",
        "null",  # zero in German
    ],
)
def test_sound_texts_of_many_languages_have_no_fault(text: str) -> None:
    assert kinds(text) == []


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "text-empty"),
        (" \u00a0 ", "text-empty"),
        ("...", "text-empty"),
        ("one\u00a0two", "text-spaces"),
        ("one\u200btwo", "text-spaces"),
        ("one\ttwo", "text-spaces"),
        ("one\x00two", "text-control"),
        ("one\ntwo", "text-control"),
        ("caf\ufffd", "text-encoding"),
        ("caf\u00c3\u00a9", "text-encoding"),
        ("it\u00e2\u20ac\u2122s", "text-encoding"),
        ("cafe\u0301", "text-composition"),
        ("rock &amp; roll", "text-markup"),
        ("it&#39;s", "text-markup"),
        ("\u0430pple pie", "text-scripts"),
        ("nan", "text-placeholder"),
        ("one  two", "text-blanks"),
        (" one two", "text-blanks"),
    ],
)
def test_a_fault_of_a_text_is_named(text: str, kind: str) -> None:
    assert kinds(text) == [kind]


@given(
    st.text(
        alphabet=st.one_of(st.sampled_from("ab &;#39amp.,\u00a0\u200b\u0301\x07\t-'"), st.characters()), max_size=20
    )
)
def test_a_repaired_text_needs_no_further_repair(text: str) -> None:
    once = repair_text(text, case=0, without_punctuation=False)
    assert not REPAIRED & {kind for kind in kinds(once) if once} - ({"text-markup"} if "&" in text else set())
    assert repair_text(once, case=0, without_punctuation=False) == once or "&" in once


@given(
    st.text(alphabet=string.ascii_letters + "1 .,!?'-\u00e9", min_size=1, max_size=30), st.sampled_from([LOWER, UPPER])
)
def test_repair_brings_a_text_to_the_rule_of_its_set(text: str, case: int) -> None:
    repaired = repair_text(text, case=case, without_punctuation=True)
    assert style_of(repaired) & MIXED in (0, case)
    assert not style_of(repaired) & PUNCTUATED
    letters = [c for c in text if c.isalnum()]
    assert [c.lower() for c in repaired if c.isalnum()] == [c.lower() for c in letters]


def test_tags_keep_their_case_and_their_brackets() -> None:
    assert repair_text("Yes, <UNK> [Noise] no.", case=LOWER, without_punctuation=True) == "yes <UNK> [Noise] no"
    assert style_of("yes <UNK>") == LOWER


@pytest.mark.parametrize(
    ("text", "style"),
    [
        ("one two", LOWER),
        ("ONE TWO", UPPER),
        ("One two", MIXED),
        ("\u6570\u5b57", 0),
        ("it's 3.5 o'clock", LOWER | DIGITS),
        ("yes.", LOWER | PUNCTUATED),
        ("well, yes", LOWER | PUNCTUATED),
        ("twenty-one", LOWER),
        ("\u00bfqu\u00e9?", LOWER | PUNCTUATED),
    ],
)
def test_style_is_case_punctuation_and_digits(text: str, style: int) -> None:
    assert style_of(text) == style


def test_ideographs_and_syllables_take_longer_than_letters() -> None:
    assert num_symbols("one two") == 6
    assert num_symbols("\u6570\u5b57") == 8
    assert num_symbols("\u304b\u306a") == 4


@given(st.lists(st.integers(1, 3), max_size=30))
def test_frames_for_ctc_are_those_that_training_needs(tokens: list[int]) -> None:
    assert needed_frames(tokens) == required_frames(tokens)


def test_messages_show_invisible_characters_and_stay_short() -> None:
    assert show("a\u00a0b\x07") == '"a\\xa0b\\x07"'
    assert len(show("x" * 500)) <= 62
