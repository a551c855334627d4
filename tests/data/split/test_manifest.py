"""Reading and writing of manifests: every fault by line, the same bytes for any order and number of jobs."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from speechkit.data.split.manifest import Manifest, open_manifest, write_side
from speechkit.data.store import audio_path, load_cuts
from speechkit.errors import SpeechkitError


def cut_of(name: str, text: str = "one two", speaker: str = "anna", seconds: float = 2.0) -> dict[str, object]:
    """A cut as it stands in a manifest; its audio need not exist."""
    supervision = {"id": name, "recording_id": name, "start": 0.0, "duration": seconds, "channel": 0, "text": text}
    return {
        "id": name,
        "start": 0,
        "duration": seconds,
        "channel": 0,
        "supervisions": [supervision | {"speaker": speaker}],
        "recording": {
            "id": name,
            "sources": [{"type": "file", "channels": [0], "source": f"audio/{name}.flac"}],
            "sampling_rate": 8000,
            "num_samples": round(seconds * 8000),
            "duration": seconds,
        },
        "type": "MonoCut",
    }


def write_manifest(path: Path, cuts: list[dict[str, object]]) -> Path:
    """A packed manifest."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("".join(json.dumps(cut) + "\n" for cut in cuts).encode()))
    return path


def _read(path: Path, fields: list[str]) -> Manifest:
    with open_manifest(path, fields, spool=path.parent) as manifest:
        return manifest


def test_columns_come_in_the_order_of_the_ids(tmp_path: Path) -> None:
    path = write_manifest(tmp_path / "cuts.jsonl.gz", [cut_of("b", "x", seconds=3.0), cut_of("a", "y", "bert")])
    found = _read(path, ["speaker", "text"])
    assert (found.ids, found.seconds.tolist()) == (["a", "b"], [2.0, 3.0])
    assert found.values == {"speaker": ["bert", "anna"], "text": ["y", "x"]}


def test_every_fault_is_named_by_its_line(tmp_path: Path) -> None:
    lone = cut_of("c")
    lone["supervisions"] = []
    without = cut_of("d")
    del without["supervisions"][0]["speaker"]  # type: ignore[index, attr-defined]
    lines = [*map(json.dumps, (cut_of("a"), {"id": "b"}, lone, without, cut_of("e", seconds=-1.0))), "", "[1]", "{"]
    path = tmp_path / "cuts.jsonl"
    path.write_text("\n".join(lines))
    with pytest.raises(SpeechkitError) as failure:
        _read(path, ["speaker", "text"])
    where = [line.removeprefix(str(path)) for line in failure.value.where]
    assert [line.split("  ")[0] for line in where] == [":2", ":3", ":4", ":5", ":7", ":8"]
    assert ["not a lhotse cut" in where[0], "c  0 supervisions" in where[1], "d  has no speaker" in where[2]] == [
        True
    ] * 3
    assert "its duration is -1.0" in where[3] and "not valid JSON" in where[5]


def test_double_ids_are_named(tmp_path: Path) -> None:
    path = write_manifest(tmp_path / "cuts.jsonl.gz", [cut_of("a"), cut_of("b"), cut_of("a")])
    with pytest.raises(SpeechkitError) as failure:
        _read(path, ["text"])
    assert failure.value.where == [f"{path}:3  a  has the id of line 1"]


@pytest.mark.parametrize(
    "content, message", [(b"", "holds no cuts"), (gzip.compress(b"{}" * 99, mtime=0)[:-9], "is truncated")]
)
def test_broken_files_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x.jsonl.gz").write_bytes(content)
    with pytest.raises(SpeechkitError, match=message):
        _read(tmp_path / "x.jsonl.gz", ["text"])
    with pytest.raises(SpeechkitError, match="does not exist"):
        _read(tmp_path / "none", ["text"])


def test_sides_have_equal_bytes_for_any_order_and_number_of_threads(tmp_path: Path) -> None:
    cuts = [cut_of(f"u{i:05d}", "some words " * 5) for i in range(3000)]
    written = set()
    for name, order, num_threads in (("a", 1, 1), ("b", -1, 3)):
        path = write_manifest(tmp_path / "in" / f"{name}.jsonl.gz", cuts[::order])
        chosen = np.arange(0, 3000, 2)
        with open_manifest(path, ["text"], spool=tmp_path) as manifest:
            write_side(manifest, chosen, tmp_path / name, note=lambda n: {"number": n}, num_threads=num_threads)
        written.add((tmp_path / name).read_bytes())
    assert len(written) == 1
    lines = gzip.decompress(written.pop()).splitlines()
    assert len(lines) == 1500 and json.loads(lines[1])["custom"] == {"number": 2}


def test_written_cuts_are_the_cuts_read_with_their_audio_where_it_was(tmp_path: Path) -> None:
    cuts = [cut_of("a"), cut_of("b")]
    cuts[1]["recording"]["sources"][0]["source"] = "../far/b.flac"  # type: ignore[index]
    cuts[1]["custom"] = {"kept": 1, "gone": 2}
    path = write_manifest(tmp_path / "in" / "cuts.jsonl.gz", cuts)
    with open_manifest(path, [], spool=tmp_path) as manifest:
        write_side(manifest, np.arange(2), tmp_path / "out" / "x.jsonl.gz", note=lambda _: {"gone": None})
    before, after = (list(load_cuts(p)) for p in (path, tmp_path / "out" / "x.jsonl.gz"))
    assert [audio_path(cut) for cut in after] == [audio_path(cut) for cut in before]
    assert [audio_path(cut) for cut in after] == [tmp_path / "in/audio/a.flac", tmp_path / "far/b.flac"]
    assert after[0].supervisions == before[0].supervisions and after[1].custom == {"kept": 1}
