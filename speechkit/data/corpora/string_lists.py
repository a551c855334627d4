"""Lists of digit strings: reading, checking and drawing them.

Format (tab separated, header line): id, speaker, text, recordings (ids, in order, joined by comma) and
gaps_ms (before the first, between, after the last word); optional split, word_samples (start-end of each
word in the joined file), samples, dur.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from speechkit.artifact import publish_file
from speechkit.data.config import FsddStringsConfig, parse_ranges
from speechkit.data.corpora.items import BadItem, is_file_name, repeated_ids
from speechkit.data.corpora.tables import Row, read_table
from speechkit.errors import ConfigError
from speechkit.rng import rng

_REQUIRED = ("id", "speaker", "text", "recordings", "gaps_ms")
_WRITTEN = ("id", "split", "speaker", "text", "recordings", "gaps_ms", "word_samples", "samples", "dur")
_MAX_GAP_DIGITS = 5
_TIGHT_GAP_MS = 20
_EDGE_GAPS_MS = (50, 300)  # before the first and after the last word, as in the fixed lists


@dataclass(frozen=True)
class Take:
    """One isolated recording: samples (S,) float32, at the rate of the whole corpus."""

    speaker: str
    word: str
    digit: int
    take: int
    split: str


@dataclass(frozen=True)
class DigitString:
    """One string to render. `declared` holds word_samples and samples of the list, where it has them."""

    where: str
    utt_id: str
    split: str
    speaker: str
    text: str
    recordings: tuple[str, ...]
    gaps_ms: tuple[int, ...]
    declared: Mapping[str, str]
    block: str | None = None

    @property
    def words(self) -> list[str]:
        """The words of the text."""
        return self.text.split()


def read_strings(paths: Iterable[Path], takes: Mapping[str, Take]) -> tuple[list[DigitString], list[BadItem]]:
    """The sound strings of list files, and the faulty lines.

    Args:
        takes: every recording of the corpus by id.
    Raises:
        SpeechkitError: a list is missing, empty or lacks a column.
    """
    strings: list[DigitString] = []
    bad: list[BadItem] = []
    for path in paths:
        rows, bad_lines = read_table(path, _REQUIRED)
        bad += bad_lines
        for row in rows:
            string, reasons = _parse_row(row, takes)
            if string is None or reasons:
                bad.append(BadItem(row.where, row["id"] or "-", "; ".join(reasons)))
            else:
                strings.append(string)
    again = repeated_ids((s.utt_id, s.where) for s in strings)
    twice = {item.where for item in again}
    return [s for s in strings if s.where not in twice], bad + again


def _parse_row(row: Row, takes: Mapping[str, Take]) -> tuple[DigitString | None, list[str]]:
    reasons = [f"empty `{name}`" for name in _REQUIRED if not row[name]]
    gaps = row["gaps_ms"].split(",")
    if not all(gap.isdecimal() and len(gap) <= _MAX_GAP_DIGITS for gap in gaps):
        shown = f"{row['gaps_ms']:.80}"
        return None, reasons or [
            f"`gaps_ms` holds something else than whole numbers of up to {_MAX_GAP_DIGITS} digits: {shown}"
        ]
    string = DigitString(
        where=row.where,
        utt_id=row["id"],
        split=row.get("split"),
        speaker=row["speaker"],
        text=row["text"],
        recordings=tuple(row["recordings"].split(",")),
        gaps_ms=tuple(int(gap) for gap in gaps),
        declared={name: row.get(name) for name in ("word_samples", "samples") if row.get(name)},
    )
    return string, reasons or _faults(string, takes)


def _faults(string: DigitString, takes: Mapping[str, Take]) -> list[str]:
    missing = [name for name in string.recordings if name not in takes]
    if missing:
        return [f"no recording {', '.join(f'`{name}`' for name in missing)}"]
    reasons = []
    num = len(string.recordings)
    spoken = [takes[name].word for name in string.recordings]
    if spoken != string.words:
        reasons.append(f"the recordings say `{' '.join(spoken)}`, the text is `{string.text}`")
    if len(string.gaps_ms) != num + 1:
        reasons.append(f"{len(string.gaps_ms)} gaps for {num} recordings, {num + 1} expected")
    others = sorted({takes[name].speaker for name in string.recordings} - {string.speaker})
    if others:
        reasons.append(f"recordings of {', '.join(others)} in a string of {string.speaker}")
    if " " in string.utt_id or not is_file_name(string.utt_id):
        reasons.append("the id can not be the name of a file: a blank, slash, `..`, leading dot, or too long")
    return reasons


def draw_strings(config: FsddStringsConfig, takes: Mapping[str, Take]) -> list[DigitString]:
    """Random strings: speaker, length, digits, takes and gaps uniform; each depends on seed and index only.

    Raises:
        ConfigError: a speaker or a digit of a speaker has no recording among the takes.
    """
    wanted = set(parse_ranges(config.takes))
    speakers = [name.strip() for name in config.speakers.split(",") if name.strip()]
    known = sorted({take.speaker for take in takes.values()})
    unknown = [name for name in speakers if name not in known]
    if unknown or not speakers:
        raise ConfigError(
            f"no recordings of {', '.join(f'`{name}`' for name in unknown) or 'no speaker'}",
            expected=f"speakers={','.join(known)} or some of them",
        )
    blocks = range(config.take_blocks)
    pools = [{(name, digit): list[str]() for name in speakers for digit in range(10)} for _ in blocks]
    place = {take: rank for rank, take in enumerate(sorted(wanted & {take.take for take in takes.values()}))}
    for utt_id in sorted(takes):
        take = takes[utt_id]
        if take.take in place and take.speaker in speakers:
            pools[place[take.take] % config.take_blocks][take.speaker, take.digit].append(utt_id)
    part = f" in block {{}} of {config.take_blocks}" if config.take_blocks > 1 else ""
    empty = [
        f"{name} has no take {config.takes} of digit {digit}{part.format(block + 1)}"
        for block in blocks
        for (name, digit), ids in pools[block].items()
        if not ids
    ]
    if empty:
        raise ConfigError("`takes` leaves a digit without a recording", where=empty)
    num = config.num_strings
    return [_draw_one(config, index, pools=pools[index % config.take_blocks], takes=takes) for index in range(num)]


def _draw_one(
    config: FsddStringsConfig,
    index: int,
    *,
    pools: Mapping[tuple[str, int], Sequence[str]],
    takes: Mapping[str, Take],
) -> DigitString:
    random = rng(config.seed, "fsdd-strings", index)
    speakers = list(dict.fromkeys(name for name, _ in pools))
    speaker = speakers[int(random.integers(len(speakers)))]
    num_words = int(random.integers(config.min_words, config.max_words + 1))
    names = []
    for digit in random.integers(10, size=num_words):
        pool = pools[speaker, int(digit)]
        names.append(pool[int(random.integers(len(pool)))])
    is_tight = random.random() < config.tight_share
    low, high = (0, _TIGHT_GAP_MS) if is_tight else (config.min_gap_ms, config.max_gap_ms)
    first, last = random.integers(_EDGE_GAPS_MS[0], _EDGE_GAPS_MS[1] + 1, size=2)
    between = random.integers(low, high + 1, size=num_words - 1)
    return DigitString(
        where=f"drawn string {index}",
        utt_id=f"{speaker}-d{config.seed}-{index:05d}",
        split=takes[names[0]].split,
        speaker=speaker,
        text=" ".join(takes[name].word for name in names),
        recordings=tuple(names),
        gaps_ms=(int(first), *np.asarray(between).tolist(), int(last)),
        declared={},
        block=str(index % config.take_blocks) if config.take_blocks > 1 else None,
    )


def write_strings(path: Path, rows: Iterable[tuple[DigitString, Sequence[tuple[int, int]], int]], rate: int) -> None:
    """Write a list that `read_strings` reads.

    Args:
        rows: each string with the start and end sample of its words, and its total samples.
        rate: sampling rate in Hz.
    """
    with publish_file(path) as stream:
        stream.write("\t".join(_WRITTEN) + "\n")
        for string, spans, num_samples in rows:
            fields = (
                string.utt_id,
                string.split,
                string.speaker,
                string.text,
                ",".join(string.recordings),
                ",".join(map(str, string.gaps_ms)),
                spans_text(spans),
                str(num_samples),
                f"{num_samples / rate:.4f}",
            )
            stream.write("\t".join(fields) + "\n")


def spans_text(spans: Sequence[tuple[int, int]]) -> str:
    """Word places as lists write them: `896-5195,6000-7000`."""
    return ",".join(f"{start}-{end}" for start, end in spans)
