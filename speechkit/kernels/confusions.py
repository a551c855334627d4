"""Equal errors of a corpus, counted by the bytes of their words."""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np
import numpy.typing as npt

from speechkit.kernels.numba_types import Ints, Words
from speechkit.kernels.tally import tally
from speechkit.kernels.word_table import number_word
from speechkit.kernels.words import PADDING, end_of_word, word_key

Counts = npt.NDArray[np.int64]
_FIRST_CAPACITY = 1 << 15


@nb.njit(cache=True, nogil=True)
def _intern(ref: Ints, hyp: Ints, spans: Ints, errors: Ints, table: tuple[Ints, Words, Ints], ids: Ints) -> int:
    """Write ids of the words in errors, -1 where a side has none; returns their number, -1 when the table is full."""
    most = table[1].shape[0] - 1
    num, texts = 0, (ref, hyp)
    for e in range(errors.shape[0]):
        if num >= most:
            return -1
        for side in range(2):
            text, start = texts[side], errors[e, 1 + side]
            ids[e, side] = -1
            if start >= 0:
                end = end_of_word(text, start, spans[errors[e, 0], 1 + 2 * side])
                ids[e, side] = number_word(ref, hyp, (side, start, end), word_key(text, start, end), num, table)
                num += ids[e, side] == num
    return num


@dataclass(frozen=True)
class Confusions:
    """Different errors of a corpus in order of their first occurrence.

    pairs: (P, 2) ids of the reference and the hypothesis word, -1 for none.
    counts: (P,) how often each occurs.
    places: (W, 4) of each word: buffer (0 reference, 1 hypothesis), start, size, and a number without meaning.
    """

    pairs: npt.NDArray[np.int32]
    counts: Counts
    places: Counts
    buffers: tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]

    def word(self, number: int) -> str | None:
        """A word by its id; None for -1."""
        if number < 0:
            return None
        side, start, size, _ = self.places[number].tolist()
        return self.buffers[side][start : start + size].tobytes().decode()


def count_confusions(
    buffers: tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]], spans: Counts, errors: Counts
) -> Confusions:
    """Count equal errors; `errors` as in `LineCounts`, the other arguments as for `count_lines`."""
    ids = np.empty((len(errors), 2), np.int32)
    capacity, num = _FIRST_CAPACITY, -1
    while num < 0:
        places = np.empty((capacity, 4), np.int64)
        table = (np.full(2 * capacity, -1, np.int32), np.empty((capacity, 2), np.uint64), places)
        num = _intern(buffers[0], buffers[1], spans, errors, table, ids)
        capacity *= 4
    firsts, counts = tally((ids[:, 0].astype(np.int64) << 32) + ids[:, 1])
    return Confusions(ids[firsts], counts, places[:num].copy(), buffers)


def warm() -> None:
    """Compile every kernel for the types in use, or load it from the cache."""
    text = np.frombuffer(b"a" + b" " * PADDING, np.uint8).copy()
    count_confusions((text, text), np.array([[0, 1, 0, 1]]), np.zeros((1, 3), np.int64))
