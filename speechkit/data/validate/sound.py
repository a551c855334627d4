"""Opens the audio of all sets, each file once, in threads, and judges what was measured."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from speechkit import log
from speechkit.audio.measure import Measures, measure_file
from speechkit.data.validate.cache import Key, MeasureCache, State, open_cache
from speechkit.data.validate.columns import MAX_SECONDS
from speechkit.data.validate.kinds import Finding
from speechkit.data.validate.loaded import LoadedSet
from speechkit.errors import counted

_CHUNK_FILES = 32
_REMEMBER_EVERY = 50  # chunks
_LOSSY = (".mp3", ".ogg", ".opus", ".m4a")
_TOLERANCE_LOSSY = 0.1  # seconds: decoders pad
_TOLERANCE_DECLARED = 0.02  # tables round
_MAX_OVERSHOOT_SECONDS = 0.02  # times of segments are rounded; `data prepare` clips as much
_MIN_FLAT_TOPS, _FULL_SCALE = 3, 0.99
_BELOW_FULL_SCALE = 4.0  # audio may be clipped and scaled down later, but coarse quantisation makes flat tops, too

Job = tuple[str, list[Key]]


def measure_all(sets: Sequence[LoadedSet], *, num_jobs: int, use_cache: bool) -> None:
    """Fill `measures` of each set."""
    with open_cache(use=use_cache) as cache:
        keys = [[_key_of(loaded, row) for row in range(len(loaded))] for loaded in sets]
        unique = dict.fromkeys(key for of_set in keys for key in of_set if key)
        known = _measure(list(unique), cache, num_jobs=num_jobs)
    nothing = Measures("not-measured")
    for loaded, of_set in zip(sets, keys, strict=True):
        loaded.measures = [known[key] if key else nothing for key in of_set]


def _key_of(loaded: LoadedSet, row: int) -> Key | None:
    """File and part of an utterance; None when it has no file or impossible times."""
    path = loaded.data.audio[row]
    start, end = float(loaded.data.numbers["start"][row]), float(loaded.data.numbers["end"][row])
    if not path:
        return None
    if start == 0 and math.isnan(end):
        return path, 0.0, 0.0
    end = MAX_SECONDS if math.isnan(end) else end
    return (path, start, end) if 0 <= start < end <= MAX_SECONDS else None


def _measure(keys: list[Key], cache: MeasureCache, *, num_jobs: int) -> dict[Key, Measures]:
    states = {path: _state(path) for path in dict.fromkeys(path for path, _, _ in keys)}
    known = cache.get({key: state for key in keys if (state := states[key[0]])})
    by_file: dict[tuple[str, bool], list[Key]] = {}
    for key in keys:
        if key not in known:
            by_file.setdefault((key[0], key[2] == 0), []).append(key)
    jobs: list[Job] = [(path, parts) for (path, _), parts in by_file.items()]
    chunks = [jobs[at : at + _CHUNK_FILES] for at in range(0, len(jobs), _CHUNK_FILES)]
    fresh: list[tuple[Key, State, Measures]] = []
    with ThreadPoolExecutor(num_jobs) as pool:
        results = (result for chunk in pool.map(_run_chunk, chunks) for result in chunk)
        for number, (path, measured) in enumerate(
            log.track(results, "opening audio", unit="files", total=len(jobs)), start=1
        ):
            known.update(measured)
            if state := states[path]:  # what is broken today may be mended without a trace: look again
                fresh += [(key, state, measures) for key, measures in measured if not measures.fault]
            if number % (_CHUNK_FILES * _REMEMBER_EVERY) == 0:
                cache.put(fresh)
                fresh = []
    cache.put(fresh)
    return known


def _run_chunk(jobs: list[Job]) -> list[tuple[str, list[tuple[Key, Measures]]]]:
    return [(path, _run(path, keys)) for path, keys in jobs]


def _run(path: str, keys: list[Key]) -> list[tuple[Key, Measures]]:
    parts = [(start, end) for _, start, end in keys if end]
    return list(zip(keys, measure_file(Path(path), parts), strict=True))


def _state(path: str) -> State | None:
    try:
        stat = os.stat(path)
    except (OSError, ValueError):
        return None
    return stat.st_size, stat.st_mtime_ns


def check_sound(loaded: LoadedSet) -> Iterator[Finding]:
    """What is wrong with the audio of single utterances."""
    told = {(f.kind, f.row) for f in loaded.findings}  # the manifest may contradict itself, too
    for row, measures in enumerate(loaded.measures):
        if measures.fault == "not-measured":
            continue
        if measures.fault == "no-samples" and measures.file_samples:
            end = measures.file_samples / measures.rate
            yield loaded.at("segment-outside", row, "times", f"it starts behind the end of the audio at {end:g} s")
            continue
        if measures.fault:
            detail = loaded.data.audio[row] + (f": {measures.detail}" if measures.detail else "")
            yield loaded.at(f"audio-{measures.fault}", row, "audio", detail)
            continue
        yield from (loaded.at(kind, row, "audio", detail) for kind, detail in _level_faults(measures, loaded))
        for kind, detail in _length_faults(measures, loaded, row):
            if (kind, row) not in told:
                yield loaded.at(kind, row, "times" if kind.startswith("segment") else "audio", detail)
    yield from _rounded(loaded)


def _level_faults(measures: Measures, loaded: LoadedSet) -> Iterator[tuple[str, str]]:
    config = loaded.config
    swing = (measures.high - measures.low) / 2
    if swing < 10 ** (config.silent_db / 20):
        yield "audio-silent", f"the samples lie between {measures.low:.2g} and {measures.high:.2g}"
        return
    clipped = 100 * measures.clipped / measures.num_samples
    is_full_scale = measures.peak > _FULL_SCALE
    if clipped > config.max_clipped_percent * (1 if is_full_scale else _BELOW_FULL_SCALE):
        yield "audio-clipped", f"{clipped:.1f} % of the samples in {measures.clip_runs} flat tops"
    elif measures.clip_runs >= _MIN_FLAT_TOPS and is_full_scale:
        yield "audio-peaks", f"{measures.clip_runs} flat tops"
    if abs(measures.mean) > config.max_dc_percent / 100:
        yield "audio-dc", f"mean {100 * measures.mean:.1f} % of full scale"
    if measures.peak < 10 ** (config.quiet_db / 20):
        yield "audio-quiet", f"peak {20 * math.log10(measures.peak):.0f} dBFS"
    if measures.gap >= config.min_gap_seconds * measures.rate:
        yield "audio-gap", f"{measures.gap / measures.rate:.1f} s of zeros"


def _length_faults(measures: Measures, loaded: LoadedSet, row: int) -> Iterator[tuple[str, str]]:
    numbers = loaded.data.numbers
    rate, declared = numbers["rate"][row], numbers["num_samples"][row]
    if rate and rate != measures.rate:
        yield "declared-rate", f"{rate} Hz in the manifest, {measures.rate} Hz in the file"
        return
    is_lossy = loaded.data.audio[row].lower().endswith(_LOSSY)
    if declared >= 0 and abs(declared - measures.file_samples) > is_lossy * _TOLERANCE_LOSSY * measures.rate:
        yield "declared-length", f"{declared} samples in the manifest, {measures.file_samples} in the file"
        return
    end, file_end = numbers["end"][row], measures.file_samples / measures.rate
    if end > file_end + _MAX_OVERSHOOT_SECONDS:
        yield "segment-outside", f"it ends at {end:g} s, the audio at {file_end:g} s"
        return
    duration = numbers["duration"][row]
    actual = measures.num_samples / measures.rate
    tolerance = _TOLERANCE_LOSSY if is_lossy else _TOLERANCE_DECLARED
    if abs(duration - actual) > tolerance + 1 / measures.rate:
        yield "declared-length", f"{duration:g} s in the manifest, {actual:g} s of audio"


def _rounded(loaded: LoadedSet) -> Iterator[Finding]:
    ends = loaded.data.numbers["end"]
    over = [
        row
        for row, m in enumerate(loaded.measures)
        if not m.fault and 1 <= ends[row] * m.rate - m.file_samples <= _MAX_OVERSHOOT_SECONDS * m.rate
    ]
    if over:
        yield loaded.of_all(
            "segment-rounded", "times", f"{counted(len(over), 'segment')}, the first is `{loaded.data.ids[over[0]]}`"
        )


def check_formats(loaded: LoadedSet) -> Iterator[Finding]:
    """Audio of another rate or number of channels than the rest of the set."""
    good = [row for row, measures in enumerate(loaded.measures) if not measures.fault]
    rates = Counter(loaded.measures[row].rate for row in good)
    channels = Counter(loaded.measures[row].num_channels for row in good)
    rate = loaded.config.rate or _rule(rates, loaded)
    wanted = loaded.config.channels or _rule(channels, loaded)
    for row in good:
        measures = loaded.measures[row]
        if rate and measures.rate != rate:
            yield loaded.at("audio-rate", row, "audio", f"{measures.rate} Hz, not {rate}")
        if wanted and measures.num_channels != wanted:
            yield loaded.at("audio-channels", row, "audio", f"{measures.num_channels}, not {wanted}")
    if not rate and len(rates) > 1:
        shown = ", ".join(f"{count} x {value} Hz" for value, count in sorted(rates.items()))
        yield loaded.of_all("audio-rates", "audio", shown)
    if wanted != 1 and any(number > 1 for number in channels):
        shown = ", ".join(f"{count} with {number}" for number, count in sorted(channels.items()))
        yield loaded.of_all("audio-multichannel", "audio", shown)


def _rule(counts: Counter[int], loaded: LoadedSet) -> int:
    """What nearly all have, or 0 when there is no such thing."""
    if not counts:
        return 0
    value, count = counts.most_common(1)[0]
    return value if len(counts) == 1 or loaded.is_majority(count, counts.total()) else 0
