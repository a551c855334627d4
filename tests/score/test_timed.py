"""CTM and STM: sclite's counts on NIST's inputs, and the faults."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from speechkit.errors import SpeechkitError
from speechkit.score.timed import pair_stm_ctm, read_ctm, read_stm

Run = Callable[..., Any]
OPTIONS = ("--case", "ascii", "--ties", "sclite", "--missing", "delete")
RUNS = {
    "stm_ctm": ("lvc_ref.stm", "lvc_hyp.ctm", (), (61, 540, 226, 171)),
    "stm_ctm_frag_optdel": ("lvc_ref.stm", "lvc_hyp.ctm", ("--fragments", "--optional-words"), (61, 539, 227, 170)),
    "reduced": ("lvc_refr.stm", "lvc_hypr.ctm", (), (30, 143, 413, 59)),
    "ctm_ctm_timemediated": ("tima_ref.ctm", "tima_hyp.ctm", ("--by-time",), (22, 269, 130, 68)),
}


@pytest.mark.parametrize("run", RUNS)
def test_nists_time_marked_inputs_have_sclites_counts(
    corpus_root: Path, tmp_path: Path, run_speechkit: Run, run: str
) -> None:
    folder = corpus_root / "scoring" / "sctk"
    ref, hyp, extra, (num, sub, dele, ins) = RUNS[run]
    row = next(
        r.split("\t") for r in (folder / "expected" / "totals.tsv").read_text().splitlines() if r.startswith(run + "\t")
    )
    assert row[4:] == [str(v) for v in (sub, dele, ins)]
    result = run_speechkit("score", "wer", folder / ref, folder / hyp, *OPTIONS, *extra, "--json", tmp_path / "x.json")
    assert result.exit_code == 0, result.stderr
    found = json.loads((tmp_path / "x.json").read_text())
    assert [found[k] for k in ("num_utterances", "sub", "del", "ins")] == [num, sub, dele, ins]


def test_a_word_belongs_to_the_segment_that_holds_its_middle(tmp_path: Path) -> None:
    (tmp_path / "r.stm").write_text(";; x\nf A s1 0 1 <O> one\nf A s2 1 2 two three\nf A s1 2 3\n")
    (tmp_path / "h.ctm").write_text("f a 0.0 0.9 one 0.5\nf a 0.9 0.4 two\nf a 1.4 0.4 three\nf a 3.5 0.1 late\n")
    ref, hyp = pair_stm_ctm(tmp_path / "r.stm", tmp_path / "h.ctm")
    assert ref.ids == hyp.ids == ["s1-000", "s2-000", "s1-001"]
    assert (ref.texts(), hyp.texts()) == (["one", "two three", ""], ["one", "two three", "late"])
    assert ref.fields["speaker"] == ["s1", "s2", "s1"] and ref.fields["labels"] == ["O", "", ""]


def test_alternatives_of_a_ctm_stay_together(tmp_path: Path) -> None:
    lines = ["* * <ALT_BEGIN>", "1.0 0.2 um", "* * <ALT>", "* * <ALT_END>", "1.5 0.1 yes"]
    (tmp_path / "x.ctm").write_text("".join(f"f A {line}\n" for line in lines))
    assert [item.text for item in read_ctm(tmp_path / "x.ctm")["f", "a"]] == ["{ um / @ }", "yes"]


CTM_FAULTS = {
    "column": ("f A 0 1\n", "malformed", ":1  no word"),
    "columns": ("f\n", "malformed", ":1  1 columns only"),
    "time": ("f A 0 1 a\nf A x 1 b\n", "malformed", ":2  `x` is no time"),
    "not a number": ("f A nan 1 b\n", "malformed", ":1  `nan` is no time"),
    "negative": ("f A 0 -1 b\n", "malformed", ":1  the duration -1 is negative"),
    "alternative": ("f A 0 1 <ALT>\n", "malformed", ":1  no <ALT_BEGIN> before it"),
    "open": ("f A * * <ALT_BEGIN>\nf A 0 1 a\n", "malformed", ":1  alternatives are never closed"),
    "order": ("f A 5 1 a\nf A 0 1 b\n", "out of order", ":2  starts at 0 s, the line before at 5 s"),
    "empty": (";; nothing\n", "holds no lines", ""),
}


@pytest.mark.parametrize("fault", CTM_FAULTS)
def test_faults_of_a_ctm_are_named_with_their_line(tmp_path: Path, fault: str) -> None:
    text, what, where = CTM_FAULTS[fault]
    (tmp_path / "x.ctm").write_text(text)
    with pytest.raises(SpeechkitError, match=what) as caught:
        read_ctm(tmp_path / "x.ctm")
    assert where in "\n".join(caught.value.where)


def test_a_segment_that_ends_before_it_starts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.stm").write_text("f A s 0 1 a\nf A s 3 2 b\n")
    with pytest.raises(SpeechkitError) as caught:
        read_stm(tmp_path / "x.stm")
    assert ":2  ends at 2 s, before it starts at 3 s: f A s 3 2 b" in caught.value.where[0]


def test_a_channel_on_one_side_only_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r.stm").write_text("f A s 0 1 a\ng A s 0 1 b\n")
    (tmp_path / "h.ctm").write_text("f A 0 1 a\n")
    with pytest.raises(SpeechkitError, match="1 channels have no hypothesis"):
        pair_stm_ctm(tmp_path / "r.stm", tmp_path / "h.ctm")
    assert pair_stm_ctm(tmp_path / "r.stm", tmp_path / "h.ctm", missing="delete")[1].texts() == ["a", ""]
    assert pair_stm_ctm(tmp_path / "r.stm", tmp_path / "h.ctm", missing="skip")[1].texts() == ["a"]


def test_lines_a_little_out_of_order_are_counted(tmp_path: Path, run_speechkit: Run) -> None:
    (tmp_path / "r.stm").write_text("f A s 0 9 a b c\n")
    (tmp_path / "h.ctm").write_text("f A 0.5 .2 a\nf A 0.4 .2 b\nf A 2 .2 c\n")
    result = run_speechkit("score", "wer", tmp_path / "r.stm", tmp_path / "h.ctm")
    assert result.exit_code == 0 and "1 lines of" in result.stderr and "the first is line 2" in result.stderr


@pytest.mark.parametrize("name", ["x.stm", "x.trn", "x.jsonl"])
def test_a_time_marked_reference_wants_a_ctm(tmp_path: Path, run_speechkit: Run, name: str) -> None:
    (tmp_path / "r.stm").write_text("f A s 0 9 a b c\n")
    (tmp_path / name).write_text("{}\n")
    result = run_speechkit("score", "wer", tmp_path / "r.stm", tmp_path / name)
    assert result.exit_code == 2 and f"looks like {name[2:]}" in result.stderr


def test_words_that_rules_split_share_the_time(tmp_path: Path, run_speechkit: Run) -> None:
    (tmp_path / "r.ctm").write_text(
        "f A 0 1 going\nf A 1 1 to\nf A * * <ALT_BEGIN>\nf A 2 1 um\nf A * * <ALT>\nf A * * <ALT_END>\n"
    )
    (tmp_path / "h.ctm").write_text("f A 0 2 gonna\nf A 2 1 he's\n")
    (tmp_path / "rules").write_text("gonna => going to\nhe's => { um / uh uh }\n")
    for option in ("--by-time", "--ties=sclite"):
        result = run_speechkit(
            "score",
            "wer",
            tmp_path / "r.ctm",
            tmp_path / "h.ctm",
            option,
            "--normalize",
            tmp_path / "rules",
            "--fail-above",
            "0",
        )
        assert result.exit_code == 0, result.stderr


def test_channels_left_out_are_counted(tmp_path: Path, run_speechkit: Run) -> None:
    (tmp_path / "r.stm").write_text("f A s 0 1 a\ng A s 0 1 b\n")
    (tmp_path / "r.ctm").write_text("f A 0 1 a\ng A 0 1 b\n")
    (tmp_path / "h.ctm").write_text("f A 0 1 a\nh A 0 1 lost\n")
    for ref in ("r.stm", "r.ctm"):
        result = run_speechkit("score", "wer", tmp_path / ref, tmp_path / "h.ctm", "--missing", "delete")
        assert result.exit_code == 0
        assert "1 channels without hypothesis counted as deletions; 1 channels without reference" in result.stderr


def test_compound_words_are_joined_when_words_are_aligned_by_time(tmp_path: Path, run_speechkit: Run) -> None:
    (tmp_path / "r.ctm").write_text("f A 0 1 car\nf A 1 1 port\n")
    (tmp_path / "h.ctm").write_text("f A 0 2 carport\n")
    command = ("score", "wer", tmp_path / "r.ctm", tmp_path / "h.ctm", "--by-time", "--fail-above", "0")
    assert run_speechkit(*command).exit_code == 3
    assert run_speechkit(*command, "--compounds").exit_code == 0
    assert run_speechkit(*command[:-1], "nan").exit_code == 2
