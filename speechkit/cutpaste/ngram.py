"""Texts drawn from the word sequences of other texts: a backoff n-gram that is sampled, never stored."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

_DISCOUNT = 0.5  # taken from each count and given to the shorter context
_END = -1
_MAX_TRIES = 8


class Ngram:
    """Absolute discounting over word numbers; the end of a text is a word, too."""

    def __init__(self, texts: Sequence[Sequence[int]], order: int) -> None:
        counts: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
        for text in texts:
            padded = [*text, _END]
            for place, word in enumerate(padded):
                for size in range(min(order - 1, place + 1) + 1):
                    # the start of a text is a context of its own, written as the end
                    context = padded[place - size : place] if size <= place else [_END, *padded[:place]]
                    counts[tuple(context)][word] += 1
        self.order = order
        self._tables = {
            context: (np.array(list(own), np.int64), np.cumsum(list(own.values())), len(own))
            for context, own in counts.items()
        }

    def draw(
        self, allowed: frozenset[int], gen: np.random.Generator, *, longest: int, unigram_mix: float = 0.0
    ) -> list[int]:
        """A text of allowed words; it is empty when no way leads on, and ends at `longest` words.

        Args:
            unigram_mix: share of words that are drawn whatever comes before.
        """
        words: list[int] = []
        while len(words) < longest:
            is_free = unigram_mix > 0 and gen.random() < unigram_mix
            word = self._next(
                () if is_free else self._context(words), allowed, gen, may_end=bool(words) and not is_free
            )
            if word == _END:
                break
            words.append(word)
        return words

    def _context(self, words: Sequence[int]) -> tuple[int, ...]:
        padded = (_END, *words)
        return padded[max(0, len(padded) - self.order + 1) :] if self.order > 1 else ()

    def _next(
        self, context: tuple[int, ...], allowed: frozenset[int], gen: np.random.Generator, *, may_end: bool
    ) -> int:
        """The next word, the end also where no allowed word is found."""
        for size in range(len(context), -1, -1):
            table = self._tables.get(context[len(context) - size :])
            word = None if table is None else _draw(table, allowed, gen, may_end=may_end, is_last=size == 0)
            if word is not None:
                return word
        return _END


def _draw(
    table: tuple[np.ndarray, np.ndarray, int], allowed: frozenset[int], gen: np.random.Generator, *, may_end: bool,
    is_last: bool,
) -> int | None:  # fmt: skip
    """A continuation, or None to go on with a shorter context."""
    words, sums, num_types = table
    total = float(sums[-1])
    if not is_last and gen.random() * total < _DISCOUNT * num_types:
        return None
    for _ in range(_MAX_TRIES):
        word = int(words[np.searchsorted(sums, gen.random() * total, side="right")])
        if word in allowed or (word == _END and may_end):
            return word
    return None
