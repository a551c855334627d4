"""`speechkit score`: what it prints, writes and refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    ref, hyp = tmp_path / "text", tmp_path / "hyp.jsonl"
    ref.write_text("a one two three\nb four\n")
    hyp.write_text(
        '{"id": "b", "text": "four", "speaker": "x"}\n{"id": "a", "text": "one too three", "speaker": "y"}\n'
    )
    return ref, hyp


def test_wer_prints_a_table_and_writes_json(run_speechkit: Run, files: tuple[Path, Path], tmp_path: Path) -> None:
    train = tmp_path / "train.txt"
    train.write_text("four\none too three\n")
    result = run_speechkit(
        "score", "wer", *files, "--train-text", train, "--by", "speaker", "--json", tmp_path / "out.json"
    )
    assert result.exit_code == 0, result.stderr
    assert "seen text" in result.stdout and "speaker x" in result.stdout and "ties: kaldi" in result.stdout
    found = json.loads((tmp_path / "out.json").read_text())
    assert (found["wer"], found["sub"], found["del"], found["ins"]) == (25.0, 1, 0, 0)
    assert (found["num_ref_words"], found["num_utterances"], found["missing"], found["ser"]) == (4, 2, 0, 50.0)
    assert found["seen"]["wer"] == 0.0 and found["parrot_rate"] == 100.0
    assert found["groups"]["speaker"]["y"]["wer"] == pytest.approx(33.3333)
    low, high = found["ci95"]
    assert 0.0 <= low <= found["wer"] <= high


def test_alignments_are_written_for_people_and_for_machines(
    run_speechkit: Run, files: tuple[Path, Path], tmp_path: Path
) -> None:
    for name in ("a.txt", "a.jsonl"):
        assert run_speechkit("score", "wer", *files, "--align", tmp_path / name).exit_code == 0
    assert "ref one two three\nhyp one too three\nerr     S" in (tmp_path / "a.txt").read_text()
    first = json.loads((tmp_path / "a.jsonl").read_text().splitlines()[0])
    assert first["id"] == "a" and first["alignment"][1] == ["sub", "two", "too"]
    files[1].write_text('{"id": "a\\nb", "text": "one"}\n')
    assert run_speechkit("score", "wer", files[1], files[1], "--align", tmp_path / "b.txt").exit_code == 0
    assert (tmp_path / "b.txt").read_text().splitlines()[0] == "'a\\nb'  sub 0 del 0 ins 0 of 1"


def test_fail_above_leaves_with_exit_code_3(run_speechkit: Run, files: tuple[Path, Path]) -> None:
    assert run_speechkit("score", "wer", *files, "--fail-above", "30").exit_code == 0
    result = run_speechkit("score", "wer", *files, "--fail-above", "20")
    assert result.exit_code == 3 and "25.00 %, above 20 %" in result.stderr


def test_missing_ids_are_listed(run_speechkit: Run, files: tuple[Path, Path]) -> None:
    files[1].write_text('{"id": "a", "text": "one"}\n')
    result = run_speechkit("score", "wer", *files)
    assert result.exit_code == 1 and ":2  b  no hypothesis" in result.stderr and "--missing delete" in result.stderr
    assert run_speechkit("score", "wer", *files, "--missing", "delete").exit_code == 0


@pytest.mark.parametrize("option", [("--ties", "best"), ("--ci", "95"), ("--missing", "ignore"), ("--by", "age")])
def test_wrong_options_leave_with_exit_code_2(
    run_speechkit: Run, files: tuple[Path, Path], option: tuple[str, str]
) -> None:
    result = run_speechkit("score", "wer", *files, *option)
    assert result.exit_code == 2 and result.stderr.startswith("error:")


def test_real_systems_have_the_totals_of_the_corpus(run_speechkit: Run, corpus_root: Path, tmp_path: Path) -> None:
    folder = corpus_root / "scoring" / "earnings21"
    lines = [line.split("\t") for line in (folder / "expected_total.tsv").read_text().splitlines()]
    assert len(lines) == 8
    for row in (dict(zip(lines[0], line, strict=True)) for line in lines[1:]):
        hyp = folder / f"utt_{row['system']}.trn"
        command = ("score", "wer", folder / "utt_ref.trn", hyp, "--replicates", "100", "--json", tmp_path / "out.json")
        assert run_speechkit(*command).exit_code == 0
        found = json.loads((tmp_path / "out.json").read_text())
        assert found["sub"] + found["del"] + found["ins"] == int(row["min_edit_errors"])
        assert found["num_ref_words"] == int(row["ref_words"])


def test_characters_are_counted_on_demand(run_speechkit: Run, tmp_path: Path) -> None:
    for name, text in (("ref", "a \u5929\u5730 ok\n"), ("hyp", "a \u5929\u4eba\u4eba ok\n")):
        (tmp_path / name).write_text(text)
    found = {}
    for unit in ("word", "char", "mixed"):
        result = run_speechkit(
            "score", "wer", tmp_path / "ref", tmp_path / "hyp", "--unit", unit, "--json", tmp_path / "out.json"
        )
        assert result.exit_code == 0, result.stderr
        item = json.loads((tmp_path / "out.json").read_text())
        found[unit] = [item[k] for k in ("unit", "sub", "ins", "num_ref_words", "cer")]
    assert found["word"] == ["word", 1, 0, 2, 40.0]
    assert found["char"] == ["char", 1, 1, 4, 50.0] and found["mixed"] == ["mixed", 1, 1, 3, None]
    assert "MixER%" in result.stdout
    for option in ("--compounds", "--words=" + str(tmp_path / "ref")):
        assert (
            run_speechkit("score", "wer", tmp_path / "ref", tmp_path / "hyp", "--unit", "char", option).exit_code == 2
        )


def test_rules_that_write_alternatives_switch_markup_on(run_speechkit: Run, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("a he has been\nb he is here\n")
    (tmp_path / "hyp").write_text("a he's been\nb he's here\n")
    (tmp_path / "x.glm").write_text(
        ';; INPUT_DEPENDENT_APPLICATION = "hyp"\n[he\'s] => [{he is / he has}] / [ ] __ [ ]\n'
    )
    command = ("score", "wer", tmp_path / "text", tmp_path / "hyp", "--normalize", tmp_path / "x.glm")
    assert run_speechkit(*command, "--fail-above", "0").exit_code == 0
    result = run_speechkit(*command, "--markup", "none")
    assert result.exit_code == 2 and "write alternatives" in result.stderr


def test_fields_to_group_by_must_exist_and_gaps_are_counted(run_speechkit: Run, tmp_path: Path) -> None:
    ref = tmp_path / "ref.jsonl"
    ref.write_text('{"id": "a", "text": "one", "speaker": "x", "age": ""}\n{"id": "b", "text": "two", "speaker": ""}\n')
    result = run_speechkit("score", "wer", ref, ref, "--by", "speaker")
    assert result.exit_code == 0 and "1 of 2 utterances have no `speaker`" in result.stderr
    assert "speaker (none)" in result.stdout
    other = tmp_path / "other.jsonl"
    other.write_text(ref.read_text())
    for command in (("wer", ref, ref), ("compare", ref, ref, other)):
        result = run_speechkit("score", *command, "--by", "age")
        assert result.exit_code == 2 and "no utterance has the field `age`" in result.stderr
        assert "one of prefix, speaker" in result.stderr


def test_capitals_on_one_side_only_are_pointed_out(run_speechkit: Run, files: tuple[Path, Path]) -> None:
    files[0].write_text(files[0].read_text().upper().replace("A ONE", "a ONE").replace("B FOUR", "b FOUR"))
    result = run_speechkit("score", "wer", *files)
    assert result.exit_code == 0 and "capitals are 100 %" in result.stderr and "--case unicode" in result.stderr
    assert "capitals" not in run_speechkit("score", "wer", *files, "--case", "unicode").stderr
    timed = files[0].parent / "ref.ctm", files[0].parent / "hyp.ctm"
    for path, words in zip(timed, ("ONE TWO", "one two"), strict=True):
        path.write_text("".join(f"f A {k} 1 {word}\n" for k, word in enumerate(words.split())))
    assert "capitals are 100 %" in run_speechkit("score", "wer", *timed).stderr


def test_wrong_choices_are_answered_with_the_right_ones(run_speechkit: Run, files: tuple[Path, Path]) -> None:
    for command in (("compare", files[0], *files, "--test", "t"), ("multi", *files, "--metric", "der")):
        result = run_speechkit("score", *command)
        assert result.exit_code == 2 and "1 problem in" in result.stderr and "hint: see --help" in result.stderr
    assert run_speechkit("score", "multi", *files, "--metric", ",").exit_code == 2
