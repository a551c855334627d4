"""Cuts from the sound and repaired utterances of a manifest, read a second time."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from lhotse import MonoCut
from lhotse.serialization import deserialize_item

from speechkit.audio.measure import Measures
from speechkit.data.config import KaldiConfig, TsvConfig
from speechkit.data.corpora import kaldi, tsv
from speechkit.data.corpora.items import Prepared
from speechkit.data.corpora.tables import Row
from speechkit.data.cut_faults import fault_of
from speechkit.data.validate.intake import Intake
from speechkit.data.validate.lines import raw_lines, text_lines
from speechkit.data.validate.loaded import LoadedSet
from speechkit.data.validate.source_cuts import CUT_FIELDS, RECORDING_FIELDS, SOURCE_FIELDS, SUPERVISION_FIELDS
from speechkit.data.validate.speakers import main_spellings
from speechkit.data.validate.style import style_of_set
from speechkit.data.validate.text import repair_text
from speechkit.errors import SpeechkitError

_DECLARED = ("sr", "samples", "dur")
_KALDI_OPTIONAL = ("spk2gender", "utt2lang")


@dataclass(frozen=True)
class Repairs:
    """How the utterances of a set are put right.

    Args:
        kept: rows that are not in quarantine; repaired: those of them that change.
        text: the repaired text of a text; spellings: the main spelling of a speaker who has several.
    """

    kept: set[int]
    repaired: set[int]
    text: Callable[[str], str]
    spellings: dict[str, str]

    def text_of(self, row: int, text: str) -> str:
        """The text of a row, repaired if it must be."""
        return self.text(text) if row in self.repaired else text

    def speaker_of(self, speaker: str) -> str:
        """The one spelling of a speaker."""
        return self.spellings.get(speaker, speaker)


def rebuild(loaded: LoadedSet, *, kept: set[int], repaired: set[int], num_jobs: int) -> list[MonoCut]:
    """Cuts of the rows `kept`, in their order.

    Raises:
        SpeechkitError: a row can not be made a cut after all, or the manifest lacks texts or speakers.
    """
    style = style_of_set(loaded)

    def text(given: str) -> str:
        return repair_text(given, case=style.case, without_punctuation=style.without_punctuation)

    repairs = Repairs(kept, repaired, text, main_spellings(loaded))
    if loaded.data.format == "cuts":
        return list(_cuts_again(loaded, repairs))
    build = _kaldi_again if loaded.data.format == "kaldi" else _table_again
    prepared = build(loaded, repairs, num_jobs)
    if prepared.bad:
        raise SpeechkitError("not all utterances can be made cuts", where=[str(item) for item in prepared.bad])
    return prepared.cuts


def _rows_by_line(loaded: LoadedSet, kept: set[int]) -> dict[int, int]:
    lines = loaded.data.lines[0]
    return {lines[row]: row for row in kept}


def _silent(loaded: LoadedSet) -> Intake:
    """Takes the faults of lines that are known already."""
    return Intake(loaded.data, loaded.index, loaded.config)


def _cuts_again(loaded: LoadedSet, repairs: Repairs) -> Iterator[MonoCut]:
    path = loaded.data.path
    rows = _rows_by_line(loaded, repairs.kept)
    for number, line in raw_lines(path, _silent(loaded)):
        row = rows.get(number)
        if row is None:
            continue
        item = orjson.loads(line)
        if row in repairs.repaired:
            _repair_cut(item, loaded, row, repairs)
        item["recording"]["sources"][0]["source"] = loaded.data.audio[row]
        try:
            cut = deserialize_item(item)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, AssertionError) as error:
            raise SpeechkitError("not a lhotse cut", where=f"{path}:{number}  {error}") from None
        fault = fault_of(cut)
        if fault:
            raise SpeechkitError(fault, where=f"{path}:{number}")
        yield cut


def _repair_cut(item: dict[str, Any], loaded: LoadedSet, row: int, repairs: Repairs) -> None:
    recording, supervision = item["recording"], item["supervisions"][0]
    own = (item, item.setdefault("custom", None) or {})
    custom = dict(own[1])
    for known, part in ((CUT_FIELDS, item), (RECORDING_FIELDS, recording), (SOURCE_FIELDS, recording["sources"][0])):
        for name in sorted(set(part) - known):
            custom.setdefault(name, part.pop(name))
    item["custom"] = custom or None
    unknown = {name: supervision.pop(name) for name in sorted(set(supervision) - SUPERVISION_FIELDS)}
    if unknown:
        supervision["custom"] = {**unknown, **(supervision.get("custom") or {})}
    supervision["text"] = repairs.text_of(row, supervision["text"])
    supervision["recording_id"] = recording["id"]
    if speaker := supervision.get("speaker"):
        supervision["speaker"] = repairs.speaker_of(speaker)
    _declare(item, recording, supervision, loaded.measure(row))


def _declare(item: dict[str, Any], recording: dict[str, Any], supervision: dict[str, Any], measures: Measures) -> None:
    """Rate and lengths as they are in the file; where nothing was measured, the number of samples is believed."""
    was_whole = item["start"] == 0 and abs(item["duration"] - recording["duration"]) < 1e-3
    if not measures.fault:
        recording["sampling_rate"], recording["num_samples"] = measures.rate, measures.file_samples
    duration = recording["num_samples"] / recording["sampling_rate"]
    if duration == recording["duration"]:
        return
    recording["duration"] = duration
    if was_whole:
        item["duration"] = duration
        end = supervision["start"] + supervision["duration"]
        supervision["duration"] = min(end, duration) - supervision["start"] if supervision["start"] else duration


def _table_again(loaded: LoadedSet, repairs: Repairs, num_jobs: int) -> Prepared:
    path, config = loaded.data.path, TsvConfig(text_column=loaded.config.text_column)
    rows = _rows_by_line(loaded, repairs.kept)
    lines = text_lines(path, _silent(loaded))
    columns = [name.strip() for name in next(lines)[1].split("\t")]
    lacking = [name for name in ("speaker", config.text_column) if name not in columns]
    if lacking:
        raise SpeechkitError(f"`{path}` has no column `{lacking[0]}`", hint="a manifest needs texts and speakers")
    table = []
    for number, line in lines:
        row = rows.get(number)
        if row is None:
            continue
        fields = {name: value.strip() for name, value in zip(columns, line.split("\t"), strict=True)}
        fields[config.text_column] = repairs.text_of(row, fields[config.text_column])
        fields["speaker"] = repairs.speaker_of(fields["speaker"])
        if row in repairs.repaired:  # what the table declares may be what was wrong: the file tells it
            fields.update({name: "" for name in _DECLARED if name in fields})
        table.append(Row(f"{path}:{number}", fields))
    return tsv.cuts_from_rows(table, [], path.parent, config=config, num_jobs=num_jobs)


def _kaldi_again(loaded: LoadedSet, repairs: Repairs, num_jobs: int) -> Prepared:
    """Writes the repaired files into a temporary directory and prepares that."""
    data = loaded.data
    names = list(data.speakers)
    files: dict[str, list[str]] = {name: [] for name in ("text", "utt2spk", "segments")}
    audio: dict[str, str] = {}
    segments = _fields_of(data.path / "segments", loaded)
    for row in sorted(repairs.kept):
        utt_id = data.ids[row]
        recording, *times = segments.get(utt_id, [utt_id])
        audio[recording] = data.audio[row]
        speaker = repairs.speaker_of(names[data.numbers["speaker"][row]])
        files["text"].append(f"{utt_id} {repairs.text_of(row, data.texts[row])}")
        files["utt2spk"].append(f"{utt_id} {speaker}")
        files["segments"] += [" ".join((utt_id, recording, *times))] if times else []
    files["wav.scp"] = [f"{recording} {path}" for recording, path in audio.items()]
    for name in _KALDI_OPTIONAL:
        files[name] = [" ".join((key, *fields)) for key, fields in _fields_of(data.path / name, loaded).items()]
    with tempfile.TemporaryDirectory() as folder:
        for name, lines in files.items():
            if lines:
                (Path(folder) / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return kaldi.prepare(Path(folder), Path(folder), KaldiConfig(check_audio=False), num_jobs=num_jobs)


def _fields_of(path: Path, loaded: LoadedSet) -> dict[str, list[str]]:
    """First occurrence of each key; nothing when there is no such file."""
    found: dict[str, list[str]] = {}
    if path.is_file():
        for _, line in text_lines(path, _silent(loaded)):
            key, *fields = line.split()
            found.setdefault(key, fields)
    return found
