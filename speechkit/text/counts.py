"""The different texts of a corpus, their counts, and their word n-grams: the ground of every measure of diversity.

Texts are split at white space. Sets that are compared share one vocabulary, so that their words have the same
numbers. Memory is bounded by the different texts and words, not by the utterances or the n-grams.
"""

from __future__ import annotations

import hashlib
import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from speechkit.text.normalize import prompt_key

_END = 0  # the number that stands after each text; words count from 1
_PIECE = 1 << 18  # n-grams that are sorted at a time
_BLOCK = 1 << 20  # words that are looked at at a time
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Vocabulary = dict[str, int]
_Number = TypeVar("_Number", np.int32, np.int64, np.uint64)


@dataclass(frozen=True)
class Texts:
    """The different texts of a corpus and how often each occurs.

    index: the number of each text (words joined by single blanks), in the order of their first occurrence.
    tokens: int32, the words of all texts in that order, each text followed by 0.
    starts: (U,) place of each text in `tokens`.
    counts: (U,) utterances with each text.
    prompts: (U,) uint64, equal for texts that are the same prompt (`prompt_key`).
    zlib_ratio: packed size over size of all texts joined by newlines, in the order given.
    """

    index: dict[str, int]
    vocabulary: Vocabulary
    tokens: Int32
    starts: Int64
    counts: Int64
    prompts: npt.NDArray[np.uint64]
    zlib_ratio: float

    @property
    def num_utterances(self) -> int:
        """N, the utterances."""
        return int(self.counts.sum())

    @property
    def num_texts(self) -> int:
        """U, the different texts."""
        return len(self.counts)

    @property
    def num_tokens(self) -> int:
        """T, the words that are spoken."""
        return int((np.diff(np.append(self.starts, len(self.tokens))) - 1) @ self.counts)


class TextCounter:
    """Counts texts as they come; `finish` gives the `Texts`.

    Args:
        vocabulary: shared by the sets that are compared; new words are added to it.
    """

    def __init__(self, vocabulary: Vocabulary | None = None) -> None:
        self._vocabulary = {} if vocabulary is None else vocabulary
        self._index: dict[str, int] = {}
        self._tokens = array("i")
        self._starts = array("q")
        self._counts = array("q")
        self._prompts = array("Q")
        self._packer = zlib.compressobj(9)
        self._sizes = [0, 0]  # packed, plain

    def add(self, text: str) -> int:
        """Count one utterance; returns the number of its text."""
        words = text.split()
        text = " ".join(words)
        line = text.encode("utf-8", "surrogatepass") + b"\n"
        self._sizes[0] += len(self._packer.compress(line))
        self._sizes[1] += len(line)
        number = self._index.setdefault(text, len(self._counts))
        if number < len(self._counts):
            self._counts[number] += 1
            return number
        self._counts.append(1)
        self._starts.append(len(self._tokens))
        numbers = self._vocabulary
        self._tokens.extend(numbers.setdefault(word, len(numbers) + 1) for word in words)
        self._tokens.append(_END)
        digest = hashlib.blake2b(prompt_key(text).encode("utf-8", "surrogatepass"), digest_size=8).digest()
        self._prompts.append(int.from_bytes(digest, "big"))
        return number

    def finish(self) -> Texts:
        """What was counted; the counter is used up."""
        packed = self._sizes[0] + len(self._packer.flush())
        return Texts(
            index=self._index,
            vocabulary=self._vocabulary,
            tokens=_as_numpy(self._tokens, np.dtype(np.int32)),
            starts=_as_numpy(self._starts, np.dtype(np.int64)),
            counts=_as_numpy(self._counts, np.dtype(np.int64)),
            prompts=_as_numpy(self._prompts, np.dtype(np.uint64)),
            zlib_ratio=packed / self._sizes[1] if self._sizes[1] else 0.0,
        )


def _as_numpy(values: array[int], dtype: np.dtype[_Number]) -> npt.NDArray[_Number]:
    return np.frombuffer(values, dtype) if values else np.zeros(0, dtype)


