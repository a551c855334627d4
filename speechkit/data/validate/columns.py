"""Utterances of one manifest as packed columns: a million of them fit into some 200 MB.

Readers hand over one `Utterance` at a time; checks of whole sets then work on arrays.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

Role = Literal["text", "speaker", "audio", "times"]
NO_NUMBER = math.nan
MAX_SECONDS = 1e9  # thirty years: more is no time
NO_SPEAKER, UNTOLD = -1, -2  # the manifest has an empty speaker, or does not tell speakers there


@dataclass(slots=True)
class Utterance:
    """What every kind of manifest says about an utterance; None or NaN where it says nothing.

    Args:
        lines: line of its text, speaker, audio and times, in the files named by the set.
        audio: absolute path of the file; empty when there is none that can be opened.
        start, end: seconds within the file; `end` NaN is the end of the file.
        duration: declared seconds of the utterance.
        rate, num_samples: declared, of the file; 0 and -1 when unknown.
    """

    utt_id: str
    lines: tuple[int, int, int, int]
    audio: str = ""
    recording_id: str = ""
    start: float = 0.0
    end: float = NO_NUMBER
    duration: float = NO_NUMBER
    rate: int = 0
    num_samples: int = -1
    text: str | None = None
    speaker: str | None = None
    gender: str | None = None


class Strings:
    """A column of texts without an object each."""

    def __init__(self) -> None:
        self._blob = bytearray()
        self._ends = array("q", [0])

    def append(self, text: str) -> None:
        """Add a text at the end."""
        self._blob += text.encode("utf-8", "surrogatepass")
        self._ends.append(len(self._blob))

    def __getitem__(self, row: int) -> str:
        return self._blob[self._ends[row] : self._ends[row + 1]].decode("utf-8", "surrogatepass")

    def __len__(self) -> int:
        return len(self._ends) - 1

    def sizes(self) -> np.ndarray[Any, Any]:
        """Bytes of each text in UTF-8."""
        return np.diff(np.frombuffer(self._ends, dtype=np.int64))


@dataclass
class DataSet:
    """One manifest, read: its utterances in columns. `hash` keys are of this process only.

    Args:
        files: the file in which texts, speakers, audio and times stand, by role.
    """

    name: str
    path: Path
    format: str
    files: dict[Role, Path]
    ids: Strings = field(default_factory=Strings)
    texts: Strings = field(default_factory=Strings)
    audio: Strings = field(default_factory=Strings)
    speakers: dict[str, int] = field(default_factory=dict)
    genders: dict[tuple[str, str], int] = field(default_factory=dict)
    lines: tuple[Any, ...] = ()
    numbers: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.numbers = {name: array(code) for name, code in _NUMBERS.items()}
        columns = {file: array("i") for file in self.files.values()}
        self.lines = tuple(columns[self.files[role]] for role in ROLES)
        self._places = [next(i for i, of_role in enumerate(self.lines) if of_role is c) for c in columns.values()]

    def add_lines(self, lines: tuple[int, int, int, int]) -> None:
        """The line numbers of the next utterance by role; roles of the same file have the same line."""
        for place in self._places:
            self.lines[place].append(lines[place])

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, name: str) -> np.ndarray[Any, Any]:
        """A column of numbers; nothing can be added while it is in use."""
        column = self.numbers[name]
        return np.frombuffer(column, dtype=np.dtype(column.typecode)) if len(column) else np.empty(0, column.typecode)

    def where(self, row: int, role: Role) -> str:
        """`file:line` of an utterance."""
        return f"{self.files[role]}:{self.lines[ROLES.index(role)][row]}"


ROLES: tuple[Role, ...] = ("text", "speaker", "audio", "times")
_NUMBERS = {
    "id_key": "q",
    "text_key": "q",  # of the normalised text; 0: none
    "path_key": "q",
    "recording_key": "q",
    "start": "d",
    "end": "d",
    "duration": "d",
    "rate": "i",
    "num_samples": "q",
    "speaker": "i",  # place in `speakers`, or one of those below
    "style": "b",
    "num_symbols": "i",
    "needed": "i",  # CTC frames of the tokens that are checked
}
