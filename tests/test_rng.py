"""Randomness by name: the same anywhere, different for every name."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechkit.rng import derive_seed, rng

NAMES = st.lists(st.one_of(st.integers(), st.text()), max_size=4)


def test_known_values_never_change() -> None:
    assert derive_seed(0) == 0x1240A4684403B160E6597A653A88F56C
    assert derive_seed(1, "speed", 3, "utt") == 0xD7E18EAFF504574E0B9A9570AEF8E47C
    assert rng(1, "speed").random(2).tolist() == [0.1968066173552051, 0.09229149656024616]


@given(st.integers(), NAMES)
def test_the_same_names_give_the_same_numbers(seed: int, names: list[object]) -> None:
    assert np.array_equal(rng(seed, *names).random(3), rng(seed, *names).random(3))


@given(st.integers(), NAMES, NAMES)
def test_other_names_give_other_seeds(seed: int, first: list[object], second: list[object]) -> None:
    if [str(n) for n in first] == [str(n) for n in second]:
        return
    assert derive_seed(seed, *first) != derive_seed(seed, *second)


@pytest.mark.parametrize(
    ("first", "second"),
    [(("ab", "c"), ("a", "bc")), (("a",), ("a", "")), ((), ("",)), (("a", "b"), ("b", "a")), (("a\x1fb",), ("a", "b"))],
)
def test_names_do_not_run_together(first: tuple[str, ...], second: tuple[str, ...]) -> None:
    assert derive_seed(0, *first) != derive_seed(0, *second)


def test_the_base_seed_matters_and_is_no_name() -> None:
    assert len({derive_seed(s, "a") for s in range(1000)}) == 1000
    assert derive_seed(1, 2) != derive_seed(12)


@pytest.mark.parametrize("bits", [1, 31, 32, 63, 128])
def test_a_seed_has_the_bits_that_were_asked_for(bits: int) -> None:
    seeds = [derive_seed(n, bits=bits) for n in range(200)]
    assert all(0 <= seed < 1 << bits for seed in seeds)
    assert max(seeds) >= 1 << (bits - 1)


def test_another_process_draws_the_same_numbers() -> None:
    code = "from speechkit.rng import rng; print(rng(5, 'x', 1).integers(0, 1 << 60, 3).tolist())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(rng(5, "x", 1).integers(0, 1 << 60, 3).tolist())


def test_streams_of_neighbouring_names_are_not_correlated() -> None:
    draws = np.stack([rng(0, "utt", n).standard_normal(200) for n in range(200)])
    correlations = np.corrcoef(draws)[~np.eye(200, dtype=bool)]
    assert abs(correlations.mean()) < 0.01
    assert abs(correlations).max() < 0.4
