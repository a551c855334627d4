"""Where readers put utterances and faults of lines; checks of single utterances happen here, in the one pass."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from speechkit.data.validate.columns import NO_SPEAKER, UNTOLD, DataSet, Utterance
from speechkit.data.validate.config import ValidateConfig
from speechkit.data.validate.kinds import Finding
from speechkit.data.validate.text import check_text, needed_frames, num_symbols, show, style_of
from speechkit.errors import SpeechkitError
from speechkit.text.normalize import prompt_key

_ODD_IN_ID = re.compile("[\\s\x00-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202f\u2060\ufeff]")
_GIVEN = ("id_key", "path_key", "recording_key", "start", "end", "duration", "rate", "num_samples")
_MAX_SYMBOLS = 512  # above, a script of ideographs: rare symbols are its nature


class Encoder(Protocol):
    """What is needed of a tokenizer."""

    def encode(self, text: str) -> list[int]:
        """Ids of a text."""


class Intake:
    """Fills one DataSet and collects what is wrong with its lines and utterances."""

    def __init__(
        self, data: DataSet, set_index: int, config: ValidateConfig, *, tokenizer: Encoder | None = None
    ) -> None:
        self.data = data
        self.findings: list[Finding] = []
        self.rare_symbols: dict[str, int] = {}  # symbols of one utterance alone, and its row
        self._usual_symbols: set[str] = set()
        self._set_index = set_index
        self._config = config
        self._checks_text = "text" not in config.skip
        self._tokenizer = tokenizer
        self._appends = [data.numbers[name].append for name in _GIVEN]

    def fault_of_line(self, kind: str, file: Path, line: int, *, utt_id: str = "-", detail: str = "") -> None:
        """Something wrong with a line that gives no utterance; line 0 is the whole file."""
        where = f"{file}:{line}" if line else str(file)
        self.findings.append(Finding(kind, self._set_index, -1, where, utt_id, detail))

    def fault_of(self, kind: str, row: int, file: Path, line: int, *, detail: str = "") -> None:
        """Something wrong with an utterance at a place of its own."""
        self.findings.append(Finding(kind, self._set_index, row, f"{file}:{line}", self.data.ids[row], detail))

    def take(self, utterance: Utterance) -> int:
        """Add an utterance and check what can be checked of it alone; returns its row."""
        data, row = self.data, len(self.data)
        data.ids.append(utterance.utt_id)
        data.audio.append(utterance.audio)
        data.add_lines(utterance.lines)
        id_key, path_key, recording_key, start, end, duration, rate, num_samples = self._appends
        id_key(hash(utterance.utt_id))
        path_key(hash(utterance.audio))
        recording_key(hash(utterance.recording_id))
        start(utterance.start)
        end(utterance.end)
        duration(utterance.duration)
        rate(utterance.rate)
        num_samples(utterance.num_samples)
        self._take_speaker(utterance)
        self._take_text(utterance.text, row)
        if not utterance.utt_id or _ODD_IN_ID.search(utterance.utt_id):
            self.fault_of("id-characters", row, data.files["times"], utterance.lines[3], detail=show(utterance.utt_id))
        return row

    def _take_speaker(self, utterance: Utterance) -> None:
        data, speaker = self.data, utterance.speaker
        code = data.speakers.setdefault(speaker, len(data.speakers)) if speaker else NO_SPEAKER
        data.numbers["speaker"].append(UNTOLD if speaker is None else code)
        if speaker and utterance.gender:
            key = (speaker, utterance.gender)
            data.genders[key] = data.genders.get(key, 0) + 1

    def _take_text(self, text: str | None, row: int) -> None:
        add = self.data.numbers
        self.data.texts.append(text or "")
        if text is None or not self._checks_text:
            for name in ("text_key", "style", "num_symbols", "needed"):
                add[name].append(0)
            if text is not None:
                add["text_key"][-1] = _key(text)
            return
        file, line = self.data.files["text"], self.data.lines[0][row]
        for kind, detail in check_text(text):
            self.fault_of(kind, row, file, line, detail=detail)
        add["text_key"].append(_key(text))
        add["style"].append(style_of(text))
        add["num_symbols"].append(num_symbols(text))
        add["needed"].append(self._needed(text, row))
        self._count_symbols(text, row)

    def _needed(self, text: str, row: int) -> int:
        words = text.split()
        if self._tokenizer is None:
            return needed_frames(words if self._config.tokens == "word" else " ".join(words))
        try:
            return needed_frames(self._tokenizer.encode(text))
        except SpeechkitError as error:
            place = self.data.files["text"], self.data.lines[0][row]
            self.fault_of("text-unknown-symbol", row, *place, detail=error.what)
            return 0

    def _count_symbols(self, text: str, row: int) -> None:
        if self._usual_symbols.issuperset(text):  # nearly always
            return
        new = set(text) - self._usual_symbols
        if new and len(self._usual_symbols) <= _MAX_SYMBOLS:
            again = new & self.rare_symbols.keys()
            self._usual_symbols |= again
            for symbol in again:
                del self.rare_symbols[symbol]
            self.rare_symbols.update(dict.fromkeys(new - again, row))


def _key(text: str) -> int:
    normalised = prompt_key(text)
    return (hash(normalised) or 1) if normalised else 0


Reader = Callable[[Path, Intake], None]
