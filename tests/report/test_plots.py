"""Charts are well-formed SVG that shows the values."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from speechkit.report.plots import MAX_POINTS, binned, loss_curves, rate_bars
from speechkit.report.sources import Experiment, Score
from speechkit.report.svg import ticks


def score(name: str, wer: float | None, **more: object) -> Score:
    return Score(Path(name), name, {"wer": wer, **more})


@given(st.floats(1e-3, 1e6))
def test_ticks_are_round_and_cover_the_value(high: float) -> None:
    marks = ticks(high)
    assert marks[0] == 0.0
    assert marks[-2] < high * (1 + 1e-6)
    assert marks[-1] >= high * (1 - 1e-6)
    assert 2 <= len(marks) <= 7


def test_ticks_of_nothing_still_make_an_axis() -> None:
    assert ticks(0.0)[-1] > 0


def test_seen_and_unseen_bars_have_lengths_in_proportion() -> None:
    svg = rate_bars([score("a<b", 15.0, seen={"wer": 10.0, "ci95": [9, 11]}, unseen={"wer": 20.0})])
    root = ElementTree.fromstring(svg)
    widths = {r.get("class"): float(r.get("width", 0)) for r in root.iter("rect") if r.get("height") != "11"}
    assert abs(widths["unseen"] / widths["seen"] - 2.0) < 0.01
    texts = [t.text for t in root.iter("text")]
    assert {"a<b", "10.0", "20.0", "seen texts", "unseen texts"} <= set(texts)


def test_scores_without_a_split_have_one_bar_and_zero_is_drawn() -> None:
    root = ElementTree.fromstring(rate_bars([score("a", 0.0), score("b", None)]))
    assert len([r for r in root.iter("rect") if r.get("height") != "11"]) == 1
    assert rate_bars([score("b", None)]) == ""


def test_curves_show_each_experiment_with_a_history() -> None:
    experiments = [Experiment(Path(n), n, [(1.0, 4.0), (2.0, 3.0)]) for n in ("a", "b")] + [Experiment(Path("c"), "c")]
    root = ElementTree.fromstring(loss_curves(experiments))
    assert len(list(root.iter("polyline"))) == 2
    assert loss_curves([]) == ""


@given(st.lists(st.tuples(st.integers(0, 10**6), st.floats(0, 100)), min_size=1, max_size=2000))
def test_binned_curves_are_short_and_keep_the_mean(points: list[tuple[float, float]]) -> None:
    bins = binned(points)
    assert len(bins) <= MAX_POINTS
    values = [value for _, value in points]
    assert min(values) - 1e-6 <= min(v for _, v in bins) <= max(v for _, v in bins) <= max(values) + 1e-6
