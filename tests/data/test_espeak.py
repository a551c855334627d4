"""Speech from espeak-ng: the same bytes in any order, and word times that are true."""

from __future__ import annotations

import itertools
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechkit.data import espeak
from speechkit.data.espeak import Event, Mark, Setting, Spoken, UntimedTextError, speak, spoken_phones, time_words
from speechkit.data.sentences import make_sentences
from speechkit.data.voices import GENDER
from speechkit.errors import ConfigError, SpeechkitError

TEXT = "this happy woman paints your bird"


@pytest.fixture(autouse=True)
def engine() -> None:
    pytest.importorskip("espeakng_loader", reason="pip install -e '.[synth]'")


def timed(text: str, setting: Setting) -> tuple[list[Mark], list[Mark], Spoken]:
    spoken = speak(text, setting, seed=1)
    words, phones = time_words(text, spoken, lambda word: spoken_phones(speak(word, setting, seed=0)))
    return words, phones, spoken


def no_phones(word: str) -> Sequence[str]:
    raise AssertionError(f"{word} must not be said alone")


@pytest.mark.parametrize("voice", ["en-us+f2", "en+croak", "en-gb-scotland+klatt3"])
def test_what_was_said_before_does_not_change_the_samples(voice: str) -> None:
    first = speak(TEXT, Setting(voice), seed=7)
    for other in ("en-us+f5", "en-029+m1", voice):
        speak("something else altogether", Setting(other, rate=90), seed=3)
    again = speak(TEXT, Setting(voice), seed=7)
    assert np.array_equal(first.samples, again.samples)
    assert first.events == again.events


def test_the_seed_decides_the_noise_in_a_breathy_voice() -> None:
    first, second = (speak(TEXT, Setting("en-us+f2"), seed=seed).samples for seed in (1, 2))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("place", [1, 2, 3, 5])
def test_the_samples_before_a_stressed_word_do_not_depend_on_it(place: int) -> None:
    setting = Setting("en-us+m3", word_gap_ms=100)
    changed = TEXT.split()
    changed[place] = "salt"
    words, _, spoken = timed(TEXT, setting)
    _, _, other = timed(" ".join(changed), setting)
    size = min(len(spoken.samples), len(other.samples))
    first_difference = int(np.flatnonzero(spoken.samples[:size] != other.samples[:size])[0])
    assert 0 <= first_difference - words[place].start <= 0.02 * espeak.ENGINE_RATE


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), voice=st.sampled_from(["en-us+f3", "en-gb-x-rp+m2", "en-029+pablo"]))
def test_words_and_phones_fill_the_utterance_in_order(seed: int, voice: str) -> None:
    text = make_sentences(1, seed)[0]
    words, phones, spoken = timed(text, Setting(voice, rate=180))
    assert [word.symbol for word in words] == text.split()
    for marks in (words, phones):
        assert all(mark.start < mark.end for mark in marks)
        assert all(left.end <= right.start for left, right in itertools.pairwise(marks))
    starts, ends = {phone.start for phone in phones}, {phone.end for phone in phones}
    assert all(word.start in starts and word.end in ends for word in words)
    assert words[-1].end <= len(spoken.samples)


def test_a_word_ends_where_the_pause_begins() -> None:
    fluent, _, _ = timed(TEXT, Setting("en-us+m1"))
    words, phones, _ = timed(TEXT, Setting("en-us+m1", word_gap_ms=200))
    assert all(left.end == right.start for left, right in itertools.pairwise(fluent))
    assert all(right.start - left.end > 1000 for left, right in itertools.pairwise(words))
    assert not any(phone.symbol.startswith("_") for phone in phones)


def test_pairs_that_are_one_dictionary_entry_are_divided_by_their_phones() -> None:
    words, phones, spoken = timed("the end of the story", Setting("en-us+f3"))
    assert sum(event.kind == "word" for event in spoken.events) == 4
    assert [word.symbol for word in words] == ["the", "end", "of", "the", "story"]
    inside = [phone.symbol for phone in phones if words[3].start <= phone.start < words[3].end]
    assert inside[0] == "D" and words[2].end == words[3].start


