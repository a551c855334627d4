"""What the sides of a split must not share: the key values of an utterance, and which values count as one group.

Texts are one group when they are heard alike (`text_key`) and, if wanted, when they differ in one word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from speechkit.rng import derive_seed
from speechkit.text.normalize import prompt_key

Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

_DIGITS = str.maketrans(
    {
        str(digit): f" {word} "
        for digit, word in enumerate(("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"))
    }
)
_DIGIT = re.compile("[0-9]")
_ASCII_HEARD = "".join((prompt_key(chr(code)) or " ") if code < 128 else " " for code in range(256)).encode()
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB), np.uint64(0x9E3779B97F4A7C15))
_ANY_WORD = np.uint64(0x2545F4914F6CDD1D)
ALONE = "\0"  # first character of the value of an utterance that shares its key with no other


def heard_words(text: str) -> list[str]:
    """The words of a text without case, punctuation and apostrophes; digits are words: `Room 12!` -> room one two."""
    if text.isascii():  # the same at once
        heard = text.encode().translate(_ASCII_HEARD, b"'").decode()
    else:
        heard = prompt_key(text).replace("'", "")
    return (heard.translate(_DIGITS) if _DIGIT.search(heard) else heard).split()


def text_key(text: str) -> str:
    """Equal for texts that are heard alike: case, punctuation, hyphens, blanks, and digits for words do not count.

    A text of punctuation alone is its own key; an empty text has an empty one.
    """
    return "".join(heard_words(text)) or " ".join(text.split())


def field_value(name: str, supervision: Mapping[str, Any], cut: Mapping[str, Any]) -> str | None:
    """The value of a field of an utterance, None when it has none.

    Args:
        name: `text`, `speaker`, `recording` (its id), `gender`, `language`, or any custom field.
        supervision, cut: the stored objects, or `vars()` of lhotse's.
    """
    value = supervision.get("recording_id" if name == "recording" else name)
    for custom in (supervision.get("custom"), cut.get("custom")):
        if value is None and custom:
            value = custom.get(name)
    return None if value is None or isinstance(value, dict | list) else str(value)


@dataclass(frozen=True)
class Groups:
    """The groups of one key that must stay on one side.

    codes: (N,) group of each utterance.  names: a value of each group.
    num_values: different values, before those that are near are joined.
    """

    key: str
    codes: Ints
    names: list[str]
    num_values: int

    def priorities(self, seed: int) -> npt.NDArray[np.float64]:
        """A number in [0, 1) for each group that depends on nothing but the seed, the key and the group's name."""
        bits = 53
        return np.array([derive_seed(seed, self.key, name, bits=bits) for name in self.names]) / 2.0**bits


def make_groups(key: str, values: Sequence[str], *, near_words: int = 0) -> Groups:
    """Groups of equal values; of the key `text` those of equal `text_key`, and with `near_words` those `near`, too."""
    numbers = {value: number for number, value in enumerate(sorted(set(values)))}
    if key != "text":
        codes = np.fromiter((numbers[value] for value in values), np.int64, len(values))
        return Groups(key, codes, list(numbers), len(numbers))
    groups: dict[str, int] = {}
    keys = (value if value.startswith(ALONE) else text_key(value) for value in numbers)
    of_value = np.fromiter((groups.setdefault(name, len(groups)) for name in keys), np.int64, len(numbers))
    names = [""] * len(groups)
    for value, group in zip(reversed(list(numbers)), reversed(of_value.tolist()), strict=True):
        names[group] = value
    num_values = len(groups)
    if near_words:
        joined = join_near([[] if name.startswith(ALONE) else heard_words(name) for name in names], near_words)
        first = np.unique(joined, return_index=True)[1]
        names = [names[i] for i in first.tolist()]
        of_value = joined[of_value]
    codes = of_value[np.fromiter((numbers[value] for value in values), np.int64, len(values))]
    return Groups(key, codes, names, num_values)


@dataclass(frozen=True)
class Variants:
    """Hashes of texts and of what one word more, less or other makes of them; `owner` is the text of each row.

    A text of `near_words` words or more is near another when they share a hash of `other`, or when the hash `full`
    of one is a hash of `less` of the other.
    """

    full: Hashes
    full_owner: Ints
    less: Hashes
    less_owner: Ints
    other: Hashes
    other_owner: Ints


