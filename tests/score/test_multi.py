"""Conversations of several speakers: reading turns, and rates worked out by hand."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from speechkit.errors import ConfigError, SpeechkitError
from speechkit.score.config import MultiConfig
from speechkit.score.multi import METRICS, score_multi
from speechkit.score.turns import Turn, read_turns

Run = Callable[..., Any]
REF = """s1 1 anna 0 2 one two
s1 1 bob 2 4 three four
s1 1 anna 4 6 five six
s2 1 carl 0 2 seven
s2 1 dora 1 3 eight nine
"""
# streams swapped in s1 and a word wrong; in s2 the second speaker is on the stream of the first
HYP = [
    ("s1", "x", "three four", 2.0, 4.0),
    ("s1", "y", "one too five six", 0.0, 6.0),
    ("s2", "x", "seven eight nine", 0.0, 3.0),
]
# metric: (sub, del, ins) of s1 and of s2, worked out by hand
BY_HAND = {
    "cpwer": ((1, 0, 0), (0, 1, 1)),
    "orcwer": ((1, 0, 0), (0, 0, 0)),
    "mimower": ((1, 0, 0), (0, 0, 0)),
}


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "ref.stm").write_text(REF)
    keys = ("session_id", "speaker", "words", "start_time", "end_time")
    (tmp_path / "hyp.json").write_text(json.dumps([dict(zip(keys, turn, strict=True)) for turn in HYP]))
    return tmp_path / "ref.stm", tmp_path / "hyp.json"


@pytest.mark.parametrize("metric", BY_HAND)
def test_rates_are_those_worked_out_by_hand(files: tuple[Path, Path], metric: str) -> None:
    pytest.importorskip("meeteval", reason="the extra meeteval is not installed; it is built with a C++ compiler")
    found = score_multi(*files, MultiConfig(metrics=(metric,)))["metrics"][metric]  # type: ignore[arg-type]
    assert [tuple(row[k] for k in ("sub", "del", "ins")) for row in found["sessions"]] == list(BY_HAND[metric])
    assert [row["num_ref_words"] for row in found["sessions"]] == [6, 3]
    errors = sum(sum(counts) for counts in BY_HAND[metric])
    assert found["errors"] == errors and found["rate"] == pytest.approx(100 * errors / 9, abs=1e-4)


def test_every_metric_is_known_to_meeteval_and_times_count(files: tuple[Path, Path]) -> None:
    pytest.importorskip("meeteval", reason="the extra meeteval is not installed; it is built with a C++ compiler")
    late = json.loads(files[1].read_text())
    late[0] |= {"start_time": 202.0, "end_time": 204.0}
    files[1].write_text(json.dumps(late))
    found = score_multi(*files, MultiConfig(metrics=tuple(METRICS)))["metrics"]  # type: ignore[arg-type]
    assert list(found) == list(METRICS)
    assert found["cpwer"]["errors"] == 3 and found["tcpwer"]["errors"] == 3 + 4


def test_the_command_prints_sessions_and_intervals(run_speechkit: Run, files: tuple[Path, Path]) -> None:
    pytest.importorskip("meeteval", reason="the extra meeteval is not installed; it is built with a C++ compiler")
    out = files[0].parent / "out.json"
    result = run_speechkit("score", "multi", *files, "--metric", "cpwer,orcwer", "--json", out)
    assert result.exit_code == 0, result.stderr
    assert "  s1" in result.stdout and "by session (2)" in result.stdout
    found = json.loads(out.read_text())["metrics"]["cpwer"]
    low, high = found["ci"]["rate"]
    assert 16 < low <= found["rate"] <= high < 67
    assert found["sessions"][0]["assignment"] == [["anna", "y"], ["bob", "x"]]
    assert found["sessions"][1]["missed_speakers"] == 1


def test_missing_sessions_are_refused_counted_or_left_out(files: tuple[Path, Path]) -> None:
    pytest.importorskip("meeteval", reason="the extra meeteval is not installed; it is built with a C++ compiler")
    turns = json.loads(files[1].read_text())
    files[1].write_text(json.dumps([turns[2], {**turns[0], "session_id": "s9"}]))
    with pytest.raises(SpeechkitError, match="1 sessions have no hypothesis, 1 have no reference") as caught:
        score_multi(*files, MultiConfig())
    assert caught.value.where[0] == f"{files[0]}:1  s1  no hypothesis"
    rows = score_multi(*files, MultiConfig(missing="delete"))["metrics"]["cpwer"]["sessions"]
    assert [row["del"] for row in rows] == [6, 1] and rows[0]["is_missing"]
    assert score_multi(*files, MultiConfig(missing="skip"))["metrics"]["cpwer"]["num_sessions"] == 1


def test_without_meeteval_the_extra_is_named(
    run_speechkit: Run, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "meeteval", None)
    for name in [name for name in sys.modules if name.startswith("meeteval.")]:
        monkeypatch.delitem(sys.modules, name)
    result = run_speechkit("score", "multi", *files)
    assert result.exit_code == 2 and "pip install -e '.[meeteval]'" in result.stderr


def test_turns_are_read_from_every_format(tmp_path: Path) -> None:
    (tmp_path / "a.stm").write_text("s A x 5 6 <o> late\ns B y 0 1 early\ns A x 7 8 IGNORE_TIME_SEGMENT_IN_SCORING\n")
    (tmp_path / "a.ctm").write_text("s A 0 0.5 one\n")
    (tmp_path / "a.jsonl").write_text('{"session_id": "s", "speaker": "x", "words": "one two"}\n\n')
    assert [(t.speaker, t.words, t.start) for t in read_turns(tmp_path / "a.stm")] == [
        ("x", "late", 5),
        ("y", "early", 0),
    ]
    assert read_turns(tmp_path / "a.ctm") == [Turn("s", "a", "one", 0.0, 0.5, f"{tmp_path / 'a.ctm'}:1")]
    assert read_turns(tmp_path / "a.jsonl") == [Turn("s", "x", "one two", None, None, f"{tmp_path / 'a.jsonl'}:1")]


FAULTS = {
    "name": ("x.trn", "one (a)\n", "has no known format", ""),
    "empty": ("x.stm", ";; nothing\n", "holds no lines", ""),
    "empty list": ("x.json", "[]", "holds no turns", ""),
    "empty json": ("x.json", "", "holds no turns", ""),
    "object": ("x.json", "{}", "no list of segments", ""),
    "not json": ("x.jsonl", '{"session_id": "s", "speaker": "x", "words": ""}\n{\n', "not valid JSON", "x.jsonl:2"),
    "no speaker": ("x.json", '[{"session_id": "s", "words": ""}]', "malformed", "segment 1  the field `speaker`"),
    "times": (
        "x.jsonl",
        '{"session_id": "s", "speaker": "x", "words": "", "start_time": 3, "end_time": 1}\n',
        "malformed",
        "x.jsonl:1  ends at 1 s, before it starts at 3 s",
    ),
    "one time": (
        "x.jsonl",
        '{"session_id": "s", "speaker": "x", "words": "", "end_time": 1}\n',
        "malformed",
        "only one of",
    ),
    "alternatives": ("x.stm", "s A x 0 1 { a / b }\n", "1 turns have alternatives", "x.stm:1"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_turns_are_named(tmp_path: Path, fault: str) -> None:
    name, content, what, where = FAULTS[fault]
    (tmp_path / name).write_text(content)
    with pytest.raises(SpeechkitError, match=what) as caught:
        read_turns(tmp_path / name)
    assert where in "\n".join(caught.value.where)


def test_time_constrained_metrics_need_times(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"session_id": "s", "speaker": "x", "words": "one"}\n')
    with pytest.raises(SpeechkitError, match="2 turns have no times"):
        score_multi(tmp_path / "x.jsonl", tmp_path / "x.jsonl", MultiConfig(metrics=("tcpwer",)))


def test_rules_that_write_alternatives_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.stm").write_text("s A x 0 1 one\n")
    (tmp_path / "rules").write_text("one => { one / 1 }\n")
    with pytest.raises(ConfigError, match="write alternatives"):
        score_multi(tmp_path / "x.stm", tmp_path / "x.stm", MultiConfig(normalize=tmp_path / "rules"))
