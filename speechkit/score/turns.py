"""Who said what in a session: turns of several speakers from STM, SegLST, JSON lines and CTM.

SegLST is a JSON list of objects with `session_id`, `speaker`, `words`, `start_time` and `end_time`; JSON lines hold
one such object per line. In an STM the file is the session; in a CTM the file is the session and the channel the
speaker. Times are seconds; SegLST may lack them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from speechkit.errors import SpeechkitError
from speechkit.score.timed import IGNORED, read_ctm, read_stm
from speechkit.score.transcripts import check_bytes, read_bytes

KINDS = {".stm": "stm", ".ctm": "ctm", ".json": "seglst", ".jsonl": "jsonl"}
_EXPECTED = '{"session_id": ..., "speaker": ..., "words": ..., "start_time": ..., "end_time": ...}'


@dataclass(frozen=True)
class Turn:
    """Words of one speaker in one stretch of a session; times are None where the file has none."""

    session: str
    speaker: str
    words: str
    start: float | None
    end: float | None
    where: str


def read_turns(path: Path) -> list[Turn]:
    """The turns of a file, in its order.

    Raises:
        SpeechkitError: with file:line or the number of the segment, for a missing or empty file, an unknown format,
            missing or wrong fields, bad times.
    """
    kind = kind_of(path)
    if kind == "stm":
        found = _from_stm(path)
    elif kind == "ctm":
        found = [
            Turn(file, channel, item.text, item.start, item.end, f"{path}:{item.line}")
            for (file, channel), items in read_ctm(path).items()
            for item in items
        ]
    else:
        found = _from_objects(path, kind)
    if not found:
        raise SpeechkitError(f"`{path}` holds no turns")
    marked = [f"{turn.where}  {turn.words[:60]}" for turn in found if "{" in turn.words]
    if marked:
        raise SpeechkitError(
            f"{len(marked)} turns have alternatives `{{ a / b }}`, which these metrics do not know",
            where=marked,
            hint="choose one of them, or score each speaker with `score wer`",
        )
    return found


def kind_of(path: Path) -> str:
    """The format by the name of the file.

    Raises:
        SpeechkitError: no known format.
    """
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    if suffix not in KINDS:
        raise SpeechkitError(
            f"`{path}` has no known format", expected=f"a name that ends in {', '.join(KINDS)}, or one of these and .gz"
        )
    return KINDS[suffix]


def _from_stm(path: Path) -> list[Turn]:
    segments = read_stm(path, is_ordered=False)
    return [
        Turn(file, item.speaker, item.text, item.start, item.end, f"{path}:{item.line}")
        for (file, _), items in segments.items()
        for item in items
        if not any(mark in item.text for mark in IGNORED)
    ]


def _from_objects(path: Path, kind: str) -> list[Turn]:
    data = read_bytes(path)
    check_bytes(data, path)
    lines = [(f"{path}:{number}", line) for number, line in enumerate(data.split(b"\n"), start=1) if line.strip()]
    if kind == "jsonl":
        items = [(where, _load(line, where)) for where, line in lines]
    else:
        whole = _load(data, str(path)) if lines else []
        if not isinstance(whole, list):
            raise SpeechkitError(f"`{path}` is no list of segments", expected=f"[{_EXPECTED}, ...]")
        items = [(f"{path}: segment {k}", item) for k, item in enumerate(whole, start=1)]
    turns = [_turn(item, where) for where, item in items]
    faults = [turn for turn in turns if isinstance(turn, str)]
    if faults:
        raise SpeechkitError(f"{len(faults)} segments are malformed", where=faults, expected=_EXPECTED)
    return [turn for turn in turns if isinstance(turn, Turn)]


def _load(data: bytes, where: str) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        place = where if error.lineno == 1 else f"{where}:{error.lineno}"
        raise SpeechkitError(f"not valid JSON: {error.msg}", where=place) from None


def _turn(item: object, where: str) -> Turn | str:
    """The turn, or what is wrong with it."""
    if not isinstance(item, dict):
        return f"{where}  not a JSON object"
    for key in ("session_id", "speaker", "words"):
        if not isinstance(item.get(key), str):
            return f"{where}  the field `{key}` is missing or no text"
    times = []
    for key in ("start_time", "end_time"):
        value = item.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
            return f"{where}  the field `{key}` is no number"
        times.append(None if value is None else float(value))
    start, end = times
    if (start is None) != (end is None):
        return f"{where}  only one of `start_time` and `end_time`"
    if start is not None and end is not None and (not math.isfinite(start + end) or end < start):
        return f"{where}  ends at {end:g} s, before it starts at {start:g} s"
    return Turn(item["session_id"], item["speaker"], item["words"], start, end, where)
