"""How often each number occurs: a hash table instead of a sort."""

from __future__ import annotations

import numba as nb
import numpy as np

from speechkit.kernels.numba_types import Ints

_PRIME = np.uint64(0x9E3779B97F4A7C15)


@nb.njit(cache=True, nogil=True)
def _tally(keys: Ints, table: Ints, firsts: Ints, counts: Ints) -> int:
    """Fill `firsts` and `counts`; `table` is (P, 2) zeros, P a power of two: key and 1 + its number."""
    num = 0
    mask = np.uint64(table.shape[0] - 1)
    for k in range(keys.size):
        key = keys[k]
        slot = ((np.uint64(key) * _PRIME) >> np.uint64(20)) & mask
        while table[slot, 0] != key and table[slot, 1] > 0:
            slot = (slot + np.uint64(1)) & mask
        if table[slot, 1] == 0:
            table[slot, 0] = key
            table[slot, 1] = num + 1
            firsts[num] = k
            counts[num] = 0
            num += 1
        counts[table[slot, 1] - 1] += 1
    return num


def tally(keys: Ints) -> tuple[Ints, Ints]:
    """Where each different key occurs first, in that order, and how often it occurs; int64."""
    table = np.zeros((1 << (2 * len(keys)).bit_length(), 2), np.int64)
    firsts, counts = np.empty(len(keys), np.int64), np.empty(len(keys), np.int64)
    num = _tally(np.require(keys, np.int64, ["C", "W"]), table, firsts, counts)
    return firsts[:num].copy(), counts[:num].copy()


def warm() -> None:
    """Compile the kernel, or load it from the cache."""
    tally(np.zeros(1, np.int64))
