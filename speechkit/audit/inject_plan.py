"""One fault of one cut: what is drawn for its text, its audio or its speaker, and what is then wrong."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from speechkit.audit.inject import OTHER_TEXT_KINDS, TEXT_KINDS, Vocabulary, compare, inject_text
from speechkit.data.store import text_of, words_of

if TYPE_CHECKING:
    from lhotse import MonoCut

MIN_SHARE, MAX_SHARE = 0.1, 0.5
_MAX_DRAWS = 20
_HALF = 0.5
_MAX_RESTART = 3  # words that are said before a new start
MISREADINGS = ("repetition", "restart", "stop", "variant")


@dataclass(frozen=True)
class Event:
    """What happens to one cut.

    text, speaker: as given from now on.  said: what is said, as far as known.  audio_of: number of the cut whose
    audio it gets.  pieces: stretches that its audio is made of, in seconds from the start of the cut.
    is_located: whether all wrong words and gaps are known.
    """

    number: int
    kind: str
    level: str
    text: str
    said: str
    speaker: str
    wrong_words: tuple[int, ...] = ()
    wrong_gaps: tuple[int, ...] = ()
    is_located: bool = True
    audio_of: int | None = None
    pieces: tuple[tuple[float, float], ...] = ()
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """The cuts and word lists that faults are drawn from."""

    cuts: Sequence[MonoCut]
    vocabulary: Vocabulary
    language: Sequence[Sequence[str]] = ()

    @cached_property
    def words(self) -> list[list[str]]:
        """The words of each cut."""
        return [text_of(cut).split() for cut in self.cuts]

    @cached_property
    def speakers(self) -> list[str]:
        """The speaker of each cut; empty where unknown."""
        return [cut.supervisions[0].speaker or "" for cut in self.cuts]

    @cached_property
    def by_speaker(self) -> dict[str, list[int]]:
        """Numbers of the cuts of each speaker."""
        return _grouped(self.speakers)

    @cached_property
    def by_length(self) -> dict[int, list[int]]:
        """Numbers of the cuts by number of words."""
        return _grouped([len(words) for words in self.words])

    def partners(self, kind: str, number: int) -> Sequence[int]:
        """Numbers of the cuts whose text or audio this cut can get."""
        if kind == "swap-speaker":
            return self.by_speaker[self.speakers[number]]
        if kind == "swap-length":
            return self.by_length[len(self.words[number])]
        return range(len(self.cuts))


def _grouped(values: Sequence[Any]) -> dict[Any, list[int]]:
    groups: dict[Any, list[int]] = defaultdict(list)
    for number, value in enumerate(values):
        groups[value].append(number)
    return groups


@dataclass
class Counts:
    """What did not go as the mix asked: draws that changed nothing, types replaced by others, cuts passed over."""

    redrawn: Counter[str] = field(default_factory=Counter)
    replaced: Counter[str] = field(default_factory=Counter)
    passed_over: int = 0


def draw_event(source: Source, number: int, kind: str, gen: np.random.Generator, counts: Counts) -> Event | None:
    """One event of this kind at one cut, None where twenty draws changed nothing."""
    for _ in range(_MAX_DRAWS):
        event = _event(source, number, kind, gen)
        if event is not None:
            return event
        if kind not in (*OTHER_TEXT_KINDS, "truncate", "duplicate", "wrong-speaker"):
            return None  # these kinds look at every place of the text themselves
        counts.redrawn[kind] += 1
    return None


def _event(source: Source, number: int, kind: str, gen: np.random.Generator) -> Event | None:
    words, speaker = source.words[number], source.speakers[number]
    said = text_of(source.cuts[number])
    plain = Event(number, kind, "text", said, said, speaker)
    if kind == "misread" and (event := _misreading(source.cuts[number], plain, words, gen)) is not None:
        return event
    if kind in TEXT_KINDS:
        return _text_event(source, plain, gen)
    if kind == "truncate":
        return _truncation(source.cuts[number], replace(plain, level="audio"), words, gen)
    if kind == "silence":
        return replace(plain, level="audio", wrong_words=tuple(range(len(words)))) if words else None
    if kind == "wrong-speaker":
        others = [other for other in source.by_speaker if other not in (speaker, "")]
        other = others[int(gen.integers(len(others)))] if others else ""
        details = {"speaker_before": speaker, "speaker_after": other}
        return replace(plain, level="speaker", speaker=other, details=details) if other else None
    return _duplicate(source, plain, gen)


def _text_event(source: Source, plain: Event, gen: np.random.Generator) -> Event | None:
    other: Sequence[str] | None = None
    details: dict[str, Any] = {}
    if plain.kind == "language":
        spot = int(gen.integers(len(source.language)))
        other, details = source.language[spot], {"line": spot + 1}
    elif plain.kind in OTHER_TEXT_KINDS:
        spot = _one_of(gen, source.partners(plain.kind, plain.number))
        other, details = source.words[spot], {"other": source.cuts[spot].id}
    words = source.words[plain.number]
    fault = inject_text(words, plain.kind, gen=gen, vocabulary=source.vocabulary, other=other)
    if fault is None:
        return None
    return replace(
        plain, text=" ".join(fault.words), wrong_words=fault.wrong_words, wrong_gaps=fault.wrong_gaps, details=details
    )


def _one_of(gen: np.random.Generator, numbers: Sequence[int]) -> int:
    return numbers[int(gen.integers(len(numbers)))]


def _truncation(cut: MonoCut, plain: Event, words: Sequence[str], gen: np.random.Generator) -> Event | None:
    """Where word times are known, a truncation takes at least half of a word; elsewhere nobody knows what it takes."""
    share = float(gen.uniform(MIN_SHARE, MAX_SHARE))
    is_head = bool(gen.integers(2))
    kept = (share * cut.duration, cut.duration) if is_head else (0.0, (1 - share) * cut.duration)
    details = {"end": "head" if is_head else "tail", "seconds_removed": round(share * cut.duration, 4)}
    spans = words_of(cut)
    if [span.symbol for span in spans] != list(words):
        return replace(plain, pieces=(kept,), is_located=False, details=details)
    lost = []
    for spot, span in enumerate(spans):
        end = span.start_seconds + span.duration_seconds
        heard = max(0.0, min(end, kept[1]) - max(span.start_seconds, kept[0]))
        if heard < _HALF * span.duration_seconds:
            lost.append(spot)
    return replace(plain, pieces=(kept,), wrong_words=tuple(lost), details=details) if lost else None


def _misreading(cut: MonoCut, plain: Event, words: Sequence[str], gen: np.random.Generator) -> Event | None:
    """The speaker says a word twice, starts again, or stops before the last word, where word times are known.

    None where they are not, and for the fourth form, another ending: it is made in the text.
    """
    spans = words_of(cut)
    form = MISREADINGS[int(gen.integers(len(MISREADINGS)))]
    spot = int(gen.integers(max(1, len(words))))
    if form == "variant" or not words or [span.symbol for span in spans] != list(words):
        return None
    heard = replace(plain, level="audio", details={"form": form})
    ends = [span.start_seconds + span.duration_seconds for span in spans]
    if form == "stop":
        middle = (ends[-2] + spans[-1].start_seconds) / 2 if len(words) > 1 else 0.0
        return replace(heard, pieces=((0.0, middle),), wrong_words=(len(words) - 1,)) if middle > 0 else None
    if form == "repetition":
        pieces = ((0.0, ends[spot]), (spans[spot].start_seconds, cut.duration))
        said = [*words[: spot + 1], *words[spot:]]
        return replace(heard, pieces=pieces, wrong_gaps=(spot + 1,), said=" ".join(said))
    spot = min(spot, _MAX_RESTART - 1)
    said = [*words[: spot + 1], *words]
    return replace(heard, pieces=((0.0, ends[spot]), (0.0, cut.duration)), wrong_gaps=(0,), said=" ".join(said))


def _duplicate(source: Source, plain: Event, gen: np.random.Generator) -> Event | None:
    """The audio of another cut, under the id, text and speaker of this one."""
    spot = _one_of(gen, range(len(source.cuts)))
    fault = compare(plain.kind, source.words[spot], source.words[plain.number])
    if fault is None:
        return None
    return replace(
        plain,
        level="audio",
        said=text_of(source.cuts[spot]),
        audio_of=spot,
        wrong_words=fault.wrong_words,
        wrong_gaps=fault.wrong_gaps,
        details={"other": source.cuts[spot].id},
    )
