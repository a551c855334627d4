"""Errors by length, and slots."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechkit.prompt.measures import curve_table, length_curve, slot_scores

sequences = st.lists(st.tuples(*[st.lists(st.sampled_from("abc"), max_size=5).map(tuple)] * 2), min_size=1, max_size=12)


def distance(ref: tuple[str, ...], hyp: tuple[str, ...]) -> int:
    @cache
    def cost(i: int, j: int) -> int:
        if i == 0 or j == 0:
            return i + j
        return min(cost(i - 1, j - 1) + (ref[i - 1] != hyp[j - 1]), cost(i - 1, j) + 1, cost(i, j - 1) + 1)

    return cost(len(ref), len(hyp))


@settings(deadline=None)  # the kernel may have to be compiled
@given(sequences, st.integers(1, 8))
def test_the_curve_counts_every_utterance_and_error_once(pairs: list[tuple[tuple[str, ...], ...]], rows: int) -> None:
    refs, hyps = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    curve = length_curve(refs, hyps, max_rows=rows)
    assert sum(row["num_utterances"] for row in curve) == len(refs)
    assert sum(row["num_labels"] for row in curve) == sum(map(len, refs))
    errors = sum(row["sub"] + row["del"] + row["ins"] for row in curve)
    assert errors == sum(distance(*pair) for pair in pairs)
    assert len(curve) <= max(rows, len({len(ref) for ref in refs}) if rows >= 6 else rows)
    ends = [end for row in curve for end in (row["min_length"], row["max_length"])]
    assert ends == sorted(ends)


def test_a_rate_has_its_length_its_interval_and_a_line() -> None:
    refs = [tuple("ab")] * 20 + [tuple("abcd")] * 20
    hyps = [tuple("ab")] * 20 + [tuple("abc")] * 10 + [tuple("abcd")] * 10
    short, long = length_curve(refs, hyps)
    assert (short["rate"], short["interval"], short["exact"]) == (0.0, [0.0, 0.0], 100.0)
    assert (long["rate"], long["del"], long["exact"]) == (12.5, 10, 50.0)
    assert long["interval"][0] < 12.5 < long["interval"][1]
    lines = curve_table([short, long], "cer").splitlines()
    assert lines[0].split()[:3] == ["length", "utterances", "CER"]
    assert lines[2].split()[:3] == ["4", "20", "12.50"]


def test_empty_references_have_errors_but_no_rate() -> None:
    (row,) = length_curve([()], [("a",)])
    assert (row["rate"], row["interval"], row["ins"]) == (None, None, 1)
    assert "-" in curve_table([row], "cer")
    assert length_curve([], []) == []


def test_slots_are_found_missed_and_made_up() -> None:
    names = ["action", "place"]
    refs = [("on", "kitchen"), ("off", "none"), ("on", "none"), ("off", "hall")]
    hyps = [("on", "kitchen"), ("off", "hall"), ("off", "none"), ("off", "none")]
    found = slot_scores(names, refs, hyps)
    assert found["exact"] == 25.0
    # filled: 4 actions and 2 places; found: 4 and 2; right: 3 and 1
    assert found["f1"] == pytest.approx(100 * 4 / 6, abs=1e-3)
    assert found["slots"]["action"] == {"accuracy": 75.0, "precision": 75.0, "recall": 75.0, "f1": 75.0}
    assert found["slots"]["place"] == {"accuracy": 50.0, "precision": 50.0, "recall": 50.0, "f1": 50.0}


def test_slots_that_are_never_filled_have_no_f1() -> None:
    found = slot_scores(["a"], [("none",)], [("x",)])
    assert found["f1"] is None
    assert found["exact"] == 0.0
    assert slot_scores(["a"], [], [])["f1"] is None
