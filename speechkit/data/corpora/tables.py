"""Tab-separated tables with a header line, UTF-8; LF or CRLF; every fault with file:line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from speechkit.data.corpora.items import BadItem
from speechkit.errors import ConfigError, SpeechkitError, counted

MAX_DIGITS = 9  # whole numbers of tables: what a manifest can hold
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Row:
    """One line of a table: its place `file:line` and its stripped fields by column."""

    where: str
    fields: dict[str, str]

    def __getitem__(self, column: str) -> str:
        return self.fields[column]

    def get(self, column: str) -> str:
        """The field, or an empty text when the table has no such column."""
        return self.fields.get(column, "")


def read_lines(path: Path) -> tuple[list[tuple[int, str]], list[BadItem]]:
    """The lines of a text file with their numbers (from 1), and those that are not UTF-8 or hold a NUL.

    Raises:
        SpeechkitError: the file is missing or empty.
    """
    try:
        data = path.read_bytes().removeprefix(_BOM)
    except FileNotFoundError:
        raise SpeechkitError(f"`{path}` does not exist") from None
    if not data.strip():
        raise SpeechkitError(f"`{path}` is empty")
    lines, bad = [], []
    for number, raw in enumerate(data.removesuffix(b"\n").split(b"\n"), start=1):
        if b"\0" in raw:
            bad.append(BadItem(f"{path}:{number}", "-", "the line holds a NUL character"))
            continue
        try:
            lines.append((number, raw.removesuffix(b"\r").decode("utf-8")))
        except UnicodeDecodeError as error:
            reason = f"not UTF-8: byte 0x{raw[error.start]:02x} at position {error.start + 1}"
            bad.append(BadItem(f"{path}:{number}", "-", reason))
    return lines, bad


def read_table(path: Path, required: Sequence[str]) -> tuple[list[Row], list[BadItem]]:
    """All rows of a table, and the lines that are none.

    Raises:
        SpeechkitError: missing, empty or header only; a required column is missing or a column occurs twice.
    """
    lines, bad = read_lines(path)
    if not lines or lines[0][0] != 1:
        raise SpeechkitError("the header line is not UTF-8 text", where=f"{path}:1")
    columns = [name.strip() for name in lines[0][1].split("\t")]
    _check_columns(path, columns, required)
    rows = []
    for number, line in lines[1:]:
        values = [value.strip() for value in line.split("\t")]
        if len(values) == len(columns):
            rows.append(Row(f"{path}:{number}", dict(zip(columns, values, strict=True))))
            continue
        given = "an empty line" if not line.strip() else counted(len(values), "field")
        named = dict(zip(columns, values, strict=False)).get("id") or "-"
        bad.append(BadItem(f"{path}:{number}", named, f"{given}, {len(columns)} expected"))
    if not rows and not bad:
        raise SpeechkitError(f"`{path}` has a header line and nothing else", expected="one line per utterance")
    return rows, bad


def _check_columns(path: Path, columns: list[str], required: Sequence[str]) -> None:
    missing = [name for name in required if name not in columns]
    if missing:
        raise SpeechkitError(
            f"missing column{'s' if len(missing) > 1 else ''} {', '.join(f'`{m}`' for m in missing)}",
            where=f"{path}:1  present: {', '.join(columns)}",
            expected=f"tab-separated columns {', '.join(required)} in the first line",
        )
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise SpeechkitError(f"column `{twice[0]}` occurs twice", where=f"{path}:1")


def filter_rows(rows: list[Row], where: str) -> list[Row]:
    """Rows that pass every filter of `column:value|value,column:value`.

    Raises:
        ConfigError: not a filter, no such column, or nothing passes.
    """
    for part in filter(None, where.split(",")):
        column, colon, wanted = part.partition(":")
        values = {value.strip() for value in wanted.split("|")}
        if not colon or not column:
            raise ConfigError(f"`where={part}` is no filter", expected="COLUMN:VALUE, for example where=split:train")
        if rows and column not in rows[0].fields:
            raise ConfigError(f"`where`: no column `{column}`", expected=f"one of {', '.join(rows[0].fields)}")
        present = sorted({row[column] for row in rows})
        rows = [row for row in rows if row[column] in values]
        if not rows:
            shown = ", ".join(present[:10]) + (", ..." if len(present) > 10 else "")
            raise ConfigError(f"`where={part}` keeps nothing", expected=f"values of `{column}`: {shown}")
    return rows
