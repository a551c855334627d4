"""Texts for synthetic corpora."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechkit.data.sentences import (
    DIGITS,
    NUM_TO_COVER,
    TEMPLATES,
    VOCABULARY,
    WORDS,
    make_digit_strings,
    make_sentences,
    normalise,
    read_sentences,
)
from speechkit.data.store import make_cut, save_cuts
from speechkit.errors import SpeechkitError

KIND = {word: kind for kind, words in WORDS.items() for word in words}


def test_the_vocabulary_has_49_different_words() -> None:
    assert len(VOCABULARY) == len(set(VOCABULARY)) == 49


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**40), num_sentences=st.integers(NUM_TO_COVER, 80))
def test_sentences_cover_the_vocabulary_and_differ(seed: int, num_sentences: int) -> None:
    sentences = make_sentences(num_sentences, seed)
    assert len(set(sentences)) == num_sentences
    assert {word for text in sentences[:NUM_TO_COVER] for word in text.split()} == set(VOCABULARY)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**40), other=st.integers(0, 2**40))
def test_excluded_sentences_are_never_made_and_all_words_still_occur(seed: int, other: int) -> None:
    exclude = make_sentences(NUM_TO_COVER, seed) + make_sentences(NUM_TO_COVER, other)
    sentences = make_sentences(NUM_TO_COVER, seed, exclude=exclude)
    assert not set(sentences) & set(exclude)
    assert {word for text in sentences for word in text.split()} == set(VOCABULARY)


def test_sentences_follow_the_templates_without_repeated_words() -> None:
    for index, text in enumerate(make_sentences(70, 3)):
        words = text.split()
        assert " ".join(KIND[word] for word in words) == TEMPLATES[index % len(TEMPLATES)]
        assert len(set(words)) == len(words)


def test_more_sentences_begin_with_the_same_ones() -> None:
    assert make_sentences(50, 4)[:20] == make_sentences(20, 4) != make_sentences(20, 5)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**40), low=st.integers(2, 5), more=st.integers(0, 4))
def test_digit_strings_have_the_asked_lengths_and_differ(seed: int, low: int, more: int) -> None:
    strings = make_digit_strings(40, (low, low + more), seed)
    assert len(set(strings)) == 40
    assert all(low <= len(text.split()) <= low + more for text in strings)
    assert {word for text in strings for word in text.split()} <= set(DIGITS)


def test_all_ten_single_digits_can_be_asked_for_but_not_eleven() -> None:
    assert sorted(make_digit_strings(10, (1, 1), 0)) == sorted(DIGITS)
    with pytest.raises(SpeechkitError, match="at most 10"):
        make_digit_strings(11, (1, 1), 0)
    with pytest.raises(SpeechkitError, match="only 9 of 10"):
        make_digit_strings(10, (1, 1), 0, exclude=["five"])


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        ("Hello,  World!", "hello world"),
        ("it\u2019s a well-known \u201cthing\u201d", "it's a well known thing"),
        ("  ", ""),
    ],
)
def test_normalise(given_text: str, expected: str) -> None:
    assert normalise(given_text) == expected


def test_a_text_file_is_read_once_per_sentence_in_order(tmp_path: Path) -> None:
    path = tmp_path / "texts"
    path.write_text("Two birds.\n\none bird\ntwo birds\n", encoding="utf-8")
    assert read_sentences(path) == ["two birds", "one bird"]


def test_a_manifest_gives_its_transcripts(tmp_path: Path) -> None:
    cuts = [
        make_cut(f"u{n}", Path(f"u{n}.flac"), sampling_rate=8000, num_samples=80, text=text, speaker="s")
        for n, text in enumerate(["ONE two", "three", "one two"])
    ]
    save_cuts(cuts, tmp_path / "cuts.jsonl.gz")
    assert read_sentences(tmp_path / "cuts.jsonl.gz") == read_sentences(tmp_path) == ["one two", "three"]


def test_texts_that_cannot_be_said_are_all_named_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "texts"
    path.write_text("fine\nbuy 12 eggs\ncaf\u00e9\na ' b\nfine too\n", encoding="utf-8")
    with pytest.raises(SpeechkitError, match="3 of 5 texts") as caught:
        read_sentences(path)
    assert [line.split()[0] for line in caught.value.where] == [f"{path}:{line}" for line in (2, 3, 4)]
    assert "holds 1 2" in caught.value.where[0]
    assert "spell numbers" in caught.value.hint


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "does not exist"), (b"", "holds no text"), (b" \n\n", "holds no text"), (b"\xff\xfe\x00", "UTF-8")],
)
def test_unusable_text_files_are_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "texts"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SpeechkitError, match=message):
        read_sentences(path)


def test_a_grammar_without_further_sentences_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("speechkit.data.sentences.WORDS", {kind: words[:1] for kind, words in WORDS.items()})
    monkeypatch.setattr("speechkit.data.sentences.TEMPLATES", ("DET NOUN RUNS",))
    with pytest.raises(SpeechkitError, match="no further new sentence"):
        make_sentences(2, 0)
