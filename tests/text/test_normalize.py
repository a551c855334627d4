"""When two texts are the same prompt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechkit.text.normalize import prompt_key


@pytest.mark.parametrize(
    "one, other",
    [
        ("Hello,  World!", "hello world"),
        ("don\u2019t go.", "DON'T GO"),
        ("'quoted' words", "quoted words"),
        ("rock-n-roll", "rock n roll"),
        ("stra\u00dfe", "STRASSE"),
        ("cafe\u0301", "CAF\u00c9"),
        ("a\u00a0b", "a b"),
        ("\u201cyes\u201d\u2014no", "yes no"),
    ],
)
def test_texts_that_sound_the_same_have_one_key(one: str, other: str) -> None:
    assert prompt_key(one) == prompt_key(other)


@pytest.mark.parametrize(
    "one, other", [("one two", "two one"), ("its", "it's"), ("3 + 4", "3 4"), ("resume", "r\u00e9sum\u00e9")]
)
def test_texts_that_sound_different_have_different_keys(one: str, other: str) -> None:
    assert prompt_key(one) != prompt_key(other)


@given(st.text(max_size=12))
def test_a_key_is_its_own_key(text: str) -> None:
    key = prompt_key(text)
    assert prompt_key(key) == key
    assert key == " ".join(key.split())


def test_punctuation_alone_has_no_key() -> None:
    assert prompt_key(" ... -- '' ") == ""
