"""Confidence intervals of rates by resampling utterances (Efron 1979; Bisani and Ney 2004 for word error rates).

A corpus of N utterances often has far fewer different (errors, words) pairs than utterances. Drawing N utterances
with replacement is the same as drawing how often each pair occurs from one multinomial, which is what is done here.
Large corpora with many different pairs use a bank of partial sums instead (`kernels.resample`).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from speechkit.errors import ConfigError
from speechkit.kernels.resample import BLOCK, banked_sums, make_bank, num_blocks
from speechkit.kernels.tally import tally
from speechkit.rng import derive_seed, rng

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
MIN_BANKED, MAX_KINDS = 2000, 64  # rows and different rows from which the bank of sums is used,
ROWS_PER_KIND = 600  # and this many rows at least for each different one: then multinomial draws are faster
# and rows with errors: a finite bank holds rare ones too often or too seldom
MIN_WRONG, ROWS_PER_WRONG = 100, 1000
_MAX_CELLS = 4_000_000  # draws held in memory at once


def replicate_sums(columns: Counts, *, num_replicates: int, seed: int, name: str) -> Floats:
    """Sums of each column over resampled rows.

    Args:
        columns: (N, C) counts per utterance (or per speaker); of two, the second is not negative and adds up to < 2^32.
        name: what is resampled; part of the seed.
    Returns:
        (num_replicates, C) float64.
    """
    kinds, frequency = _kinds(columns)
    num_rows, num_columns = columns.shape
    is_large = num_columns == 2 and num_rows >= MIN_BANKED and len(kinds) > max(MAX_KINDS, num_rows // ROWS_PER_KIND)
    if is_large and np.count_nonzero(columns[:, 0]) >= max(MIN_WRONG, num_rows // ROWS_PER_WRONG):
        return _banked(((kinds[:, 0] << 32) + kinds[:, 1]).repeat(frequency), num_replicates, seed, name)
    generator = rng(seed, "bootstrap", name)
    step = max(1, _MAX_CELLS // len(kinds))
    values = kinds.astype(np.float64)
    parts = []
    for begin in range(0, num_replicates, step):
        size = min(step, num_replicates - begin)
        drawn = generator.multinomial(num_rows, frequency / num_rows, size=size)
        parts.append(drawn @ values)
    return np.concatenate(parts)


def _kinds(columns: Counts) -> tuple[Counts, Counts]:
    """The different rows in order and how often each occurs; counted as one number each where they fit in one."""
    least = columns.min(axis=0)
    sizes = (columns.max(axis=0) - least + 1).tolist()
    if math.prod(sizes) >= 1 << 62:
        return np.unique(columns, axis=0, return_counts=True)
    weights = np.array([math.prod(sizes[k + 1 :]) for k in range(len(sizes))], np.int64)
    packed = (columns - least) @ weights
    firsts, frequency = tally(packed)
    order = np.argsort(packed[firsts])
    return columns[firsts[order]], frequency[order]


def _banked(packed: Counts, num_replicates: int, seed: int, name: str) -> Floats:
    bank = make_bank(packed, derive_seed(seed, "bootstrap", name, "bank", bits=62))
    sums = banked_sums(packed, bank, num_replicates, derive_seed(seed, "bootstrap", name, bits=62))
    excess = _unpack(bank).mean(axis=0) - BLOCK * _unpack(packed).mean(axis=0)
    found: Floats = np.rint(_unpack(sums) - num_blocks(len(packed)) * excess)  # sums are whole: equal ones stay equal
    return found


def _unpack(packed: Counts) -> Counts:
    low = packed & 0xFFFFFFFF
    return np.stack([(packed - low) >> 32, low], axis=1)


def rate_interval(
    errors: Counts,
    words: Counts,
    *,
    level: float = 0.95,
    num_replicates: int = 1000,
    seed: int = 0,
) -> tuple[float, float] | None:
    """Percentile interval of 100 * sum(errors) / sum(words) in percent; None when there are no words.

    Args:
        errors, words: (N,) counts of the resampled units.
        level: for example 0.95.
    Raises:
        ConfigError: a level outside (0, 1).
    """
    if not 0 < level < 1:
        raise ConfigError(f"--ci {level} is not a level", expected="a number between 0 and 1, such as 0.95")
    if not words.sum():
        return None
    sums = replicate_sums(np.stack([errors, words], axis=1), num_replicates=num_replicates, seed=seed, name="rate")
    sums = sums[sums[:, 1] > 0]
    rates = 100.0 * sums[:, 0] / sums[:, 1]
    low, high = np.quantile(rates, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
