"""Texts to paste, each within the words that one speaker has said: one class per mode, and a table of them.

A planner is called with the words a speaker has, the speaker's own sentences and a generator, and gives word numbers;
a new mode is a class here and a line in PLANNERS. Which mode helps depends on the loss: CTC wants many different pairs
of words (uniform, cover), an attention decoder texts like those it will meet (target-lm).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from speechkit.cutpaste.config import TextConfig
from speechkit.cutpaste.ngram import Ngram
from speechkit.errors import ConfigError, SpeechkitError

_MAX_TRIES = 20
_UNSEEN_PAIR = 0.1  # weight of a pair that the target texts lack


@dataclass(frozen=True)
class Sentence:
    """Word numbers of a recorded sentence, those that can be pasted, and its source."""

    words: tuple[int, ...]
    source: int


@dataclass(frozen=True)
class SpeakerView:
    """What one speaker has: words (V,) int64 sorted, the same as a set, and the sentences they were said in."""

    words: np.ndarray
    allowed: frozenset[int]
    sentences: tuple[Sentence, ...]


@dataclass(frozen=True)
class Draft:
    """A text as word numbers; `source` is the recording whose words are preferred, -1 for none."""

    words: list[int]
    source: int = -1


@dataclass(frozen=True)
class Material:
    """What planners learn from: all recorded texts and the target texts as word numbers; unknown words are -1."""

    train: tuple[tuple[int, ...], ...]
    target: tuple[tuple[int, ...], ...]
    num_words: int


class Planner(Protocol):
    """Gives texts for one speaker after the other."""

    def __call__(self, view: SpeakerView, gen: np.random.Generator) -> Draft:
        """A text; an empty one when this draw failed."""


class _Lengths:
    """Numbers of words: as in the recorded texts, or uniform between two bounds."""

    def __init__(self, material: Material, config: TextConfig) -> None:
        self.recorded = np.array([len(text) for text in material.train if text])
        self.bounds = None if config.min_words is None else (config.min_words, config.max_words or config.min_words)

    def draw(self, gen: np.random.Generator) -> int:
        if self.bounds is not None:
            return int(gen.integers(self.bounds[0], self.bounds[1] + 1))
        return int(self.recorded[gen.integers(len(self.recorded))])

    @property
    def longest(self) -> int:
        return int(self.recorded.max()) if self.bounds is None else self.bounds[1]

    def fits(self, size: int) -> bool:
        return self.bounds is None or self.bounds[0] <= size <= self.bounds[1]


class Uniform:
    """Every word equally likely, whatever comes before; only the same word twice in a row is left out."""

    def __init__(self, material: Material, config: TextConfig) -> None:
        self.lengths, self.allow_repeats = _Lengths(material, config), config.allow_repeats

    def __call__(self, view: SpeakerView, gen: np.random.Generator) -> Draft:
        size, num_words = self.lengths.draw(gen), len(view.words)
        picks = gen.integers(num_words, size=size)
        if not self.allow_repeats and num_words > 1:
            for place in range(1, size):
                if picks[place] == picks[place - 1]:  # a step to one of the others, all equally likely
                    picks[place] = (picks[place] + 1 + gen.integers(num_words - 1)) % num_words
        return Draft(view.words[picks].tolist())


class Perm:
    """The words of one recorded sentence in another order."""

    def __init__(self, material: Material, config: TextConfig) -> None:
        self.lengths, self.allow_repeats = _Lengths(material, config), config.allow_repeats

    def __call__(self, view: SpeakerView, gen: np.random.Generator) -> Draft:
        sentence = view.sentences[int(gen.integers(len(view.sentences)))].words
        for _ in range(_MAX_TRIES):
            words = [sentence[place] for place in gen.permutation(len(sentence)).tolist()]
            if self.allow_repeats or not _has_repeat(words):
                return Draft(words if self.lengths.fits(len(words)) else [])
        return Draft([])


class Swap:
    """A recorded sentence with one to `max_swaps` words replaced; the rest is kept from its recording if possible."""

    def __init__(self, material: Material, config: TextConfig) -> None:
        self.config, self.lengths = config, _Lengths(material, config)

    def __call__(self, view: SpeakerView, gen: np.random.Generator) -> Draft:
        sentence = view.sentences[int(gen.integers(len(view.sentences)))]
        words = list(sentence.words)
        if len(view.words) < 2 or not words or not self.lengths.fits(len(words)):
            return Draft([])
        num_swaps = int(gen.integers(1, min(self.config.max_swaps, len(words)) + 1))
        for place in gen.permutation(len(words))[:num_swaps].tolist():
            others = view.words[view.words != words[place]]
            words[place] = int(others[gen.integers(len(others))])
        return Draft([] if _has_repeat(words) and not self.config.allow_repeats else words, sentence.source)


class TrainNgram:
    """Word sequences like those of the recorded texts, mixed with words drawn whatever comes before."""

    def __init__(self, material: Material, config: TextConfig) -> None:
        self.config, self.lengths = config, _Lengths(material, config)
        self.ngram = Ngram(material.train, config.order)

    def __call__(self, view: SpeakerView, gen: np.random.Generator) -> Draft:
        words = self.ngram.draw(view.allowed, gen, longest=self.lengths.longest, unigram_mix=self.config.unigram_mix)
        is_good = self.lengths.fits(len(words)) and (self.config.allow_repeats or not _has_repeat(words))
        return Draft(words if is_good else [])


class TargetLm:
    """Sentences of the target texts that the speaker's words can say, and texts drawn from their word sequences."""

    def __init__(self, material: Material, config: TextConfig) -> None:
        if not material.target:
            raise ConfigError("--mode target-lm needs target texts", expected="--target-text FILE")
        self.config, self.lengths = config, _Lengths(material, config)
        self.texts = [text for text in material.target if text and self.lengths.fits(len(text))]
        self.longest = max((len(text) for text in material.target), default=1)
        # a text with unknown words still shows which of the known ones follow each other
        self.ngram = Ngram([run for text in material.target for run in _known_runs(text)], config.order)
        self._sayable: dict[frozenset[int], list[tuple[int, ...]]] = {}

    def __call__(self, view: SpeakerView, gen: np.random.Generator) -> Draft:
        if view.allowed not in self._sayable:
            self._sayable[view.allowed] = [text for text in self.texts if view.allowed.issuperset(text)]
        texts = self._sayable[view.allowed]
        if texts and gen.random() < self.config.verbatim:
            return Draft(list(texts[int(gen.integers(len(texts)))]))
        longest = self.longest if self.lengths.bounds is None else self.lengths.longest
        words = self.ngram.draw(view.allowed, gen, longest=longest, unigram_mix=0.0)
        is_good = self.lengths.fits(len(words)) and (self.config.allow_repeats or not _has_repeat(words))
        return Draft(words if is_good else [])


