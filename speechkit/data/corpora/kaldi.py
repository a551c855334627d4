"""Corpus `kaldi`: a data directory with wav.scp, text, utt2spk; optional segments, spk2gender, utt2lang.

wav.scp holds plain paths, relative ones to the present folder (as Kaldi has it) or to the data directory.
Commands (`sox ... |`) come from the data and are never executed.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lhotse import MonoCut, SupervisionSegment

from speechkit import log
from speechkit.audio.io import AudioInfo
from speechkit.data.config import KaldiConfig
from speechkit.data.corpora.items import BadItem, Prepared
from speechkit.data.corpora.tables import read_lines
from speechkit.data.corpora.tsv import check_audio_file
from speechkit.data.store import cut_of_supervision, make_recording
from speechkit.errors import SpeechkitError

_NEEDED = ("wav.scp", "text", "utt2spk")
_OPTIONAL = ("segments", "spk2gender", "utt2lang")
_MAX_OVERSHOOT_SECONDS = 0.02  # times of segments are rounded; what lies past the end is clipped and counted


@dataclass(frozen=True)
class Entry:
    """One line of a Kaldi file: its place and what follows the key."""

    where: str
    value: str


@dataclass(frozen=True)
class Utterance:
    """An utterance and its place in a recording; `end_seconds` None is the end of the recording."""

    where: str
    utt_id: str
    recording_id: str
    start_seconds: float = 0.0
    end_seconds: float | None = None


Tables = dict[str, dict[str, Entry]]


def prepare(source: Path, out: Path, config: KaldiConfig, *, num_jobs: int) -> Prepared:
    """One cut per utterance; with `segments`, cuts are parts of the recordings.

    Raises:
        SpeechkitError: `source` is no Kaldi data directory, or a needed file is empty.
    """
    tables, bad = _read_tables(source)
    utterances, faults = _list_utterances(tables)
    bad += faults
    utterances, faults = _check_presence(utterances, tables, source)
    bad += faults
    used = {utterance.recording_id for utterance in utterances}
    audio = {key: entry for key, entry in tables["wav.scp"].items() if key in used}
    with ThreadPoolExecutor(num_jobs) as pool:
        opened = pool.map(lambda entry: _open_audio(entry, source, config), audio.values())
        headers = dict(zip(audio, log.track(opened, "reading headers", total=len(audio)), strict=True))
    cuts = []
    counts: Counter[str] = Counter()
    for utterance in utterances:
        cut = _cut_of(utterance, headers[utterance.recording_id], tables, counts=counts)
        if isinstance(cut, MonoCut):
            cuts.append(cut)
        else:
            bad.append(BadItem(utterance.where, utterance.utt_id, cut))
    return Prepared(cuts, bad, [f"{count} {text}" for text, count in counts.items() if count])


def named_audio(source: Path) -> list[Path]:
    """The audio files that wav.scp names, wherever they lie."""
    entries = _read_tables(source)[0]["wav.scp"].values()
    return [_path_of(entry, source) for entry in entries if not entry.value.endswith("|")]


def _read_tables(source: Path) -> tuple[Tables, list[BadItem]]:
    missing = [name for name in _NEEDED if not (source / name).is_file()]
    if missing:
        raise SpeechkitError(
            f"`{source}` is no Kaldi data directory: no {', '.join(f'`{name}`' for name in missing)}",
            expected=f"{', '.join(_NEEDED)}; optional {', '.join(_OPTIONAL)}",
        )
    tables: Tables = {}
    bad: list[BadItem] = []
    for name in (*_NEEDED, *_OPTIONAL):
        tables[name] = {}
        if not (source / name).is_file():
            continue
        lines, not_utf8 = read_lines(source / name)
        bad += not_utf8
        for number, line in lines:
            where = f"{source / name}:{number}"
            key, value = [*line.split(maxsplit=1), "", ""][:2]
            if not key or not value.strip():
                bad.append(BadItem(where, key or "-", "nothing after the key" if key else "an empty line"))
            elif key in tables[name]:
                bad.append(BadItem(where, key, f"the key occurs twice, first at {tables[name][key].where}"))
            else:
                tables[name][key] = Entry(where, value.strip())
    return tables, bad


def _list_utterances(tables: Tables) -> tuple[list[Utterance], list[BadItem]]:
    if not tables["segments"]:
        return [Utterance(entry.where, key, key) for key, entry in tables["wav.scp"].items()], []
    utterances, bad = [], []
    for utt_id, entry in tables["segments"].items():
        fields = entry.value.split()
        try:
            recording_id, (start, end) = fields[0], map(float, fields[1:])
        except ValueError:
            bad.append(BadItem(entry.where, utt_id, "not `UTTERANCE RECORDING START END`"))
            continue
        is_open = end == -1
        if not 0 <= start < float("inf") or not (is_open or start < end < float("inf")):
            bad.append(BadItem(entry.where, utt_id, f"the segment runs from {start:g} to {end:g} s"))
            continue
        utterances.append(Utterance(entry.where, utt_id, recording_id, start, None if is_open else end))
    return utterances, bad


def _check_presence(utterances: list[Utterance], tables: Tables, source: Path) -> tuple[list[Utterance], list[BadItem]]:
    """Utterances that every needed file knows; those of `text` and `utt2spk` that have no audio are bad, too."""
    sound, bad = [], []
    for utterance in utterances:
        lacking = [name for name in ("text", "utt2spk") if utterance.utt_id not in tables[name]]
        if utterance.recording_id not in tables["wav.scp"]:
            lacking.append(f"wav.scp (recording `{utterance.recording_id}`)")
        if lacking:
            bad.append(BadItem(utterance.where, utterance.utt_id, f"missing in {', '.join(lacking)}"))
        else:
            sound.append(utterance)
    origin = "segments" if tables["segments"] else "wav.scp"
    known = tables[origin]
    orphans = {key: entry for name in ("utt2spk", "text") for key, entry in tables[name].items() if key not in known}
    bad += [BadItem(entry.where, key, f"missing in {origin}") for key, entry in orphans.items()]
    return sound, bad


def _open_audio(entry: Entry, source: Path, config: KaldiConfig) -> tuple[Path, AudioInfo] | str:
    """Path and header of a line of wav.scp, or why it is no use."""
    if entry.value.endswith("|"):
        return (
            f"{entry.where}: `{entry.value}` is a command, and commands in data are never executed: write audio files"
        )
    path = _path_of(entry, source)
    try:
        return path, check_audio_file(path, read_end=config.check_audio)
    except SpeechkitError as error:
        return f"{entry.where}: {error.what}"


def _path_of(entry: Entry, source: Path) -> Path:
    given = Path(entry.value)
    return (given if given.exists() else source / given).resolve()


def _cut_of(
    utterance: Utterance, opened: tuple[Path, AudioInfo] | str, tables: Tables, *, counts: Counter[str]
) -> MonoCut | str:
    """The cut of an utterance, or why there is none."""
    if isinstance(opened, str):
        return opened
    path, info = opened
    rate = info.sampling_rate
    start = round(utterance.start_seconds * rate)
    end = info.num_samples if utterance.end_seconds is None else round(utterance.end_seconds * rate)
    if start >= info.num_samples or end > info.num_samples + _MAX_OVERSHOOT_SECONDS * rate:
        return f"the segment ends at {end / rate:g} s, the audio at {info.duration_seconds:g} s"
    counts["segments ran past the end of the audio by up to 20 ms and were clipped"] += end > info.num_samples
    counts["recordings have more than one channel: the first is used"] += info.num_channels > 1
    end = min(end, info.num_samples)
    speaker = tables["utt2spk"][utterance.utt_id].value
    gender = tables["spk2gender"].get(speaker)
    language = tables["utt2lang"].get(utterance.utt_id)
    supervision = SupervisionSegment(
        id=utterance.utt_id,
        recording_id=utterance.recording_id,
        start=start / rate,
        duration=(end - start) / rate,
        text=" ".join(tables["text"][utterance.utt_id].value.split()),
        speaker=speaker,
        gender=gender.value if gender else None,
        language=language.value if language else None,
    )
    recording = make_recording(utterance.recording_id, path, sampling_rate=rate, num_samples=info.num_samples)
    return cut_of_supervision(recording, supervision)
