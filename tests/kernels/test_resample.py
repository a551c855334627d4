"""Banked sums: the mean and the spread of ordinary resampling; and the memory of a very long pair."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from speechkit.kernels.resample import banked_sums

LONG_PAIR = """
import resource, numpy as np
from speechkit.kernels.edit import align_ids
gen = np.random.default_rng(0)
def run(size):
    ref = gen.integers(0, 5000, size).astype(np.int32)
    hyp = np.where(gen.random(size) < 0.1, gen.integers(0, 5000, size), ref).astype(np.int32)
    hyp = hyp[gen.random(size) > 0.02]
    found = align_ids(ref, np.array([0, size]), hyp, np.array([0, hyp.size]), vocab_size=5000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, found.counts.sum()
before, _ = run(200)
after, errors = run(100_000)
print((after - before) // 1024, errors)
"""


def test_banked_sums_have_the_mean_and_spread_of_resampling() -> None:
    source = np.random.default_rng(0)
    values = source.integers(0, 9, 5000)
    sums = banked_sums(values, 4000, 3)
    assert sums.mean() == pytest.approx(values.sum(), abs=4 * values.std() * np.sqrt(5000 / 4000))
    assert sums.std() == pytest.approx(values.std() * np.sqrt(5000), rel=0.05)
    assert (banked_sums(values, 10, 3) == sums[:10]).all()


def test_a_few_values_are_drawn_one_by_one() -> None:
    sums = banked_sums(np.array([0, 1]), 4000, 1)
    assert set(sums.tolist()) == {0, 1, 2}
    assert sums.mean() == pytest.approx(1.0, abs=0.05)


@pytest.mark.slow
def test_a_pair_of_100000_words_needs_at_most_100_megabytes() -> None:
    done = subprocess.run([sys.executable, "-c", LONG_PAIR], capture_output=True, text=True, check=True)
    megabytes, errors = map(int, done.stdout.split())
    assert megabytes <= 100 and 10_000 < errors < 13_000
