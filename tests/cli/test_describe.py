"""`speechkit data describe` from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from make import make_cut, make_wav

from speechkit.data.store import save_cuts


@pytest.fixture
def cuts(tmp_path: Path) -> Path:
    audio = make_wav(tmp_path / "a.wav", 2.0)
    texts = ["the red dog", "a cat"]
    made = [make_cut(f"u{k:02d}", audio, text=texts[k % 2], speaker=f"s{k // 2}", gender="f") for k in range(40)]
    save_cuts(made, tmp_path / "train.jsonl.gz")
    save_cuts([make_cut("t1", audio, text="a red cat", speaker="s1")], tmp_path / "test.jsonl.gz")
    return tmp_path


def test_it_prints_tables_and_a_verdict_and_writes_json_and_a_page(
    run_speechkit: Callable[..., Any], cuts: Path
) -> None:
    done = run_speechkit(
        *("data", "describe", cuts / "train.jsonl.gz", "--against", cuts / "test.jsonl.gz"),
        *("--json", cuts / "d.json", "--html", cuts / "d.html"),
    )
    assert (done.exit_code, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == f"{cuts}/train.jsonl.gz: 40 utterances, 0.02 h, 20 speakers, 2 texts"
    assert "2-2.1 |######################################## 40" in lines
    assert "gender  utterances  hours" in lines
    assert any(
        line.startswith("verdict: 2 texts by 20 speakers, 20 utterances of each: a model will recite") for line in lines
    )
    assert lines[-1].startswith("verdict: no text in common; 100% of its word pairs never occur")
    found = json.loads((cuts / "d.json").read_text())
    assert found["against"][0]["unseen_bigram_rate"] == 1.0
    assert "<svg" in (cuts / "d.html").read_text()


def test_the_same_input_gives_the_same_bytes(run_speechkit: Callable[..., Any], cuts: Path) -> None:
    for name in "ab":
        command = ["data", "describe", cuts / "train.jsonl.gz", "--json", cuts / f"{name}.json"]
        run_speechkit(*command, "--html", cuts / f"{name}.html")
    assert (cuts / "a.json").read_bytes() == (cuts / "b.json").read_bytes()
    assert (cuts / "a.html").read_bytes() == (cuts / "b.html").read_bytes()


def test_a_missing_manifest_ends_with_exit_code_1(run_speechkit: Callable[..., Any], tmp_path: Path) -> None:
    failed = run_speechkit("data", "describe", tmp_path / "none.jsonl.gz")
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert f"manifest `{tmp_path}/none.jsonl.gz` does not exist" in failed.stderr


def test_describing_does_not_load_lhotse(cuts: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from pathlib import Path; from speechkit.data.describe.run import describe;"
        f"describe(Path({str(cuts / 'train.jsonl.gz')!r})); assert not {{'lhotse', 'torch'}} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("option", ["--json", "--html"])
def test_outputs_that_can_not_be_written_are_told_before_the_manifest_is_read(
    run_speechkit: Callable[..., Any], cuts: Path, option: str
) -> None:
    missing = cuts / "none.jsonl.gz"
    for path, problem in ((cuts, "is a folder"), (cuts / "a.wav" / "x" / "d", "a.wav` is no folder")):
        done = run_speechkit("data", "describe", missing, option, path)
        assert (done.exit_code, done.stdout) == (1, "")
        assert problem in done.stderr and "none.jsonl.gz" not in done.stderr
