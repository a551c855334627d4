"""`data validate --fix`: what is written is sound, and whatever is missing from it stands in the quarantine list."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from planted import FROM_RESEARCH, OF_OUR_OWN
from planted_corpus import DEV_TEXTS, Corpus

from speechkit.data.store import load_cuts, text_of
from speechkit.data.validate.config import ValidateConfig
from speechkit.data.validate.kinds import KINDS
from speechkit.data.validate.run import validate

ALL = (*FROM_RESEARCH, *OF_OUR_OWN)
SUBFOLDERS = ("train", "dev", "test")


def rows_of(path: Path) -> list[dict[str, str]]:
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


def plant(folder: Path, *kinds: str) -> list[Path]:
    corpus = Corpus(folder)
    for planted in ALL:
        if not kinds or planted.kind in kinds:
            planted.plant(corpus)
    return corpus.write()


@pytest.fixture
def validate_command(
    run_speechkit: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    monkeypatch.setenv("SPEECHKIT_CACHE", str(tmp_path / "cache"))
    return lambda *args: run_speechkit("data", "validate", *args)


def test_after_fix_nothing_is_wrong_and_nothing_has_vanished(
    validate_command: Callable[..., Any], tmp_path: Path
) -> None:
    manifests = plant(tmp_path / "corpus")
    out = tmp_path / "fixed"
    done = validate_command(*manifests, "--fix", out, "--max-bad", "99%")
    assert done.exit_code == 3, done.stderr
    assert done.stderr.startswith("error: 1 fault of 1 kind\n  1 x leak-speaker"), "all but what takes a decision"

    written = [out / name for name in SUBFOLDERS]
    again = validate(written, ValidateConfig(cache=False, may_share=("speaker",)))
    assert again.faults == []

    kept = {cut.id for path in written for cut in load_cuts(path)}
    quarantined = {row["id"] for row in rows_of(out / "quarantine.tsv")}
    assert not kept & quarantined - {"anna-1-00"}, "the second line of an id given twice goes, the first stays"
    assert {f"d{i}" for i in range(4)} | {f"t{i}" for i in range(4)} | set(dict(Corpus(tmp_path / "x").text)) <= (
        kept | quarantined
    )
    assert all(row["reason"] and row["where"] and KINDS[row["kind"]] for row in rows_of(out / "quarantine.tsv"))
    assert f"{out}: {len(kept)} utterances" in done.stdout


@pytest.mark.parametrize("jobs", [1, 3])
def test_fix_writes_the_same_bytes_for_any_number_of_jobs(
    jobs: int, validate_command: Callable[..., Any], tmp_path: Path
) -> None:
    manifests = plant(tmp_path / "corpus", "text-case", "text-spaces", "audio-silent")
    files = ["cuts.jsonl.gz", "recordings.jsonl.gz", "supervisions.jsonl.gz"]
    written = []
    for out, nj in ((tmp_path / "one", 1), (tmp_path / "more", jobs)):
        assert validate_command(*manifests, "--fix", out, "--max-bad", "9", "--nj", nj).exit_code == 0
        written.append([(out / name / file).read_bytes() for name in SUBFOLDERS for file in files])
        written[-1] += [(out / name).read_bytes() for name in ("quarantine.tsv", "repaired.tsv")]
    assert written[0] == written[1]


def test_texts_are_repaired_to_the_style_of_their_set(validate_command: Callable[..., Any], tmp_path: Path) -> None:
    kinds = ("text-punctuation", "text-spaces", "text-composition", "text-control", "text-markup", "speaker-spelling")
    manifests = plant(tmp_path / "corpus", *kinds)
    out = tmp_path / "fixed"
    assert validate_command(*manifests, "--fix", out).exit_code == 0
    train, dev, test = ({cut.id: cut for cut in load_cuts(out / name)} for name in SUBFOLDERS)
    assert text_of(train["carl-0-01"]) == "one two please"
    assert text_of(train["carl-4-00"]) == "nine zero"
    assert text_of(dev["d1"]) == DEV_TEXTS[1]
    assert (text_of(test["t0"]), text_of(test["t1"])) == ("rock & roll", "open the door")
    assert {dev[f"d{i}"].supervisions[0].speaker for i in (2, 3)} == {"dora1"}
    repaired = {(row["id"], row["kind"]) for row in rows_of(out / "repaired.tsv")}
    assert ("carl-0-01", "text-case") in repaired and ("d3", "speaker-spelling") in repaired
    assert rows_of(out / "quarantine.tsv") == []


def test_wrong_lengths_and_rates_are_taken_from_the_file(validate_command: Callable[..., Any], tmp_path: Path) -> None:
    corpus = Corpus(tmp_path / "corpus")
    corpus.dev[0]["recording"]["num_samples"] += 400
    corpus.dev[1]["recording"]["sampling_rate"] = 16000
    corpus.test[2]["samples"] = "77"
    manifests = corpus.write()
    before = validate(manifests, ValidateConfig(cache=False))
    assert [(f.kind, f.utt_id) for f in before.faults] == [
        ("declared-length", "d0"),
        ("declared-length", "d1"),
        ("declared-rate", "d1"),
        ("declared-length", "t2"),
    ]
    out = tmp_path / "fixed"
    assert validate_command(*manifests, "--fix", out).exit_code == 0
    dev = {cut.id: cut for cut in load_cuts(out / "dev")}
    assert [(dev[f"d{i}"].num_samples, dev[f"d{i}"].sampling_rate) for i in range(2)] == [(6400, 8000)] * 2
    assert dev["d0"].supervisions[0].duration == dev["d0"].duration == 0.8
    assert validate([out / name for name in SUBFOLDERS], ValidateConfig(cache=False)).faults == []


def test_unknown_fields_are_kept_where_lhotse_takes_them(validate_command: Callable[..., Any], tmp_path: Path) -> None:
    corpus = Corpus(tmp_path / "corpus")
    corpus.dev[0]["colour"] = "blue"
    corpus.dev[0]["supervisions"][0]["dialect"] = "low"
    corpus.dev[0]["recording"]["device"] = "phone"
    manifests = corpus.write()
    out = tmp_path / "fixed"
    assert validate_command(manifests[1], "--fix", out).exit_code == 0
    cut = next(cut for cut in load_cuts(out) if cut.id == "d0")
    assert cut.custom == {"colour": "blue", "device": "phone"}
    assert cut.supervisions[0].custom == {"dialect": "low"}


def test_fix_refuses_when_more_than_max_bad_would_go(validate_command: Callable[..., Any], tmp_path: Path) -> None:
    manifests = plant(tmp_path / "corpus", "audio-silent", "audio-missing")
    out = tmp_path / "fixed"
    refused = validate_command(*manifests, "--fix", out)
    assert refused.exit_code == 3
    assert "error: 2 of 30 utterances and lines can not be used, 0 are allowed" in refused.stderr
    assert "hint: mend them, or leave them out with --max-bad 2" in refused.stderr
    assert not out.exists()
    assert validate_command(*manifests, "--fix", out, "--max-bad", "2").exit_code == 0
    wrong = validate_command(*manifests, "--fix", out, "--max-bad", "many")
    assert wrong.exit_code == 2


def test_fix_is_an_artifact_that_is_not_made_twice(validate_command: Callable[..., Any], tmp_path: Path) -> None:
    manifests = plant(tmp_path / "corpus", "audio-silent")
    out = tmp_path / "fixed"
    command = (*manifests, "--fix", out, "--max-bad", "5%")
    assert validate_command(*command).exit_code == 0
    assert f"up to date: {out}" in validate_command(*command).stdout
    (manifests[0] / "text").write_text((manifests[0] / "text").read_text().replace("one two", "one three"))
    assert "up to date" not in validate_command(*command).stdout


def test_fix_does_not_write_into_its_source(validate_command: Callable[..., Any], tmp_path: Path) -> None:
    manifests = plant(tmp_path / "corpus", "text-spaces")
    refused = validate_command(*manifests, "--fix", manifests[0] / "fixed")
    assert refused.exit_code == 1 and "lies inside the source" in refused.stderr


def test_segments_of_a_kaldi_directory_are_kept(validate_command: Callable[..., Any], tmp_path: Path) -> None:
    manifests = plant(tmp_path / "corpus", "text-spaces")
    train = manifests[0]
    ids = [line.split()[0] for line in (train / "utt2spk").read_text().splitlines()]
    parts = [f"{utt_id} {utt_id} 0.05 {0.39 if utt_id != ids[3] else 0.5}\n" for utt_id in ids]
    (train / "segments").write_text("".join(parts))
    out = tmp_path / "fixed"
    done = validate_command(train, "--fix", out, "--max-bad", "1")
    assert done.exit_code == 0, done.stderr
    assert [row["id"] for row in rows_of(out / "quarantine.tsv")] == [ids[3]]
    cuts = load_cuts(out)
    assert [cut.id for cut in cuts] == [utt_id for utt_id in ids if utt_id != ids[3]]
    assert {(cut.start, round(cut.duration, 6)) for cut in cuts} == {(0.05, 0.34)}
