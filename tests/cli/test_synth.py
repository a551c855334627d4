"""`speechkit data synth`: options, messages and exit codes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from speechkit.data.store import load_cuts

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def engine() -> None:
    pytest.importorskip("espeakng_loader", reason="pip install -e '.[synth]'")


def test_a_corpus_is_made_and_found_up_to_date(run_speechkit: Run, tmp_path: Path) -> None:
    command = ["data", "synth", "--speakers", 2, "--sentences", 2, "--seed", 3, "--noise", "--snr", "20:25", "--reverb"]
    command += ["--voice-set", "test", "--accents", "en-us, en", "--prefix", "test", "--out", tmp_path / "corpus"]
    first = run_speechkit(*command)
    assert first.exit_code == 0, first.stderr
    assert "4 utterances" in first.stderr and first.stdout == ""
    cuts = list(load_cuts(tmp_path / "corpus"))
    assert [cut.id for cut in cuts] == ["test0000-s0000", "test0000-s0001", "test0001-s0000", "test0001-s0001"]
    assert all(cut.supervisions[0].custom["voice"].split("+")[0] in ("en-us", "en") for cut in cuts)
    again = run_speechkit(*command, "--nj", 2)
    assert again.exit_code == 0 and "up to date" in again.stdout


def test_child_like_voices_can_be_asked_for(run_speechkit: Run, tmp_path: Path) -> None:
    options = ["--pitch", "80:99", "--rate", "90:120", "--formant", "1.15:1.2", "--sampling-rate", 8000]
    result = run_speechkit(
        "data", "synth", "--speakers", 1, "--digits", 2, "--digit-strings", 2, *options, "--out", tmp_path / "corpus"
    )
    assert result.exit_code == 0, result.stderr
    assert [len(cut.supervisions[0].text.split()) for cut in load_cuts(tmp_path / "corpus")] == [2, 2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "exactly one source"),
        (["--sentences", 2, "--digits", "1:2"], "exactly one source"),
        (["--sentences", 2, "--rate", "300:200"], "--rate"),
        (["--sentences", 2, "--rate", "fast"], "--rate"),
        (["--sentences", 2, "--pitch", "50:150"], "0 <= MIN <= MAX <= 99"),
        (["--digits", "5:3"], "--digits"),
        (["--digits", "2.5"], "--digits"),
        (["--digits", "0:3"], "1 <= MIN"),
        (["--sentences", 2, "--snr", "1:2:3"], "--snr"),
        (["--sentences", 2, "--rt60", "0:1"], "--rt60"),
        (["--sentences", 2, "--formant", "nan"], "--formant"),
        (["--sentences", 2, "--voice-set", "tset"], "--voice-set"),
        (["--sentences", 2, "--accents", "en-us,fr"], "--accents"),
        (["--sentences", 2, "--accents", "en-us,en-us"], "twice"),
        (["--sentences", 2, "--prefix", "a-b"], "--prefix"),
        (["--sentences", 2, "--sampling-rate", 1000], "--sampling-rate"),
        (["--sentences", 0], "--sentences"),
        (["--sentences", 2, "--sentences-per-speaker", 3], "only 2 different texts"),
        (["--sentences", 2, "--speakers", 5000], "voices"),
    ],
)
def test_wrong_options_are_named(run_speechkit: Run, tmp_path: Path, options: list[object], message: str) -> None:
    result = run_speechkit("data", "synth", "--speakers", 1, *options, "--out", tmp_path / "corpus")
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr and "value error" not in result.stderr
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "does not exist"), ("", "holds no text"), ("it is 5 o'clock\n", "texts:1"), ("na\u00efve\n", "texts:1")],
)
def test_unusable_texts_are_named(run_speechkit: Run, tmp_path: Path, content: str | None, message: str) -> None:
    texts = tmp_path / "texts"
    if content is not None:
        texts.write_text(content, encoding="utf-8")
    result = run_speechkit("data", "synth", "--speakers", 1, "--texts", texts, "--out", tmp_path / "corpus")
    assert result.exit_code == 1
    assert message in result.stderr
    assert not (tmp_path / "corpus").exists()


def test_help_needs_no_engine_and_no_heavy_library() -> None:
    code = (
        "import sys\nfrom speechkit.cli import main\n"
        "try:\n main(['data', 'synth', '--help'])\nexcept SystemExit as leaving:\n assert leaving.code == 0\n"
        "heavy = {'numpy', 'torch', 'lhotse', 'scipy', 'espeakng_loader'} & set(sys.modules)\nassert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--voice-set" in done.stdout
