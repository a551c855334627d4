"""Histograms hold every value once, in bins of round width."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechkit.report.histogram import as_bars, as_svg, histogram

VALUES = st.lists(st.floats(0, 1e4) | st.integers(0, 40).map(lambda n: n / 4), min_size=1, max_size=50).map(np.array)


@given(values=VALUES)
def test_every_value_is_in_the_bin_of_its_edges(values: np.ndarray) -> None:
    shown = histogram(values)
    assert sum(shown.counts) == len(values)
    assert len(shown.edges) == len(shown.counts) + 1
    for low, high, count in zip(shown.edges[:-1], shown.edges[1:], shown.counts, strict=True):
        inside = (values >= low) & (values < (np.inf if high is None else high))
        assert count == int(inside.sum())
    assert len(shown.counts) <= 40


@given(values=VALUES)
def test_the_drawing_has_a_column_per_bin_and_is_well_formed(values: np.ndarray) -> None:
    shown = histogram(values)
    root = ElementTree.fromstring(as_svg(shown, unit="s", title="durations & more"))
    assert len(root.findall("rect")) == len(shown.counts)
    assert len(as_bars(shown).splitlines()) <= len(shown.counts)


def test_an_outlier_is_in_an_open_bin_and_does_not_squeeze_the_rest() -> None:
    shown = histogram(np.array([1.0, 1.5, 2.0, 2.5] * 60 + [500.0]))
    assert shown.edges[-1] is None
    assert shown.counts[-1] == 1
    assert shown.labels[-1].endswith("and more")
    assert sum(count > 0 for count in shown.counts) == 5


def test_bars_show_the_counts_and_small_ones_do_not_vanish() -> None:
    shown = histogram(np.array([0.1] * 400 + [0.9]), num_bins=2)
    assert as_bars(shown).splitlines() == [
        f"     0.1-0.15 |{'#' * 40} 400",
        "0.15 and more |# 1",
    ]


@pytest.mark.parametrize("value", [0.0, 1.0, 3.7])
def test_one_value_is_shown(value: float) -> None:
    assert sum(histogram(np.array([value])).counts) == 1


def test_nothing_gives_nothing() -> None:
    shown = histogram(np.zeros(0))
    assert (shown.counts, as_bars(shown), as_svg(shown, unit="s", title="t")) == ([], "", "")
