"""Cuts manifests (`*.jsonl`, `*.jsonl.gz`) line by line, without lhotse: the names of its fields stand here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import orjson

from speechkit import log
from speechkit.data.validate.columns import MAX_SECONDS, NO_NUMBER, Utterance
from speechkit.data.validate.intake import Intake
from speechkit.data.validate.lines import raw_lines
from speechkit.data.validate.text import show
from speechkit.errors import counted

CUT_FIELDS = frozenset(
    ("id", "start", "duration", "channel", "supervisions", "features", "recording", "custom", "type")
)
RECORDING_FIELDS = frozenset(("id", "sources", "sampling_rate", "num_samples", "duration", "channel_ids", "transforms"))
SOURCE_FIELDS = frozenset(("type", "channels", "source", "video"))
SUPERVISION_FIELDS = frozenset(
    (
        *("id", "recording_id", "start", "duration", "channel", "text", "language", "speaker", "gender"),
        *("custom", "alignment"),
    )
)
FEATURES_FIELDS = frozenset(  # those without which lhotse refuses them
    (
        *("type", "num_frames", "num_features", "frame_shift", "sampling_rate", "start", "duration"),
        *("storage_type", "storage_path", "storage_key"),
    )
)
_TOLERANCE_SECONDS = 1e-3
_TOLERANCE_ALIGNMENT = 0.02  # aligners work in frames of 10 or 20 ms
_CUSTOM = (dict, type(None))
_TEXTS = frozenset((str, type(None)))
_CUT_TYPES = ("MonoCut", "Cut")


class _Fault(Exception):
    """Why a line is no utterance."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(kind)
        self.kind, self.detail = kind, detail


def read_cuts(path: Path, intake: Intake) -> None:
    """Take every cut of a manifest; all faults of lines are kept."""
    folder = str(path.parent.absolute())
    for number, line in log.track(raw_lines(path, intake), "reading cuts", unit="cuts"):
        if not line.strip():
            intake.fault_of_line("line-empty", path, number)
            continue
        try:
            item = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            intake.fault_of_line("json-broken", path, number, detail=f"{error.msg}, column {error.colno}")
            continue
        try:
            utterance, faults = parse_cut(item, number, folder)
        except _Fault as fault:
            intake.fault_of_line(fault.kind, path, number, utt_id=_id_of(item), detail=fault.detail)
            continue
        row = intake.take(utterance)
        for kind, detail in faults:
            intake.fault_of(kind, row, path, number, detail=detail)


def parse_cut(item: Any, number: int, folder: str) -> tuple[Utterance, list[tuple[str, str]]]:
    """The utterance of one line, and the faults that leave it readable.

    Raises:
        _Fault: the line is no cut that can be used.
    """
    try:
        recording, (supervision, *others) = item["recording"], item["supervisions"] or [None]
        source = recording["sources"][0]
        _check_cut(item, recording, source)
        if supervision is None or others:  # the others are not looked at
            raise _Fault("supervision-count", counted(len(item["supervisions"]), "supervision"))
        return _utterance(item, recording, source, supervision, number, folder), _faults(item, recording, supervision)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise _Fault("not-a-cut", _reason(item, error)) from None


def _check_cut(item: dict[str, Any], recording: dict[str, Any], source: dict[str, Any]) -> None:
    if item.get("type", "") not in _CUT_TYPES:
        raise _Fault("not-a-cut", f"its type is {item.get('type')!r:.40}")
    if not isinstance(item["id"], str):
        raise _Fault("not-a-cut", f"the id {item['id']!r:.40} is no text")
    if recording.get("transforms", []) != []:
        raise _Fault("not-a-cut", "the recording has `transforms`, which are not carried out")
    if source["type"] != "file" or not isinstance(source["source"], str) or not source["source"]:
        raise _Fault("not-a-cut", f"the audio is a {source['type']!r:.20} from {source['source']!r:.60}, not a file")
    if "video" in source:
        raise _Fault("not-a-cut", "the audio is the track of a video")
    if "features" in item and not (isinstance(item["features"], dict) and item["features"].keys() >= FEATURES_FIELDS):
        raise _Fault("not-a-cut", "its `features` are none of lhotse's")
    if item["channel"] != source["channels"][0]:
        raise _Fault("not-a-cut", f"channel {item['channel']!r:.20} is not the first one of its file")
    rate, size = recording["sampling_rate"], recording["num_samples"]
    if type(rate) is not int or rate <= 0 or rate > 1 << 30 or type(size) is not int or not 0 <= size < 1 << 40:
        raise _Fault("field-value", f"sampling_rate {rate!r:.20}, num_samples {size!r:.20}")
    start, duration, whole = item["start"], item["duration"], recording["duration"]
    if not (_is_number(start) and _is_number(duration) and _is_number(whole)):
        name, value = next(
            pair for pair in (("start", start), ("duration", duration), ("duration", whole)) if not _is_number(pair[1])
        )
        raise _Fault("field-value", f"`{name}` is {value!r:.40}, not a number of seconds")


