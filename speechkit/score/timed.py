"""Time-marked transcripts: CTM (words) against STM (segments) or CTM, with sclite's rules.

STM: every segment takes the words of its channel whose middle lies before its end and that no earlier segment
took; the last segment takes the rest. CTM against CTM: see `pieces`. CTM lines are
`file channel start duration word [confidence]`; STM lines are `file channel speaker start end [<labels>] text`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from speechkit import log
from speechkit.errors import SpeechkitError
from speechkit.score.transcripts import Transcripts, check_bytes, from_texts, read_bytes, split_words

Channel = tuple[str, str]
IGNORED = ("IGNORE_TIME_SEGMENT_IN_SCORING", "IGNORETIMESEGMENTINSCORING")
_MIN_DURATION = -0.05  # rounding of end - start
_MAX_BACK_SECONDS = 1.0


@dataclass(frozen=True)
class Item:
    """A word of a CTM or a segment of an STM; alternatives of a CTM are one item with text `{ a / b }`.

    words: the single words with their times, in the order of `text`.
    num_lines: lines of the file it takes, the marks of alternatives included.
    """

    line: int
    start: float
    end: float
    middle: float
    text: str
    speaker: str = ""
    labels: str = ""
    words: tuple[tuple[str, float, float], ...] = ()
    num_lines: int = 1


def read_stm(path: Path, *, is_ordered: bool = True) -> dict[Channel, list[Item]]:
    """Segments by channel in order of the file, which must be that of time if `is_ordered`.

    Raises:
        SpeechkitError: with file:line, for missing columns, bad times, or segments out of order.
    """
    found: dict[Channel, list[Item]] = defaultdict(list)
    faults: list[str] = []
    for number, line in _lines(path):
        parts = line.split(None, 5)
        times, fault = _times(parts, 3)
        if not fault and times[1] < times[0]:
            fault = f"ends at {times[1]:g} s, before it starts at {times[0]:g} s"
        if fault:
            faults.append(f"{path}:{number}  {fault}: {line[:60]}")
            continue
        rest = parts[5] if len(parts) > 5 else ""
        labels, _, text = rest.partition(">") if rest.startswith("<") else ("", "", rest)
        item = Item(number, times[0], times[1], 0.0, text.strip(), speaker=parts[2], labels=labels.lstrip("<"))
        found[parts[0], parts[1].lower()].append(item)
    _refuse(faults, path, "`file channel speaker start end [<labels>] text`, with start <= end")
    if is_ordered:
        _refuse_disorder(found, path)
    return found


def read_ctm(path: Path) -> dict[Channel, list[Item]]:
    """Words by channel in order of the file; `<ALT_BEGIN> a <ALT> b <ALT_END>` is one item.

    Raises:
        SpeechkitError: with file:line, for missing columns, bad times, words out of order, open alternatives.
    """
    found: dict[Channel, list[Item]] = defaultdict(list)
    faults: list[str] = []
    open_at: dict[Channel, tuple[int, list[list[tuple[str, float, float]]]]] = {}
    for number, line in _lines(path):
        parts = split_words(line)
        channel, mark = (parts[0], parts[1].lower() if len(parts) > 1 else ""), "".join(parts[4:5]).upper()
        if mark == "<ALT_BEGIN>":
            open_at[channel] = (number, [[]])
        elif mark == "<ALT>" and channel in open_at:
            open_at[channel][1].append([])
        elif mark == "<ALT_END>" and channel in open_at:
            found[channel].append(_alternatives(*open_at.pop(channel)))
        else:
            item, fault = _word(number, parts)
            if fault:
                faults.append(f"{path}:{number}  {fault}: {line[:60]}")
            elif channel in open_at:
                open_at[channel][1][-1] += item.words
            else:
                found[channel].append(item)
    faults += [f"{path}:{number}  alternatives are never closed" for number, _ in open_at.values()]
    _refuse(faults, path, "`file channel start duration word [confidence]`")
    _refuse_disorder(found, path)
    return found


def _word(number: int, parts: list[str]) -> tuple[Item, str]:
    """One word of a CTM, and what is wrong with it."""
    (start, duration), fault = _times(parts, 2)
    word = "".join(parts[4:5])
    if not fault and not word:
        fault = "no word"
    elif not fault and duration < _MIN_DURATION:
        fault = f"the duration {duration:g} is negative"
    elif not fault and word.upper().startswith("<ALT"):
        fault = "no <ALT_BEGIN> before it"
    end = start + duration
    return Item(number, start, end, start + duration / 2, word, words=((word, start, end),)), fault


def _alternatives(number: int, parts: list[list[tuple[str, float, float]]]) -> Item:
    words = [word for part in parts for word in part]
    start = min((w[1] for w in words), default=0.0)
    end = max((w[2] for w in words), default=0.0)
    middle = max(((w[1] + w[2]) / 2 for w in words), default=0.0)
    text = "{ " + " / ".join(" ".join(w[0] for w in part) or "@" for part in parts) + " }"
    kept = tuple(word for part in parts for word in (part or [("@", 0.0, 0.0)]))
    num_lines = len(words) + len(parts) + 1
    return Item(number, start, end, middle, text, words=kept, num_lines=num_lines)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    data = read_bytes(path)
    check_bytes(data, path)
    is_empty = True
    for number, line in enumerate(data.decode().split("\n"), start=1):
        if line.strip() and not line.startswith(";;"):
            is_empty = False
            yield number, line.strip()
    if is_empty:
        raise SpeechkitError(f"`{path}` holds no lines", hint="was the command before this one run?")


def _times(parts: Sequence[str], at: int) -> tuple[tuple[float, float], str]:
    """The two numbers at a column, and what is wrong with them."""
    if len(parts) < at + 2:
        return (0.0, 0.0), f"{len(parts)} columns only"
    found = []
    for part in parts[at : at + 2]:
        try:
            found.append(float(part))
        except ValueError:
            return (0.0, 0.0), f"`{part}` is no time"
        if not math.isfinite(found[-1]):
            return (0.0, 0.0), f"`{part}` is no time"
    return (found[0], found[1]), ""


def _refuse(faults: list[str], path: Path, expected: str) -> None:
    if faults:
        raise SpeechkitError(f"{len(faults)} lines of `{path}` are malformed", where=faults, expected=expected)


def _refuse_disorder(found: dict[Channel, list[Item]], path: Path) -> None:
    """Refuse lines far out of order, and count those a little out of order, as in NIST's hand-made files."""
    back = [(last, item) for items in found.values() for last, item in pairwise(items) if item.start < last.start]
    faults = [
        f"{path}:{item.line}  starts at {item.start:g} s, the line before at {last.start:g} s"
        for last, item in back
        if item.start < last.start - _MAX_BACK_SECONDS
    ]
    if faults:
        raise SpeechkitError(
            f"{len(faults)} lines are out of order in their channel",
            where=faults,
            hint="sort the file: `sort -s -k1,1 -k2,2 -k3,3n` for CTM, `-k4,4n` for STM",
        )
    if back:
        log.warn(
            f"{len(back)} lines of `{path}` start up to {_MAX_BACK_SECONDS:g} s before the line above them and are "
            f"taken in the order of the file; the first is line {back[0][1].line}"
        )


