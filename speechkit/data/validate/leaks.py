"""What two sets given together share: utterances, audio, recordings, speakers, texts.

A shared utterance is told at the set that was given first, so that `--fix` takes it from there and the later set,
usually the test set, stays comparable.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from speechkit.data.validate.duplicates import audio_keys
from speechkit.data.validate.kinds import Finding
from speechkit.data.validate.loaded import LoadedSet
from speechkit.data.validate.speakers import is_placeholder
from speechkit.data.validate.text import show
from speechkit.errors import counted

Ints = np.ndarray[Any, np.dtype[np.int64]]
_NUM_SHOWN = 3


def check_leaks(sets: Sequence[LoadedSet]) -> Iterator[Finding]:
    """Everything that any two sets share."""
    keys = [audio_keys(loaded) for loaded in sets]
    for (i, first), (j, second) in combinations(enumerate(sets), 2):
        yield from _check_pair(first, second, keys[i], keys[j])


def _check_pair(first: LoadedSet, second: LoadedSet, keys: Ints, other_keys: Ints) -> Iterator[Finding]:
    told: set[int] = set()
    for kind, column, other in (
        ("leak-utterance", first.data["id_key"], second.data["id_key"]),
        ("leak-audio", keys, other_keys),
    ):
        for row, twin in _shared(column, other):
            if row not in told:
                told.add(row)
                place = second.data.where(twin, "times")
                yield first.at(kind, row, "times", f"in `{second.data.name}` as `{second.data.ids[twin]}` at {place}")
    yield from _check_recordings(first, second, told)
    if "speakers" not in first.config.skip:
        yield from _check_speakers(first, second)
    if "text" not in first.config.skip:
        yield from _check_texts(first, second)


def _shared(column: Ints, other: Ints) -> Iterator[tuple[int, int]]:
    """Rows of `column` whose number is in `other`, and the first row it has there."""
    numbers, rows = np.unique(other, return_index=True)
    places = np.searchsorted(numbers, column)
    places[places == len(numbers)] = 0
    if len(numbers):
        for row in np.flatnonzero((numbers[places] == column) & (column != 0)):
            yield int(row), int(rows[places[row]])


def _check_recordings(first: LoadedSet, second: LoadedSet, told: set[int]) -> Iterator[Finding]:
    seen: set[str] = set()
    for row, twin in _shared(first.data["path_key"], second.data["path_key"]):
        path = first.data.audio[row]
        if row in told or not path or path in seen:
            continue
        seen.add(path)
        detail = f"{path} in `{second.data.name}`, too, at {second.data.where(twin, 'audio')}"
        yield first.at("leak-recording", row, "audio", detail)


def _check_speakers(first: LoadedSet, second: LoadedSet) -> Iterator[Finding]:
    names = [name for name in first.data.speakers if name in second.data.speakers and not is_placeholder(name)]
    counts = [np.bincount(s.data["speaker"][s.data["speaker"] >= 0]) for s in (first, second)]
    found = []
    for name in names:
        numbers = (counts[0][first.data.speakers[name]], counts[1][second.data.speakers[name]])
        found.append(
            (name, f"{counted(numbers[0], 'utterance')} in `{first.data.name}`, {numbers[1]} in `{second.data.name}`")
        )
    if "speaker" in first.config.may_share:
        if names:
            shown = " ".join(names[:_NUM_SHOWN]) + " ..." * (len(names) > _NUM_SHOWN)
            yield first.of_all("overlap-speaker", "speaker", f"{len(names)} in `{second.data.name}`, too: {shown}")
        return
    for name, detail in found:
        yield first.of_all("leak-speaker", "speaker", detail, utt_id=name)


def _check_texts(first: LoadedSet, second: LoadedSet) -> Iterator[Finding]:
    data, other = first.data, second.data
    texts, other_texts = data["text_key"], other["text_key"]
    shared = np.intersect1d(texts[texts != 0], other_texts[other_texts != 0])
    if not len(shared):
        return
    is_shared, is_shared_there = np.isin(texts, shared), np.isin(other_texts, shared)
    if "text" in first.config.may_share:
        share = 100 * np.count_nonzero(is_shared_there) / len(other)
        detail = f"{counted(len(shared), 'text')}, {share:.1f} % of the utterances of `{other.name}`"
        yield first.of_all("overlap-text", "text", detail)
        return
    _, rows, counts = np.unique(texts[is_shared], return_index=True, return_counts=True)
    there = np.unique(other_texts[is_shared_there], return_index=True, return_counts=True)
    first_rows, first_there = np.flatnonzero(is_shared)[rows], np.flatnonzero(is_shared_there)[there[1]]
    for place in np.argsort(first_rows):
        row, twin = int(first_rows[place]), int(first_there[place])
        detail = (
            f"{show(data.texts[row])}: {counted(counts[place], 'utterance')} in `{data.name}`, "
            f"{there[2][place]} in `{other.name}`, the first is `{other.ids[twin]}`"
        )
        yield Finding("leak-text", first.index, -1, data.where(row, "text"), data.ids[row], detail)
