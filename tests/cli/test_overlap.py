"""What was trained on is not tested on: refused by training and scoring, or said beside every WER."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tone_corpus import CONFIG_YAML, make_tone_corpus

from speechkit.data.store import load_cuts

Run = Callable[..., Any]
OVERLAP = "6 of 12 utterances (50.0 %) overlap with training: 6 by id, 6 by audio"


def _promising(source: Path, target: Path, keys: list[str], *, numbers: range = range(99), prefix: str = "") -> Path:
    """Some cuts of a manifest with a promise; `prefix` makes them other utterances of other audio."""
    lines = []
    for number, cut in enumerate(load_cuts(source)):
        if number in numbers:
            item = cut.to_dict() | {"custom": {"promise": {"side": "test", "disjoint": keys, "near_words": 0}}}
            if prefix:
                item["id"] = item["supervisions"][0]["id"] = f"{prefix}{number}"
                item["recording"]["sources"][0]["source"] = f"/elsewhere/{prefix}{number}.flac"
            lines.append(json.dumps(item))
    target.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))
    return target


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model trained on 24 utterances, hypotheses of 6 of them and 6 others, and a file with the texts of all."""
    from speechkit.cli import main

    folder = tmp_path_factory.mktemp("overlap")
    conf, tones = folder / "conf.yaml", make_tone_corpus(folder / "tones")
    conf.write_text(CONFIG_YAML)
    make_tone_corpus(folder / "new", num_utterances=6, seed=1)
    pieces = [_promising(tones, folder / "half.jsonl.gz", [], numbers=range(6)), folder / "new/cuts.jsonl.gz"]
    cuts = [json.loads(line) for piece in pieces for line in gzip.decompress(piece.read_bytes()).splitlines()]
    for cut in cuts[6:]:
        source = cut["recording"]["sources"][0]
        source["source"] = str(folder / "new" / source["source"])
    (folder / "mixed.jsonl").write_text("\n".join(map(json.dumps, cuts)) + "\n")
    for words in (
        ("train", conf, "--train", tones, "--out", folder / "exp", "--set", "optim.num_steps=2"),
        ("decode", folder / "mixed.jsonl", "--exp", folder / "exp", "--out", folder / "hyp"),
        ("decode", folder / "new", "--exp", folder / "exp", "--out", folder / "clean"),
    ):
        with pytest.raises(SystemExit) as leaving:
            main(["--debug", *map(str, words)])
        assert not leaving.value.code
    return folder


def test_training_refuses_a_dev_set_that_it_holds(place: Path, run_speechkit: Run, tmp_path: Path) -> None:
    words = ["train", place / "conf.yaml", "--train", place / "tones", "--dev", place / "mixed.jsonl"]
    words += ["--out", tmp_path / "exp", "--set", "optim.num_steps=1"]
    done = run_speechkit(*words)
    assert done.exit_code == 3 and f"the dev set: {OVERLAP}" in done.stderr and "tone0-000" in done.stderr
    assert not (tmp_path / "exp").exists()
    done = run_speechkit(*words, "--allow-overlap")
    assert done.exit_code == 0, done.stderr
    assert done.stderr.count(OVERLAP) == 2  # a warning, and beside the WER
    summary = json.loads((tmp_path / "exp/summary.json").read_text())
    assert summary["dev"]["train_overlap"]["by"] == {"id": 6, "audio": 6}


def test_training_refuses_what_the_split_of_the_dev_set_promised(
    place: Path, run_speechkit: Run, tmp_path: Path
) -> None:
    words = ["train", place / "conf.yaml", "--train", place / "tones", "--out", tmp_path / "exp"]
    words += ["--set", "optim.num_steps=1", "--dev"]
    for keys, code in ((["text"], 3), (["speaker"], 3), (["gender"], 1), ([], 1)):  # 1: the audio is not there
        dev = _promising(place / "tones", tmp_path / "dev.jsonl.gz", keys, prefix="other")
        done = run_speechkit(*words, dev)
        assert done.exit_code == code, (keys, done.stderr)
        assert code == 1 or f"24 of 24 utterances (100.0 %) overlap with training: 24 by {keys[0]}" in done.stderr


def test_decoding_says_what_the_model_has_heard(place: Path) -> None:
    found = json.loads((place / "hyp/summary.json").read_text())["train_overlap"]
    assert (found["num_overlapping"], found["num_utterances"], found["percent"]) == (6, 12, 50.0)
    assert json.loads((place / "clean/summary.json").read_text())["train_overlap"]["num_overlapping"] == 0
    assert OVERLAP in (place / "hyp/log.txt").read_text()


