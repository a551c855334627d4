"""Intervals of the rates beside the word error rate."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from speechkit.score.bootstrap import _kinds, rate_interval, replicate_sums
from speechkit.score.config import CompareConfig, MultiConfig, WerConfig
from speechkit.score.intervals import rate_intervals, share_interval, word_intervals
from speechkit.score.summary import summarise
from speechkit.score.transcripts import from_texts
from speechkit.score.wer import Scored, score

OPTIONS = {"level": 0.95, "num_replicates": 2000, "seed": 1}


def noisy(num: int) -> Scored:
    source = np.random.default_rng(7)
    refs = [" ".join(source.choice(["one", "two", "three"], source.integers(1, 9))) for _ in range(num)]
    hyps = [" ".join(w if source.random() < 0.8 else "four" for w in ref.split()) for ref in refs]
    ids = [f"u{k}" for k in range(num)]
    return score(from_texts(ids, refs, source="r"), from_texts(ids, hyps, source="h"))


def test_every_rate_lies_in_its_interval_which_narrows_with_the_corpus() -> None:
    widths = []
    for num in (50, 800):
        scored = noisy(num)
        rates, found = summarise(scored), rate_intervals(scored, **OPTIONS)
        for name in ("cer", "ser", "mer", "wil"):
            low, high = found[name] or (0.0, 0.0)
            assert low < rates[name] < high, name
        widths.append([(found[name] or [0, 0])[1] - (found[name] or [0, 0])[0] for name in found])
    assert all(0.15 < few / many < 0.4 for many, few in zip(*widths, strict=True))  # 1 / sqrt(16) = 0.25


def test_replicate_sums_are_those_of_single_columns_in_distribution() -> None:
    source = np.random.default_rng(3)
    words = source.integers(5, 30, 100)
    errors = source.binomial(words, 0.1)
    sums = replicate_sums(np.stack([errors, words, words], axis=1), num_replicates=4000, seed=2, name="x")
    assert (sums[:, 1] == sums[:, 2]).all()
    found = np.quantile(100 * sums[:, 0] / sums[:, 1], [0.025, 0.975])
    assert found == pytest.approx(rate_interval(errors, words, num_replicates=4000), abs=0.3)


def test_shares_and_listed_words_have_intervals() -> None:
    low, high = share_interval(30, 100, **OPTIONS) or (0.0, 0.0)
    assert low == pytest.approx(30 - 9, abs=2) and high == pytest.approx(30 + 9, abs=2)
    assert share_interval(0, 0, **OPTIONS) is None
    found = word_intervals(noisy(200), {"one"}, **OPTIONS)
    low, high = found["biased_wer"] or (0.0, 0.0)
    assert low < 20 < high and found["unbiased_wer"] is not None


def test_rows_are_counted_whether_they_fit_into_one_number_or_not() -> None:
    rows = np.random.default_rng(5).integers(0, 3, (50, 3))
    for scale in (1, 1 << 30):
        kinds, frequency = _kinds(rows * scale)
        expected = np.unique(rows * scale, axis=0, return_counts=True)
        assert kinds.tolist() == expected[0].tolist() and frequency.tolist() == expected[1].tolist()


@pytest.mark.parametrize("config", [WerConfig, CompareConfig, MultiConfig])
def test_too_few_and_too_many_replicates_are_refused(config: type[WerConfig]) -> None:
    for number in (99, 10_000_001):
        with pytest.raises(ValidationError, match="num_replicates"):
            config(num_replicates=number)
