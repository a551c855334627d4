"""`speechkit data prepare` from the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from make import make_fsdd_clone, make_table, make_wav

from speechkit.data.store import load_cuts


def test_prepare_prints_one_line_and_writes_the_manifests(run_speechkit: Callable[..., Any], tmp_path: Path) -> None:
    make_fsdd_clone(tmp_path / "fsdd", num_takes=1)
    out = tmp_path / "out"
    done = run_speechkit("data", "prepare", "fsdd", tmp_path / "fsdd", "--out", out)
    assert (done.exit_code, done.stdout) == (0, f"{out}: 30 utterances, 0.00 h, 3 speakers\n")
    assert {p.name for p in out.iterdir()} == {
        *("recordings.jsonl.gz", "supervisions.jsonl.gz", "cuts.jsonl.gz"),
        *("config.yaml", "run.json", "log.txt"),
    }
    again = run_speechkit("data", "prepare", "fsdd", tmp_path / "fsdd", "--out", out)
    assert (again.exit_code, again.stdout) == (0, f"up to date: {out}\n")
    forced = run_speechkit("data", "prepare", "fsdd", tmp_path / "fsdd", "--out", out, "--force")
    assert forced.stdout.startswith(f"{out}: 30 utterances")


def test_strings_keep_their_audio_beside_the_manifest_when_the_folder_moves(
    run_speechkit: Callable[..., Any], tmp_path: Path
) -> None:
    make_fsdd_clone(tmp_path / "fsdd", num_takes=1)
    options = ["--set", "num_strings=3", "--set", "takes=0", "--set", "speakers=theo", "--nj", "2"]
    done = run_speechkit("data", "prepare", "fsdd-strings", tmp_path / "fsdd", "--out", tmp_path / "a", *options)
    assert done.exit_code == 0, done.stderr
    moved = (tmp_path / "a").rename(tmp_path / "b")
    for cut in load_cuts(moved):
        assert cut.load_audio().shape == (1, cut.num_samples)
    assert (moved / "list.tsv").is_file()


def test_a_changed_list_is_noticed(run_speechkit: Callable[..., Any], tmp_path: Path) -> None:
    make_fsdd_clone(tmp_path / "fsdd", num_takes=1)
    command = ["data", "prepare", "fsdd-strings", tmp_path / "fsdd", "--out", tmp_path / "out"]
    command += ["--set", f"list={tmp_path / 'l.tsv'}"]
    columns = "id speaker text recordings gaps_ms"
    make_table(tmp_path / "l.tsv", columns, "s1 theo one theo-1-00 5,5")
    assert "1 utterance," in run_speechkit(*command).stdout
    make_table(tmp_path / "l.tsv", columns, "s1 theo one theo-1-00 5,5", "s2 theo two theo-2-00 5,5")
    assert "2 utterances" in run_speechkit(*command).stdout


def test_faults_end_with_exit_code_1_and_name_the_line(run_speechkit: Callable[..., Any], tmp_path: Path) -> None:
    make_wav(tmp_path / "in" / "a.wav")
    make_table(tmp_path / "in" / "manifest.tsv", "id path speaker text", "u1 a.wav ann one", "u2 b.wav ann two")
    command = ["data", "prepare", "tsv", tmp_path / "in", "--out", tmp_path / "out"]
    failed = run_speechkit(*command)
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert f"{tmp_path}/in/manifest.tsv:3  u2  audio file `{tmp_path}/in/b.wav` does not exist" in failed.stderr
    assert not (tmp_path / "out").exists()
    assert run_speechkit(*command, "--max-bad", "50%").exit_code == 0
    assert run_speechkit(*command, "--max-bad", "many").exit_code == 2


def test_unknown_corpora_and_options_end_with_exit_code_2(run_speechkit: Callable[..., Any], tmp_path: Path) -> None:
    unknown = run_speechkit("data", "prepare", "so672", tmp_path, "--out", tmp_path / "out")
    assert (unknown.exit_code, "did you mean `so762`" in unknown.stderr) == (2, True)
    wrong = run_speechkit("data", "prepare", "tsv", tmp_path, "--out", tmp_path / "out", "--set", "cas=lower")
    assert (wrong.exit_code, "did you mean `case`" in wrong.stderr) == (2, True)


def test_show_config_prints_the_options_of_the_corpus(run_speechkit: Callable[..., Any], tmp_path: Path) -> None:
    shown = run_speechkit(
        *("data", "prepare", "fsdd-strings", tmp_path, "--out", tmp_path / "out"),
        *("--show-config", "--set", "takes=5", "--set", "snr_db=30"),
    )
    assert shown.exit_code == 0
    assert "takes: '5'" in shown.stdout
    assert "snr_db: '30'" in shown.stdout
    assert not (tmp_path / "out").exists()
