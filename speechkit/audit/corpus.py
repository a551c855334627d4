"""Scores that need the whole corpus: durations beside those of the speaker, texts beside the others, the ranking.

All of them leave out the utterance itself, so that injected faults and the corpus are measured alike.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from speechkit.audit.evidence import Floats

# S7 alone: with S1 beside it the AP is .979 for .976 on speakers that were heard, .775 for .827 on others
RANKED = ("edit_lse",)
CORPUS_SCORES = {
    "duration_z": "S9: how far the log of the seconds per character is from the speaker's median, in deviations",
    "lm_nll": "S10: -log P(text) per word by an n-gram of the other texts",
    "speaker_distance": "S11: of the mean spectrum from that of the speaker's other utterances, as 1 - cosine",
    "rank": f"the default: mean logit of the ranks of {' and '.join(RANKED)}",
}
_ORDER = 3
_DISCOUNT = 0.75
_MIN_OF_SPEAKER = 5  # utterances; with fewer, a speaker is measured by all
_MAD_TO_SD = 1.4826
_LEAST_SD = 0.02
_START, _END = "<s>", "</s>"


@dataclass(frozen=True)
class Item:
    """What the corpus knows of an utterance; scores: at least those of `RANKED`."""

    words: Sequence[str]
    speaker: str
    seconds: float
    scores: dict[str, float]


class Corpus:
    """The distributions that a transcript is compared with."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._ngrams = Ngrams(item.words for item in items)
        self._ranked = {name: np.sort([item.scores[name] for item in items]) for name in RANKED}
        rates: dict[str, list[float]] = {}
        for item in items:
            rates.setdefault(item.speaker, []).append(_log_rate(item.words, item.seconds))
        self._all_rates = _middle([rate for own in rates.values() for rate in own])
        self._rates = {name: _middle(own) for name, own in rates.items() if len(own) >= _MIN_OF_SPEAKER}

    def complete(self, item: Item, words: Sequence[str] | None = None) -> None:
        """Add duration_z, lm_nll and rank to the scores of an utterance of the corpus.

        Args:
            words: another transcript of it, whose scores `item.scores` are.
        """
        shown = item.words if words is None else words
        median, deviation = self._rates.get(item.speaker, self._all_rates)
        item.scores["duration_z"] = abs(_log_rate(shown, item.seconds) - median) / deviation
        item.scores["lm_nll"] = self._ngrams.nll(shown, left_out=item.words)
        item.scores["rank"] = float(np.mean([self._logit(name, item.scores[name]) for name in RANKED]))

    def _logit(self, name: str, value: float) -> float:
        """Of the mean rank of a value, as a share of the corpus."""
        sorted_N = self._ranked[name]
        middle = (np.searchsorted(sorted_N, value, "left") + np.searchsorted(sorted_N, value, "right")) / 2
        share = float(np.clip(middle, 0.5, len(sorted_N) - 0.5)) / len(sorted_N)
        return math.log(share / (1 - share))


def _log_rate(words: Sequence[str], seconds: float) -> float:
    return math.log(max(seconds, 1e-3) / max(1, len(" ".join(words))))


def _middle(values: Sequence[float]) -> tuple[float, float]:
    """Median, and standard deviation as the median deviation tells it."""
    median = float(np.median(values))
    deviation = _MAD_TO_SD * float(np.median(np.abs(np.array(values) - median)))
    return median, max(deviation, _LEAST_SD)


class Ngrams:
    """Word n-grams with absolute discounting, interpolated down to a uniform distribution (Ney et al. 1994)."""

    def __init__(self, texts: Iterable[Sequence[str]]) -> None:
        self._counts: Counter[tuple[str, ...]] = Counter()
        vocabulary = {_END}
        for words in texts:
            self._counts.update(_ngrams_of(words))
            vocabulary.update(words)
        self._uniform = 1.0 / (len(vocabulary) + 1)  # 1 for all words that never occur
        self._totals: Counter[tuple[str, ...]] = Counter()
        self._kinds: Counter[tuple[str, ...]] = Counter()
        for ngram, count in self._counts.items():
            self._totals[ngram[:-1]] += count
            self._kinds[ngram[:-1]] += 1

    def nll(self, words: Sequence[str], *, left_out: Sequence[str] = ()) -> float:
        """-log P per word, the end included, without what one utterance adds to the counts."""
        own = Counter(_ngrams_of(left_out)) if left_out else Counter()
        own_totals: Counter[tuple[str, ...]] = Counter()
        own_kinds: Counter[tuple[str, ...]] = Counter()
        for ngram, count in own.items():
            own_totals[ngram[:-1]] += count
            own_kinds[ngram[:-1]] += count == self._counts[ngram]
        padded = [_START] * (_ORDER - 1) + [*words, _END]
        total = 0.0
        for end in range(_ORDER, len(padded) + 1):
            prob = self._uniform
            for size in range(1, _ORDER + 1):
                ngram = tuple(padded[end - size : end])
                history = ngram[:-1]
                seen = self._totals[history] - own_totals[history]
                if not seen:
                    break
                kinds = self._kinds[history] - own_kinds[history]
                count = self._counts[ngram] - own[ngram]
                prob = (max(count - _DISCOUNT, 0.0) + _DISCOUNT * kinds * prob) / seen
            total -= math.log(prob)
        return total / (len(words) + 1)


def _ngrams_of(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    padded = [_START] * (_ORDER - 1) + [*words, _END]
    for end in range(_ORDER, len(padded) + 1):
        for size in range(1, _ORDER + 1):
            yield tuple(padded[end - size : end])


def speaker_distances(spectra_NF: Floats, speakers: Sequence[str]) -> Floats:
    """1 - cosine between each row and the mean of the other rows of its speaker; 0 for an only one.

    Columns are centred and scaled over the corpus before.
    """
    scaled_NF = (spectra_NF - spectra_NF.mean(axis=0)) / np.maximum(spectra_NF.std(axis=0), 1e-6)
    distances = np.zeros(len(scaled_NF))
    names = np.array(speakers)
    for name in sorted(set(speakers)):
        rows = np.flatnonzero(names == name)
        if len(rows) < 2:
            continue
        own_RF = scaled_NF[rows]
        others_RF = (own_RF.sum(axis=0) - own_RF) / (len(rows) - 1)
        norms = np.linalg.norm(own_RF, axis=1) * np.linalg.norm(others_RF, axis=1)
        distances[rows] = 1.0 - (own_RF * others_RF).sum(axis=1) / np.maximum(norms, 1e-12)
    return distances
