"""The block of RESULTS.md between the marks."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechkit.errors import SpeechkitError
from speechkit.report.results import END, START, block, update
from speechkit.report.tables import Table

TABLE = Table("WER", ["system", "WER %"], [["plain", "1.00"]])


def test_a_new_file_gets_title_and_block(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    update(path, block([TABLE]), title="Digits")
    text = path.read_text()
    assert text.startswith("# Digits\n\n" + START)
    assert "| plain | 1.00 |" in text
    assert text.endswith(END + "\n")


def test_only_the_block_changes(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    path.write_text(f"# Ours\n\nbefore\n\n{START}\nold\n{END}\n\nafter\n")
    update(path, block([TABLE]), title="ignored")
    text = path.read_text()
    assert text.startswith("# Ours\n\nbefore\n\n")
    assert text.endswith("\n\nafter\n")
    assert "old" not in text


def test_a_file_without_marks_keeps_its_text(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    path.write_text("# Ours\n\ntext\n")
    update(path, block([TABLE]), title="ignored")
    assert path.read_text() == f"# Ours\n\ntext\n\n{block([TABLE])}\n"


@given(before=st.text("ab\n", max_size=20), after=st.text("cd\n", max_size=20))
def test_updating_twice_changes_nothing(tmp_path_factory: pytest.TempPathFactory, before: str, after: str) -> None:
    path = tmp_path_factory.mktemp("r") / "RESULTS.md"
    path.write_text(f"{before}\n{START}\n{END}\n{after}")
    update(path, block([TABLE]), title="")
    once = path.read_text()
    update(path, block([TABLE]), title="")
    assert path.read_text() == once


@pytest.mark.parametrize("text", [START, END, f"{END}\n{START}", f"{START}\n{START}\n{END}"])
def test_torn_marks_are_named_and_nothing_is_written(text: str, tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    path.write_text(text)
    with pytest.raises(SpeechkitError, match=r"RESULTS\.md:1"):
        update(path, block([TABLE]), title="")
    assert path.read_text() == text
