"""Tables with a header line (`path`, `id`, `speaker`, text and others), raw: odd blanks must not be stripped away."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

from speechkit import log
from speechkit.data.validate.columns import NO_NUMBER, Utterance
from speechkit.data.validate.intake import Intake
from speechkit.data.validate.lines import text_lines
from speechkit.errors import counted

_NUMBERS = ("sr", "samples", "dur")
_MAX_NUMBER = 1 << 30


def read_tsv(path: Path, intake: Intake, *, text_column: str, needed: Sequence[str]) -> None:
    """Take every row that has an id and a path.

    Args:
        needed: columns without which the checks that are wanted can not be done; `path` and `id` are among them.
    """
    lines = text_lines(path, intake)
    number, header = next(lines, (0, ""))
    columns = [name.strip() for name in header.split("\t")]
    for name in dict.fromkeys(columns):
        if columns.count(name) > 1:
            intake.fault_of_line("column-missing", path, number, detail=f"`{name}` twice")
    missing = [name for name in needed if name not in columns]
    if number and missing:
        detail = f"no {', '.join(f'`{name}`' for name in missing)}; there are {', '.join(columns)}"
        intake.fault_of_line("column-missing", path, number, detail=detail)
    if "path" in missing or "id" in missing:
        return
    for number, line in log.track(lines, "reading rows", unit="rows"):
        values = line.split("\t")
        row = dict(zip(columns, values, strict=False))
        if len(values) != len(columns):
            detail = f"{counted(len(values), 'field')}, {len(columns)} expected"
            intake.fault_of_line("line-fields", path, number, utt_id=row.get("id", "").strip() or "-", detail=detail)
        else:
            _take(row, path, number, intake, text_column=text_column)


def _take(row: dict[str, str], path: Path, number: int, intake: Intake, *, text_column: str) -> None:
    utt_id, audio = row["id"].strip(" "), row["path"].strip(" ")
    if not audio:
        intake.fault_of_line("field-value", path, number, utt_id=utt_id or "-", detail="`path` is empty")
        return
    values = {name: _number(row.get(name, "")) for name in _NUMBERS}
    speaker, text = row.get("speaker"), row.get(text_column)
    index = intake.take(
        Utterance(
            utt_id,
            (number, number, number, number),
            audio=os.path.abspath(path.parent / audio),
            recording_id=audio,
            duration=values["dur"],
            rate=_whole(values["sr"], 0),
            num_samples=_whole(values["samples"], -1),
            text=text,
            speaker=speaker.strip(" ") if speaker is not None else None,
            gender=row.get("gender") or None,
        )
    )
    for name in _NUMBERS:
        if row.get(name, "").strip() and math.isnan(values[name]):
            detail = f"`{name}` is {row[name]!r:.40}, not a number above 0"
            intake.fault_of("field-value", index, path, number, detail=detail)


def _number(text: str) -> float:
    """A number above 0, else NaN."""
    try:
        value = float(text)
    except ValueError:
        return NO_NUMBER
    return value if 0 < value < _MAX_NUMBER else NO_NUMBER


def _whole(value: float, unknown: int) -> int:
    return int(value) if 0 < value < _MAX_NUMBER else unknown
