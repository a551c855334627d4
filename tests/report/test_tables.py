"""Rows, means and how tables are shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechkit.errors import ConfigError
from speechkit.report.sources import Run, Score
from speechkit.report.tables import (
    Table,
    as_markdown,
    as_text,
    example_tables,
    mean_table,
    part_tables,
    run_table,
    score_table,
)


def rates(wer: float, **more: Any) -> dict[str, Any]:
    return {"wer": wer, "sub": 7, "ins": 2, "del": 1, "num_ref_words": 100, "num_utterances": 20, **more}


def score(path: str, wer: float, **more: Any) -> Score:
    return Score(Path(path), path, rates(wer, **more))


def test_columns_that_nobody_measured_are_left_out() -> None:
    plain = score_table([score("a", 1.0)])
    assert plain.columns[-1] == "words"
    split = score_table([score("a", 1.0), score("b", 2.0, seen=rates(0.5), unseen=rates(9.0), parrot_rate=0.0)])
    assert split.columns[-3:] == ["seen WER %", "unseen WER %", "parrot %"]
    assert [row[-3:] for row in split.rows] == [["-", "-", "-"], ["0.50", "9.00", "0.00"]]


def test_parts_that_hold_no_utterance_count_as_not_measured() -> None:
    table = score_table([score("a", 1.0, seen=None, unseen=rates(9.0), ci95=None, parrot_rate=None)])
    assert table.rows[0][2] == "-"
    assert table.columns[-1] == "unseen WER %"


@given(st.lists(st.floats(0, 300), min_size=1, max_size=9))
def test_means_lie_between_minimum_and_maximum(values: list[float]) -> None:
    table = mean_table([score(f"exp/plain_{i}/s.json", v) for i, v in enumerate(values)], "(plain)_")
    (row,) = table.rows
    mean, low, high = map(float, [row[2], *row[3].split(" to ")])
    assert row[1] == str(len(values))
    assert low <= mean <= high


def test_means_are_taken_per_captured_name() -> None:
    scores = [score("plain_1", 10.0), score("plain_2", 20.0), score("pasted_1", 5.0)]
    table = mean_table(scores, r"(\w+)_\d")
    assert table.columns == ["systems", "runs", "WER %", "range"]
    assert table.rows == [["plain", "2", "15.00", "10.00 to 20.00"], ["pasted", "1", "5.00", "5.00 to 5.00"]]


def test_means_of_seen_and_unseen_texts_stand_beside_the_parrot_rate() -> None:
    scores = [
        score("plain_1", 10.0, seen=rates(1.0), unseen=rates(20.0), parrot_rate=50.0),
        score("plain_2", 20.0, seen=rates(3.0), unseen=rates(40.0), parrot_rate=100.0),
        score("pasted_1", 5.0, seen=None, unseen=rates(5.0), parrot_rate=0.0),
    ]
    table = mean_table(scores, r"(\w+)_\d")
    assert table.columns[2:] == ["seen WER %", "range", "unseen WER %", "range", "parrot %"]
    assert table.rows == [
        ["plain", "2", "2.00", "1.00 to 3.00", "30.00", "20.00 to 40.00", "75.00"],
        ["pasted", "1", "-", "-", "5.00", "5.00 to 5.00", "0.00"],
    ]


def test_examples_stand_under_their_reference_whatever_the_system() -> None:
    said = {"id": "u1", "ref": "one two"}
    scores = [
        score("plain", 9.0, unseen_examples=[{**said, "hyp": "two two", "is_parrot": True}]),
        score("pasted", 5.0, unseen_examples=[{**said, "hyp": "one two", "is_parrot": False}]),
        score("deaf", 5.0, unseen_examples=[{**said, "hyp": "", "is_parrot": False}]),
        score("old", 5.0),
    ]
    (table,) = example_tables(scores)
    assert table.title == "u1"
    assert table.rows == [
        ["REF", "one two", ""],
        ["plain", "two two", "a training sentence"],
        ["pasted", "one two", "right"],
        ["deaf", "(nothing)", ""],
    ]


@pytest.mark.parametrize(
    "pattern, message", [("(", "not a regular"), ("plain", "0 capture"), ("(zzz)", "matches none")]
)
def test_wrong_group_patterns_are_config_errors(pattern: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        mean_table([score("plain_1", 10.0)], pattern)


def test_groups_of_a_score_become_tables() -> None:
    (table,) = part_tables(score("a", 1.0, groups={"speaker": {"anna": rates(3.0, ci95=[2.0, 4.0]), "": rates(5.0)}}))
    assert table.title == "a by speaker"
    assert [row[:3] for row in table.rows] == [["anna", "3.00", "2.00 to 4.00"], ["(none)", "5.00", "-"]]


def test_runs_are_shown_with_command_config_commit_machine_minutes_and_date() -> None:
    run = Run("speechkit train x", "abc", "c0ffee", "2 x CPU", 1.25, "2026-01-02")
    table = run_table([Score(Path("a"), "a", rates(1.0), run), score("b", 2.0)])
    assert table.rows[0] == ["a", "speechkit train x", "abc", "c0ffee", "2 x CPU", "1.2", "2026-01-02"]
    assert table.rows[1] == ["b", *"------"]


def test_text_and_markdown_line_up() -> None:
    table = Table("T", ["name", "command", "n"], [["a|b", "x y", "1"], ["c", "-", "20"]], 2)
    assert as_text(table) == "name  command   n\na|b   x y       1\nc     -        20"
    assert as_markdown(table).splitlines() == [
        "| name | command | n |",
        "| :-- | :-- | --: |",
        "| a\\|b | `x y` | 1 |",
        "| c | - | 20 |",
    ]
