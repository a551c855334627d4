"""Who speaks: missing, doubtful and lonely speakers, and Kaldi's order of ids."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from speechkit.data.validate.columns import NO_SPEAKER
from speechkit.data.validate.kinds import Finding
from speechkit.data.validate.loaded import LoadedSet
from speechkit.data.validate.text import show
from speechkit.errors import counted

_PLACEHOLDERS = {"unknown", "unk", "none", "nan", "null", "n/a", "<na>", "-", "?", "undefined", "anonymous"}
_NOT_PRINTED = re.compile("[\x00-\x1f\x7f-\xa0\u00ad\u200b-\u200f\u2028-\u202f\u2060\ufeff]")
_NUM_SHOWN = 3


def check_speakers(loaded: LoadedSet) -> Iterator[Finding]:
    """Missing speakers, placeholders, spellings, genders, and speakers with little."""
    data = loaded.data
    codes = data["speaker"]
    for row in np.flatnonzero(codes == NO_SPEAKER):
        yield loaded.at("speaker-missing", int(row), "speaker")
    counts = np.bincount(codes[codes >= 0], minlength=len(data.speakers))
    for name, code in data.speakers.items():
        if is_placeholder(name):
            yield loaded.of_all(
                "speaker-unknown", "speaker", f"{counts[code]} of {counted(len(data), 'utterance')}", utt_id=name
            )
        if _NOT_PRINTED.search(name):
            for row in np.flatnonzero(codes == code):
                yield loaded.at("speaker-characters", int(row), "speaker", show(name))
    yield from _check_spelling(loaded, counts.tolist())
    yield from _check_gender(loaded)
    yield from _check_few(loaded, counts.tolist())


def is_placeholder(name: str) -> bool:
    """True for a word such as `unknown`, which names nobody."""
    return name.strip().casefold() in _PLACEHOLDERS


def main_spellings(loaded: LoadedSet) -> dict[str, str]:
    """Spelling -> the spelling that most utterances of the speaker have, where there are several."""
    codes = loaded.data["speaker"]
    counts = np.bincount(codes[codes >= 0], minlength=len(loaded.data.speakers)).tolist()
    groups: dict[str, list[str]] = {}
    for name in loaded.data.speakers:
        plain = " ".join(name.split())
        if plain in (
            plain.lower(),
            plain.upper(),
            plain.capitalize(),
            plain.title(),
        ):  # not the chance of `aX9` and `Ax9`
            groups.setdefault(plain.casefold(), []).append(name)
    changed = {}
    for names in groups.values():
        best = max(names, key=lambda name: (counts[loaded.data.speakers[name]], -loaded.data.speakers[name]))
        changed.update({name: best for name in names if name != best})
    return changed


def _check_spelling(loaded: LoadedSet, counts: list[int]) -> Iterator[Finding]:
    data = loaded.data
    for name, best in main_spellings(loaded).items():
        row = int(np.flatnonzero(data["speaker"] == data.speakers[name])[0])
        num, num_best = counts[data.speakers[name]], counts[data.speakers[best]]
        yield loaded.at(
            "speaker-spelling", row, "speaker", f"`{name}` ({counted(num, 'utterance')}) and `{best}` ({num_best})"
        )


def _check_gender(loaded: LoadedSet) -> Iterator[Finding]:
    genders: dict[str, dict[str, int]] = {}
    for (speaker, gender), count in loaded.data.genders.items():
        genders.setdefault(speaker, {})[gender] = count
    for speaker, found in genders.items():
        if len(found) > 1:
            detail = ", ".join(f"{count} x {gender}" for gender, count in sorted(found.items()))
            yield loaded.of_all("speaker-gender", "speaker", detail, utt_id=speaker)


def _check_few(loaded: LoadedSet, counts: list[int]) -> Iterator[Finding]:
    names = list(loaded.data.speakers)
    single = [name for name, count in zip(names, counts, strict=True) if count == 1]
    if len(names) == 1 and len(loaded) > 1:
        yield loaded.of_all("speaker-one", "speaker", f"`{names[0]}`")
    elif single:
        shown = " ".join(single[:_NUM_SHOWN]) + " ..." * (len(single) > _NUM_SHOWN)
        yield loaded.of_all("speaker-single", "speaker", f"{len(single)} of {counted(len(names), 'speaker')}: {shown}")


def check_order(loaded: LoadedSet) -> Iterator[Finding]:
    """Kaldi sorts by id and by speaker and needs both orders to be the same."""
    data = loaded.data
    if data.format != "kaldi":
        return
    names = list(data.speakers)
    pairs = [(names[code], data.ids[row], row) for row, code in enumerate(data["speaker"].tolist()) if code >= 0]
    if sorted(pairs) == sorted(pairs, key=lambda pair: pair[1]):
        return
    strange = [pair for pair in pairs if not pair[1].startswith(pair[0])]
    if not loaded.is_majority(len(pairs) - len(strange), len(pairs)):
        yield loaded.of_all("speaker-order", "speaker", f"{len(strange)} of {counted(len(pairs), 'utterance')}")
        return
    for speaker, _, row in strange:
        yield loaded.at("speaker-order", row, "speaker", f"speaker `{speaker}`")