class Cover:
    """The next word is the one that has followed the last word least often, recorded texts included.

    With target texts a pair counts for as much as it occurs there: greedy maximum of the sum of w_b ln(1 + count_b),
    which is submodular and largest when the counts are in proportion to the weights. Counts go on from text to text,
    so the outcome depends on the order of the plan.
    """

    def __init__(self, material: Material, config: TextConfig) -> None:
        self.lengths, self.allow_repeats = _Lengths(material, config), config.allow_repeats
        self.num_words = material.num_words
        self.counts: dict[int, np.ndarray] = {}
        self.weights: dict[int, np.ndarray] = {}
        self._count(material.train, self.counts, 0.0)
        self._count(material.target, self.weights, _UNSEEN_PAIR)

    def _count(self, texts: Sequence[Sequence[int]], table: dict[int, np.ndarray], start: float) -> None:
        for text in texts:
            for left, right in zip((-1, *text[:-1]), text, strict=True):
                if right >= 0:
                    self._row(table, left, start)[right] += 1.0

    def __call__(self, view: SpeakerView, gen: np.random.Generator) -> Draft:
        words: list[int] = []
        for _ in range(self.lengths.draw(gen)):
            left = words[-1] if words else -1
            counts = self._row(self.counts, left, 0.0)[view.words]
            gains = 1.0 / (1.0 + counts)
            if self.weights:
                gains = gains * self._row(self.weights, left, _UNSEEN_PAIR)[view.words]
            if words and not self.allow_repeats and len(view.words) > 1:
                gains[np.searchsorted(view.words, left)] = -1.0
            best = np.flatnonzero(gains >= gains.max() - 1e-12)
            words.append(int(view.words[best[gen.integers(len(best))]]))
            self.counts[left][words[-1]] += 1.0
        return Draft(words)

    def _row(self, table: dict[int, np.ndarray], left: int, start: float) -> np.ndarray:
        if left not in table:
            table[left] = np.full(self.num_words, start)
        return table[left]


PLANNERS: dict[str, Callable[[Material, TextConfig], Planner]] = {
    "perm": Perm,
    "uniform": Uniform,
    "ngram": TrainNgram,
    "target-lm": TargetLm,
    "swap": Swap,
    "cover": Cover,
}


def make_planner(material: Material, config: TextConfig) -> Planner:
    """The planner of a mode.

    Raises:
        ConfigError: it needs target texts and has none.
    """
    if not any(material.train):
        raise SpeechkitError("no recorded text has a word that may be pasted")
    return PLANNERS[config.mode](material, config)


def _has_repeat(words: Sequence[int]) -> bool:
    return any(a == b for a, b in itertools.pairwise(words))


def _known_runs(text: Sequence[int]) -> list[tuple[int, ...]]:
    """The longest stretches of a text without unknown words (-1)."""
    runs: list[list[int]] = [[]]
    for word in text:
        if word >= 0:
            runs[-1].append(word)
        elif runs[-1]:
            runs.append([])
    return [tuple(run) for run in runs if run]
