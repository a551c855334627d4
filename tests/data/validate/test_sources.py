"""Reading cuts, Kaldi directories and tables: every fault of a line with its place, and what lhotse would refuse."""

from __future__ import annotations

import copy
import dataclasses
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lhotse import Features, MonoCut, Recording, SupervisionSegment
from lhotse.audio import AudioSource
from make import make_table, make_wav
from planted_corpus import Corpus

from speechkit.data.store import load_cuts
from speechkit.data.validate import source_cuts
from speechkit.data.validate.config import ValidateConfig
from speechkit.data.validate.kinds import Finding
from speechkit.data.validate.run import validate
from speechkit.errors import SpeechkitError

SOUND_CUT = Corpus(Path("corpus")).dev[0]
TEXT_ONLY = ValidateConfig(skip=("audio",))


def faults_of(path: Path, config: ValidateConfig = TEXT_ONLY) -> list[Finding]:
    return validate([path], config).faults


def brief(findings: list[Finding]) -> list[tuple[str, str, str]]:
    return [(f.kind, f.where.rpartition("/")[2], f.utt_id) for f in findings]


def write_cuts(path: Path, *items: object) -> Path:
    lines = [item if isinstance(item, bytes) else json.dumps(item).encode() for item in items]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def cut(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(SOUND_CUT), **changes}


@pytest.mark.parametrize(
    ("known", "cls", "extra"),
    [
        (source_cuts.CUT_FIELDS, MonoCut, {"type"}),
        (source_cuts.RECORDING_FIELDS, Recording, set()),
        (source_cuts.SOURCE_FIELDS, AudioSource, set()),
        (source_cuts.SUPERVISION_FIELDS, SupervisionSegment, set()),
    ],
)
def test_the_fields_are_those_of_lhotse(known: frozenset[str], cls: type, extra: set[str]) -> None:
    assert known == {field.name for field in dataclasses.fields(cls)} | extra


def test_the_fields_of_features_are_those_that_lhotse_needs() -> None:
    needed = {field.name for field in dataclasses.fields(Features) if field.default is dataclasses.MISSING}
    assert needed - {"recording_id", "channels"} == source_cuts.FEATURES_FIELDS


def test_every_broken_line_of_cuts_is_named(tmp_path: Path) -> None:
    no_supervision, two, wrong_text, channel = (
        cut(supervisions=[]),
        cut(id="two"),
        cut(id="text"),
        cut(id="ch", channel=1),
    )
    two["supervisions"] *= 2
    wrong_text["supervisions"][0]["text"] = 7
    recording = cut()["recording"]
    path = write_cuts(
        tmp_path / "c.jsonl",
        *(b"{", b"", b"[1, 2]", b'{"id": "a", "start": NaN}', recording, cut()["supervisions"][0]),
        *(no_supervision, two, wrong_text, channel, cut(id=7), cut(id="m", type="MixedCut"), cut(id="s", start="0")),
    )
    assert brief(faults_of(path)) == [
        ("json-broken", "c.jsonl:1", "-"),
        ("line-empty", "c.jsonl:2", "-"),
        ("not-a-cut", "c.jsonl:3", "-"),
        ("json-broken", "c.jsonl:4", "-"),
        ("not-a-cut", "c.jsonl:5", "d0"),
        ("not-a-cut", "c.jsonl:6", "d0"),
        ("supervision-count", "c.jsonl:7", "d0"),
        ("supervision-count", "c.jsonl:8", "two"),
        ("field-value", "c.jsonl:9", "text"),
        ("not-a-cut", "c.jsonl:10", "ch"),
        ("not-a-cut", "c.jsonl:11", "-"),
        ("not-a-cut", "c.jsonl:12", "m"),
        ("field-value", "c.jsonl:13", "s"),
        ("no-utterances", "c.jsonl", "-"),
    ]


