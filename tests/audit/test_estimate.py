"""The noise rate from a stratified sample: unbiased, an interval that keeps its promise, and the flip alarm."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from audit_rows import audit_row, write_audit, write_rows
from hypothesis import given
from hypothesis import strategies as st

from speechkit.audit.config_verdict import DrawConfig, EstimateConfig
from speechkit.audit.estimate import (
    Inspected,
    allot,
    check_flip,
    draw_sample,
    estimate,
    estimate_table,
    run_draw,
    run_estimate,
    stratum_sizes,
)
from speechkit.audit.verdict import STRATA, Verdict, read_verdicts
from speechkit.errors import CheckFailed, SpeechkitError

CONFIG = EstimateConfig()


def ranking(num: int) -> list[Verdict]:
    return [Verdict(f"u{i}", i + 1, 0.1, False, "one") for i in range(num)]


def inspect(is_wrong: np.ndarray, seed: int, num: int = 100) -> dict[str, object]:
    """Draw from a ranking, decide by the truth (by rank), estimate."""
    verdicts = ranking(len(is_wrong))
    counts: Counter[tuple[str, bool]] = Counter()
    for verdict, stratum in draw_sample(verdicts, DrawConfig(draw=num, seed=seed)):
        counts[stratum, bool(is_wrong[verdict.rank - 1])] += 1
    sizes = stratum_sizes(len(verdicts)).tolist()
    strata = [Inspected(n, size, counts[n, True], counts[n, False], 0) for n, size in zip(STRATA, sizes, strict=True)]
    return estimate(strata, CONFIG)


def noisy_ranking(num: int, rate: float, separation: float, seed: int) -> np.ndarray:
    gen = np.random.default_rng(seed)
    is_wrong = np.zeros(num, bool)
    is_wrong[gen.permutation(num)[: round(rate * num)]] = True
    return is_wrong[np.argsort(-(gen.normal(size=num) + separation * is_wrong))]


@given(st.integers(1, 3000), st.integers(3, 300))
def test_strata_cover_the_ranking_and_the_draw_fits_them(num: int, total: int) -> None:
    sizes = stratum_sizes(num)
    assert sizes.sum() == num and (sizes >= 0).all()
    drawn = allot(sizes, total)
    assert drawn.sum() == min(num, total) and (drawn <= sizes).all() and (drawn >= 0).all()


def test_a_hundred_of_a_thousand_are_drawn_as_promised_and_repeatably() -> None:
    drawn = draw_sample(ranking(1000), DrawConfig())
    assert Counter(stratum for _, stratum in drawn) == {"top": 40, "middle": 30, "rest": 30}
    assert len({verdict.id for verdict, _ in drawn}) == 100
    assert drawn == draw_sample(ranking(1000), DrawConfig())
    assert drawn != draw_sample(ranking(1000), DrawConfig(seed=1))
    assert len({stratum for _, stratum in drawn[:10]}) > 1  # the order does not tell the stratum


def test_a_whole_corpus_inspected_leaves_no_doubt() -> None:
    is_wrong = noisy_ranking(60, 0.2, 2.0, 0)
    result = inspect(is_wrong, 0)
    assert result["rate"] == pytest.approx(0.2)
    assert result["ci"] == pytest.approx([0.2, 0.2]) and result["sd"] == pytest.approx(0.0, abs=1e-12)


def check_promises(rate: float, separation: float, *, num_seeds: int) -> float:
    """Coverage of 95 % intervals over simulated corpora, 1000 utterances and 100 inspections each; returns the SD."""
    results = [inspect(noisy_ranking(1000, rate, separation, seed), seed) for seed in range(num_seeds)]
    rates = np.array([result["rate"] for result in results])
    covered = np.mean([low <= rate <= high for low, high in (result["ci"] for result in results)])
    assert 0.90 <= covered <= 0.985, covered
    assert abs(rates.mean() - rate) <= 3 * rates.std() / np.sqrt(len(rates))
    return float(rates.std())


def test_intervals_keep_their_level_in_domain_where_a_hundred_inspections_tell_to_a_point() -> None:
    assert check_promises(0.1, 4.0, num_seeds=60) <= 0.012


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.03, 0.1, 0.3])
@pytest.mark.parametrize("separation", [1.0, 2.0, 4.0])
def test_intervals_keep_their_level_whatever_the_rate_and_the_ranking(rate: float, separation: float) -> None:
    check_promises(rate, separation, num_seeds=400)


def test_a_random_sample_needs_many_more_inspections() -> None:
    sample = [Inspected("top", 100, 36, 4, 0), Inspected("middle", 200, 2, 28, 0), Inspected("rest", 700, 0, 30, 0)]
    result = estimate(sample, CONFIG)
    assert result["rate"] == pytest.approx(0.1 * 0.9 + 0.2 * 2 / 30)
    endless = result["rate"] * (1 - result["rate"]) / result["sd"] ** 2
    assert result["random_sample_for_same_sd"] == pytest.approx(endless / (1 + (endless - 1) / 1000), abs=1)
    assert result["random_sample_for_same_sd"] > 250


def test_unsure_decisions_bound_the_rate() -> None:
    sample = [Inspected("top", 100, 20, 10, 10), Inspected("middle", 200, 0, 30, 0), Inspected("rest", 700, 0, 30, 0)]
    result = estimate(sample, CONFIG)
    assert result["rate"] == pytest.approx(0.1 * 20 / 30)
    assert result["bounds"]["unsure_right"]["rate"] == pytest.approx(0.05)
    assert result["bounds"]["unsure_wrong"]["rate"] == pytest.approx(0.075)
    assert "10 unsure: 5.0 % were they right, 7.5 % were they wrong" in estimate_table(result)


def test_a_flipped_ranking_raises_the_alarm() -> None:
    flipped = [Inspected("top", 100, 2, 38, 0), Inspected("middle", 200, 10, 20, 0), Inspected("rest", 700, 15, 15, 0)]
    result = estimate(flipped, CONFIG)
    assert result["is_flipped"] and result["p_flipped"] > 0.99
    assert "ALARM" in estimate_table(result)
    with pytest.raises(CheckFailed, match="ranking may be flipped"):
        check_flip(result)
    good = [Inspected("top", 100, 30, 10, 0), Inspected("middle", 200, 1, 29, 0), Inspected("rest", 700, 0, 30, 0)]
    result = estimate(good, CONFIG)
    assert not result["is_flipped"] and result["p_flipped"] < 0.01 and "ALARM" not in estimate_table(result)
    check_flip(result)


def test_a_part_without_decisions_is_an_error() -> None:
    sample = [Inspected("top", 100, 20, 10, 0), Inspected("middle", 200, 0, 0, 5), Inspected("rest", 700, 0, 30, 0)]
    with pytest.raises(SpeechkitError, match="nothing is decided in this part of the ranking: middle"):
        estimate(sample, CONFIG)


@pytest.fixture
def audit(tmp_path: Path) -> Path:
    rows = [audit_row(f"u{i}", i + 1, "one two", p_error=0.9 if i < 4 else 0.05) for i in range(40)]
    return write_audit(tmp_path / "audit", rows)


def test_decisions_that_were_not_drawn_do_not_count(audit: Path, tmp_path: Path) -> None:
    drawn = draw_sample(read_verdicts(audit), DrawConfig(draw=20))
    names = itertools.cycle(["wrong", "right"])
    rows = [{"id": v.id, "stratum": s, "decision": next(names) if s == "top" else "right"} for v, s in drawn]
    rows[-1]["decision"] = None
    others = [v.id for v in read_verdicts(audit) if v.id not in {verdict.id for verdict, _ in drawn}]
    rows.append({"id": others[0], "decision": "wrong"})
    decisions = write_rows(tmp_path / "d.jsonl", rows)
    result = run_estimate(audit, decisions, CONFIG)
    assert result["inspections"] == {"decided": 19, "unsure": 0, "not_decided": 1, "not_drawn": 1}
    assert result["rate"] == pytest.approx(0.05) and result["label_free"]["rate"] == pytest.approx(0.135)
    text = estimate_table(result)
    assert "1 drawn but not decided" in text and "1 decided but not drawn: not counted" in text
    assert "by the model alone: 13.5 %; no estimate to rely on" in text
    (audit / "calibration.json").write_text('{"utterances": {"upper_rate": 0.25}}')
    assert "13.5 %, upper bound 25.0 %" in estimate_table(run_estimate(audit, decisions, CONFIG))


def test_strata_come_from_the_sample_when_decisions_do_not_name_them(audit: Path, tmp_path: Path) -> None:
    drawn = draw_sample(read_verdicts(audit), DrawConfig(draw=20))
    sample = write_rows(tmp_path / "s.jsonl", [{"id": v.id, "stratum": s, "decision": None} for v, s in drawn])
    decisions = write_rows(tmp_path / "d.jsonl", [{"id": v.id, "decision": "right"} for v, _ in drawn])
    with pytest.raises(SpeechkitError, match="names its stratum"):
        run_estimate(audit, decisions, CONFIG)
    assert run_estimate(audit, decisions, CONFIG, sample=sample)["rate"] == 0.0
    other = write_audit(tmp_path / "other", [audit_row(f"u{i}", 40 - i, "one two") for i in range(40)])
    with pytest.raises(SpeechkitError, match="drawn from another ranking"):
        run_estimate(other, decisions, CONFIG, sample=sample)


def test_a_sample_with_decisions_is_not_drawn_over(tmp_path: Path) -> None:
    audit = write_audit(tmp_path / "audit", [audit_row(f"u{k}", k, "one") for k in range(1, 41)])
    run_draw(audit, tmp_path / "s.jsonl", DrawConfig(draw=10))
    run_draw(audit, tmp_path / "s.jsonl", DrawConfig(draw=12))
    text = (tmp_path / "s.jsonl").read_text().replace('"decision":null', '"decision":"wrong"', 1)
    (tmp_path / "s.jsonl").write_text(text)
    with pytest.raises(SpeechkitError, match="holds decisions"):
        run_draw(audit, tmp_path / "s.jsonl", DrawConfig(draw=10))
    assert (tmp_path / "s.jsonl").read_text() == text
