"""Kaldi data directories: each file by itself, then what the files say about each other."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import NamedTuple

from speechkit import log
from speechkit.data.validate.columns import MAX_SECONDS, NO_NUMBER, Utterance
from speechkit.data.validate.intake import Intake
from speechkit.data.validate.lines import text_lines
from speechkit.errors import counted

NEEDED = ("wav.scp", "text", "utt2spk")
_OPTIONAL = ("segments", "spk2utt", "spk2gender", "utt2dur", "reco2dur")
_LINE = re.compile(r"([^ \t]+)[ \t]*(.*)", re.DOTALL)
_NUM_FIELDS = {"utt2spk": 1, "segments": 3, "spk2gender": 1, "utt2dur": 1, "reco2dur": 1}
_NUM_NAMED = 3


class Entry(NamedTuple):
    """One line of a file: its number and what follows the key."""

    line: int
    value: str


Table = dict[str, Entry]


def read_kaldi(path: Path, intake: Intake) -> None:
    """Take every utterance that has audio; those that only other files know are faults."""
    tables: dict[str, Table] = {}
    for name in (*NEEDED, *_OPTIONAL):
        if (path / name).is_file():
            tables[name] = _read_table(path / name, intake)
        elif name in NEEDED:
            intake.fault_of_line("file-missing", path / name, 0)
    if "utt2spk" in tables:
        _check_spk2utt(path, tables, intake)
    spans = _spans(path / "segments", tables, intake)
    origin = "segments" if "segments" in tables else "wav.scp" if "wav.scp" in tables else "text"
    for utt_id, span in log.track(spans.items(), "reading utterances", total=len(spans)):
        _take(path, tables, utt_id, span, intake)
    for name in ("text", "utt2spk"):
        for key, entry in tables.get(name, {}).items():
            if key not in spans:
                intake.fault_of_line(
                    "utterance-incomplete", path / name, entry.line, utt_id=key, detail=f"not in {origin}"
                )
    if "segments" in tables:
        used = {span.recording_id for span in spans.values()}
        unused = [key for key in tables.get("wav.scp", {}) if key not in used]
        if unused:
            shown = " ".join(unused[:_NUM_NAMED]) + " ..." * (len(unused) > _NUM_NAMED)
            detail = f"{len(unused)} of {len(tables['wav.scp'])}: {shown}"
            intake.fault_of_line("recording-unused", path / "wav.scp", 0, detail=detail)


class _Span(NamedTuple):
    line: int
    recording_id: str
    start: float
    end: float


def _read_table(path: Path, intake: Intake) -> Table:
    table: Table = {}
    previous, num_unsorted, first_unsorted = "", 0, 0
    for number, line in text_lines(path, intake):
        match = _LINE.match(line)
        if match is None:
            intake.fault_of_line("line-fields", path, number, detail="it starts with a blank")
            continue
        key, value = match[1], match[2] if path.name == "text" else match[2].strip(" \t")
        if key in table:
            intake.fault_of_line("id-duplicate", path, number, utt_id=key, detail=f"first at line {table[key].line}")
            continue
        if key < previous:
            num_unsorted += 1
            first_unsorted = first_unsorted or number
        previous = key
        wanted = _NUM_FIELDS.get(path.name)
        found = len(value.split())
        if (not found and path.name != "text") or (wanted and found != wanted):
            detail = f"{found} fields after the key" + (f", {wanted} expected" if wanted else "")
            intake.fault_of_line("line-fields", path, number, utt_id=key, detail=detail)
            continue
        table[key] = Entry(number, value)
    if num_unsorted:
        detail = f"{counted(num_unsorted, 'line')} behind a greater one"
        intake.fault_of_line("unsorted", path, first_unsorted, detail=detail)
    return table


def _spans(path: Path, tables: dict[str, Table], intake: Intake) -> dict[str, _Span]:
    """Place of every utterance, from segments, or from wav.scp, or from text when even that is missing."""
    if "segments" not in tables:
        base = tables.get("wav.scp", tables.get("text", {}))
        return {key: _Span(entry.line, key, 0.0, NO_NUMBER) for key, entry in base.items()}
    spans = {}
    for key, entry in tables["segments"].items():
        recording, *times = entry.value.split()
        try:
            start, end = map(float, times)
        except ValueError:
            intake.fault_of_line("field-value", path, entry.line, utt_id=key, detail=f"times {' '.join(times)}")
            continue
        spans[key] = _Span(entry.line, recording, start, NO_NUMBER if end == -1 else end)
    return spans


def _take(path: Path, tables: dict[str, Table], utt_id: str, span: _Span, intake: Intake) -> None:
    text = tables.get("text", {}).get(utt_id)
    speaker = tables.get("utt2spk", {}).get(utt_id)
    audio = tables.get("wav.scp", {}).get(span.recording_id)
    gender = tables.get("spk2gender", {}).get(speaker.value) if speaker else None
    is_command = audio is not None and audio.value.endswith("|")
    row = intake.take(
        Utterance(
            utt_id,
            (*(entry.line if entry else span.line for entry in (text, speaker, audio)), span.line),  # type: ignore[arg-type]
            audio=_path_of(audio.value, path) if audio and not is_command else "",
            recording_id=span.recording_id,
            start=span.start,
            end=span.end,
            duration=_declared_duration(path, tables, utt_id, span, intake),
            text=text.value if text else None,
            speaker=speaker.value if speaker else None,
            gender=gender.value if gender else None,
        )
    )
    present = {"text": text, "utt2spk": speaker, "wav.scp": audio}
    lacking = [name for name, entry in present.items() if entry is None and name in tables]
    place = path / ("segments" if "segments" in tables else "wav.scp")
    if lacking:
        recording = f" (recording {span.recording_id})" * ("wav.scp" in lacking)
        detail = f"not in {', '.join(lacking)}{recording}"
        intake.fault_of("utterance-incomplete", row, place, span.line, detail=detail)
    if is_command and audio:
        intake.fault_of("audio-command", row, path / "wav.scp", audio.line, detail=audio.value)
    if not (0 <= span.start < MAX_SECONDS and (math.isnan(span.end) or span.start < span.end < MAX_SECONDS)):
        detail = f"from {span.start:g} to {span.end:g} s"
        intake.fault_of("segment-times", row, place, span.line, detail=detail)


def _declared_duration(path: Path, tables: dict[str, Table], utt_id: str, span: _Span, intake: Intake) -> float:
    for name, key in (("utt2dur", utt_id), ("reco2dur", span.recording_id)):
        entry = tables.get(name, {}).get(key) if name == "utt2dur" or math.isnan(span.end) else None
        if entry is None:
            continue
        try:
            seconds = float(entry.value)
        except ValueError:
            seconds = NO_NUMBER
        if 0 <= seconds < MAX_SECONDS:
            return seconds
        detail = f"{entry.value!r:.40} is not a number of seconds"
        intake.fault_of_line("field-value", path / name, entry.line, utt_id=key, detail=detail)
    return span.end - span.start if 0 <= span.start < span.end < MAX_SECONDS else NO_NUMBER


def _path_of(given: str, folder: Path) -> str:
    """Relative to the present folder, as Kaldi has it, or to the data directory."""
    return os.path.abspath(given if os.path.exists(given) else folder / given)


def _check_spk2utt(path: Path, tables: dict[str, Table], intake: Intake) -> None:
    if "spk2utt" not in tables:
        intake.fault_of_line("spk2utt-missing", path / "spk2utt", 0)
        return
    expected: dict[str, set[str]] = {}
    for utt_id, entry in tables["utt2spk"].items():
        expected.setdefault(entry.value, set()).add(utt_id)
    for speaker, entry in tables["spk2utt"].items():
        listed, own = set(entry.value.split()), expected.pop(speaker, set())
        extra, lacking = sorted(listed - own), sorted(own - listed)
        parts = [("utt2spk does not give it", extra), ("it lacks", lacking)]
        detail = "; ".join(f"{words} {' '.join(ids[:_NUM_NAMED])}" for words, ids in parts if ids)
        if detail:
            intake.fault_of_line("spk2utt-differs", path / "spk2utt", entry.line, utt_id=speaker, detail=detail)
    for speaker in expected:
        intake.fault_of_line("spk2utt-differs", path / "spk2utt", 0, utt_id=speaker, detail="the speaker is not there")