def test_lines_before_the_break_of_a_packed_file_are_checked(tmp_path: Path) -> None:
    lines = [json.dumps(cut(id=f"u{i:03d}-{i * i:x}")).encode() for i in range(400)]
    data = gzip.compress(b"\n".join(lines), mtime=0)
    (tmp_path / "c.jsonl.gz").write_bytes(data[: len(data) * 2 // 3])
    report = validate([tmp_path / "c.jsonl.gz"], TEXT_ONLY)
    assert [f.kind for f in report.faults if "gzip" in f.kind] == ["gzip-truncated"]
    assert 100 < len(report.sets[0]) < 400
    (tmp_path / "d.jsonl.gz").write_bytes(data[:200] + bytes(50) + data[250:])
    assert "gzip-truncated" in {f.kind for f in faults_of(tmp_path / "d.jsonl.gz")}


def test_ids_that_break_tools_and_ids_given_twice_are_named(tmp_path: Path) -> None:
    ids = ["a b", "", "a\u00a0b", "a\u200bb", "same", "same", "fine"]
    path = write_cuts(tmp_path / "c.jsonl", *(cut(id=name) for name in ids))
    config = ValidateConfig(skip=("audio", "duplicates"))
    assert brief(faults_of(path, config)) == [
        *(("id-characters", f"c.jsonl:{i + 1}", name) for i, name in enumerate(ids[:4])),
        ("id-duplicate", "c.jsonl:6", "same"),
    ]


def test_one_recording_id_for_two_files_is_a_conflict(tmp_path: Path) -> None:
    other = cut(id="e")
    other["recording"]["sources"][0]["source"] = "audio/e.wav"
    path = write_cuts(tmp_path / "c.jsonl", cut(), other)
    assert brief(faults_of(path)) == [("recording-conflict", "c.jsonl:2", "e")]


def test_alignments_are_checked_against_supervision_and_text(tmp_path: Path) -> None:
    items = [cut(id=name) for name in "abcd"]
    words = [["green", 0.0, 0.2, None], ["apples", 0.2, 0.3, None], ["grow", 0.5, 0.3, None]]
    for item in items:
        item["supervisions"][0]["alignment"] = {"word": copy.deepcopy(words)}
    items[1]["supervisions"][0]["alignment"]["word"][2][2] = 0.9
    items[2]["supervisions"][0]["alignment"]["word"].reverse()
    items[3]["supervisions"][0]["alignment"]["word"][0][0] = "red"
    config = ValidateConfig(skip=("audio", "duplicates"))
    report = validate([write_cuts(tmp_path / "c.jsonl", *items)], config)
    named = [(f.kind, f.utt_id) for f in report.findings if f.kind.startswith("alignment")]
    assert named == [
        ("alignment-outside", "b"),
        ("alignment-outside", "c"),
        ("alignment-words", "c"),
        ("alignment-words", "d"),
    ]


_VALUES = st.sampled_from([None, "", "x", 0, -1, 1.5, True, [], {}, [0], 1e300, ["a"], {"a": 1}, 8000, "file"])
_PLACES = st.sampled_from(
    [
        *((name,) for name in source_cuts.CUT_FIELDS),
        *(("recording", name) for name in source_cuts.RECORDING_FIELDS),
        *(("recording", "sources", 0, name) for name in source_cuts.SOURCE_FIELDS),
        *(("supervisions", 0, name) for name in source_cuts.SUPERVISION_FIELDS),
        *(("colour",), ("recording", "colour"), ("supervisions", 0, "colour"), ("recording", "sources", 0, "colour")),
    ]
)


@given(_PLACES, _VALUES, st.booleans())
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_load_cuts_refuses_is_named(tmp_path: Path, place: tuple[Any, ...], value: Any, delete: bool) -> None:
    item = cut()
    node: Any = item
    for name in place[:-1]:
        node = node[name]
    if delete:
        node.pop(place[-1], None)
    else:
        node[place[-1]] = value
    path = write_cuts(tmp_path / "c.jsonl", item)
    findings = faults_of(path)
    try:
        loaded = load_cuts(path)
    except SpeechkitError as error:
        assert findings, f"{place} = {value!r}: {error}"
    else:
        assert findings or len(loaded) == 1


def test_a_table_is_read_raw(tmp_path: Path) -> None:
    make_wav(tmp_path / "a.wav", 0.3)
    rows = [
        "id\tpath\tspeaker\ttext\tsr",
        "u1\ta.wav\tann\tone two\u00a0\t8000",
        "u2\t\tann\tx\t8000",
        "u3\ta.wav\tann\tx",
    ]
    rows += ["u4\ta.wav\t\tfour\t8 kHz", "", "u5\ta.wav\tann\t\t16000"]
    (tmp_path / "m.tsv").write_bytes("\ufeff".encode() + "\r\n".join(rows).encode())
    config = ValidateConfig(skip=("duplicates",), cache=False)
    assert sorted(brief(faults_of(tmp_path / "m.tsv", config))) == sorted(
        [
            ("byte-order-mark", "m.tsv:1", "-"),
            ("line-ends", "m.tsv:1", "-"),
            ("text-spaces", "m.tsv:2", "u1"),
            ("field-value", "m.tsv:3", "u2"),
            ("line-fields", "m.tsv:4", "u3"),
            ("field-value", "m.tsv:5", "u4"),
            ("speaker-missing", "m.tsv:5", "u4"),
            ("line-empty", "m.tsv:6", "-"),
            ("text-empty", "m.tsv:7", "u5"),
            ("declared-rate", "m.tsv:7", "u5"),
        ]
    )


def test_missing_columns_are_named_unless_their_checks_are_left_out(tmp_path: Path) -> None:
    make_wav(tmp_path / "a.wav", 0.3)
    path = make_table(tmp_path / "m.tsv", "id path", "u1 a.wav")
    assert [(f.kind, f.detail) for f in faults_of(path)] == [
        ("column-missing", "no `speaker`, `text`; there are id, path")
    ]
    assert faults_of(path, ValidateConfig(skip=("text", "speakers"), cache=False)) == []
    assert [f.kind for f in faults_of(make_table(tmp_path / "n.tsv", "id text text", "u1 a b"))] == [
        "column-missing",
        "column-missing",
        "no-utterances",
    ]


def test_every_file_of_a_kaldi_directory_is_checked(tmp_path: Path) -> None:
    corpus = Corpus(tmp_path / "corpus")
    train = corpus.write()[0]
    first, second, third = (line.split()[0] for line in (train / "utt2spk").read_text().splitlines()[:3])
    (train / "utt2dur").write_text(f"{first} 0.4\n{second} 0.9\n{third} long\n")
    (train / "spk2gender").write_text("anna f\nben m m\n")
    (train / "spk2utt").unlink()
    with (train / "text").open("a") as stream:
        stream.write(" indented\n\nzz9 unknown utterance\n")
    found = brief(faults_of(train, ValidateConfig(cache=False)))
    assert sorted(found) == sorted(
        [
            ("declared-length", "wav.scp:2", second),
            ("field-value", "utt2dur:3", third),
            ("line-fields", "spk2gender:2", "ben"),
            ("spk2utt-missing", "spk2utt", "-"),
            ("line-fields", "text:23", "-"),
            ("line-empty", "text:24", "-"),
            ("utterance-incomplete", "text:25", "zz9"),
        ]
    )


@pytest.mark.parametrize("name", ["text", "utt2spk", "wav.scp"])
def test_a_missing_kaldi_file_is_one_fault_and_the_rest_is_checked(name: str, tmp_path: Path) -> None:
    corpus = Corpus(tmp_path / "corpus")
    train = corpus.write()[0]
    (train / name).unlink()
    assert brief(faults_of(train, ValidateConfig(cache=False))) == [("file-missing", name, "-")]


def test_segments_are_checked_against_files_and_recordings(tmp_path: Path) -> None:
    corpus = Corpus(tmp_path / "corpus")
    train = corpus.write()[0]
    ids = [line.split()[0] for line in (train / "utt2spk").read_text().splitlines()]
    times = dict.fromkeys(ids, "0 0.3") | {ids[0]: "0.3 0.1", ids[1]: "-0.5 0.2", ids[2]: "0 9", ids[3]: "0 0.41"}
    times |= {ids[4]: "0 -1", ids[5]: "0 soon", ids[6]: "5 6"}
    recordings = dict(zip(ids, ids, strict=True)) | {ids[7]: "nowhere"}
    (train / "segments").write_text("".join(f"{u} {recordings[u]} {times[u]}\n" for u in ids))
    report = validate([train], ValidateConfig(cache=False))
    assert sorted(brief(report.faults)) == sorted(
        [
            ("segment-times", "segments:1", ids[0]),
            ("segment-times", "segments:2", ids[1]),
            ("segment-outside", "segments:3", ids[2]),
            ("field-value", "segments:6", ids[5]),
            ("utterance-incomplete", "text:6", ids[5]),
            ("utterance-incomplete", "utt2spk:6", ids[5]),
            ("segment-outside", "segments:7", ids[6]),
            ("utterance-incomplete", "segments:8", ids[7]),
        ]
    )
    notes = {f.kind: f.detail for f in report.findings if f not in report.faults}
    assert notes["segment-rounded"].startswith("1 segment,")
    assert notes["recording-unused"].startswith("2 of 22")


def test_what_is_no_manifest_is_an_error(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(SpeechkitError, match=r"holds no manifest|does not exist"):
            validate([path], TEXT_ONLY)
    with pytest.raises(SpeechkitError, match="no manifest of the kind kaldi"):
        validate([tmp_path], ValidateConfig(format="kaldi"))


def test_sets_of_the_same_name_get_numbers(tmp_path: Path) -> None:
    paths = [write_cuts(tmp_path / name / "c.jsonl", cut()) for name in ("a", "b") if not (tmp_path / name).mkdir()]
    report = validate(paths, ValidateConfig(skip=("audio", "leaks")))
    assert [loaded.data.name for loaded in report.sets] == ["c", "c-2"]