def count_texts(texts: Iterable[str], vocabulary: Vocabulary | None = None) -> Texts:
    """The `Texts` of one text per utterance."""
    counter = TextCounter(vocabulary)
    for text in texts:
        counter.add(text)
    return counter.finish()


def ngram_counts(sets: Sequence[Texts], order: int) -> Iterator[tuple[Int64, Int64]]:
    """Every different n-gram of any set, in pieces that together hold all; no n-gram is in two pieces.

    Yields:
        codes (G,) ascending and unique within the piece (for order 1 the word, for order 2
        `first * (size of the vocabulary + 1) + second`), and counts (G, S): how often each occurs in each set.
    """
    num_words = vocabulary_base(sets)
    starting = np.zeros(num_words, np.int64)
    for part in (s.tokens[k : k + _PIECE] for s in sets for k in range(0, len(s.tokens), _PIECE)):
        starting += np.bincount(part, minlength=num_words)
    starting[_END] = 0
    edges = _edges(starting)
    for low, high in pairwise(edges):
        found = [_ngrams_from(s, low, high, order) for s in sets]
        ranks = np.concatenate([words[:, 0] for words, _ in found]).astype(np.int64)
        for k in range(1, order):
            column = np.concatenate([words[:, k] for words, _ in found])
            if k > 1:  # the code of a longer n-gram would not fit: number the shorter ones first
                ranks = np.unique(ranks, return_inverse=True)[1]
            ranks = ranks * num_words + column
        if not len(ranks):
            continue
        codes, groups = np.unique(ranks, return_inverse=True)
        members = np.repeat(np.arange(len(sets)), [len(weights) for _, weights in found])
        weights = np.concatenate([weights for _, weights in found])
        counts = np.bincount(groups * len(sets) + members, weights, len(codes) * len(sets))
        yield codes, counts.astype(np.int64).reshape(len(codes), len(sets))


def vocabulary_base(sets: Sequence[Texts]) -> int:
    """The number above all words of the sets: the base of the codes of `ngram_counts`.

    Raises:
        ValueError: the sets do not share a vocabulary.
    """
    if any(s.vocabulary is not sets[0].vocabulary for s in sets):
        raise ValueError("the sets do not share a vocabulary")
    return len(sets[0].vocabulary) + 1


def _edges(starting: Int64) -> list[int]:
    """Bounds of ranges of first words with about `_PIECE` n-grams each."""
    sums = np.cumsum(starting)
    wanted = np.arange(_PIECE, int(sums[-1]) + _PIECE, _PIECE)
    inner = np.searchsorted(sums, wanted[:-1]) + 1
    return [1, *np.unique(inner[inner > 1]).tolist(), len(starting)]


def _ngrams_from(texts: Texts, low: int, high: int, order: int) -> tuple[Int32, Int64]:
    """The n-grams (M, order) of a set that begin with the words low..high-1, and the utterances of each."""
    places = _places(texts.tokens, low, high)
    words = np.empty((len(places), order), np.int32)
    words[:, 0] = texts.tokens[places]
    for k in range(1, order):
        following = places + k
        inside = following < len(texts.tokens)
        inside[inside] = texts.tokens[following[inside]] != _END
        places, words = places[inside], words[inside]
        words[:, k] = texts.tokens[places + k]
    owner = np.searchsorted(texts.starts, places, side="right") - 1
    return words, texts.counts[owner]


def _places(tokens: Int32, low: int, high: int) -> Int64:
    """Where the words low..high-1 stand, looked for block by block."""
    found = []
    for start in range(0, len(tokens), _BLOCK):
        block = tokens[start : start + _BLOCK]
        found.append(np.flatnonzero((block >= low) & (block < high)) + start)
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def used_words(texts: Texts) -> Int64:
    """The numbers of the words of a set, ascending; a shared vocabulary may hold more."""
    return np.concatenate([codes for codes, _ in ngram_counts([texts], 1)] or [np.zeros(0, np.int64)])
