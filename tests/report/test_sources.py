"""Score files, runs and histories that a report reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from speechkit.errors import SpeechkitError
from speechkit.report.sources import read_experiment, read_run, read_sources, short_names, shown_command


def test_names_are_the_parts_of_the_paths_that_differ() -> None:
    paths = [Path("exp/plain/decode/score"), Path("exp/pasted/decode/score")]
    assert short_names(paths) == ["plain", "pasted"]
    assert short_names([Path("exp/plain/decode/score")]) == ["decode/score"]
    assert short_names([Path("a"), Path("a/b")]) == ["a", "a/b"]
    assert short_names([]) == []


def test_a_folder_gives_its_score_files_and_histories(write_score: Callable[..., Path], tmp_path: Path) -> None:
    write_score("exp/plain/decode", 10.0)
    (tmp_path / "exp/plain/train.jsonl").write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "dev_wer": 5}\n')
    (tmp_path / "exp/plain/other.json").write_text('{"wer": 1}')
    (tmp_path / "exp/plain/broken.json").write_text("{")
    scores, experiments = read_sources([tmp_path / "exp"])
    assert [s.rate() for s in scores] == [10.0]
    assert [e.losses for e in experiments] == [[(1.0, 2.0)]]


def test_a_file_given_twice_is_shown_once(write_score: Callable[..., Path], tmp_path: Path) -> None:
    path = write_score("plain", 10.0)
    assert len(read_sources([path, tmp_path])[0]) == 1


@pytest.mark.parametrize(
    "content, message", [("{}", "lacks wer, num_ref_words"), ('{\n"wer": }', "score.json:2"), ("[1]", "lacks wer")]
)
def test_what_is_no_score_file_is_named(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "score.json"
    path.write_text(content)
    with pytest.raises(SpeechkitError, match=r"score\.json") as caught:
        read_sources([path])
    assert message in caught.value.render()


def test_missing_files_and_empty_folders_are_errors(tmp_path: Path) -> None:
    with pytest.raises(SpeechkitError, match="does not exist"):
        read_sources([tmp_path / "no.json"])
    with pytest.raises(SpeechkitError, match="holds no score file"):
        read_sources([tmp_path])


def test_a_bad_line_of_a_history_is_named(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "lo')
    with pytest.raises(SpeechkitError, match=r"train\.jsonl:2"):
        read_experiment(tmp_path, "x")


def test_losses_that_are_not_finite_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text('{"step": 1, "loss": NaN}\n{"step": 2, "loss": 1.5}\n')
    assert read_experiment(tmp_path, "x").losses == [(2.0, 1.5)]


def test_a_decoding_names_the_training_of_its_model(write_run: Callable[..., Path], tmp_path: Path) -> None:
    exp = write_run(tmp_path / "exp", ["train", "conf/plain.yaml"], cpu_seconds=90.0)
    run = read_run(write_run(tmp_path / "decode", ["decode", "cuts"], cpu_seconds=30.0, exp=exp))
    assert run is not None
    assert run.command == "speechkit train conf/plain.yaml"
    assert (run.cpu_minutes, run.fingerprint, run.commit, run.date) == (2.0, "0123456789ab", "c0ffee", "2026-01-02")


def test_the_run_is_found_through_the_hyp_entry_else_above_the_file(
    write_score: Callable[..., Path], write_run: Callable[..., Path], tmp_path: Path
) -> None:
    decode = write_run(tmp_path / "decode", ["decode", "a"])
    elsewhere = write_score("scores", 10.0, hyp=str(decode / "hyp.jsonl"))
    beside = write_score("decode", 11.0)
    alone = write_score("alone", 12.0)
    runs = [score.run for score in read_sources([elsewhere, beside, alone])[0]]
    assert [run.command if run else None for run in runs] == ["speechkit decode a", "speechkit decode a", None]


def test_a_foreign_run_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"a": 1}))
    with pytest.raises(SpeechkitError, match="was not written by speechkit"):
        read_run(tmp_path)


def test_commands_name_no_folder_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    argv = [
        "/opt/bin/speechkit",
        "train",
        str(tmp_path / "conf/a.yaml"),
        "--out=/far/away/from/here/exp",
        "--set",
        "a=b c",
    ]
    assert shown_command(argv) == "speechkit train conf/a.yaml --out=.../here/exp --set 'a=b c'"
