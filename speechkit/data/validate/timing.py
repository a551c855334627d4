"""Whether text and duration fit together: lengths, speaking rate, what CTC needs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from speechkit.data.validate.kinds import Finding
from speechkit.data.validate.loaded import LoadedSet
from speechkit.data.validate.text import needed_frames, show
from speechkit.errors import counted

_OUTLIER_SECONDS, _OUTLIER_FACTOR, _OUTLIER_SHARE = 30.0, 20.0, 0.1
_FREE_SYMBOLS = 10  # short words are spoken faster than any rate of long texts
_PATIENT_SECONDS, _SLOW_SECONDS_PER_SYMBOL = 5.0, 0.5


def check_lengths(loaded: LoadedSet) -> Iterator[Finding]:
    """Audio that is too short to hold anything, or a rare long one that fills the memory of a training."""
    seconds = loaded.seconds()
    for row in np.flatnonzero(seconds < loaded.config.min_seconds):
        if seconds[row] > 0:  # else its times are wrong
            yield loaded.at("audio-short", int(row), "audio", f"{1000 * seconds[row]:.3g} ms")
    known = seconds[np.isfinite(seconds)]
    limit = loaded.config.max_seconds
    if limit is None:
        if len(known) < loaded.config.min_for_majority:
            return
        limit = max(_OUTLIER_SECONDS, _OUTLIER_FACTOR * float(np.median(known)))
        if np.count_nonzero(known > limit) > _OUTLIER_SHARE * len(known):
            return
    for row in np.flatnonzero(seconds > limit):
        yield loaded.at("audio-long", int(row), "audio", f"{seconds[row]:.1f} s, the limit is {limit:.1f} s")


def check_speaking_rate(loaded: LoadedSet) -> Iterator[Finding]:
    """More text than can be said, or so little that something may not be transcribed."""
    seconds, symbols = loaded.seconds(), loaded.data["num_symbols"]
    for row in np.flatnonzero(symbols > _FREE_SYMBOLS + loaded.config.max_symbols_per_second * seconds):
        detail = f"{symbols[row]} letters in {seconds[row]:.2f} s: {show(loaded.data.texts[int(row)])}"
        yield loaded.at("text-too-long", int(row), "text", detail)
    sparse = (symbols > 0) & (seconds > _PATIENT_SECONDS + _SLOW_SECONDS_PER_SYMBOL * symbols)
    for row in np.flatnonzero(sparse):
        detail = f"{seconds[row]:.1f} s: {show(loaded.data.texts[int(row)])}"
        yield loaded.at("text-sparse", int(row), "text", detail)


def check_ctc(loaded: LoadedSet) -> Iterator[Finding]:
    """Utterances with fewer encoder frames than tokens + repeats: their loss is infinite."""
    config, data = loaded.config, loaded.data
    seconds = loaded.seconds()
    is_known = np.isfinite(seconds) & (seconds > 0)
    # as `train` counts: one feature frame per started shift, plus one; subsampling rounds up
    feature_frames = np.floor(np.where(is_known, seconds, 0) * 1000 / config.frame_shift_ms + 1e-6) + 1
    frames = np.ceil(feature_frames / config.subsampling).astype(np.int64)
    is_short = is_known & (frames < data["needed"])
    for row in np.flatnonzero(is_short):
        detail = f"{frames[row]} frames, {data['needed'][row]} needed: {show(data.texts[int(row)])}"
        yield loaded.at("ctc-infeasible", int(row), "text", detail)
    if config.tokenizer or config.tokens == "char":
        return
    maybe = np.flatnonzero(is_known & ~is_short & (frames < 2 * data.texts.sizes()))
    rows = [row for row in map(int, maybe) if frames[row] < needed_frames(" ".join(data.texts[row].split()))]
    if rows:
        detail = (
            f"{counted(len(rows), 'utterance')} at subsampling {config.subsampling}, the first is `{data.ids[rows[0]]}`"
        )
        yield loaded.of_all("ctc-characters", "text", detail)
