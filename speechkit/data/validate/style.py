"""What nearly all transcripts of a set do, and which do otherwise: case, punctuation, digits, symbols, prompts."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from speechkit.data.validate.kinds import Finding
from speechkit.data.validate.loaded import LoadedSet
from speechkit.data.validate.text import CASE_NAMES, DIGITS, LOWER, MIXED, PUNCTUATED, UPPER, show

_MIN_FOR_RARE = 50  # utterances from which on a symbol can be called rare
_FIELD_BREAK = re.compile("[-_./]")
_MIN_GROUP = 3
_AGREEMENT = 0.8  # a corpus may be worth checking because a fifth of its texts is wrong
_MAX_FIELDS = 6
_SHAPE_SAMPLE = 1000
_MAX_ONE_TEXT = 0.5  # where half of the utterances say the same, everything seems to tell the text

Ints = np.ndarray[Any, np.dtype[np.int64]]


class Style(NamedTuple):
    """The rule of a set; `--fix` makes all texts follow it.

    Args:
        case: LOWER or UPPER, or 0 when there is no rule.
        without_punctuation: nearly all texts have none.
    """

    case: int
    without_punctuation: bool


def style_of_set(loaded: LoadedSet) -> Style:
    """What nearly all transcripts do."""
    styles = loaded.data["style"]
    cases = styles[styles & MIXED > 0] & MIXED
    case = next((c for c in (LOWER, UPPER) if loaded.is_majority(int(np.count_nonzero(cases == c)), len(cases))), 0)
    spoken = loaded.data["num_symbols"] > 0
    plain = np.count_nonzero(spoken & (styles & PUNCTUATED == 0))
    return Style(case, loaded.is_majority(int(plain), int(np.count_nonzero(spoken))))


def check_style(loaded: LoadedSet) -> Iterator[Finding]:
    """Transcripts in another case than the rest, or with punctuation or digits where the rest has none."""
    data, styles = loaded.data, loaded.data["style"]
    style = style_of_set(loaded)
    cases = styles & MIXED
    if style.case:
        for row in np.flatnonzero((cases > 0) & (cases != style.case)):
            detail = f"{CASE_NAMES[int(cases[row])]}, not {CASE_NAMES[style.case]}: {show(data.texts[int(row)])}"
            yield loaded.at("text-case", int(row), "text", detail)
    if style.without_punctuation:
        for row in np.flatnonzero(styles & PUNCTUATED):
            yield loaded.at("text-punctuation", int(row), "text", show(data.texts[int(row)]))
        with_digits = np.flatnonzero(styles & DIGITS)
        if loaded.is_majority(len(data) - len(with_digits), len(data)):
            for row in with_digits:
                yield loaded.at("text-digits", int(row), "text", show(data.texts[int(row)]))
    mixture = _mixture(styles, style)
    if mixture:
        yield loaded.of_all("text-style", "text", mixture)


def _mixture(styles: np.ndarray[Any, Any], style: Style) -> str:
    cases = {c: int(np.count_nonzero(styles & MIXED == c)) for c in (LOWER, UPPER, MIXED)}
    num_plain = int(np.count_nonzero(styles & PUNCTUATED == 0))
    parts = []
    if not style.case and sum(1 for count in cases.values() if count) > 1 and cases[LOWER] + cases[UPPER]:
        parts += [f"{count} in {CASE_NAMES[c]}" for c, count in cases.items() if count]
    if not style.without_punctuation and 0 < num_plain < len(styles):
        parts.append(f"{len(styles) - num_plain} of {len(styles)} with punctuation")
    return ", ".join(parts)


def check_symbols(loaded: LoadedSet) -> Iterator[Finding]:
    """Symbols that one utterance alone has."""
    if len(loaded) < _MIN_FOR_RARE:
        return
    for symbol, row in sorted(loaded.rare_symbols.items()):
        if not symbol.isspace():
            detail = f"{show(symbol)} U+{ord(symbol):04X} in {show(loaded.data.texts[row])}"
            yield loaded.at("text-rare-symbol", row, "text", detail)


def check_prompts(loaded: LoadedSet) -> Iterator[Finding]:
    """Texts that belong to another prompt, where one field of the ids tells the prompt (`7_jackson_32`: seven).

    A field tells the text when four of five utterances in groups of three or more agree with most of their group.
    Then an utterance with the text of another group is swapped or mislabelled.
    """
    if len(loaded) < loaded.config.min_for_majority:
        return
    texts: Ints = loaded.data["text_key"]
    told: dict[int, Finding] = {}
    for place, keys in enumerate(_fields_of_ids(loaded)):
        groups = _group(keys, texts)
        if groups is None or groups.agrees.sum() < _AGREEMENT * len(groups.rows):
            continue
        others = set(groups.most_common.tolist())
        for row, expected in zip(groups.rows[~groups.agrees], groups.expected[~groups.agrees], strict=True):
            if int(texts[row]) in others and int(row) not in told:
                owner = int(np.flatnonzero(texts == expected)[0])
                name = _FIELD_BREAK.split(loaded.data.ids[int(row)])[place]
                detail = (
                    f"{show(loaded.data.texts[int(row)])}, but `{name}` in the id means "
                    f"{show(loaded.data.texts[owner])} elsewhere"
                )
                told[int(row)] = loaded.at("text-of-another-prompt", int(row), "text", detail)
    yield from (told[row] for row in sorted(told))


def _fields_of_ids(loaded: LoadedSet) -> Iterator[Ints]:
    """Column after column of the parts of the ids, as hashes; an id of an unusual shape belongs to no group."""
    ids = loaded.data.ids
    sample = range(0, len(ids), 1 + len(ids) // _SHAPE_SAMPLE)
    num_fields = Counter(len(_FIELD_BREAK.split(ids[row])) for row in sample).most_common(1)[0][0]
    if not 2 <= num_fields <= _MAX_FIELDS:
        return
    columns = [array("q") for _ in range(num_fields)]
    for row in range(len(ids)):
        parts = _FIELD_BREAK.split(ids[row])
        if len(parts) != num_fields:
            parts = [ids[row]] * num_fields
        for column, part in zip(columns, parts, strict=True):
            column.append(hash(part))
    yield from (np.frombuffer(column, dtype=np.int64) for column in columns)


class _Groups(NamedTuple):
    """Rows in groups with a clear majority: do they agree with it, and which text is it."""

    rows: Ints
    agrees: np.ndarray[Any, np.dtype[np.bool_]]
    expected: Ints
    most_common: Ints


def _group(keys: Ints, texts: Ints) -> _Groups | None:
    """Groups of equal keys; None when the key tells nothing: too few rows in groups, or one text everywhere."""
    rows = np.flatnonzero(texts)
    if not len(rows) or np.unique(texts[rows], return_counts=True)[1].max() > _MAX_ONE_TEXT * len(rows):
        return None
    _, group = np.unique(keys[rows], return_inverse=True)
    _, text = np.unique(texts[rows], return_inverse=True)
    pairs, counts = np.unique(group.astype(np.int64) * (int(text.max()) + 1) + text, return_counts=True)
    pair_group, pair_text = np.divmod(pairs, int(text.max()) + 1)
    order = np.lexsort((-counts, pair_group))
    first = order[np.concatenate([[True], np.diff(pair_group[order]) > 0])]  # most frequent text of each group
    sizes = np.bincount(group)
    is_clear = (sizes >= _MIN_GROUP) & (2 * counts[first] > sizes)
    inside = is_clear[group]
    if 2 * np.count_nonzero(inside) < len(rows):
        return None
    majority = pair_text[first][group[inside]]
    examples = np.zeros(int(text.max()) + 1, dtype=np.int64)
    examples[text] = texts[rows]
    return _Groups(
        rows[inside], text[inside] == majority, examples[majority], np.unique(examples[pair_text[first][is_clear]])
    )
