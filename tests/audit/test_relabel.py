"""New transcripts from hypotheses: what is kept, what is removed and why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from make import make_cut, make_wav

from speechkit.data.store import Word, load_cuts, save_cuts, text_of, words_of

TEXTS = {"a": "one two", "b": "three four", "c": "five six", "d": "seven"}


@pytest.fixture
def cuts(tmp_path: Path) -> Path:
    words = {"word": [Word("one", 0.0, 0.05), Word("two", 0.05, 0.05)]}
    made = [
        make_cut(name, make_wav(tmp_path / f"{name}.wav"), text=text, tiers=words if name == "a" else {})
        for name, text in TEXTS.items()
    ]
    save_cuts(made, tmp_path / "cuts.jsonl.gz")
    return tmp_path / "cuts.jsonl.gz"


def write_hyp(path: Path, texts: dict[str, str]) -> Path:
    path.write_bytes(b"".join(orjson.dumps({"id": name, "text": text}) + b"\n" for name, text in texts.items()))
    return path


def test_what_agrees_well_enough_gets_the_new_text(
    run_speechkit: Callable[..., Any], cuts: Path, tmp_path: Path
) -> None:
    hyp = write_hyp(tmp_path / "hyp.jsonl", {"a": "one two", "b": "three for", "c": "nine nine", "d": ""})
    done = run_speechkit("audit", "relabel", cuts, "--hyp", hyp, "--max-cer", 20, "--out", tmp_path / "new")
    assert done.exit_code == 0, done.stderr
    assert "2 of 4 utterances kept, 1 with another text" in done.stderr
    kept = {cut.id: cut for cut in load_cuts(tmp_path / "new")}
    assert {name: text_of(cut) for name, cut in kept.items()} == {"a": "one two", "b": "three for"}
    assert kept["b"].supervisions[0].custom["audit"] == {"policy": "relabel", "before": "three four", "cer": 10.0}
    assert [word.symbol for word in words_of(kept["a"])] == ["one", "two"], "times of the same words stay"
    removed = [orjson.loads(line) for line in (tmp_path / "new" / "removed.jsonl").read_bytes().splitlines()]
    assert [(row["id"], row["reason"]) for row in removed] == [("c", "too far apart"), ("d", "nothing was heard")]


def test_times_of_other_words_are_dropped(run_speechkit: Callable[..., Any], cuts: Path, tmp_path: Path) -> None:
    hyp = write_hyp(tmp_path / "hyp.jsonl", {**TEXTS, "a": "one too"})
    assert run_speechkit("audit", "relabel", cuts, "--hyp", hyp, "--out", tmp_path / "new").exit_code == 0
    assert not words_of(next(iter(load_cuts(tmp_path / "new"))))


def test_mistakes_are_named(run_speechkit: Callable[..., Any], cuts: Path, tmp_path: Path) -> None:
    hyp = write_hyp(tmp_path / "some.jsonl", {"a": "one two"})
    done = run_speechkit("audit", "relabel", cuts, "--hyp", hyp, "--out", tmp_path / "new")
    assert done.exit_code == 1
    assert "3 of 4 cuts have no hypothesis" in done.stderr
    others = write_hyp(tmp_path / "others.jsonl", dict.fromkeys(TEXTS, "nothing alike"))
    done = run_speechkit("audit", "relabel", cuts, "--hyp", others, "--max-cer", 5, "--out", tmp_path / "new")
    assert (done.exit_code, "within 5 % CER" in done.stderr) == (1, True)
    assert not (tmp_path / "new").exists()