def pair_stm_ctm(ref: Path, hyp: Path, *, missing: str = "error") -> tuple[Transcripts, Transcripts]:
    """One utterance per STM segment, `<speaker>-<number>`, with its text and the CTM words that belong to it.

    Raises:
        SpeechkitError: a file cannot be read, or a channel is on one side only and `missing` is `error`.
    """
    segments, words = read_stm(ref), read_ctm(hyp)
    check_channels(segments, words, (ref, hyp), missing)
    ids, numbers, kept, texts = [], defaultdict(int), [], []  # type: ignore[var-annotated]
    for channel, items in segments.items():
        if missing == "skip" and channel not in words:
            continue
        for item, text in zip(items, _distribute(items, words.get(channel, [])), strict=True):
            if any(mark in item.text for mark in IGNORED):
                continue
            ids.append(f"{item.speaker}-{numbers[item.speaker]:03d}")
            numbers[item.speaker] += 1
            kept.append((channel, item))
            texts.append(text)
    fields = {
        "speaker": [item.speaker for _, item in kept],
        "file": [channel[0] for channel, _ in kept],
        "channel": [channel[1] for channel, _ in kept],
        "labels": [item.labels for _, item in kept],
    }
    lines = [item.line for _, item in kept]
    seconds = np.array([item.end - item.start for _, item in kept])
    references = [item.text for _, item in kept]
    return (
        from_texts(ids, references, source=str(ref), lines=lines, fields=fields, seconds=seconds),
        from_texts(ids, texts, source=str(hyp), lines=lines),
    )


def check_channels(
    ref: dict[Channel, list[Item]], hyp: dict[Channel, list[Item]], paths: tuple[Path, Path], missing: str
) -> None:
    """Refuse channels that one side lacks, or count them if `missing` is not `error`."""
    if set(ref) == set(hyp):
        return
    if missing != "error":
        action = "counted as deletions" if missing == "delete" else "left out"
        num_lost, num_extra = len(set(ref) - set(hyp)), len(set(hyp) - set(ref))
        log.warn(f"{num_lost} channels without hypothesis {action}; {num_extra} channels without reference left out")
        return
    lost = [f"{paths[0]}:{ref[c][0].line}  {' '.join(c)}  not in {paths[1]}" for c in sorted(set(ref) - set(hyp))]
    extra = [f"{paths[1]}:{hyp[c][0].line}  {' '.join(c)}  not in {paths[0]}" for c in sorted(set(hyp) - set(ref))]
    raise SpeechkitError(
        f"{len(lost)} channels have no hypothesis, {len(extra)} have no reference",
        where=lost + extra,
        hint="--missing delete counts them as deletions; `score wer` can also leave them out: --missing skip",
    )


def _distribute(segments: list[Item], words: list[Item]) -> list[str]:
    texts = []
    at = 0
    for number, segment in enumerate(segments):
        begin = at
        is_last = number == len(segments) - 1
        while at < len(words) and (is_last or words[at].middle < segment.end):
            at += 1
        texts.append(" ".join(word.text for word in words[begin:at]))
    return texts
