"""Codebooks and encoding: the same bytes however they are made, and what does not fit is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import orjson
import pytest

from speechkit.config import load_config
from speechkit.data.overlap import overlap_with_training
from speechkit.data.store import load_cuts, save_cuts
from speechkit.errors import ConfigError, SpeechkitError
from speechkit.jobs.shard import Shard, Sharing
from speechkit.units import kmeans, quantize, train
from speechkit.units.bpe import load_bpe, text_of_units, units_of_text
from speechkit.units.codebook import load_codebook
from speechkit.units.config import KmeansConfig, QuantizeConfig
from speechkit.units.unit_file import load_units, merge_runs

SMALL = ["features={kind: mfcc, sampling_rate: 8000, deltas: 0}", "k=12", "max_passes=2", "final_passes=3"]
BOOK = ("codebook.json", "codebook.safetensors")


def config(*more: str) -> KmeansConfig:
    return load_config(KmeansConfig, None, [*SMALL, *more])


def content(folder: Path, names: tuple[str, ...] = BOOK) -> list[bytes]:
    return [(folder / name).read_bytes() for name in names]


@pytest.fixture(scope="module")
def book(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("book") / "km"
    train.run(config(), cuts=corpus, out=out)
    return out


def test_jobs_change_no_byte_of_a_codebook(corpus: Path, book: Path, tmp_path: Path) -> None:
    train.run(config(), cuts=corpus, out=tmp_path / "km", num_jobs=3)
    assert content(tmp_path / "km") == content(book)
    assert not (tmp_path / "km" / "work").exists()


def test_units_know_what_their_codebook_was_trained_on(corpus: Path, book: Path, tmp_path: Path) -> None:
    cuts = list(load_cuts(corpus))
    save_cuts(cuts[:5], tmp_path / "some.jsonl.gz")
    train.run(config(), cuts=tmp_path / "some.jsonl.gz", out=tmp_path / "km")
    quantize.run(QuantizeConfig(), cuts=corpus, codebook=tmp_path / "km", out=tmp_path / "units")
    summary = overlap_with_training(cuts, tmp_path / "units")
    assert summary is not None and summary["by"] == {"id": 5, "audio": 5}


@pytest.mark.parametrize("where", ["frames", "passes"])
def test_an_interrupted_codebook_goes_on_to_the_same_bytes(
    corpus: Path, book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    out = tmp_path / "km"
    monkeypatch.setattr(train, "_CHUNK", 5)
    calls = []

    def stop(*args: object, **fields: object) -> object:
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(*args, **fields)

    owner, name = (train, "frames_of") if where == "frames" else (kmeans._Work, "batches")
    original = getattr(owner, name)
    monkeypatch.setattr(owner, name, stop)
    with pytest.raises(KeyboardInterrupt):
        train.run(config(), cuts=corpus, out=out)
    assert not out.exists()
    (kept,) = tmp_path.glob("*.partial/*/frames.f32")
    size = kept.stat().st_size
    assert size > 0
    with kept.open("ab") as stream:  # what was written after the last note
        stream.write(b"half a frame")
    train.run(config(), cuts=corpus, out=out)
    assert content(out) == content(book)
    assert len(calls) == {"frames": 4, "passes": 3}[where]  # 12 utterances in chunks of 5; two passes


def test_frames_beyond_the_limit_are_drawn(corpus: Path, tmp_path: Path) -> None:
    for num_jobs in (1, 2):
        train.run(config("max_frames=300"), cuts=corpus, out=tmp_path / f"km{num_jobs}", num_jobs=num_jobs)
    assert content(tmp_path / "km1") == content(tmp_path / "km2")
    kept = json.loads((tmp_path / "km1" / "codebook.json").read_text())["num_frames"]
    assert 200 < kept < 400  # of 732


@pytest.mark.parametrize("normalize", ["global", "utterance", "none"])
def test_a_codebook_comes_back_as_it_was_saved(corpus: Path, tmp_path: Path, normalize: str) -> None:
    train.run(config(f"features.normalize={normalize}"), cuts=corpus, out=tmp_path / "km")
    book = load_codebook(tmp_path / "km")
    assert (book.k, book.dim, book.sampling_rate) == (12, 13, 8000)
    assert (book.scale is not None) == (normalize == "global")
    book.save(tmp_path)
    assert load_codebook(tmp_path).fingerprint == book.fingerprint
    assert json.loads((tmp_path / "km" / "codebook.json").read_text())["inertia_per_frame"] > 0


def test_a_changed_codebook_is_refused(book: Path, tmp_path: Path) -> None:
    about = json.loads((book / "codebook.json").read_text())
    changes = [("features", {**about["features"], "low_hz": 100.0}), ("k", 13), ("dim", 14), ("fingerprint", "0")]
    for name, value in changes:
        (tmp_path / "codebook.json").write_text(json.dumps({**about, name: value}))
        (tmp_path / "codebook.safetensors").write_bytes((book / "codebook.safetensors").read_bytes())
        with pytest.raises(SpeechkitError, match="was changed after it was made"):
            load_codebook(tmp_path)
    (tmp_path / "codebook.json").write_text(json.dumps({**about, "sampling_rate": 16000}))
    with pytest.raises(SpeechkitError, match="codebook is for 16000 Hz"):
        load_codebook(tmp_path).extractor()
    for text in ("{}", "[", '{"format": 2}'):
        (tmp_path / "codebook.json").write_text(text)
        with pytest.raises(SpeechkitError, match=r"no codebook|has format 2"):
            load_codebook(tmp_path)
    with pytest.raises(SpeechkitError, match="is missing"):
        load_codebook(tmp_path / "none")


def test_units_are_the_nearest_centres_with_their_runs(corpus: Path, book: Path, tmp_path: Path) -> None:
    path = quantize.run(QuantizeConfig(), cuts=corpus, codebook=book, out=tmp_path / "u")
    plain = quantize.run(QuantizeConfig(dedup=False), cuts=corpus, codebook=book, out=tmp_path / "p")
    rows, frames = ([orjson.loads(line) for line in p.read_bytes().splitlines()] for p in (path, plain))
    assert [row["id"] for row in rows] == [cut.id for cut in load_cuts(corpus)]
    loaded = load_codebook(book)
    for row, frame in zip(rows, frames, strict=True):
        assert "runs" not in frame
        assert np.repeat(row["units"], row["runs"]).tolist() == frame["units"]
        assert row["num_frames"] == len(frame["units"]) == 61
        assert row["frames_per_second"] == 100.0
        assert all(a != b for a, b in zip(row["units"], row["units"][1:], strict=False))
    from speechkit.units.sounds import frames_of, sounds_of

    extractor = loaded.extractor()
    first = next(iter(frames_of(sounds_of(load_cuts(corpus), extractor), extractor, num_jobs=1)))[1]
    scaled = first if loaded.scale is None else loaded.scale(first)
    slow = np.square(scaled[:, None] - loaded.centres_KD).sum(-1).argmin(1)
    assert frames[0]["units"] == slow.tolist()


@pytest.mark.parametrize("bpe_size", [None, 30])
def test_jobs_and_parts_change_no_byte(corpus: Path, book: Path, tmp_path: Path, bpe_size: int | None) -> None:
    settings = QuantizeConfig(bpe_size=bpe_size)

    def run(name: str, **fields: object) -> Path:
        return quantize.run(settings, cuts=corpus, codebook=book, out=tmp_path / name, **fields)  # type: ignore[arg-type]

    whole, jobs = run("whole"), run("jobs", num_jobs=3)
    run("parts", sharing=Sharing(shard=Shard(2, 3)))
    parts = run("parts", sharing=Sharing(merge=3))
    names = ("units.jsonl", "units.json", *(("bpe/tokens.txt", "bpe/spm.model") if bpe_size else ()))
    assert content(whole.parent, names) == content(jobs.parent, names) == content(parts.parent, names)
    prints = [json.loads((p.parent / "run.json").read_text())["fingerprint"] for p in (whole, parts)]
    assert prints[0] == prints[1]


def test_bpe_of_units_is_reversible_and_serves_another_set(corpus: Path, book: Path, tmp_path: Path) -> None:
    path = quantize.run(QuantizeConfig(bpe_size=30), cuts=corpus, codebook=book, out=tmp_path / "a")
    tokenizer = load_bpe(tmp_path / "a" / "bpe", codebook_print=load_codebook(book).fingerprint)
    rows = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    assert tokenizer.num_tokens == 30
    assert sum(len(row["tokens"]) for row in rows) < sum(len(row["units"]) for row in rows)
    for row in rows:
        assert units_of_text(tokenizer.decode(row["tokens"])) == row["units"]
        assert tokenizer.unknown_id not in row["tokens"]
    every = tokenizer.encode(text_of_units(range(12)))  # also units that never occurred
    assert tokenizer.unknown_id not in every
    again = quantize.run(QuantizeConfig(), cuts=corpus, codebook=book, out=tmp_path / "b", bpe=tmp_path / "a" / "bpe")
    assert again.read_bytes() == path.read_bytes()


def test_bpe_that_does_not_fit_is_refused(corpus: Path, book: Path, tmp_path: Path) -> None:
    quantize.run(QuantizeConfig(bpe_size=30), cuts=corpus, codebook=book, out=tmp_path / "a")
    train.run(config("seed=1"), cuts=corpus, out=tmp_path / "other")
    with pytest.raises(SpeechkitError, match="units of another codebook"):
        quantize.run(
            QuantizeConfig(), cuts=corpus, codebook=tmp_path / "other", out=tmp_path / "b", bpe=tmp_path / "a" / "bpe"
        )
    with pytest.raises(ConfigError, match="--bpe-size 10000 is too large"):
        quantize.run(QuantizeConfig(bpe_size=10000), cuts=corpus, codebook=book, out=tmp_path / "b")
    with pytest.raises(ConfigError, match="--bpe and --bpe-size"):
        quantize.run(
            QuantizeConfig(bpe_size=30), cuts=corpus, codebook=book, out=tmp_path / "b", bpe=tmp_path / "a" / "bpe"
        )
    with pytest.raises(SpeechkitError, match="holds no BPE of units"):
        quantize.run(QuantizeConfig(), cuts=corpus, codebook=book, out=tmp_path / "b", bpe=corpus)


def test_slower_recordings_than_the_features_are_refused(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(SpeechkitError, match="12 of 12 utterances are below the 16000 Hz") as slow:
        train.run(config("features.sampling_rate=16000"), cuts=corpus, out=tmp_path / "km")
    assert slow.value.where[0].startswith("v00  8000 Hz")
    assert not (tmp_path / "km").exists()


def test_unusable_audio_is_listed_at_once(corpus: Path, book: Path, tmp_path: Path) -> None:
    cuts = list(load_cuts(corpus))
    for number in (3, 7):
        cuts[number].recording.sources[0].source = str(tmp_path / f"gone{number}.wav")
    save_cuts(cuts, tmp_path / "cuts.jsonl.gz")
    with pytest.raises(SpeechkitError, match="2 of 12 utterances can not be used") as bad:
        quantize.run(QuantizeConfig(), cuts=tmp_path, codebook=book, out=tmp_path / "u", num_jobs=2)
    assert [line.split()[0] for line in bad.value.where] == ["v03", "v07"]
    assert not (tmp_path / "u").exists()


def test_damaged_units_are_named_by_line(corpus: Path, book: Path, tmp_path: Path) -> None:
    path = quantize.run(QuantizeConfig(), cuts=corpus, codebook=book, out=tmp_path / "u")
    lines = path.read_text().splitlines()
    row = json.loads(lines[4])
    for change in ({"num_frames": 3}, {"units": [12, 1]}, {"units": [], "runs": []}, {"runs": [0]}, {"units": [[1]]}):
        path.write_text("\n".join([*lines[:4], json.dumps({**row, **change}), *lines[5:]]))
        with pytest.raises(SpeechkitError, match="do not agree") as damaged:
            load_units(tmp_path / "u")
        assert damaged.value.where[0].startswith(f"{path}:5  v04")
    path.write_text("\n".join([*lines, lines[0]]))
    with pytest.raises(SpeechkitError, match="1 id more than once"):
        load_units(tmp_path / "u")
    (tmp_path / "u" / "units.json").unlink()
    with pytest.raises(SpeechkitError, match="what the units are of"):
        load_units(tmp_path / "u")


def test_runs_of_a_sequence() -> None:
    units, runs = merge_runs(np.array([4, 4, 4, 1, 4, 4], np.int32))
    assert (units.tolist(), runs.tolist()) == ([4, 1, 4], [3, 1, 2])
