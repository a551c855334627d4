"""NIST STM: one segment per line, `recording channel speaker start end [<labels>] text`; `;;` begins a comment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from speechkit.artifact import publish_file
from speechkit.data.corpora.items import BadItem
from speechkit.data.corpora.tables import read_lines
from speechkit.data.formats.ctm import CHANNEL
from speechkit.data.formats.fields import is_field, parse_seconds, seconds_text
from speechkit.data.formats.utterance import Losses, Utterance

HOLDS = ("text", "speaker", "place", "recording")
_NOT_SPEECH = ("IGNORE_TIME_SEGMENT_IN_SCORING", "IGNORETIMESEGMENTINSCORING")
NOBODY = "unknown"


@dataclass(frozen=True)
class Segment:
    """One line of an STM."""

    where: str
    recording_id: str
    speaker: str
    start_seconds: float
    end_seconds: float
    text: str


def write_stm(utterances: Iterable[Utterance], path: Path, losses: Losses) -> int:
    """Write segments sorted by recording and start; returns their number."""
    lines: list[tuple[str, float, str]] = []
    for u in utterances:
        speaker = u.speaker or NOBODY
        if not (is_field(u.recording_id) and is_field(speaker)):
            losses.add("the utterance: its recording or speaker holds a blank or is empty", u.utt_id)
            continue
        if "\0" in u.text:
            losses.add("the utterance: its text holds a NUL", u.utt_id)
            continue
        losses.add_missing(u, HOLDS)
        if u.utt_id != segment_id(u.recording_id, speaker, u.start_seconds, u.start_seconds + u.duration_seconds):
            losses.add("the id of the utterance", u.utt_id)
        if not u.speaker:
            losses.add(f"that there is no speaker: `{NOBODY}` stands for it", u.utt_id)
        text = " ".join(u.text.split())
        if text != u.text:
            losses.add("white space in the text", u.utt_id)
        if text.startswith("<"):  # it would be read as labels
            text = f"<o> {text}"
        times = [seconds_text(u.start_seconds), seconds_text(u.start_seconds + u.duration_seconds)]
        line = " ".join(filter(None, [u.recording_id, CHANNEL, speaker, *times, text]))
        lines.append((u.recording_id, u.start_seconds, line))
    losses.refuse_nothing(len(lines))
    lines.sort(key=lambda item: item[:2])
    with publish_file(path) as stream:
        stream.writelines(f"{line}\n" for _, _, line in lines)
    return len(lines)


def segment_id(recording_id: str, speaker: str, start_seconds: float, end_seconds: float) -> str:
    """The id of a segment, which an STM does not have: speaker, recording and place in milliseconds."""
    return f"{speaker}-{recording_id}-{round(start_seconds * 1000):07d}-{round(end_seconds * 1000):07d}"


def read_stm(path: Path) -> tuple[list[Segment], list[BadItem]]:
    """The segments in the order of the file, and the lines that are none; segments marked as no speech are left out.

    Raises:
        SpeechkitError: the file is missing or empty.
    """
    lines, bad = read_lines(path)
    segments = []
    for number, line in lines:
        if not line.strip() or line.startswith(";;"):
            continue
        where = f"{path}:{number}"
        fields = line.split(None, 5)
        try:
            recording, _, speaker, start, end = fields[:5]
            segment = Segment(where, recording, speaker, parse_seconds(start), parse_seconds(end), _text(fields[5:]))
        except ValueError:
            bad.append(BadItem(where, fields[0], "not `recording channel speaker start end [<labels>] text`"))
            continue
        if segment.end_seconds <= segment.start_seconds:
            bad.append(BadItem(where, recording, f"the segment runs from {start} to {end} s"))
        elif not any(mark in segment.text.upper() for mark in _NOT_SPEECH):
            segments.append(segment)
    return segments, bad


def _text(rest: list[str]) -> str:
    text = rest[0] if rest else ""
    if text.startswith("<"):
        text = text.partition(">")[2]
    return " ".join(text.split())
