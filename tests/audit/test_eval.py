"""Measures of a ranking against hand-made values and scikit-learn, and the evaluation of scores and audits."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechkit.audit.metrics import Ranking, calibration_error, draws, interval, replicates


def ranking(scores: list[float], wrong: list[int], unit: list[int] | None = None) -> Ranking:
    return Ranking(
        np.array(scores, np.float64),
        np.array(wrong, np.bool_),
        np.arange(len(scores)) if unit is None else np.array(unit),
    )


def test_measures_of_a_small_ranking_by_hand() -> None:
    steps = ranking([5, 4, 3, 2, 1], [1, 0, 1, 0, 0]).steps()
    assert steps.average_precision()[0] == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert steps.auroc()[0] == pytest.approx(5 / 6)
    assert steps.precision_at_k()[0] == pytest.approx(0.5)
    assert steps.recall_at(0.2)[0] == pytest.approx(0.5)
    assert steps.recall_at(0.6)[0] == pytest.approx(1.0)
    best, threshold = steps.best_f1()
    assert (best[0], threshold[0]) == (pytest.approx(2 * 2 / (3 + 2)), 3.0)
    assert steps.f1_from(4.5)[0] == pytest.approx(2 * 1 / (1 + 2))
    assert steps.f1_from(9.0)[0] == 0.0


def test_equal_scores_are_one_step() -> None:
    steps = ranking([1, 1, 1, 1], [1, 0, 0, 0]).steps()
    assert steps.average_precision()[0] == pytest.approx(0.25)
    assert steps.auroc()[0] == pytest.approx(0.5)
    assert steps.precision_at_k()[0] == pytest.approx(0.25)
    assert steps.recall_at(0.5)[0] == pytest.approx(0.5)
    mixed = ranking([2, 1, 1, 0], [0, 1, 0, 1]).steps()
    assert mixed.average_precision()[0] == pytest.approx((1 / 3 + 2 / 4) / 2)


def test_without_anything_wrong_there_is_no_value() -> None:
    steps = ranking([2, 1], [0, 0]).steps()
    assert math.isnan(steps.average_precision()[0])
    assert math.isnan(steps.auroc()[0])
    assert math.isnan(steps.precision_at_k()[0])


def test_infinite_scores_are_ranked() -> None:
    steps = ranking([math.inf, 1, -math.inf, -math.inf], [1, 0, 1, 0]).steps()
    assert steps.average_precision()[0] == pytest.approx((1 + 2 / 4) / 2)


@st.composite
def rankings(draw: st.DrawFn) -> Ranking:
    size = draw(st.integers(2, 30))
    scores = draw(st.lists(st.integers(0, 8), min_size=size, max_size=size))
    wrong = draw(st.lists(st.booleans(), min_size=size, max_size=size))
    return ranking([float(s) for s in scores], [int(w) for w in wrong])


@settings(deadline=None)
@given(rankings())
def test_measures_agree_with_their_definitions(found: Ranking) -> None:
    wrong, right = found.scores[found.is_wrong], found.scores[~found.is_wrong]
    steps = found.steps()
    if not len(wrong) or not len(right):
        return
    pairs = [(a > b) + 0.5 * (a == b) for a in wrong for b in right]
    assert steps.auroc()[0] == pytest.approx(np.mean(pairs))
    total, before = 0.0, 0
    for threshold in sorted(set(found.scores.tolist()), reverse=True):
        flagged = found.scores >= threshold
        hits = int((flagged & found.is_wrong).sum())
        total += (hits - before) / len(wrong) * hits / int(flagged.sum())
        before = hits
        assert steps.f1_from(threshold)[0] == pytest.approx(2 * hits / (flagged.sum() + len(wrong)))
    assert steps.average_precision()[0] == pytest.approx(total)


@settings(deadline=None)
@given(rankings())
def test_average_precision_and_auroc_are_those_of_scikit_learn(found: Ranking) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    if found.is_wrong.all() or not found.is_wrong.any():
        return
    assert found.steps().average_precision()[0] == pytest.approx(
        metrics.average_precision_score(found.is_wrong, found.scores)
    )
    assert found.steps().auroc()[0] == pytest.approx(metrics.roc_auc_score(found.is_wrong, found.scores))


@settings(deadline=None, max_examples=40)
@given(rankings(), st.integers(0, 5))
def test_a_bootstrap_weight_is_the_item_so_many_times(found: Ranking, seed: int) -> None:
    (weights,) = draws(len(found.scores), 3, seed, len(found.scores))
    steps = found.steps(weights)
    for row in range(3):
        times = weights[row].astype(int)
        again = Ranking(np.repeat(found.scores, times), np.repeat(found.is_wrong, times), np.zeros(times.sum(), int))
        for name in ("average_precision", "auroc", "precision_at_k"):
            assert getattr(steps, name)()[row] == pytest.approx(getattr(again.steps(), name)()[0], nan_ok=True)
        assert steps.best_f1()[0][row] == pytest.approx(again.steps().best_f1()[0][0], nan_ok=True)


def test_words_are_drawn_with_their_utterance() -> None:
    words = ranking([3, 2, 1, 0], [1, 1, 0, 0], [0, 0, 1, 1])
    values = replicates(words, {"ap": lambda steps: steps.average_precision()}, num_units=2, num_replicates=40, seed=0)[
        "ap"
    ]
    assert set(np.round(values[~np.isnan(values)], 6)) == {1.0}
    assert 5 <= np.isnan(values).sum() <= 18  # a quarter of the draws has only the right utterance


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    gen = np.random.default_rng(1)
    hits = 0
    for k in range(60):
        wrong = np.arange(150) < 40
        found = Ranking(gen.normal(size=150) + wrong, wrong, np.arange(150))
        values = replicates(found, {"a": lambda s: s.auroc()}, num_units=150, num_replicates=100, seed=k)["a"]
        low, high = interval(values, 0.95) or (0, 0)
        hits += low <= 0.7602 <= high  # Phi(1 / sqrt 2)
    assert hits >= 52


def test_calibration_error_by_hand() -> None:
    probability = np.array([0.05, 0.05, 0.95, 0.95])
    assert calibration_error(probability, np.array([False, False, True, True])) == pytest.approx(0.05)
    assert calibration_error(probability, np.array([True, True, False, False])) == pytest.approx(0.95)
    assert calibration_error(np.array([1.0]), np.array([True])) == 0.0


def scored_row(utt_id: str, text: str, score: float, **odds: float) -> dict[str, object]:
    """A row of scores.jsonl; `odds` are log-odds of words `w0`, ... and gaps `g0`, ..."""
    words = text.split()
    return {
        "id": utt_id, "part": 0, "speaker": "s", "text": text, "seconds": 1.0, "log_prob": -3.0, "hypothesis": text,
        "words": [
            {"word": word, "start": 0.0, "end": 0.1, "delete": odds.get(f"w{k}", -9.0), "star": None, "replace": None,
             "best": None, "doubt": 0.0, "segment": odds.get(f"w{k}", 0.0), "confidence": 0.5}
            for k, word in enumerate(words)
        ],
        "gaps": [
            {"star": odds.get(f"g{k}", -9.0) + 6, "insert": None, "best": None, "doubt": 0.0, "segment": 0.0}
            for k in range(len(words) + 1)
        ],
        "scores": {"edit_lse": score, "cer_hyp": 0.0 if utt_id != "c" else 1.0},
    }  # fmt: skip


def truth_row(utt_id: str, kind: str, before: str, after: str, **fields: object) -> dict[str, object]:
    row = {"id": utt_id, "type": kind, "before": before, "after": after, "wrong_words": [], "wrong_gaps": []}
    return {**row, "level": "text", "located": True, "seed": 0, **fields}


SCORED = [
    scored_row("a", "one two", 5.0, w1=4.0),
    scored_row("b", "one", 4.0),
    scored_row("c", "three", 3.0, g0=2.0),
    scored_row("d", "four five", -2.0, w0=3.0),
    scored_row("e", "six", -3.0),
]
PLANTED = [
    truth_row("a", "sub", "one six", "one two", wrong_words=[1]),
    truth_row("c", "del", "two three", "three", wrong_gaps=[0]),
    truth_row("e", "truncate", "six", "six", level="audio", located=False),
]


def write_rows(path: Path, rows: list[dict[str, object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def evaluate(run_speechkit: Callable[..., Any], tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """`evaluate(rows, truth, *options)` runs the command; the content of its --json."""

    def run(rows: list[dict[str, object]], truth: list[dict[str, object]], *options: object) -> dict[str, Any]:
        write_rows(tmp_path / "s" / ("audit.jsonl" if "p_error" in rows[0] else "scores.jsonl"), rows)
        write_rows(tmp_path / "t" / "truth.jsonl", truth)
        out = tmp_path / "eval.json"
        done = run_speechkit("audit", "eval", tmp_path / "s", tmp_path / "t", "--json", out, *options)
        assert done.exit_code == 0, done.stderr
        found = json.loads(out.read_text())
        assert isinstance(found, dict)
        return {**found, "stdout": done.stdout}

    return run


def test_scores_are_measured_over_utterances_types_words_and_gaps(evaluate: Callable[..., dict[str, Any]]) -> None:
    found = evaluate(SCORED, PLANTED, "--bootstrap", 50)
    assert (found["utterances"], found["faulty"]) == (5, 3)
    assert found["types"] == {"del": 1, "sub": 1, "truncate": 1}
    row = found["scores"]["edit_lse"]
    assert row["ap"] == pytest.approx((1 + 2 / 3 + 3 / 5) / 3, abs=1e-6)
    assert row["auroc"] == pytest.approx(3 / 6, abs=1e-6)
    assert row["precision_at_k"] == pytest.approx(2 / 3, abs=1e-6)
    assert row["types"]["sub"]["auroc"] == 1.0
    assert row["types"]["del"]["auroc"] == 0.5
    assert row["types"]["truncate"]["auroc"] == 0.0
    assert row["ap_over_baseline"]["baseline"] == "cer_hyp"
    baseline = found["scores"]["cer_hyp"]["ap"]
    assert baseline == pytest.approx((1 + 2 * 3 / 5) / 3, abs=1e-6)
    assert row["ap_over_baseline"]["difference"] == pytest.approx(row["ap"] - baseline, abs=1e-5)
    low, high = row["ap_over_baseline"]["interval"]
    assert low <= row["ap_over_baseline"]["difference"] <= high
    words = found["words"]["local"]  # of a, b and d: c has a fault, but not in its words
    assert (words["number"], words["wrong"]) == (5, 1)
    assert words["scores"]["log_odds"]["ap"] == 1.0
    assert words["scores"]["log_odds"]["f1_at_0"] == pytest.approx(2 / 3, abs=1e-6)
    assert (found["words"]["all"]["number"], found["words"]["all"]["wrong"]) == (6, 1)
    gaps = found["gaps"]["local"]
    assert (gaps["number"], gaps["wrong"]) == (7, 1)
    assert gaps["scores"]["log_odds"]["best_f1"] == 1.0
    assert gaps["scores"]["log_odds"]["best_threshold"] == pytest.approx(2.0)
    assert found["stdout"].splitlines()[0] == "3 of 5 utterances are faulty"


def verdict_row(number: int, utt_id: str, text: str, p_error: float, **fields: object) -> dict[str, object]:
    words = [{"word": w, "start": 0, "end": 1, "p_error": p_error, "log_odds": 0.0, "suspicious": p_error > 0.5}
             for w in text.split()]  # fmt: skip
    gaps = [{"p_missing": 0.1} for _ in range(len(words) + 1)]
    row = {"id": utt_id, "rank": number, "p_error": p_error, "suspicious": p_error > 0.5, "text": text}
    return {**row, "words": words, "gaps": gaps, **fields}


def test_an_audit_is_measured_with_its_flags_probabilities_and_suggestions(
    evaluate: Callable[..., dict[str, Any]],
) -> None:
    rows = [
        verdict_row(1, "a", "one two", 0.9, suggestion="one six"),
        verdict_row(2, "b", "one", 0.8),
        verdict_row(3, "c", "three", 0.2, suggestion="four three"),
        verdict_row(4, "d", "four five", 0.1),
        verdict_row(5, "e", "six", 0.0),
    ]
    found = evaluate(rows, PLANTED, "--bootstrap", 20)
    assert found["scores"]["rank"]["ap"] == found["scores"]["p_error"]["ap"]
    assert (found["auto"]["suspicious"], found["auto"]["precision"]) == (2, 0.5)
    assert found["auto"]["recall"] == pytest.approx(1 / 3, abs=1e-6)
    assert found["auto"]["share_of_best_f1"] == pytest.approx((2 / 5) / (3 * 2 / 8), abs=1e-6)
    assert found["suggestions"]["accuracy"] == 0.5
    assert found["suggestions"]["types"] == {"del": {"faults": 1, "right": 0}, "sub": {"faults": 1, "right": 1}}
    assert found["noise_rate"] == {"true": 0.6, "mean_p_error": 0.4, "error": -0.2}
    assert found["ece"] == pytest.approx((0.1 + 0.8 + 0.8 + 0.1 + 1.0) / 5, abs=1e-6)
    assert found["words"]["local"]["auto"]["suspicious"] == 3
    assert found["words"]["local"]["scores"]["p_error"]["f1_at_half"] == pytest.approx(2 / 4, abs=1e-6)


def test_a_truth_made_elsewhere_needs_no_level(evaluate: Callable[..., dict[str, Any]]) -> None:
    planted = [{k: v for k, v in row.items() if k not in ("level", "located", "seed")} for row in PLANTED]
    found = evaluate(SCORED, planted, "--bootstrap", 0)
    assert (found["words"]["local"]["number"], found["words"]["local"]["wrong"]) == (5, 1)


def test_cuts_that_were_left_out_are_counted_not_measured(
    evaluate: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    write_rows(tmp_path / "s" / "left_out.jsonl", [{"id": "z", "reason": "too short"}])
    found = evaluate(SCORED, [*PLANTED, truth_row("z", "sub", "a", "b", wrong_words=[0])], "--bootstrap", 0)
    assert (found["faulty"], found["not_scored"]) == (3, 1)
    assert found["scores"]["edit_lse"]["ci"] == {"auroc": None, "ap": None, "precision_at_k": None}


@pytest.mark.parametrize(
    ("truth", "options", "code", "message"),
    [
        ([truth_row("z", "sub", "a", "b")], [], 1, "1 faulty cut of 1 have no score\n  z"),
        ([truth_row("a", "sub", "one", "one one")], [], 1, "a  `one two` is scored, `one one` is the truth's"),
        ([], [], 1, "none of the scored cuts is faulty"),
        (PLANTED, ["--baseline", "cer"], 2, "there is no score `cer`"),
        (PLANTED, ["--ci", "1.5"], 2, "less than 1"),
        ([{"id": "a"}], [], 1, "truth.jsonl:1  `type`: field required"),
        ([*PLANTED, PLANTED[0]], [], 1, "the id `a` occurs twice"),
    ],
)
def test_eval_refuses(
    run_speechkit: Callable[..., Any],
    tmp_path: Path,
    truth: list[dict[str, object]],
    options: list[str],
    code: int,
    message: str,
) -> None:
    scores = write_rows(tmp_path / "s" / "scores.jsonl", SCORED)
    planted = write_rows(tmp_path / "truth.jsonl", truth)
    done = run_speechkit("audit", "eval", scores, planted, *options)
    assert (done.exit_code, message in done.stderr) == (code, True), done.stderr


def test_eval_names_what_is_missing(run_speechkit: Callable[..., Any], tmp_path: Path) -> None:
    done = run_speechkit("audit", "eval", tmp_path, tmp_path / "truth")
    assert "holds neither audit.jsonl nor scores.jsonl" in done.stderr
    write_rows(tmp_path / "scores.jsonl", SCORED)
    done = run_speechkit("audit", "eval", tmp_path, tmp_path / "truth")
    assert "expected: a folder made by `speechkit audit inject`" in done.stderr
