"""Corpus `fsdd-strings`: digit strings joined from recordings of one speaker, with exact word places.

A string is gap zeros, recording, gap zeros, ..., scaled to peak 0.5 as a whole (the speakers' levels differ
by 20 dB), plus white noise. Noise at 20-40 dB is the default because otherwise the digital zeros between
words give them away. Written: audio/<speaker>/<id>.flac (16 bit), list.tsv, and cuts with the tier `word`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from lhotse import MonoCut

from speechkit import log
from speechkit.audio.io import read_audio, write_flac
from speechkit.data.config import FsddStringsConfig, parse_snr
from speechkit.data.corpora.fsdd import read_rows
from speechkit.data.corpora.items import BadItem, Prepared, is_file_name, repeated_ids
from speechkit.data.corpora.string_lists import (
    DigitString,
    Take,
    draw_strings,
    read_strings,
    spans_text,
    write_strings,
)
from speechkit.data.corpora.tables import MAX_DIGITS, Row
from speechkit.data.store import Word, make_cut
from speechkit.errors import SpeechkitError
from speechkit.rng import rng

_PEAK = 0.5
_LIST_FILE = "list.tsv"
Spans = list[tuple[int, int]]  # start and end sample of each word, end exclusive


@dataclass(frozen=True)
class Rendered:
    """What was written for one string."""

    cut: MonoCut
    spans: Spans
    num_clipped: int


def prepare(source: Path, out: Path, config: FsddStringsConfig, *, num_jobs: int) -> Prepared:
    """Render the strings of the lists, or newly drawn ones, into `out/audio`.

    Raises:
        SpeechkitError: the source is no FSDD, a list lacks a column, or the recordings differ in rate.
        ConfigError: nothing can be drawn from the speakers and takes asked for.
    """
    rows, bad, folder = read_rows(source)
    bad = bad + repeated_ids((row["id"], row.where) for row in rows)
    takes = {row["id"]: _take_of(row) for row in rows}
    if config.list:
        strings, bad_lines = read_strings([Path(name.strip()) for name in config.list.split(",")], takes)
        bad = bad + bad_lines
    else:
        strings = draw_strings(config, takes)
    used = {name for string in strings for name in string.recordings}
    files = {row["id"]: folder / row["path"] for row in rows if row["id"] in used}
    samples, rate, unreadable = _load_takes(files, num_jobs)
    sound, faults = _check_strings(strings, samples, unreadable=unreadable, rate=rate)
    renderer = Renderer(samples, rate, out, config.seed, parse_snr(config.snr_db))
    rendered = renderer.render_all(sound, num_jobs=num_jobs)
    write_strings(
        out / _LIST_FILE, ((s, r.spans, r.cut.num_samples) for s, r in zip(sound, rendered, strict=True)), rate
    )
    num_clipped = sum(r.num_clipped > 0 for r in rendered)
    notes = [f"{num_clipped} strings were clipped by the noise"] if num_clipped else []
    return Prepared([r.cut for r in rendered], bad + faults, notes)


def _take_of(row: Row) -> Take:
    if not all(row[name].isdecimal() and len(row[name]) <= MAX_DIGITS for name in ("digit", "take")):
        raise SpeechkitError("`digit` or `take` is not a number", where=row.where)
    if not is_file_name(row["speaker"]):
        raise SpeechkitError(
            f"the speaker {row['speaker']!r:.80} can not be the name of a folder",
            where=row.where,
            expected="no slash, no `..`, no leading dot, at most 200 bytes",
        )
    return Take(row["speaker"], row["text"], int(row["digit"]), int(row["take"]), row["split"])


def _load_takes(files: dict[str, Path], num_jobs: int) -> tuple[dict[str, np.ndarray], int, dict[str, str]]:
    """Samples of each take, their common rate, and why the others can not be read."""
    samples: dict[str, np.ndarray] = {}
    unreadable: dict[str, str] = {}
    names_of_rate: dict[int, list[str]] = {}

    def load(name: str) -> tuple[np.ndarray, int] | str:
        try:
            audio, rate = read_audio(files[name])
        except SpeechkitError as error:
            return error.what
        return (audio, rate) if len(audio) else f"audio file `{files[name]}` holds no samples"

    with ThreadPoolExecutor(num_jobs) as pool:
        for name, loaded in zip(files, log.track(pool.map(load, files), "loading takes", unit="take"), strict=True):
            if isinstance(loaded, str):
                unreadable[name] = loaded
            else:
                samples[name] = loaded[0]
                names_of_rate.setdefault(loaded[1], []).append(name)
    if len(names_of_rate) > 1:
        found = [f"{rate} Hz: {len(names)} recordings, such as {names[0]}" for rate, names in names_of_rate.items()]
        raise SpeechkitError("the recordings differ in sampling rate", where=found, hint="resample them first")
    return samples, next(iter(names_of_rate), 8000), unreadable


def _check_strings(
    strings: Sequence[DigitString], samples: Mapping[str, np.ndarray], *, unreadable: Mapping[str, str], rate: int
) -> tuple[list[DigitString], list[BadItem]]:
    """Strings whose takes are readable and whose declared word places are those of the joins."""
    sound, bad = [], []
    for string in strings:
        reasons = [unreadable[name] for name in string.recordings if name in unreadable]
        if not reasons:
            reasons = _mismatches(string, samples, rate)
        if reasons:
            bad.append(BadItem(string.where, string.utt_id, "; ".join(reasons)))
        else:
            sound.append(string)
    return sound, bad


def _mismatches(string: DigitString, samples: Mapping[str, np.ndarray], rate: int) -> list[str]:
    spans, num_samples = layout(string, [len(samples[name]) for name in string.recordings], rate)
    actual = {"word_samples": spans_text(spans), "samples": str(num_samples)}
    return [
        f"`{name}` says {declared}, the joined recordings give {actual[name]}"
        for name, declared in string.declared.items()
        if declared != actual[name]
    ]


def layout(string: DigitString, lengths: Sequence[int], rate: int) -> tuple[Spans, int]:
    """Start and end sample of each word, end exclusive, and the number of samples of the whole string."""
    spans, position = [], string.gaps_ms[0] * rate // 1000
    for length, gap_ms in zip(lengths, string.gaps_ms[1:], strict=True):
        spans.append((position, position + length))
        position += length + gap_ms * rate // 1000
    return spans, position


@dataclass(frozen=True)
class Renderer:
    """Joins strings into `folder/audio`.

    Args:
        samples: each take, float32 (S,), by id.
        rate: their sampling rate in Hz.
        seed: of the noise.
        snr_range: lowest and highest level in dB, or None for no noise.
    """

    samples: Mapping[str, np.ndarray]
    rate: int
    folder: Path
    seed: int
    snr_range: tuple[float, float] | None

    def render_all(self, strings: Sequence[DigitString], *, num_jobs: int) -> list[Rendered]:
        """Write the audio of every string, in their order."""
        for speaker in {string.speaker for string in strings}:
            (self.folder / "audio" / speaker).mkdir(parents=True, exist_ok=True)
        # threads are enough: noise and FLAC run outside the interpreter lock, and there is nothing to pickle
        with ThreadPoolExecutor(num_jobs) as pool:
            return list(log.track(pool.map(self.render, strings), "joining", total=len(strings)))

    def render(self, string: DigitString) -> Rendered:
        """Write the audio of one string; the bytes depend on the string, the seed and the level only."""
        takes = [self.samples[name] for name in string.recordings]
        spans, num_samples = layout(string, [len(take) for take in takes], self.rate)
        joined = np.zeros(num_samples, dtype=np.float32)
        for (start, end), take in zip(spans, takes, strict=True):
            joined[start:end] = take
        peak = float(np.max(np.abs(joined)))
        if peak > 0:
            joined *= np.float32(_PEAK / peak)
        snr_db, num_clipped = None, 0
        if self.snr_range is not None:
            random = rng(self.seed, "noise", string.utt_id)
            snr_db = round(float(random.uniform(*self.snr_range)), 2)
            joined, num_clipped = add_noise(joined, spans, snr_db=snr_db, random=random)
        path = self.folder / "audio" / string.speaker / f"{string.utt_id}.flac"
        write_flac(path, joined, self.rate)
        return Rendered(self._cut_of(string, path, spans, num_samples=num_samples, snr_db=snr_db), spans, num_clipped)

    def _cut_of(
        self, string: DigitString, path: Path, spans: Spans, *, num_samples: int, snr_db: float | None
    ) -> MonoCut:
        words = [
            Word(word, start / self.rate, (end - start) / self.rate)
            for word, (start, end) in zip(string.words, spans, strict=True)
        ]
        custom: dict[str, Any] = {"recordings": list(string.recordings), "gaps_ms": list(string.gaps_ms)}
        custom |= {"split": string.split} if string.split else {}
        custom |= {"block": string.block} if string.block else {}
        custom |= {} if snr_db is None else {"snr_db": snr_db}
        return make_cut(
            string.utt_id,
            path.resolve(),
            sampling_rate=self.rate,
            num_samples=num_samples,
            text=" ".join(string.words),
            speaker=string.speaker,
            tiers={"word": words},
            custom=custom,
        )


def add_noise(
    joined: np.ndarray, spans: Spans, *, snr_db: float, random: np.random.Generator
) -> tuple[np.ndarray, int]:
    """White noise at `snr_db` below the mean power of the words, and how many samples had to be clipped.

    Args:
        joined: float32 (S,), zero outside the words.
        spans: start and end sample of each word.
    """
    num_spoken = sum(end - start for start, end in spans)
    power = float(np.dot(joined, joined)) / num_spoken
    noise = random.standard_normal(len(joined), dtype=np.float32)
    noise *= np.float32(np.sqrt(power * 10 ** (-snr_db / 10)))
    noise += joined
    num_clipped = int(np.count_nonzero(np.abs(noise) > 1.0))
    return np.clip(noise, -1.0, 1.0, out=noise), num_clipped
