"""The same id, recording or audio more than once in a set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from speechkit.data.validate.kinds import Finding
from speechkit.data.validate.loaded import LoadedSet
from speechkit.data.validate.text import show

Ints = np.ndarray[Any, np.dtype[np.int64]]

_MIX = (np.int64(0x9E3779B97F4A7C1), np.int64(0x2545F4914F6CDD1D))  # odd numbers with many ones


def audio_keys(loaded: LoadedSet) -> Ints:
    """A number per utterance that equal audio shares: from its samples where they were read, else from file and times.

    0 where there is no usable audio; silence is no evidence of anything.
    """
    data = loaded.data
    if not loaded.measures:
        start, end = (data[name].view(np.int64) for name in ("start", "end"))
        keys: Ints = data["path_key"] + start * _MIX[0] + end * _MIX[1]
        return np.where(data.audio.sizes() > 0, keys | 1, 0)
    floor = 10 ** (loaded.config.silent_db / 20)
    return np.array(
        [0 if m.fault or m.peak < floor else int(m.digest[:15], 16) | 1 for m in loaded.measures], dtype=np.int64
    )


def repeated(keys: Ints) -> Iterator[Ints]:
    """The rows of each number that occurs more than once, except 0, in the order of their first rows."""
    order = np.argsort(keys, kind="stable")
    breaks = np.flatnonzero(np.diff(keys[order])) + 1
    groups = [rows for rows in np.split(order, breaks) if len(rows) > 1 and keys[rows[0]]] if len(keys) else []
    yield from sorted(groups, key=lambda rows: int(rows[0]))


def check_ids(loaded: LoadedSet) -> Iterator[Finding]:
    """The second and later places of every id."""
    ids = loaded.data.ids
    for rows in _repeats(loaded.data["id_key"]):
        first: dict[str, int] = {}
        for row in map(int, rows):
            if ids[row] in first:
                place = loaded.data.where(first[ids[row]], "times")
                yield loaded.at("id-duplicate", row, "times", f"first at {place}")
            first.setdefault(ids[row], row)


def check_recordings(loaded: LoadedSet) -> Iterator[Finding]:
    """One recording id for several files."""
    data = loaded.data
    paths = data["path_key"]
    for rows in _repeats(data["recording_key"]):
        for row in map(int, rows[paths[rows] != paths[rows[0]]]):
            first = int(rows[0])
            detail = f"{data.audio[row]}, at {data.where(first, 'audio')} {data.audio[first]}"
            yield loaded.at("recording-conflict", row, "audio", detail)


def check_audio(loaded: LoadedSet) -> Iterator[Finding]:
    """Equal audio under different ids; when the texts differ, too, none of them can be trusted."""
    data = loaded.data
    texts, ids = data["text_key"], data["id_key"]
    for rows in _repeats(audio_keys(loaded)):
        _, firsts = np.unique(ids[rows], return_index=True)  # an id twice is told as such
        rows = rows[np.sort(firsts)]
        first = int(rows[0])
        differ = len(set(texts[rows].tolist()) - {0}) > 1
        for row in map(int, rows if differ else rows[1:]):
            other = int(rows[1]) if row == first else first
            detail = f"as `{data.ids[other]}` at {data.where(other, 'audio')}"
            if differ:
                detail += f": {show(data.texts[row])} and {show(data.texts[other])}"
            yield loaded.at("audio-twice-texts-differ" if differ else "audio-twice", row, "audio", detail)


def _repeats(keys: Ints) -> Iterator[Ints]:
    """`repeated`, without the sort of groups when every number is different: the usual case of a million."""
    if len(np.unique(keys)) < len(keys):
        yield from repeated(keys)
