"""Write a table that `data prepare tsv` reads: path, id, speaker, text, and what else the utterances have."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

from speechkit.artifact import publish_file
from speechkit.data.corpora.tables import MAX_DIGITS
from speechkit.data.corpora.tsv import NOT_CUSTOM, WHOLE_NUMBERS
from speechkit.data.formats.utterance import Losses, Utterance

HOLDS = ("text", "speaker", "gender", "language", "custom", "place", "recording")
_FIRST = ("path", "id", "speaker", "text")
_OPTIONAL = ("gender", "lang", "recording", "start", "dur")


def write_table(utterances: Iterable[Utterance], path: Path, losses: Losses) -> int:
    """Write the table; returns the number of its rows."""
    rows = [row for u in utterances if (row := _row_of(u, path.resolve().parent, losses)) is not None]
    losses.refuse_nothing(len(rows))
    used = {name for row in rows for name, value in row.items() if value}
    others = sorted(used - {*_FIRST, *_OPTIONAL})
    columns = [*_FIRST, *(name for name in _OPTIONAL if name in used), *others]
    with publish_file(path) as stream:
        stream.write("\t".join(columns) + "\n")
        stream.writelines("\t".join(row.get(name, "") for name in columns) + "\n" for row in rows)
    return len(rows)


def _row_of(u: Utterance, folder: Path, losses: Losses) -> dict[str, str] | None:
    audio = str(u.audio.relative_to(folder) if u.audio.is_relative_to(folder) else u.audio)
    if _as_field(audio) != audio or _as_field(u.utt_id) != u.utt_id or " " in u.utt_id or not u.utt_id:
        losses.add("the utterance: its id or the name of its audio file holds a blank, tab or line break", u.utt_id)
        return None
    losses.add_missing(u, HOLDS)
    row = {"path": audio, "id": u.utt_id}
    named = {"speaker": u.speaker, "text": u.text, "gender": u.gender, "lang": u.language}
    for name, value in named.items():
        row[name] = _as_field(value or "", is_text=name == "text")
        if row[name] != (value or ""):
            losses.add(f"white space in {name}", u.utt_id)
    if u.recording_id != u.utt_id:
        row["recording"] = _as_field(u.recording_id)
        if row["recording"] != u.recording_id:
            losses.add("white space in the id of the recording", u.utt_id)
    if not u.is_whole:
        row |= {"start": repr(float(u.start_seconds)), "dur": repr(float(u.duration_seconds))}
    for name, value in u.custom.items():
        if name in NOT_CUSTOM or name == "gender" or _as_field(name) != name or not name:
            losses.add(f"custom field `{name}`: the name is taken or no name of a column", u.utt_id)
        else:
            row[name] = _custom(name, value, u.utt_id, losses)
    return row


def _as_field(value: str, *, is_text: bool = False) -> str:
    """The value as a table holds it: without tabs and line breaks, stripped; texts with single blanks."""
    if is_text:
        return " ".join(value.replace("\0", " ").split())
    return "".join(" " if c in "\t\r\n\0" else c for c in value).strip()


def _custom(name: str, value: Any, utt_id: str, losses: Losses) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    field = _as_field(text)
    if field != text or not field:
        losses.add(f"white space or emptiness of custom field `{name}`", utt_id)
    again: Any = int(field) if name in WHOLE_NUMBERS and field.isdecimal() and len(field) <= MAX_DIGITS else field
    if type(again) is not type(value):
        losses.add(f"the type of custom field `{name}`: it comes back as {_kind(again)}", utt_id)
    return field


def _kind(value: object) -> str:
    return "a number" if isinstance(value, int) else "text"
