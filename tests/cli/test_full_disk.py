"""A full disk: every command that writes says so, exits 1 and leaves nothing half-written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from make import make_table, make_wav
from tone_corpus import CONFIG_YAML, make_tone_corpus


@pytest.fixture
def place(tmp_path: Path, full_disk: Path, monkeypatch: pytest.MonkeyPatch, run_speechkit: Callable[..., Any]) -> Path:
    """The current folder has a corpus, a model and hypotheses; `disk/` has not one free block."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf.yaml").write_text(CONFIG_YAML)
    make_tone_corpus(tmp_path / "tones")
    make_wav(tmp_path / "a.wav", 0.3)
    make_table(tmp_path / "mine.tsv", "path id speaker text", "a.wav a anna low_high")
    run_speechkit("train", "conf.yaml", "--train", "tones", "--out", "exp", "--set", "optim.num_steps=2")
    run_speechkit("decode", "tones", "--exp", "exp", "--out", "hyp")
    run_speechkit("score", "wer", "tones", "hyp", "--allow-overlap", "--json", "wer.json")
    with (full_disk / "filler").open("wb", buffering=0) as stream, pytest.raises(OSError, match="No space"):
        while stream.write(bytes(4096)):
            pass
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [
        "data prepare tsv mine.tsv --out disk/out",
        "data synth --speakers 1 --sentences 1 --out disk/out",
        "text tokenizer tones --kind char --out disk/out",
        "train conf.yaml --train tones --out disk/out",
        "decode tones --exp exp --out disk/out",
        "score wer tones hyp --allow-overlap --json disk/out",
        "score wer tones hyp --allow-overlap --align disk/out",
        "report wer.json --out disk/out",
    ],
)
def test_a_full_disk_is_named_and_nothing_is_left(place: Path, run_speechkit: Callable[..., Any], command: str) -> None:
    done = run_speechkit(*command.split())
    assert done.exit_code == 1, done.stderr
    assert "no space left on device" in done.stderr.lower() and "Traceback" not in done.stderr
    left = {path.name for path in (place / "disk").iterdir()} - {"filler"}
    assert left <= ({"out.partial"} if command.startswith("train") else set())  # unfinished training is kept