@pytest.mark.parametrize("hyp", ["hyp", "hyp/hyp.jsonl"])
def test_scoring_refuses_what_the_model_has_heard(place: Path, run_speechkit: Run, hyp: str, tmp_path: Path) -> None:
    done = run_speechkit("score", "wer", place / "mixed.jsonl", place / hyp)
    assert done.exit_code == 3 and OVERLAP in done.stderr and "--allow-overlap" in done.stderr
    assert run_speechkit("score", "wer", place / "new", place / "clean").exit_code == 0
    again = shutil.copytree(place / "hyp", tmp_path / "again")
    done = run_speechkit("score", "compare", place / "mixed.jsonl", place / hyp, again)
    assert done.exit_code == 3 and OVERLAP in done.stderr


def test_allowed_overlap_stands_beside_every_rate(place: Path, run_speechkit: Run, tmp_path: Path) -> None:
    score = tmp_path / "score.json"
    words = ("score", "wer", place / "mixed.jsonl", place / "hyp", "--allow-overlap", "--by", "speaker")
    done = run_speechkit(*words, "--train-text", place / "new", "--json", score, "--html", tmp_path / "p.html")
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    rows = lines[1 : lines.index(OVERLAP)]
    assert len(rows) >= 3 and all(line.endswith("  50.0 % in training") for line in rows)
    result = json.loads(score.read_text())["train_overlap"]
    assert result["percent"] == 50.0 and result["model"]["by"] == {"id": 6, "audio": 6}
    assert result["train_text"]["by"] == {"id": 6, "audio": 6}  # the other half
    page = (tmp_path / "p.html").read_text()
    assert OVERLAP in page and page.count(" *</td>") == len(rows)
    done = run_speechkit(
        "score", "compare", place / "mixed.jsonl", place / "hyp", place / "hyp/hyp.jsonl", "--allow-overlap"
    )
    assert done.stdout.count("50.0 % in training") == 2
    done = run_speechkit("report", score, "--out", tmp_path / "r.html")
    assert done.exit_code == 0 and "(50.0 % in training)" in (tmp_path / "r.html").read_text()


def test_promised_texts_are_compared_with_those_of_training(place: Path, run_speechkit: Run, tmp_path: Path) -> None:
    ref = _promising(place / "new", tmp_path / "ref.jsonl.gz", ["text"], prefix="x")
    hyp, texts = tmp_path / "hyp.txt", [cut.supervisions[0].text for cut in load_cuts(ref)]
    hyp = tmp_path / "text"
    hyp.write_text("".join(f"x{number} {text}\n" for number, text in enumerate(texts)))
    lines = tmp_path / "train.txt"
    lines.write_text(f"{texts[0].upper()}!\nsomething else\n")
    done = run_speechkit("score", "wer", ref, hyp, "--train-text", lines)
    same = texts.count(texts[0])
    assert done.exit_code == 3 and f"{same} of 6 utterances" in done.stderr and f"{same} by text" in done.stderr
    lines.write_text("something else\n")
    assert run_speechkit("score", "wer", ref, hyp, "--train-text", lines).exit_code == 0
    closed = _promising(place / "new", tmp_path / "closed.jsonl.gz", ["speaker"], prefix="x")
    lines.write_text("\n".join(texts) + "\n")
    done = run_speechkit("score", "wer", closed, hyp, "--train-text", lines)
    assert done.exit_code == 0 and "seen text" in done.stdout  # a test of known texts is no broken promise


def test_files_of_other_programs_are_scored_without_a_word_about_training(run_speechkit: Run, tmp_path: Path) -> None:
    (tmp_path / "ref").write_text("a one two\n")
    (tmp_path / "hyp.jsonl").write_text('{"id": "a", "text": "one two"}\n')
    done = run_speechkit("score", "wer", tmp_path / "ref", tmp_path / "hyp.jsonl", "--json", tmp_path / "s.json")
    assert done.exit_code == 0 and json.loads((tmp_path / "s.json").read_text())["train_overlap"] is None
    (tmp_path / "summary.json").write_text("{")
    done = run_speechkit("score", "wer", tmp_path / "ref", tmp_path / "hyp.jsonl")
    assert done.exit_code == 1 and "summary.json` is not valid JSON" in done.stderr
