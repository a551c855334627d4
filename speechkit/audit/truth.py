"""`truth.jsonl` of `audit inject`: what is wrong with which cut."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pydantic

from speechkit.audit.inject import OTHER_TEXT_KINDS
from speechkit.data.stream import stream_rows
from speechkit.errors import SpeechkitError

TRUTH_FILE = "truth.jsonl"
_NOT_LOCAL = {*OTHER_TEXT_KINDS, "truncate", "silence", "duplicate", "wrong-speaker"}


@dataclass(frozen=True)
class Truth:
    """One faulty cut: its type, what was said, the text as given, and the words and gaps of it that are wrong.

    located: whether these words and gaps are all that is wrong.
    """

    id: str
    type: str
    before: str
    after: str
    wrong_words: tuple[int, ...]
    wrong_gaps: tuple[int, ...]
    level: str = "text"
    located: bool = True

    @property
    def is_local(self) -> bool:
        """Whether some words of the text are wrong, not the whole of it and not the audio."""
        return self.located and self.level == "text" and self.type not in _NOT_LOCAL


_ROW = pydantic.TypeAdapter(Truth)


def read_truth(path: Path) -> dict[str, Truth]:
    """The faulty cuts by id; a folder stands for its `truth.jsonl`.

    Raises:
        SpeechkitError: missing, an id twice, or a row of another form; with file:line.
    """
    path = path / TRUTH_FILE if path.is_dir() else path
    if not path.is_file():
        raise SpeechkitError(f"`{path}` does not exist", expected="a folder made by `speechkit audit inject`")
    found: dict[str, Truth] = {}
    for where, row in stream_rows(path):
        try:
            truth = _ROW.validate_python(row)
        except pydantic.ValidationError as error:
            problems = [f"{where}  `{'.'.join(map(str, e['loc']))}`: {e['msg'].lower()}" for e in error.errors()]
            raise SpeechkitError("not a row of a truth", where=problems) from None
        if truth.id in found:
            raise SpeechkitError(f"the id `{truth.id}` occurs twice", where=where)
        found[truth.id] = truth
    return found
