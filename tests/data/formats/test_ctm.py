"""CTM: what is written is read again; every line that is none is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from speechkit.data.formats.ctm import read_ctm, write_ctm
from speechkit.data.formats.fields import is_field, parse_seconds, seconds_text
from speechkit.data.store import Word
from speechkit.errors import SpeechkitError

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=5).filter(is_field)
SECONDS = st.integers(0, 10**12).map(lambda n: n / 1e8)
ITEMS = st.builds(Word, NAMES, SECONDS, SECONDS, st.none() | st.floats(0, 1))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(recordings=st.dictionaries(NAMES, st.lists(ITEMS, min_size=1, max_size=4), min_size=1, max_size=3))
def test_words_come_back_as_they_were(recordings: dict[str, list[Word]], tmp_path: Path) -> None:
    path = tmp_path / "words.ctm"
    num_lines = write_ctm(path, recordings.items())
    assert num_lines == sum(map(len, recordings.values()))
    again, bad = read_ctm(path)
    assert not bad
    assert again == {name: sorted(words, key=lambda w: w.start_seconds) for name, words in recordings.items()}


def test_lines_are_sorted_by_recording_and_start(tmp_path: Path) -> None:
    words = [Word("two", 0.5, 0.25), Word("one", 0.0, 0.5, 0.75)]
    write_ctm(tmp_path / "w.ctm", [("b", words), ("a", [Word("x", 1.0, 0.123456789)]), ("b", [Word("up", 0.25, 0.1)])])
    assert (tmp_path / "w.ctm").read_text().splitlines() == [
        "a 1 1.00 0.12345679 x",
        "b 1 0.00 0.50 one 0.75",
        "b 1 0.25 0.10 up",
        "b 1 0.50 0.25 two",
    ]


@pytest.mark.parametrize("word", [Word("two words", 0, 1), Word("", 0, 1), Word(";;x", 0, 1), Word("a", -0.1, 1)])
def test_a_word_that_a_ctm_can_not_hold_is_refused(tmp_path: Path, word: Word) -> None:
    with pytest.raises(SpeechkitError, match="can not hold"):
        write_ctm(tmp_path / "w.ctm", [("r", [word])])
    assert not list(tmp_path.iterdir())


def test_comments_are_passed_over_and_faulty_lines_named(tmp_path: Path) -> None:
    path = tmp_path / "w.ctm"
    path.write_text(
        ";; note\nr A 0.1 0.2 one\n\nr A 0.3 x two\nr A 0.5\nr B 0.1 0.1 three\nr A -1 1 four\nr A nan 1 five\n"
    )
    recordings, bad = read_ctm(path)
    assert recordings == {"r": [Word("one", 0.1, 0.2)]}
    assert [item.where.rpartition(":")[2] for item in bad] == ["4", "5", "6", "7", "8"]
    assert bad[1].reason == "3 fields, 5 or 6 expected"
    assert bad[2].reason == "a word of channel B: only A is read"


@given(st.integers(0, 10**14))
def test_times_keep_eight_decimals(number: int) -> None:
    text = seconds_text(number / 1e8)
    assert parse_seconds(text) == pytest.approx(number / 1e8, abs=1e-9)
    assert len(text.split(".")[1]) >= 2
    assert text == f"{number / 1e8:.8f}" or f"{number / 1e8:.8f}".startswith(text)
