"""Interpolated bigram model of symbols 0..V-1 (Witten and Bell 1991): the least that a language model has to beat."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Symbols = Sequence[int] | NDArray[np.integer]


class Bigram:
    """Log-probs of the next symbol; symbol V, the end, also stands before the first.

    P(w | h) = (c(h w) + t(h) P(w)) / (c(h) + t(h)) with t(h) the different symbols seen after h, and likewise P(w)
    from the counts of symbols and the even distribution.
    """

    def __init__(self, counts: NDArray[np.int64]) -> None:
        """From how often each symbol follows each, (V + 1, V + 1)."""
        size = len(counts)
        single = counts.sum(0)
        kinds = float(max(1, int(np.count_nonzero(single))))
        even = (single + kinds / size) / (single.sum() + kinds)
        followers = np.count_nonzero(counts, axis=1)[:, None]
        total = counts.sum(1, keepdims=True) + followers
        mixed = np.divide(counts + followers * even, total, out=np.tile(even, (size, 1)), where=total > 0)
        self.num_symbols, self.log_probs = size - 1, np.log(mixed)

    def nats(self, sequences: Iterable[Symbols]) -> tuple[float, int]:
        """Summed negative log-prob of all symbols and ends, and how many they are."""
        total, count = 0.0, 0
        for symbols in sequences:
            before, after = _pairs(symbols, self.num_symbols)
            total -= float(self.log_probs[before, after].sum())
            count += len(after)
        return total, count


def count_pairs(sequences: Iterable[Symbols], *, num_symbols: int) -> NDArray[np.int64]:
    """How often each symbol follows each, (V + 1, V + 1)."""
    counts = np.zeros((num_symbols + 1, num_symbols + 1), np.int64)
    for symbols in sequences:
        np.add.at(counts, _pairs(symbols, num_symbols), 1)
    return counts


def _pairs(symbols: Symbols, end: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    row = np.concatenate([[end], np.asarray(symbols, np.int64), [end]])
    return row[:-1], row[1:]


def cross_validated_nats(sequences: Sequence[Symbols], *, num_symbols: int, num_folds: int = 5) -> float:
    """Negative log-prob per symbol or end, each fold by a bigram model of the others.

    Raises:
        ValueError: fewer than two sequences.
    """
    num_folds = min(num_folds, len(sequences))
    if num_folds < 2:
        raise ValueError("cross-validation needs two sequences")
    total, count = 0.0, 0
    for fold in range(num_folds):
        others = [symbols for number, symbols in enumerate(sequences) if number % num_folds != fold]
        own, size = Bigram(count_pairs(others, num_symbols=num_symbols)).nats(sequences[fold::num_folds])
        total, count = total + own, count + size
    return total / count
