"""The words that faults of transcripts are made of: what a word is taken for, its partner, its forms and endings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from speechkit.kernels.edit import align_ids
from speechkit.rng import rng

NUM_NEIGHBOURS = 3
_MAX_ENDING = 3  # letters of an ending that tells two forms of a word apart
_MIN_STEM = 3

_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEENS = ("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_NUMBERS = map(str, [*range(20), *range(20, 100, 10)])
_NUMERALS = dict(zip((*_DIGITS, *_TEENS, *_TENS), _NUMBERS, strict=True))
NUMERAL_FORMS: dict[str, tuple[str, ...]] = {
    **{word: (numeral,) for word, numeral in _NUMERALS.items()},
    **{numeral: (word,) for word, numeral in _NUMERALS.items()},
}


@dataclass(frozen=True)
class Vocabulary:
    """The words that faults are made of.

    words: different ones, sorted.  counts: how often each occurs.  seed: decides the partners of `pairflip`.
    confusions: by word, what it is taken for; of other words the nearest in letters.  forms: by word, other ways to
    write it.
    """

    words: tuple[str, ...]
    counts: tuple[int, ...]
    seed: int = 0
    confusions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    forms: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: NUMERAL_FORMS)
    _near: dict[str, tuple[str, ...]] = field(default_factory=dict, repr=False, compare=False)

    @staticmethod
    def of_texts(
        texts: Iterable[Sequence[str]],
        *,
        seed: int = 0,
        confusions: Mapping[str, tuple[str, ...]] | None = None,
        forms: Mapping[str, tuple[str, ...]] | None = None,
    ) -> Vocabulary:
        """The vocabulary of texts given as words."""
        counts = Counter(word for words in texts for word in words)
        words = sorted(counts)
        return Vocabulary(
            tuple(words),
            tuple(counts[word] for word in words),
            seed,
            confusions or {},
            NUMERAL_FORMS if forms is None else forms,
        )

    @cached_property
    def frequency(self) -> dict[str, int]:
        """How often each word occurs."""
        return dict(zip(self.words, self.counts, strict=True))

    @cached_property
    def letters(self) -> frozenset[str]:
        """All letters that occur."""
        return frozenset("".join(self.words))

    @cached_property
    def partners(self) -> dict[str, str]:
        """One fixed other word for each: the next one in an order that the seed decides."""
        order = rng(self.seed, "pairflip", *self.words).permutation(len(self.words)).tolist()
        shuffled = [self.words[k] for k in order]
        return dict(zip(shuffled, [*shuffled[1:], *shuffled[:1]], strict=True)) if len(shuffled) > 1 else {}

    def neighbours(self, word: str) -> tuple[str, ...]:
        """What a word is taken for: those of `confusions`, else the three with the fewest different letters."""
        if word in self.confusions:
            return self.confusions[word]
        if word not in self._near:
            share = self._share_of_errors(word)
            order = np.argsort(share, kind="stable")[: NUM_NEIGHBOURS + 1].tolist()
            self._near[word] = tuple(self.words[k] for k in order if self.words[k] != word)[:NUM_NEIGHBOURS]
        return self._near[word]

    @cached_property
    def _spelled(self) -> tuple[dict[str, int], npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Numbers of the letters; the letters of all words behind each other, and where each word begins."""
        numbers = {letter: number for number, letter in enumerate(sorted(self.letters))}
        letters = np.array([numbers[letter] for word in self.words for letter in word], np.int32)
        return numbers, letters, np.cumsum([0, *map(len, self.words)], dtype=np.int64)

    def _share_of_errors(self, word: str) -> npt.NDArray[np.float64]:
        """(V,) edit distance of a word to each word of the vocabulary over the length of the longer one."""
        numbers, letters, offsets = self._spelled
        own = np.array([numbers.get(letter, len(numbers)) for letter in word], np.int32)
        rows = np.arange(len(self.words) + 1) * len(own)
        found = align_ids(np.tile(own, len(self.words)), rows, letters, offsets, vocab_size=len(numbers) + 1)
        return np.asarray(found.counts.sum(axis=1) / np.maximum(np.diff(offsets), len(own)), np.float64)

    def variants(self, word: str) -> tuple[str, ...]:
        """Words of the same stem and another ending, else the word with or without a final `s`."""
        found = tuple(other for other in self.words if other != word and _same_stem(word, other))
        if found:
            return found
        if word.endswith("s") and len(word) > _MIN_STEM:
            return (word[:-1],)
        return (word + "s",) if "s" in self.letters else ()

    def draw(self, gen: np.random.Generator, but: Sequence[str | None]) -> str | None:
        """A word of the vocabulary, evenly among those that differ from all of `but`; None where there is none."""
        barred = {word for word in but if word is not None}
        if len(self.words) > len(barred):  # then a draw succeeds after few tries: 2 in the worst case on average
            while (word := self.words[int(gen.integers(len(self.words)))]) in barred:
                pass
            return word
        left = [word for word in self.words if word not in barred]
        return left[int(gen.integers(len(left)))] if left else None


def _same_stem(word: str, other: str) -> bool:
    shared = 0
    for a, b in zip(word, other, strict=False):
        if a != b:
            break
        shared += 1
    return shared >= _MIN_STEM and max(len(word), len(other)) - shared <= _MAX_ENDING
