"""How well a score ranks what is wrong, with intervals: every measure takes weights, and a bootstrap draw is a weight.

Items of equal score are one step: average precision is that of scikit-learn, what lies among the first k is what a
random order of equal items has there on average.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from speechkit.rng import rng

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
_MAX_CELLS = 4_000_000


@dataclass(frozen=True)
class Ranking:
    """Items from the most to the least suspicious.

    scores: (N,) more is more suspicious.  is_wrong: (N,).  unit: (N,) number of the utterance of each item, which
    the bootstrap draws.
    """

    scores: Floats
    is_wrong: Bools
    unit: Ints

    @cached_property
    def order(self) -> Ints:
        """The items by falling score."""
        return np.argsort(-self.scores, kind="stable")

    @cached_property
    def ends(self) -> Ints:
        """The last place of each run of equal scores."""
        ranked = self.scores[self.order]
        return np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)

    def steps(self, weights_RU: Floats | None = None) -> Steps:
        """Weight of wrong and of all items down to each run of equal scores, for each row of utterance weights."""
        weights = np.ones((1, len(self.scores))) if weights_RU is None else weights_RU[:, self.unit]
        ranked = weights[:, self.order]
        wrong = np.cumsum(ranked * self.is_wrong[self.order], axis=1)[:, self.ends]
        return Steps(wrong, np.cumsum(ranked, axis=1)[:, self.ends], self.scores[self.order][self.ends])

    def select(self, keep: Bools) -> Ranking:
        """Some of the items."""
        return Ranking(self.scores[keep], self.is_wrong[keep], self.unit[keep])


@dataclass(frozen=True)
class Steps:
    """Cumulated weights (R, S) by falling score: of what is wrong, and of everything; thresholds (S,)."""

    wrong: Floats
    every: Floats
    thresholds: Floats

    def average_precision(self) -> Floats:
        """(R,) sum over steps of recall gained times precision; nan where nothing is wrong."""
        gained = np.diff(self.wrong, axis=1, prepend=0.0)
        precision = np.divide(self.wrong, self.every, out=np.zeros_like(self.wrong), where=self.every > 0)
        return _ratio((gained * precision).sum(axis=1), self.wrong[:, -1])

    def auroc(self) -> Floats:
        """(R,) probability that a wrong item has a higher score than a right one, half for equal ones."""
        right = self.every - self.wrong
        before = np.concatenate([np.zeros((len(right), 1)), self.wrong[:, :-1]], axis=1)
        area = (np.diff(right, axis=1, prepend=0.0) * (before + self.wrong) / 2).sum(axis=1)
        return _ratio(area, right[:, -1] * self.wrong[:, -1])

    def found_among(self, first: Floats) -> Floats:
        """(R,) weight of the wrong items among the first so many."""
        zero = np.zeros(1)
        rows = zip(first.tolist(), self.every, self.wrong, strict=True)
        found = [np.interp(k, np.append(zero, every), np.append(zero, wrong)) for k, every, wrong in rows]
        return np.array(found, np.float64)

    def precision_at_k(self) -> Floats:
        """(R,) share of wrong items among the first k, k the number of wrong items."""
        return _ratio(self.found_among(self.wrong[:, -1]), self.wrong[:, -1])

    def recall_at(self, budget: float) -> Floats:
        """(R,) share of the wrong items that a budget, a share of all items, finds."""
        return _ratio(self.found_among(budget * self.every[:, -1]), self.wrong[:, -1])

    def best_f1(self) -> tuple[Floats, Floats]:
        """(R,) the highest F1 of any threshold, and that threshold; nan where nothing is wrong."""
        every = np.maximum(self.every + self.wrong[:, -1:], 1e-12)  # 0 above the first item that was drawn
        values = 2 * self.wrong / every
        best = values.argmax(axis=1)
        highest = np.where(self.wrong[:, -1] > 0, values[np.arange(len(values)), best], np.nan)
        return highest, self.thresholds[best]

    def f1_from(self, threshold: float) -> Floats:
        """(R,) F1 when items from a threshold on count as wrong."""
        place = int((self.thresholds >= threshold).sum()) - 1
        if place < 0:
            return np.zeros(len(self.wrong))
        return _ratio(2 * self.wrong[:, place], self.every[:, place] + self.wrong[:, -1])


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)


def draws(num_units: int, num_replicates: int, seed: int, size: int) -> Iterator[Floats]:
    """Bootstrap weights (R, U) of utterances in pieces; the same for every score, so that differences are paired.

    Args:
        size: number of items that are weighted, which decides how many rows a piece has.
    """
    step = max(1, _MAX_CELLS // max(1, size))
    times_RU = _times(num_units, num_replicates, seed)
    for begin in range(0, num_replicates, step):
        yield times_RU[begin : begin + step].astype(np.float64)


@lru_cache(maxsize=1)  # every score is measured with the same draws
def _times(num_units: int, num_replicates: int, seed: int) -> npt.NDArray[np.uint16]:
    """(R, U) how often each utterance is drawn."""
    gen = rng(seed, "bootstrap", num_units)
    times_RU = np.empty((num_replicates, num_units), np.uint16)
    for row in times_RU:
        row[:] = np.bincount(gen.integers(0, num_units, num_units), minlength=num_units)
    return times_RU


def replicates(
    ranking: Ranking,
    measures: Mapping[str, Callable[[Steps], Floats]],
    *,
    num_units: int,
    num_replicates: int,
    seed: int,
) -> dict[str, Floats]:
    """(R,) bootstrap values of each measure."""
    found: dict[str, list[Floats]] = {name: [] for name in measures}
    for weights_RU in draws(num_units, num_replicates, seed, max(num_units, len(ranking.scores))):
        steps = ranking.steps(weights_RU)
        for name, measure in measures.items():
            found[name].append(measure(steps))
    return {name: np.concatenate(parts) if parts else np.zeros(0) for name, parts in found.items()}


def interval(values: Floats, level: float) -> list[float] | None:
    """Percentile interval of bootstrap values; None without any that is a number."""
    values = values[~np.isnan(values)]
    if not len(values):
        return None
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return [round(float(low), 6), round(float(high), 6)]


def calibration_error(probability: Floats, is_wrong: Bools, num_bins: int = 10) -> float:
    """ECE: mean distance of the probability from the share that is wrong, over bins of equal width."""
    bins = np.minimum((probability * num_bins).astype(np.int64), num_bins - 1)
    gap = np.bincount(bins, probability, num_bins) - np.bincount(bins, is_wrong, num_bins)
    return float(np.abs(gap).sum() / max(1, len(probability)))
