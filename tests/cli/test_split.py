"""`speechkit data split`: real corpora, corpora shaped like the known hard ones, and every way to refuse."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from speechkit.data.split.keys import text_key

Run = Callable[..., Any]
SIDES = ("train", "dev", "test")


def write_corpus(path: Path, pairs: tuple[np.ndarray, np.ndarray], *, seconds: float = 3.0) -> Path:
    """A manifest of utterances given by the numbers of their speakers and texts."""
    lines = []
    for number, (speaker, text) in enumerate(zip(*(side.tolist() for side in pairs), strict=True)):
        name = f"u{number:06d}"
        supervision = {
            "id": name, "recording_id": name, "start": 0.0, "duration": seconds, "channel": 0,
            "text": f"Text {text}.", "speaker": f"spk{speaker}", "custom": {"group": "ab"[speaker % 2]},
        }  # fmt: skip
        lines.append(json.dumps({
            "id": name, "start": 0, "duration": seconds, "channel": 0, "supervisions": [supervision],
            "recording": {"id": name, "sampling_rate": 16000, "num_samples": 48000, "duration": seconds,
                "sources": [{"type": "file", "channels": [0], "source": f"/audio/{name}.flac"}]},
            "type": "MonoCut"}))  # fmt: skip
    path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))
    return path


def read_side(folder: Path, name: str) -> list[dict[str, Any]]:
    """The cuts of one file of a split."""
    path = folder / f"{name}.jsonl.gz"
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()] if path.exists() else []


def check_split(folder: Path, num_utterances: int, *keys: str) -> dict[str, int]:
    """Every utterance is somewhere once, and no two sides share a key; the answer is the number of each file."""
    cuts = {name: read_side(folder, name) for name in (*SIDES, "left_out")}
    ids = [cut["id"] for side in cuts.values() for cut in side]
    assert len(ids) == len(set(ids)) == num_utterances
    for key in keys:
        values = [{cut["supervisions"][0][key] for cut in cuts[name]} for name in SIDES]
        if key == "text":
            values = [{text_key(text) for text in side} for side in values]
        assert not values[0] & values[1] and not values[0] & values[2] and not values[1] & values[2]
    return {name: len(side) for name, side in cuts.items()}


def prompts(num_speakers: int, num_prompts: int, per_prompt: int) -> tuple[np.ndarray, np.ndarray]:
    """Each prompt is read by so many speakers, who mostly keep to one of three lists."""
    gen = np.random.default_rng(0)
    own_list = gen.integers(0, 3, num_speakers)
    readers = [
        np.argsort(-(np.log(np.where(own_list == p % 3, 1.0, 0.02)) + gen.gumbel(size=num_speakers)))[:per_prompt]
        for p in range(num_prompts)
    ]
    return np.concatenate(readers), np.repeat(np.arange(num_prompts), per_prompt)


@pytest.fixture
def shared_prompts(tmp_path: Path) -> Path:
    return write_corpus(tmp_path / "prompts.jsonl.gz", prompts(80, 80, 22))


def test_so762_is_split_without_loss(run_speechkit: Run, corpus_root: Path, tmp_path: Path) -> None:
    run_speechkit("data", "prepare", "so762", corpus_root / "so762", "--out", tmp_path / "all")
    done = run_speechkit("data", "split", tmp_path / "all", "--by", "speaker,text", "--out", tmp_path / "split",
        "--dev", "10%", "--test", "20%", "--json", tmp_path / "s.json")  # fmt: skip
    assert done.exit_code == 0, done.stderr
    sizes = check_split(tmp_path / "split", 369, "speaker", "text")
    assert sizes["left_out"] == 0
    assert [sizes["dev"], sizes["test"]] == [pytest.approx(37, rel=0.1), pytest.approx(74, rel=0.1)]
    report = json.loads((tmp_path / "s.json").read_text())
    assert report == json.loads((tmp_path / "split/split.json").read_text())
    assert report["method"] == "whole groups" and report["shared"]["train-test"] == {"speaker": 0, "text": 0}
    assert "speaker groups" in done.stdout and "disjoint: speaker, text" in done.stdout
    promise = read_side(tmp_path / "split", "test")[0]["custom"]["promise"]
    assert promise == {"side": "test", "disjoint": ["speaker", "text"], "near_words": 0}


def test_the_fsdd_strings_are_split_by_speaker_and_text(run_speechkit: Run, corpus_root: Path, tmp_path: Path) -> None:
    lines = (corpus_root / "fsdd/connected/train.tsv").read_text().splitlines()[1:]
    speakers, texts = zip(*(line.split("\t")[2:4] for line in lines), strict=True)
    pairs = tuple(np.unique(column, return_inverse=True)[1] for column in (speakers, texts))
    corpus = write_corpus(tmp_path / "strings.jsonl.gz", pairs)  # type: ignore[arg-type]
    # four speakers: a quarter each without loss, which two sides of 20 % nearly are
    done = run_speechkit("data", "split", corpus, "--dev", "20%", "--test", "20%", "--out", tmp_path / "split")
    assert done.exit_code == 0, done.stderr
    sizes = check_split(tmp_path / "split", 2000, "speaker", "text")
    assert sizes["dev"] == pytest.approx(400, rel=0.1) and sizes["test"] == pytest.approx(400, rel=0.1)
    assert sizes["left_out"] < 300 and "strictness costs" in done.stdout


def test_what_can_not_be_separated_is_refused_with_the_curve(
    run_speechkit: Run, shared_prompts: Path, tmp_path: Path
) -> None:
    args = ("data", "split", shared_prompts, "--dev", "0", "--test", "10%", "--out", tmp_path / "split")
    done = run_speechkit(*args, "--max-lost", "5%", "--json", tmp_path / "s.json")
    assert done.exit_code == 3 and not (tmp_path / "split").exists()
    assert "more than --max-lost 5%" in done.stderr and "hint: accept it with --max-lost" in done.stderr
    assert "what other sizes cost:" in done.stdout and "by chance" in done.stdout
    report = json.loads((tmp_path / "s.json").read_text())
    assert len(report["curve"]) >= 5 and report["left_out"]["share"] < 0.5 * report["left_out"]["random_share"]
    done = run_speechkit(*args, "--max-lost", "30%")
    assert done.exit_code == 0, done.stderr
    sizes = check_split(tmp_path / "split", 1760, "speaker", "text")
    assert sizes["test"] == pytest.approx(176, rel=0.1)
    reasons = {tuple(cut["custom"]["left_out"].values()) for cut in read_side(tmp_path / "split", "left_out")}
    assert reasons == {("train", "test"), ("test", "train")}
    assert "promise" not in read_side(tmp_path / "split", "left_out")[0]["custom"]


def test_one_key_alone_leaves_nothing_out(run_speechkit: Run, shared_prompts: Path, tmp_path: Path) -> None:
    for key in ("speaker", "text", "group,speaker"):
        out = tmp_path / key
        done = run_speechkit("data", "split", shared_prompts, "--by", key, "--out", out, "--dev", "0", "--test", "1h")
        assert done.exit_code == 0, done.stderr
        assert check_split(out, 1760, *set(key.split(",")) - {"group"})["left_out"] == 0
    assert "dev" not in {path.name.split(".")[0] for path in (tmp_path / "text").iterdir()}
    report = json.loads((tmp_path / "text/split.json").read_text())
    assert report["measure"] == "hours" and report["sides"]["test"]["hours"] == pytest.approx(1.0, rel=0.05)


def test_bytes_do_not_depend_on_the_order_of_the_input_or_the_jobs(
    run_speechkit: Run, shared_prompts: Path, tmp_path: Path
) -> None:
    lines = gzip.decompress(shared_prompts.read_bytes()).splitlines(keepends=True)
    (tmp_path / "turned.jsonl").write_bytes(b"".join(lines[::-1]))
    outs = []
    for name, source, jobs in (("a", shared_prompts, "1"), ("b", tmp_path / "turned.jsonl", "3")):
        options = ("--test", "5%", "--dev", "5%", "--max-lost", "60%", "--stratify", "group", "--nj", jobs)
        done = run_speechkit("data", "split", source, *options, "--out", tmp_path / name)
        assert done.exit_code == 0, done.stderr
        outs.append({p.name: p.read_bytes() for p in (tmp_path / name).iterdir() if p.suffix == ".gz"}
            | {"report": (tmp_path / name / "split.json").read_bytes()})  # fmt: skip
    assert outs[0] == outs[1] and len(outs[0]) == 5
    other = run_speechkit("data", "split", shared_prompts, *options, "--seed", "1", "--out", tmp_path / "c")
    assert other.exit_code == 0 and (tmp_path / "c/test.jsonl.gz").read_bytes() != outs[0]["test.jsonl.gz"]


def test_a_grown_corpus_keeps_the_sides_of_its_split(run_speechkit: Run, tmp_path: Path) -> None:
    old = write_corpus(tmp_path / "old.jsonl.gz", prompts(50, 60, 15))
    run_speechkit("data", "split", old, "--max-lost", "70%", "--out", tmp_path / "one")
    speakers, texts = prompts(50, 60, 15)
    more = np.arange(300)
    grown = write_corpus(
        tmp_path / "new.jsonl.gz", (np.append(speakers, 50 + more % 30), np.append(texts, 60 + more % 40))
    )
    options = ("--max-lost", "70%", "--like", tmp_path / "one", "--json", tmp_path / "s.json")
    done = run_speechkit("data", "split", grown, *options, "--out", tmp_path / "two")
    assert done.exit_code == 0, done.stderr
    check_split(tmp_path / "two", 1200, "speaker", "text")
    for name in SIDES:
        before, after = ({cut["id"] for cut in read_side(tmp_path / place, name)} for place in ("one", "two"))
        assert before <= after
    report = json.loads((tmp_path / "s.json").read_text())
    assert report["like"]["kept"] == report["like"]["before"] > 300


def test_speakers_keep_their_side_when_others_come(run_speechkit: Run, tmp_path: Path) -> None:
    everyone = np.repeat(np.arange(500), 3)
    for name, count in (("old", 1350), ("new", 1500)):
        corpus = write_corpus(tmp_path / f"{name}.jsonl.gz", (everyone[:count], np.arange(count)))
        run_speechkit("data", "split", corpus, "--by", "speaker", "--out", tmp_path / name)
    sides = [{c["id"]: s for s in SIDES for c in read_side(tmp_path / place, s)} for place in ("old", "new")]
    assert np.mean([sides[1][name] == side for name, side in sides[0].items()]) > 0.96


def test_near_texts_stay_together(run_speechkit: Run, tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "c.jsonl.gz", (np.arange(600), np.arange(600) // 3))
    done = run_speechkit("data", "split", corpus, "--by", "text", "--out", tmp_path / "s", "--near-words", "2")
    assert done.exit_code == 1 and "no utterance is left for dev and test" in done.stderr  # all differ in one number
    done = run_speechkit("data", "split", corpus, "--by", "text", "--out", tmp_path / "s", "--near-words", "9")
    assert done.exit_code == 0 and "near texts joined: 200 texts in 200 groups" in done.stdout


@pytest.mark.parametrize(
    "options, code, message",
    [
        (("--test", "110%"), 2, "not a share below 1"),
        (("--test", "many"), 2, "expected a share (0.1, 10%)"),
        (("--dev", "0", "--test", "0"), 2, "nothing to split"),
        (("--dev", "1h", "--test", "50"), 2, "in utterances and in time"),
        (("--dev", "50%", "--test", "50%"), 2, "leave nothing for train"),
        (("--dev", "0", "--test", "9000"), 1, "leave nothing for train"),
        (("--by", "speaker,,text"), 2, "different field names"),
        (("--by", "speaker", "--near-words", "3"), 2, "near_words belongs to `text`"),
        (("--by", "age"), 1, "has no age"),
        (("--by", "group", "--stratify", "text"), 1, "has 80 values"),
        (("--max-lost", "2"), 2, "expected a share"),
        (("--measure", "words"), 2, "measure"),
        (("--like", "nowhere"), 1, "`nowhere` does not exist"),
    ],
)
def test_mistakes_are_named(
    run_speechkit: Run, shared_prompts: Path, tmp_path: Path, options: tuple[str, ...], code: int, message: str
) -> None:
    done = run_speechkit("data", "split", shared_prompts, *options, "--out", tmp_path / "split")
    assert (done.exit_code, message in done.stderr) == (code, True), done.stderr
    assert not (tmp_path / "split").exists() and not (tmp_path / "split.partial").exists()


def test_a_side_without_a_value_of_the_stratified_field_is_told(run_speechkit: Run, tmp_path: Path) -> None:
    """Of the speakers 0 to 8 only 8 is in room `rare`: all of it is on one side."""
    source = write_corpus(tmp_path / "c.jsonl.gz", (np.repeat(np.arange(9), 10), np.arange(90)))
    rows = [json.loads(line) for line in gzip.decompress(source.read_bytes()).splitlines()]
    for cut in rows:
        cut["supervisions"][0]["custom"]["room"] = "rare" if cut["supervisions"][0]["speaker"] == "spk8" else "usual"
    source.write_bytes(gzip.compress("".join(json.dumps(cut) + "\n" for cut in rows).encode()))
    options = ("--by", "speaker", "--dev", "0", "--test", "20", "--stratify", "room")
    done = run_speechkit("data", "split", source, *options, "--out", tmp_path / "s")
    assert done.exit_code == 0, done.stderr
    sides = {name: read_side(tmp_path / "s", name) for name in ("train", "test")}
    without = [n for n, cuts in sides.items() if all(c["supervisions"][0]["speaker"] != "spk8" for c in cuts)]
    assert len(without) == 1
    assert done.stderr.count(" holds no room ") == 1 and f"{without[0]} holds no room rare" in done.stderr


def test_like_wants_a_split(run_speechkit: Run, shared_prompts: Path, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    done = run_speechkit("data", "split", shared_prompts, "--like", tmp_path / "x", "--out", tmp_path / "s")
    assert done.exit_code == 1 and "holds no split.json" in done.stderr
    shutil.rmtree(tmp_path / "x")


@pytest.mark.slow
@pytest.mark.parametrize("dev, curve", [("0", "--curve"), ("10%", "--measure=utterances")])
def test_a_corpus_like_the_speech_accessibility_project(
    run_speechkit: Run, tmp_path: Path, dev: str, curve: str
) -> None:
    corpus = write_corpus(tmp_path / "sap.jsonl.gz", prompts(500, 2400, 140))
    options = ("--dev", dev, "--test", "10%", "--max-lost", "50%", curve, "--json", tmp_path / "s.json")
    done = run_speechkit("data", "split", corpus, *options, "--out", tmp_path / "s")
    assert done.exit_code == 0, done.stderr
    sizes = check_split(tmp_path / "s", 336_000, "speaker", "text")
    assert sizes["test"] == pytest.approx(33_600, rel=0.1)
    report = json.loads((tmp_path / "s.json").read_text())
    assert report["left_out"]["share"] < 0.6 * report["left_out"]["random_share"]
    assert ("curve" in report) == (curve == "--curve")


@pytest.mark.slow
def test_a_corpus_like_common_voice(run_speechkit: Run, tmp_path: Path) -> None:
    gen = np.random.default_rng(0)
    speakers, texts = np.arange(1, 10_000), np.arange(1, 40_000)
    pairs = (
        gen.choice(len(speakers), 200_000, p=speakers**-1.0 / (speakers**-1.0).sum()),
        gen.choice(len(texts), 200_000, p=texts**-0.8 / (texts**-0.8).sum()),
    )
    corpus = write_corpus(tmp_path / "crowd.jsonl.gz", pairs)
    options = ("--dev", "3%", "--test", "3%", "--json", tmp_path / "s.json")
    done = run_speechkit("data", "split", corpus, *options, "--out", tmp_path / "s")
    assert done.exit_code == 0, done.stderr
    sizes = check_split(tmp_path / "s", 200_000, "speaker", "text")
    assert [sizes["dev"], sizes["test"]] == pytest.approx([6000, 6000], rel=0.1)
    left = json.loads((tmp_path / "s.json").read_text())["left_out"]
    assert left["share"] < 0.4 * left["random_share"]


def test_tables_and_kaldi_directories_are_refused_with_the_cure(run_speechkit: Run, tmp_path: Path) -> None:
    table = tmp_path / "table" / "all.tsv"
    table.parent.mkdir()
    table.write_text("id\tpath\tspeaker\ttext\n")
    kaldi = tmp_path / "kaldi"
    kaldi.mkdir()
    (kaldi / "wav.scp").write_text("a a.wav\n")
    for source, cure in (
        (table, f"`speechkit data prepare tsv {table} --out DIR`"),
        (table.parent, f"`speechkit data prepare tsv {table} --out DIR`"),
        (kaldi, f"`speechkit data convert {kaldi} --to cuts --out DIR`"),
    ):
        failed = run_speechkit("data", "split", source, "--out", tmp_path / "out")
        assert (failed.exit_code, cure in failed.stderr) == (1, True), failed.stderr
        assert not (tmp_path / "out").exists()
