"""Counts of numbers against Python's Counter."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from speechkit.kernels.tally import tally

KEYS = st.lists(st.one_of(st.integers(-3, 3), st.integers(-(1 << 63), (1 << 63) - 1)), max_size=300)


@settings(deadline=None)
@given(keys=KEYS)
def test_keys_are_counted_in_the_order_of_their_first_occurrence(keys: list[int]) -> None:
    firsts, counts = tally(np.array(keys, np.int64))
    found = {keys[first]: count for first, count in zip(firsts.tolist(), counts.tolist(), strict=True)}
    assert list(found.items()) == list(Counter(keys).items())
    assert all(keys.index(keys[first]) == first for first in firsts.tolist())
