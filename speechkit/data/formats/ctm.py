"""NIST CTM: one word per line, `recording channel start duration word [confidence]`, times from the recording's start.

Lines that start with `;;` are comments. A CTM holds neither utterances nor speakers.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from speechkit.artifact import publish_file
from speechkit.data.corpora.items import BadItem
from speechkit.data.corpora.tables import read_lines
from speechkit.data.formats.fields import is_field, parse_seconds, seconds_text
from speechkit.data.store import Word
from speechkit.errors import SpeechkitError, counted

CHANNEL = "1"


def write_ctm(path: Path, recordings: Iterable[tuple[str, Iterable[Word]]], *, channel: str = CHANNEL) -> int:
    """Write the words of recordings, sorted by recording and start; returns the number of lines.

    Args:
        recordings: pairs of recording id and words, times from the start of the recording; an id may come again.
    Raises:
        SpeechkitError: an id or a word is empty or holds a blank (see `fields.is_field`).
    """
    lines = [
        (recording, word.start_seconds, _line(recording, channel, word)) for recording, ws in recordings for word in ws
    ]
    lines.sort(key=lambda line: line[:2])
    with publish_file(path) as stream:
        stream.writelines(line for _, _, line in lines)
    return len(lines)


def _line(recording: str, channel: str, word: Word) -> str:
    if not (is_field(recording) and is_field(word.symbol) and word.start_seconds >= 0):
        raise SpeechkitError(
            f"a CTM can not hold the word {word.symbol!r} at {word.start_seconds:g} s of recording {recording!r}",
            expected="ids and words without blanks, none of them empty, from 0 s on",
        )
    fields = [recording, channel, seconds_text(word.start_seconds), seconds_text(word.duration_seconds), word.symbol]
    return " ".join(fields if word.score is None else [*fields, repr(float(word.score))]) + "\n"


def read_ctm(path: Path) -> tuple[dict[str, list[Word]], list[BadItem]]:
    """The words of each recording in the order of their start, and the lines that are none.

    Only the first channel of a recording is read; words of others are bad items, as we take the first channel only.

    Raises:
        SpeechkitError: the file is missing or empty.
    """
    lines, bad = read_lines(path)
    recordings: dict[str, list[Word]] = {}
    channels: dict[str, str] = {}
    for number, line in lines:
        fields = line.split()
        if not fields or fields[0].startswith(";;"):
            continue
        where = f"{path}:{number}"
        if len(fields) not in (5, 6):
            bad.append(BadItem(where, fields[0], f"{counted(len(fields), 'field')}, 5 or 6 expected"))
            continue
        recording, channel, start, duration, symbol, *rest = fields
        try:
            word = Word(symbol, parse_seconds(start), parse_seconds(duration), float(rest[0]) if rest else None)
        except ValueError:
            bad.append(
                BadItem(where, recording, f"not `recording channel start duration word [confidence]`: {line:.80}")
            )
            continue
        if channels.setdefault(recording, channel) != channel:
            bad.append(BadItem(where, recording, f"a word of channel {channel}: only {channels[recording]} is read"))
            continue
        recordings.setdefault(recording, []).append(word)
    for words in recordings.values():
        words.sort(key=lambda word: word.start_seconds)
    return recordings, bad