def variants(texts: Sequence[Sequence[str]], near_words: int) -> Variants:
    """The hashes of texts given as words; those shorter than `near_words` words have none."""
    owners = np.array([i for i, words in enumerate(texts) if len(words) >= near_words], np.int64)
    sizes = np.array([len(texts[i]) for i in owners.tolist()], np.int64)
    hashes: dict[str, int] = {}
    words = np.fromiter(
        (
            hashes[word] if word in hashes else hashes.setdefault(word, derive_seed(0, "word", word, bits=64))
            for i in owners.tolist()
            for word in texts[i]
        ),
        np.uint64,
        int(sizes.sum()),
    )
    starts = np.cumsum(sizes) - sizes
    row = np.repeat(np.arange(len(owners)), sizes)
    place = (np.arange(len(words)) - starts[row]).astype(np.uint64)
    here, left = _mixed(words, place), _mixed(words, place - np.uint64(1))
    full = _sums(here, starts)
    size_hash = _mixed(np.full(len(owners), _ANY_WORD), sizes.astype(np.uint64))
    # without word i: the words before it stay in place, those behind it move one to the left
    before = _running(here, starts, row) - here
    behind = _sums(left, starts)[row] - _running(left, starts, row)
    shorter = _mixed(np.full(len(words), _ANY_WORD), (sizes[row] - 1).astype(np.uint64))
    is_long = sizes[row] > near_words
    return Variants(
        full=full + size_hash,
        full_owner=owners,
        less=(before + behind + shorter)[is_long],
        less_owner=owners[row][is_long],
        other=full[row] + size_hash[row] - here + _mixed(np.full(len(words), _ANY_WORD), place),
        other_owner=owners[row],
    )


def join_near(texts: Sequence[Sequence[str]], near_words: int) -> Ints:
    """A group number for each text: those linked by steps of one word (changed, added or left out) are one group.

    Only texts of `near_words` words or more are joined. Numbers are in the order of the first text of each group.
    """
    found = variants(texts, near_words)
    order = np.argsort(found.other, kind="stable")
    owner, value = found.other_owner[order], found.other[order]
    same = np.flatnonzero(value[1:] == value[:-1])
    edges = [(owner[same], owner[same + 1])]
    order = np.argsort(found.full, kind="stable")
    place = np.minimum(np.searchsorted(found.full[order], found.less), max(len(order) - 1, 0))
    if len(order):
        hit = found.full[order][place] == found.less
        edges.append((found.full_owner[order][place[hit]], found.less_owner[hit]))
    rows, columns = (np.concatenate(side) for side in zip(*edges, strict=True))
    graph = coo_matrix((np.ones(len(rows), np.int8), (rows, columns)), shape=(len(texts), len(texts)))
    labels = connected_components(graph, directed=False)[1]
    return in_order_of_appearance(labels)


def in_order_of_appearance(labels: Iterable[int] | npt.NDArray[Any]) -> Ints:
    """The same grouping with numbers 0, 1, ... in the order of the first member of each group."""
    values, first, inverse = np.unique(np.asarray(labels), return_index=True, return_inverse=True)
    rank = np.empty(len(values), np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(len(values))
    return rank[inverse]


def _mixed(words: Hashes, place: Hashes) -> Hashes:
    # splitmix64 of word and place, so that a sum over the words tells the texts apart
    mixed: Hashes = words ^ (place * _MIX[2])
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIX[0]
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX[1]
    return mixed ^ (mixed >> np.uint64(31))


def _sums(values: Hashes, starts: Ints) -> Hashes:
    return np.asarray(np.add.reduceat(values, starts) if len(starts) else values[:0], np.uint64)


def _running(values: Hashes, starts: Ints, row: Ints) -> Hashes:
    """Sum of the values from the start of the text to each word, that word included."""
    total = np.cumsum(values, dtype=np.uint64)
    return np.asarray(total - (total[starts] - values[starts])[row] if len(values) else values, np.uint64)
