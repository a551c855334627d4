"""Corpus `tsv`: a table with path (relative to the table), id, speaker, text; further columns are kept.

`gender` and `lang` go to the supervision's own fields, other columns to its custom fields;
sr, samples and dur are compared with the audio file. A row with `start` is the part of its file from there on,
`dur` seconds long; `recording` names the recording when that is not the id.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lhotse import MonoCut

from speechkit import log
from speechkit.audio.io import AudioInfo, audio_info, read_audio
from speechkit.data.config import TsvConfig
from speechkit.data.corpora.items import BadItem, Prepared, repeated_ids
from speechkit.data.corpora.tables import MAX_DIGITS, Row, filter_rows, read_table
from speechkit.data.formats.utterance import Utterance, cut_of
from speechkit.data.store import Word
from speechkit.errors import SpeechkitError

MANIFEST = "manifest.tsv"
WHOLE_NUMBERS = {"age", "digit", "take"}
NOT_CUSTOM = {"id", "path", "speaker", "text", "sr", "samples", "dur", "lang", "start", "recording"}
_DUR_TOLERANCE_SECONDS = 0.02  # tables round
Tiers = Callable[[Row, AudioInfo], Mapping[str, list[Word]]]


def prepare(source: Path, out: Path, config: TsvConfig, *, num_jobs: int) -> Prepared:
    """Cuts of a table, or of the `manifest.tsv` in a folder.

    Raises:
        SpeechkitError: the table is missing, empty or lacks a column.
    """
    path = find_table(source)
    rows, bad = read_table(path, ["path", "id", "speaker", config.text_column])
    rows = filter_rows(rows, config.where)
    return cuts_from_rows(rows, bad, path.parent, config=config, num_jobs=num_jobs)


def find_table(source: Path) -> Path:
    """The table itself, or `manifest.tsv` in the folder.

    Raises:
        SpeechkitError: neither exists.
    """
    if source.is_file():
        return source
    if not (source / MANIFEST).is_file():
        raise SpeechkitError(f"no `{MANIFEST}` in `{source}`", expected=f"a folder with {MANIFEST}, or a .tsv file")
    return source / MANIFEST


def named_audio(source: Path) -> list[Path]:
    """The audio files that the rows of a table name, wherever they lie; none when there is no table."""
    path = source if source.is_file() else source / MANIFEST
    rows = read_table(path, [])[0] if path.is_file() else []
    return [_audio_of(row, path.parent) for row in rows if row.get("path")]


def cuts_from_rows(
    rows: list[Row],
    bad: list[BadItem],
    folder: Path,
    *,
    config: TsvConfig,
    num_jobs: int,
    tiers: Tiers | None = None,
) -> Prepared:
    """One cut per row whose fields and audio are sound; the others join `bad`, with every reason.

    Args:
        tiers: gives the alignments of a row, or raises SpeechkitError.
    """
    bad = bad + repeated_ids((row["id"], row.where) for row in rows if row["id"])
    twice = {item.where for item in bad}
    candidates = [row for row in rows if row.where not in twice]
    cuts: list[MonoCut] = []
    counts: Counter[str] = Counter()
    with ThreadPoolExecutor(num_jobs) as pool:
        results = pool.map(lambda row: _open_row(row, folder, config, tiers=tiers), candidates)
        for row, (info, cut, reasons) in log.track(
            zip(candidates, results, strict=True), "reading headers", total=len(candidates)
        ):
            if reasons or info is None or cut is None:
                bad.append(BadItem(row.where, row["id"] or "-", "; ".join(reasons)))
                continue
            counts["files have more than one channel: the first is used"] += info.num_channels > 1
            cuts.append(cut)
    notes = [f"{count} {text}" for text, count in counts.items() if count]
    return Prepared(cuts, bad, notes)


def _open_row(
    row: Row, folder: Path, config: TsvConfig, *, tiers: Tiers | None
) -> tuple[AudioInfo | None, MonoCut | None, list[str]]:
    """The audio header and the cut of a row, and every reason why the row is no use."""
    optional = {name.strip() for name in config.may_be_empty.split(",")}
    needed = ["id", "path", *(name for name in ("speaker", config.text_column) if name not in optional)]
    reasons = [f"empty `{name}`" for name in needed if not row[name]]
    if " " in row["id"]:
        reasons.append("the id holds a blank")
    if not row["path"]:
        return None, None, reasons
    path = _audio_of(row, folder)
    try:
        info = check_audio_file(path, read_end=config.check_audio)
        if config.check_audio:
            reasons += _mismatches(row, info)
        place = _place(row, info)
        found = tiers(row, info) if tiers is not None and not reasons else {}
    except SpeechkitError as error:
        return None, None, [*reasons, error.what]
    return info, _cut_of_row(row, path, info, config=config, place=place, tiers=found), reasons


def _place(row: Row, info: AudioInfo) -> tuple[float, float]:
    """Start and duration of a row in its file, in seconds.

    Raises:
        SpeechkitError: they are no times inside the file.
    """
    if not row.get("start"):
        return 0.0, info.duration_seconds
    try:
        start, length = float(row["start"]), float(row.get("dur"))
    except ValueError:
        raise SpeechkitError(f"`start` and `dur` are not both numbers: {row['start']}, {row.get('dur')}") from None
    end = start + length
    if not (0 <= start < end <= info.duration_seconds + _DUR_TOLERANCE_SECONDS):
        raise SpeechkitError(f"it runs from {start:g} to {end:g} s, the file ends at {info.duration_seconds:g} s")
    return start, min(length, info.duration_seconds - start)


def check_audio_file(path: Path, *, read_end: bool) -> AudioInfo:
    """The header of a file that holds samples.

    Args:
        read_end: decode the last sample, too: a truncated FLAC file still declares its full length.
    Raises:
        SpeechkitError: missing, empty, unreadable, truncated or without samples.
    """
    info = audio_info(path)
    if info.num_samples == 0:
        raise SpeechkitError(f"audio file `{path}` holds no samples")
    if read_end:
        read_audio(path, start_sample=info.num_samples - 1, num_samples=1)
    return info


def _mismatches(row: Row, info: AudioInfo) -> Iterator[str]:
    for column, actual, tolerance in (
        ("sr", info.sampling_rate, 0.0),
        ("samples", info.num_samples, 0.0),
        ("dur", info.duration_seconds, _DUR_TOLERANCE_SECONDS),
    ):
        declared = row.get(column)
        if not declared or (row.get("start") and column != "sr"):  # of a part of the file
            continue
        try:
            value = float(declared)
        except ValueError:
            yield f"`{column}` is not a number: {declared}"
            continue
        if not abs(value - actual) <= tolerance:
            yield f"`{column}` says {declared}, the file has {actual:.10g}"


def _audio_of(row: Row, folder: Path) -> Path:
    return Path(os.path.abspath(folder / row["path"]))


def _cut_of_row(
    row: Row,
    path: Path,
    info: AudioInfo,
    *,
    config: TsvConfig,
    place: tuple[float, float],
    tiers: Mapping[str, list[Word]],
) -> MonoCut:
    utterance = Utterance(
        utt_id=row["id"],
        recording_id=row.get("recording") or row["id"],
        audio=path,
        sampling_rate=info.sampling_rate,
        recording_samples=info.num_samples,
        start_seconds=place[0],
        duration_seconds=place[1],
        text=change_case(" ".join(row[config.text_column].split()), config.case),
        speaker=row["speaker"] or None,
        gender=row.get("gender") or None,
        language=row.get("lang") or None,
        tiers=tiers,
        custom=_custom_fields(row.fields, config.text_column),
    )
    return cut_of(utterance)


def change_case(text: str, case: str) -> str:
    """The text in `lower`, `upper` or the case it has (`keep`)."""
    return text.lower() if case == "lower" else text.upper() if case == "upper" else text


def _custom_fields(fields: dict[str, str], text_column: str) -> dict[str, Any]:
    kept = {k: v for k, v in fields.items() if v and k not in NOT_CUSTOM and k != text_column}
    return {k: int(v) if k in WHOLE_NUMBERS and v.isdecimal() and len(v) <= MAX_DIGITS else v for k, v in kept.items()}