def _utterance(
    item: dict[str, Any], recording: dict[str, Any], source: dict[str, Any], supervision: dict[str, Any],
    number: int, folder: str,
) -> Utterance:  # fmt: skip
    text, speaker, gender = supervision.get("text"), supervision.get("speaker"), supervision.get("gender")
    is_custom = type(item.get("custom")) in _CUSTOM and type(supervision.get("custom")) in _CUSTOM
    if type(recording["id"]) is not str or not is_custom:
        raise _Fault("field-value", "the id of the recording is no text, or `custom` no object")
    texts = text, speaker, gender, supervision["id"]
    if not _TEXTS.issuperset(map(type, texts)):
        named = zip(("text", "speaker", "gender", "id"), texts, strict=True)
        name, value = next((name, value) for name, value in named if type(value) not in _TEXTS)
        raise _Fault("field-value", f"`{name}` is {value!r:.40}, not a text")
    start, duration = item["start"], item["duration"]
    is_whole = start == 0 and abs(duration - recording["duration"]) <= _TOLERANCE_SECONDS
    return Utterance(
        item["id"],
        (number, number, number, number),
        _absolute(source["source"], folder),  # by place: keywords take twice the time
        recording["id"],
        start,
        NO_NUMBER if is_whole else start + duration,
        duration,
        recording["sampling_rate"],
        recording["num_samples"],
        text or "",
        speaker or "",
        gender,
    )


def _faults(item: dict[str, Any], recording: dict[str, Any], supervision: dict[str, Any]) -> list[tuple[str, str]]:
    faults = []
    source = recording["sources"][0]
    for known, part, name in (
        (CUT_FIELDS, item, "cut"),
        (RECORDING_FIELDS, recording, "recording"),
        (SOURCE_FIELDS, source, "source"),
        (SUPERVISION_FIELDS, supervision, "supervision"),
    ):
        if not known.issuperset(part):
            faults.append(("field-unknown", f"{', '.join(sorted(set(part) - known))} of the {name}"))
    start, duration = item["start"], item["duration"]
    if start < 0 or duration <= 0:
        faults.append(("segment-times", f"start {start:g} s, duration {duration:g} s"))
    elif start + duration > recording["duration"] + _TOLERANCE_SECONDS:
        faults.append(
            ("segment-outside", f"it ends at {start + duration:g} s, the recording at {recording['duration']:g} s")
        )
    declared = recording["num_samples"] / recording["sampling_rate"]
    if abs(declared - recording["duration"]) > _TOLERANCE_SECONDS:
        faults.append(
            ("declared-length", f"duration {recording['duration']:g} s, but num_samples / sampling_rate {declared:g} s")
        )
    if supervision["recording_id"] != recording["id"]:
        detail = f"recording {recording['id']!r:.60}, supervision of {supervision['recording_id']!r:.60}"
        faults.append(("supervision-recording", detail))
    start, end = supervision["start"], supervision["start"] + supervision["duration"]
    if start < -_TOLERANCE_SECONDS or end > duration + _TOLERANCE_SECONDS or start >= end:
        faults.append(("supervision-outside", f"from {start:g} to {end:g} s in a cut of {duration:g} s"))
    if "alignment" in supervision:  # lhotse refuses null
        faults += _faults_of_alignment(supervision["alignment"], supervision, start, end)
    return faults


def _faults_of_alignment(
    alignment: dict[str, list[list[Any]]], supervision: dict[str, Any], start: float, end: float
) -> list[tuple[str, str]]:
    faults = []
    for tier, items in alignment.items():
        starts = [entry[1] for entry in items]
        if not items:
            continue
        last = max(entry[1] + entry[2] for entry in items)
        shortest = min(entry[2] for entry in items)
        first_ok = starts[0] >= start - _TOLERANCE_ALIGNMENT
        if not first_ok or last > end + _TOLERANCE_ALIGNMENT or shortest < 0 or starts != sorted(starts):
            faults.append(
                ("alignment-outside", f"{tier}: {starts[0]:g} to {last:g} s, supervision {start:g} to {end:g} s")
            )
    words = " ".join(entry[0] for entry in alignment.get("word", ()) if entry[0])
    text = " ".join((supervision.get("text") or "").split())
    if words and words != text:
        faults.append(("alignment-words", f"{show(words)}, text {show(text)}"))
    return faults


def _absolute(path: str, folder: str) -> str:
    is_clean = path[0] == "/" and "/." not in path and "//" not in path  # nearly all are; normpath is slow
    return path if is_clean else os.path.normpath(os.path.join(folder, path))


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and abs(value) < MAX_SECONDS  # type: ignore[arg-type]


def _id_of(item: Any) -> str:
    utt_id = item.get("id") if isinstance(item, dict) else None
    return utt_id if isinstance(utt_id, str) and utt_id else "-"


def _reason(item: Any, error: Exception) -> str:
    if not isinstance(item, dict):
        return f"a {type(item).__name__}, not an object"
    if "sources" in item:
        return "it is a recording: validate the cuts"
    if "recording_id" in item:
        return "it is a supervision: validate the cuts"
    if isinstance(error, KeyError):
        return f"the field {error} is missing"
    return str(error)
