"""One pass over a manifest: durations, speakers, fields and texts, in memory bounded by what differs."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from speechkit.data.stream import stream_cuts
from speechkit.errors import counted
from speechkit.log import track, warn
from speechkit.text.counts import TextCounter, Texts, Vocabulary

MAX_VALUES = 1000  # a field with more different values is counted, not listed
_PLAIN = (str, int, float, bool)


@dataclass
class Tally:
    """Utterances and seconds of each value of a field; `values` is None once there are too many."""

    values: dict[str, list[float]] | None = field(default_factory=dict)
    utterances: int = 0

    def add(self, value: str, seconds: float, limit: int = MAX_VALUES) -> None:
        """Count one utterance."""
        self.utterances += 1
        if self.values is None:
            return
        counts = self.values.setdefault(value, [0, 0.0])
        counts[0] += 1
        counts[1] += seconds
        if len(self.values) > limit:
            self.values = None


@dataclass(frozen=True)
class Collected:
    """What one pass over a manifest found.

    seconds: (N,) duration of each utterance.
    speakers, fields: tallies; utterances without a value are in no tally.
    num_readings: different pairs of text and speaker.
    num_without_text: utterances without transcript, in none of `texts`.
    """

    name: str
    seconds: npt.NDArray[np.float64]
    speakers: Tally
    fields: dict[str, Tally]
    texts: Texts
    num_readings: int
    num_without_text: int

    @property
    def hours(self) -> float:
        """Length of all utterances."""
        return float(self.seconds.sum()) / 3600

    @property
    def speaker_values(self) -> dict[str, list[float]]:
        """Utterances and seconds of each speaker."""
        return self.speakers.values or {}


def collect(path: Path, vocabulary: Vocabulary | None = None) -> Collected:
    """Read a manifest of cuts.

    Args:
        vocabulary: shared by sets that are compared.
    Raises:
        SpeechkitError: missing, empty, truncated, or a line is no cut; with file:line.
    """
    seconds, speakers = array("d"), Tally()
    fields: dict[str, Tally] = {}
    counter = TextCounter(vocabulary)
    numbers: dict[str, int] = {}  # of speakers
    readings = array("q")
    num_without_text = num_several = 0
    for _, cut in track(stream_cuts(path), f"reading {path.name}"):
        length = float(cut["duration"])
        seconds.append(length)
        supervision: dict[str, Any] = next(iter(cut["supervisions"]), {})
        num_several += len(cut["supervisions"]) > 1
        speaker, text = supervision.get("speaker"), supervision.get("text")
        if speaker:
            speakers.add(str(speaker), length, limit=1 << 62)
        if text:
            number = counter.add(str(text))
            readings.append(number << 32 | numbers.setdefault(str(speaker), len(numbers)))
        num_without_text += not text
        for name, value in _fields_of(cut, supervision):
            if name not in fields:
                fields[name] = Tally()
            fields[name].add(value, length)
    if num_several:
        warn(
            f"{counted(num_several, 'cut')} of `{path}` with several supervisions: only the first of each is described"
        )
    return Collected(
        name=str(path),
        seconds=np.array(seconds, np.float64),
        speakers=speakers,
        fields=dict(sorted(fields.items())),
        texts=counter.finish(),
        num_readings=len(np.unique(np.array(readings, np.int64))),
        num_without_text=num_without_text,
    )


def _fields_of(cut: Mapping[str, Any], supervision: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Everything an utterance could be grouped by, except its speaker."""
    recording = cut.get("recording") or {}
    plain = {
        "sampling_rate": recording.get("sampling_rate"),
        "gender": supervision.get("gender"),
        "language": supervision.get("language"),
        **(cut.get("custom") or {}),
        **(supervision.get("custom") or {}),
    }
    for name, value in plain.items():
        if isinstance(value, _PLAIN) and value != "":
            yield name, str(value)
