"""Praat TextGrid: named tiers of intervals (or points) over one recording; text files, long or short form.

Written in the long form, UTF-8. Read in both, UTF-8 or UTF-16. Empty intervals are gaps, not items.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from speechkit.artifact import publish_file
from speechkit.data.formats.fields import seconds_text, unused_name
from speechkit.data.store import Word
from speechkit.errors import SpeechkitError

_ROUNDING_SECONDS = 1e-6  # neighbours may overlap by so much
# strings, comments, flags and numbers count wherever they stand alone; all else is for the human reader
_TOKEN = re.compile(r'"((?:[^"]|"")*)"|![^\n]*|(\S+)')
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_EXPECTED = "a text file as Praat writes it with `Save as text file...`"


@dataclass(frozen=True)
class TextGrid:
    """Tiers by name, each in the order of time; points have duration 0.

    start_seconds, end_seconds: the bounds of the whole grid.
    """

    start_seconds: float
    end_seconds: float
    tiers: dict[str, list[Word]] = field(default_factory=dict)


def write_textgrid(path: Path, tiers: Mapping[str, Sequence[Word]], *, end_seconds: float) -> None:
    """Write tiers over 0 to `end_seconds`; a tier whose items all have duration 0 is written as points.

    Raises:
        SpeechkitError: items overlap, lie outside, are empty, or mix points and intervals.
    """
    end = seconds_text(end_seconds)
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {end}"]
    lines += ["tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    for number, (name, words) in enumerate(tiers.items(), start=1):
        is_points = bool(words) and not any(word.duration_seconds for word in words)
        kind = "TextTier" if is_points else "IntervalTier"
        lines += [f"    item [{number}]:", f'        class = "{kind}"', f"        name = {_quoted(name)}"]
        lines += ["        xmin = 0", f"        xmax = {end}"]
        try:
            lines += _points(words, end_seconds) if is_points else _intervals(words, end_seconds)
        except ValueError as error:
            raise SpeechkitError(f"a TextGrid can not hold the tier `{name}`: {error}", where=str(path)) from None
    with publish_file(path) as stream:
        stream.writelines(f"{line}\n" for line in lines)


def _points(words: Sequence[Word], end_seconds: float) -> Iterator[str]:
    yield f"        points: size = {len(words)}"
    at = 0.0
    for number, word in enumerate(words, start=1):
        _check(word, at, end_seconds)
        at = word.start_seconds
        yield f"        points [{number}]:"
        yield f"            number = {seconds_text(at)}"
        yield f"            mark = {_quoted(word.symbol)}"


def _intervals(words: Sequence[Word], end_seconds: float) -> Iterator[str]:
    spans: list[tuple[float, float, str]] = []
    at = 0.0
    for word in words:
        _check(word, at, end_seconds)
        start, end = max(at, word.start_seconds), min(word.start_seconds + word.duration_seconds, end_seconds)
        if end - start <= _ROUNDING_SECONDS:
            raise ValueError(f"`{word.symbol}` has no duration, as only points have")
        if start - at > _ROUNDING_SECONDS:
            spans.append((at, start, ""))
        else:
            start = at
        spans.append((start, end, word.symbol))
        at = end
    if end_seconds - at > _ROUNDING_SECONDS or not spans:
        spans.append((at, end_seconds, ""))
    yield f"        intervals: size = {len(spans)}"
    for number, (start, end, text) in enumerate(spans, start=1):
        yield f"        intervals [{number}]:"
        yield f"            xmin = {seconds_text(start)}"
        yield f"            xmax = {seconds_text(end)}"
        yield f"            text = {_quoted(text)}"


def _check(word: Word, earliest: float, end_seconds: float) -> None:
    if not word.symbol.strip():
        raise ValueError(f"an item at {word.start_seconds:g} s is empty")
    if word.start_seconds < earliest - _ROUNDING_SECONDS:
        raise ValueError(f"`{word.symbol}` starts at {word.start_seconds:g} s, the item before ends at {earliest:g} s")
    if word.start_seconds + word.duration_seconds > end_seconds + _ROUNDING_SECONDS:
        raise ValueError(f"`{word.symbol}` ends after {end_seconds:g} s")


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def read_textgrid(path: Path) -> TextGrid:
    """All tiers of a file; a name that comes again gets a number.

    Raises:
        SpeechkitError: missing, binary, not a TextGrid, or it ends too early.
    """
    tokens = _tokens(_decoded(path))
    try:
        kind, class_name = next(tokens), next(tokens)
        if not (str(kind).startswith("ooTextFile") and class_name == "TextGrid"):
            raise ValueError(f"it holds a {class_name}")
        start, end = _numbers(tokens, 2)
        tiers: dict[str, list[Word]] = {}
        num_tiers = int(_numbers(tokens, 1)[0]) if next(tokens) == "<exists>" else 0
        for _ in range(num_tiers):
            name, words = _read_tier(tokens)
            tiers[unused_name(name, tiers)] = words
    except (StopIteration, ValueError) as error:
        reason = str(error) or "it ends too early"
        raise SpeechkitError(f"`{path}` is no TextGrid: {reason}", expected=_EXPECTED) from None
    return TextGrid(start, end, tiers)


def _decoded(path: Path) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise SpeechkitError(f"`{path}` does not exist") from None
    encoding = "utf-16" if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        raise SpeechkitError(f"`{path}` is neither UTF-8 nor UTF-16", expected=_EXPECTED) from None


def _tokens(text: str) -> Iterator[str | float]:
    for match in _TOKEN.finditer(text):
        if match[1] is not None:
            yield match[1].replace('""', '"')
        elif match[2] is not None and _NUMBER.fullmatch(match[2]):
            yield float(match[2])
        elif match[2] is not None and re.fullmatch(r"<\w+>", match[2]):
            yield match[2]


def _numbers(tokens: Iterator[str | float], count: int) -> list[float]:
    values = [next(tokens) for _ in range(count)]
    if not all(isinstance(value, float) for value in values):
        raise ValueError(f"{values} stand where numbers are expected")
    return [float(value) for value in values]


def _read_tier(tokens: Iterator[str | float]) -> tuple[str, list[Word]]:
    kind, name = next(tokens), next(tokens)
    if kind not in ("IntervalTier", "TextTier"):
        raise ValueError(f"a tier of class {kind}")
    size = int(_numbers(tokens, 3)[2])
    words = []
    for _ in range(size):
        start, *end = _numbers(tokens, 2 if kind == "IntervalTier" else 1)
        symbol = str(next(tokens))
        if symbol.strip():
            words.append(Word(symbol, start, round(end[0] - start, 8) if end else 0.0))
    return str(name), words
