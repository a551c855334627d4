"""Stretches of an utterance with errors of either of two systems, separated by words both have right.

Source: Gillick and Cox 1989 (matched pairs, sentence-segment word error); boundaries as in NIST sc_stats.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from speechkit.kernels.edit_bits import COR, INS
from speechkit.kernels.numba_types import Ints


@nb.njit(cache=True, nogil=True)
def error_segments(a: tuple[Ints, Ints, Ints], b: tuple[Ints, Ints, Ints], num_good: int) -> Ints:
    """Rows (utterance, errors of system a, errors of system b), one for each segment with an error.

    Args:
        a, b: operations of all utterances, first and end index of each utterance.
        num_good: a segment ends where both systems have this many reference words in a row right.
    """
    num = a[1].size
    rows = np.empty((max(1, a[0].size + b[0].size), 3), np.int64)
    used = 0
    for u in range(num):
        i, i_end = a[1][u], a[2][u]
        j, j_end = b[1][u], b[2][u]
        errors_a = 0
        errors_b = 0
        good = 0
        while True:
            extra_a = 0
            while i < i_end and a[0][i] == INS:
                i += 1
                extra_a += 1
            extra_b = 0
            while j < j_end and b[0][j] == INS:
                j += 1
                extra_b += 1
            errors_a += extra_a
            errors_b += extra_b
            if extra_a + extra_b > 0:
                good = 0
            if i >= i_end or j >= j_end:
                break
            wrong_a = int(a[0][i] != COR)
            wrong_b = int(b[0][j] != COR)
            errors_a += wrong_a
            errors_b += wrong_b
            good = 0 if wrong_a + wrong_b > 0 else good + 1
            i += 1
            j += 1
            if good >= num_good and errors_a + errors_b > 0:
                rows[used] = (u, errors_a, errors_b)
                used += 1
                errors_a = 0
                errors_b = 0
        if errors_a + errors_b > 0:
            rows[used] = (u, errors_a, errors_b)
            used += 1
    return rows[:used].copy()


def warm() -> None:
    """Compile the kernel, or load it from the cache."""
    one = np.ones(1, np.int64)
    aligned = np.full(1, COR, np.int8), one - 1, one
    error_segments(aligned, aligned, 2)