def test_pairs_with_other_phones_than_their_words_are_refused() -> None:
    with pytest.raises(UntimedTextError, match="could have"):
        timed("you could have told me", Setting("en-us+f3"))


def spoken_with(*events: tuple[str, int, int, str]) -> Spoken:
    return Spoken(np.zeros(1000, np.int16), tuple(Event(*event) for event in events))


def test_times_come_from_events_and_pauses() -> None:
    spoken = spoken_with(
        ("word", 10, 0, ""),
        ("phone", 30, 0, "'a"),
        ("phone", 100, 0, "_:"),
        ("word", 200, 2, ""),
        ("phone", 200, 2, "b"),
        ("phone", 300, 2, ";"),
        ("phone", 300, 2, "i"),
        ("phone", 400, 4, "_"),
        ("end", 500, 4, ""),
    )
    words, phones = time_words("a b", spoken, no_phones)
    assert words == [Mark("a", 10, 100), Mark("b", 200, 400)]
    assert phones == [Mark("a", 10, 100), Mark("b", 200, 300), Mark("i", 300, 400)]


@pytest.mark.parametrize(
    ("text", "events"),
    [
        ("a b", [("word", 0, 0, ""), ("phone", 0, 0, "a"), ("end", 50, 3, "")]),
        (
            "ab",
            [("word", 0, 0, ""), ("phone", 0, 0, "a"), ("word", 9, 1, ""), ("phone", 9, 1, "b"), ("end", 50, 2, "")],
        ),
        ("a b", [("word", 0, 2, ""), ("phone", 0, 2, "b"), ("end", 50, 3, "")]),
        ("a b", [("word", 0, 0, ""), ("phone", 0, 0, "a"), ("word", 9, 2, ""), ("end", 50, 3, "")]),
        ("a", [("word", 0, 0, ""), ("phone", 0, 0, "a"), ("word", 9, 0, ""), ("phone", 9, 0, "a"), ("end", 50, 1, "")]),
        ("a", []),
    ],
    ids=["merged", "within a word", "first missing", "no phones", "twice", "silent"],
)
def test_events_that_do_not_fit_the_words_are_refused(text: str, events: list[tuple[str, int, int, str]]) -> None:
    with pytest.raises(UntimedTextError):
        time_words(text, spoken_with(*events), lambda word: ["x", "y"])


def test_every_voice_variant_is_in_the_data_of_the_engine() -> None:
    _, data = espeak.engine_files()
    known = {path.name for path in (data / "voices" / "!v").iterdir()}
    assert set(GENDER) <= known
    for name, gender in GENDER.items():
        text = (data / "voices" / "!v" / name).read_text(encoding="utf-8", errors="replace").lower()
        stated = next((line.split()[1] for line in text.splitlines() if line.startswith("gender")), None)
        assert stated == gender, name


def test_an_interrupt_waits_for_the_end_of_the_utterance(monkeypatch: pytest.MonkeyPatch) -> None:
    reached = []
    collector = espeak._collector

    def interrupted_collector(pcm: list[bytes], events: list[Event]) -> Any:
        signal.raise_signal(signal.SIGINT)
        reached.append("engine goes on")
        return collector(pcm, events)

    monkeypatch.setattr(espeak, "_collector", interrupted_collector)
    with pytest.raises(KeyboardInterrupt):
        speak(TEXT, Setting("en"), seed=0)
    assert reached == ["engine goes on"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_unknown_voice_is_named() -> None:
    with pytest.raises(SpeechkitError, match="no voice `xx-none`"):
        speak(TEXT, Setting("xx-none"), seed=0)


def test_the_engine_is_identified() -> None:
    identity = espeak.engine_identity()
    assert identity["version"].startswith("1.") and len(identity["library_sha256"]) == 64


@pytest.fixture
def without_engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    espeak.engine_files.cache_clear()
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    yield
    espeak.engine_files.cache_clear()


def test_a_missing_engine_names_the_extra(without_engine: None) -> None:
    with pytest.raises(ConfigError, match=r"espeakng-loader[\s\S]*\[synth\]"):
        speak(TEXT, Setting("en"), seed=0)
