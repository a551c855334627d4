"""From scores to probabilities: curves without clean examples, planted faults found, corrected and told apart."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hearing import DIGITS, char_tokenizer, make_log_probs, make_manifest, say
from hypothesis import given, settings
from hypothesis import strategies as st

from speechkit.audit import score_run
from speechkit.audit.calibrate import run_calibrate
from speechkit.audit.config_evidence import ScoreConfig
from speechkit.audit.config_verdict import CalibrateConfig
from speechkit.audit.features import beside_speaker, exchanges
from speechkit.audit.indicators import KINDS
from speechkit.audit.learn import (
    Basis,
    best_threshold,
    fault_rate,
    fit_curve,
    fit_logistic,
    fit_softmax,
    isotonic,
    logit_ranks,
)
from speechkit.audit.logprobs import Emission
from speechkit.audit.scores import Lexicon, gather
from speechkit.audit.suggest import Step, best_limit, steps, taken
from speechkit.audit.verdict import Verdict, read_verdicts

NUM = 60
FAULTS = {  # what the text becomes, given what was said
    3: lambda words: ["nine" if words[0] != "nine" else "two", *words[1:]],
    17: lambda words: words[:1] + words[2:],
    31: lambda words: [*words[:2], "seven", *words[2:]],
    44: lambda words: [words[1], words[0], *words[2:]],
}


def emission(text: str, **options: Any) -> Emission:
    tokenizer = char_tokenizer()
    values = say(tokenizer, text, **options).astype(np.float32)
    return Emission(values, tokenizer, 0.02, 0.01, 0, text)


def spoken() -> dict[str, list[str]]:
    gen = np.random.default_rng(5)
    texts = {}
    for number in range(NUM):
        words = [DIGITS[d] for d in gen.permutation(10)[: int(gen.integers(3, 6))]]
        texts[f"u{number:02}"] = words
    return texts


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scores of a corpus of digit strings with four wrong texts."""
    folder = tmp_path_factory.mktemp("corpus")
    said = spoken()
    texts = dict(said)
    for number, spoil in FAULTS.items():
        texts[f"u{number:02}"] = spoil(said[f"u{number:02}"])
    cuts = make_manifest(folder / "data", {name: " ".join(words) for name, words in texts.items()}, seconds=1.6)
    tokenizer = char_tokenizer()
    heard = {
        name: say(tokenizer, " ".join(words), seed=seed, level=5.0) for seed, (name, words) in enumerate(said.items())
    }
    log_probs = make_log_probs(folder / "lp", tokenizer, heard, seconds=1.6)
    score_run.run(ScoreConfig(), cuts=cuts, log_probs=[log_probs], out=folder / "scores")
    return folder / "scores"


@pytest.fixture(scope="module")
def audit(scores: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("audit") / "audit"
    run_calibrate(CalibrateConfig(indicators=80), scores=scores, out=out)
    return out


@pytest.fixture(scope="module")
def verdicts(audit: Path) -> dict[str, Verdict]:
    return {verdict.id: verdict for verdict in read_verdicts(audit)}


def test_planted_faults_stand_at_the_top_and_are_flagged(verdicts: dict[str, Verdict]) -> None:
    ranked = sorted(verdicts.values(), key=lambda verdict: verdict.rank)
    assert [verdict.rank for verdict in ranked] == list(range(1, NUM + 1))
    assert {verdict.id for verdict in ranked[:4]} == {"u03", "u17", "u31", "u44"}
    flagged = [verdict.id for verdict in ranked if verdict.suspicious]
    assert 3 <= len(flagged) <= 6 and flagged == [verdict.id for verdict in ranked[: len(flagged)]]
    assert ranked[2].p_error > 0.5 and ranked[3].p_error > 0.2 and ranked[20].p_error < 0.05
    probabilities = [verdict.p_error for verdict in ranked]
    assert probabilities == sorted(probabilities, reverse=True)
    assert all(verdict.weight == pytest.approx(1 - verdict.p_error) for verdict in ranked)


def test_the_wrong_word_and_gap_are_named(verdicts: dict[str, Verdict]) -> None:
    assert int(np.argmax([word.p_error for word in verdicts["u03"].words])) == 0
    assert verdicts["u03"].words[0].best == spoken()["u03"][0]
    assert int(np.argmax([gap.p_missing for gap in verdicts["u17"].gaps])) == 1
    assert verdicts["u17"].gaps[1].suspicious and verdicts["u17"].gaps[1].best == spoken()["u17"][1]
    assert int(np.argmax([word.p_error for word in verdicts["u31"].words])) == 2
    assert np.argsort([-word.p_error for word in verdicts["u44"].words])[0] in (0, 1)
    assert any(word.suspicious for verdict in verdicts.values() for word in verdict.words)


def test_suggestions_are_what_was_said(verdicts: dict[str, Verdict]) -> None:
    for number in FAULTS:
        verdict = verdicts[f"u{number:02}"]
        assert verdict.suggestion == " ".join(spoken()[verdict.id]) and verdict.suggestion_log_odds > 3
    kinds = {n: max(verdicts[f"u{n:02}"].types, key=lambda kind: verdicts[f"u{n:02}"].types[kind]) for n in FAULTS}
    assert kinds[17] == "del" and kinds[44] == "transpose"
    assert all(
        sum(v.types.values()) == pytest.approx(1, abs=1e-3) and set(v.types) == set(KINDS) for v in verdicts.values()
    )


def test_the_summary_tells_rates_thresholds_and_temperatures(audit: Path) -> None:
    summary = json.loads((audit / "calibration.json").read_text())
    assert summary["num_utterances"] == NUM and sum(summary["indicators"].values()) >= 70
    assert 0.02 <= summary["utterances"]["rate"] <= 0.2 and 0.02 <= summary["label_free_rate"] <= 0.2
    assert summary["words"]["temperature"] > 0 and summary["gaps"]["temperature"] > 0
    assert summary["suggestions"]["accuracy_on_indicators"] >= 0.9


def test_the_same_scores_give_the_same_bytes_and_are_up_to_date(
    scores: Path, audit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_calibrate(CalibrateConfig(indicators=80), scores=scores, out=tmp_path / "audit")
    assert (tmp_path / "audit" / "audit.jsonl").read_bytes() == (audit / "audit.jsonl").read_bytes()
    capsys.readouterr()
    assert not run_calibrate(CalibrateConfig(indicators=80), scores=scores, out=audit)
    assert "up to date" in capsys.readouterr().out


def test_wrong_input_is_named(scores: Path, tmp_path: Path, run_speechkit: Callable[..., Any]) -> None:
    found = run_speechkit("audit", "calibrate", tmp_path, "--out", tmp_path / "a")
    assert found.exit_code == 1 and "holds no scores" in found.stderr
    found = run_speechkit("audit", "calibrate", scores, "--indicators", 3, "--out", tmp_path / "a")
    assert found.exit_code == 2 and "indicators" in found.stderr
    few = tmp_path / "few"
    few.mkdir()
    meta = json.loads((scores / "meta.json").read_text())
    (few / "meta.json").write_text(json.dumps(meta))
    lines = (scores / "scores.jsonl").read_text().splitlines(keepends=True)
    (few / "scores.jsonl").write_text("".join(lines[:5]))
    found = run_speechkit("audit", "calibrate", few, "--out", tmp_path / "a")
    assert found.exit_code == 1 and "too few to calibrate by" in found.stderr
    (few / "meta.json").write_text("{}")
    found = run_speechkit("audit", "calibrate", few, "--out", tmp_path / "a")
    assert found.exit_code == 1 and "lacks cuts, log_probs" in found.stderr
    (few / "meta.json").write_text(json.dumps(meta | {"log_probs": [str(tmp_path / "gone")]}))
    found = run_speechkit("audit", "calibrate", few, "--out", tmp_path / "a")
    assert found.exit_code == 1 and "gone` does not exist" in found.stderr


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 3)), min_size=1, max_size=7))
def test_isotonic_is_the_min_max_of_means(pairs: list[tuple[int, int]]) -> None:
    values, weights = (np.array(column, np.float64) for column in zip(*pairs, strict=True))
    found = isotonic(values, weights)

    def mean(first: int, last: int) -> float:
        part = slice(first, last + 1)
        return float((values[part] * weights[part]).sum() / weights[part].sum())

    num = len(values)
    expected = [max(min(mean(a, b) for b in range(i, num)) for a in range(i + 1)) for i in range(num)]
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.4])
def test_rate_and_threshold_are_found_without_clean_examples(rate: float) -> None:
    gen = np.random.default_rng(0)
    is_wrong = np.arange(5000) < round(rate * 5000)
    corpus = gen.normal(size=5000) + 4.0 * is_wrong
    positives = gen.normal(size=500) + 4.0
    curve = fit_curve(corpus, positives, np.ones(500))
    assert rate * 0.85 <= curve.rate <= rate * 1.25
    assert rate <= curve.upper_rate <= 1.6 * rate + 0.02
    probs = curve(corpus)
    assert abs(probs.mean() - rate) < 0.25 * rate
    assert (np.diff(curve(np.linspace(-4, 9, 50))) >= 0).all()
    high = probs > 0.5
    assert abs(probs[high].mean() - is_wrong[high].mean()) < 0.1

    def f1(threshold: float) -> float:
        flagged = corpus >= threshold
        return float(2 * (flagged & is_wrong).sum() / (flagged.sum() + is_wrong.sum()))

    assert f1(curve.threshold) >= 0.95 * max(f1(t) for t in np.linspace(-2, 7, 200))
    assert curve.expected_f1 == pytest.approx(f1(curve.threshold), abs=0.08)


def test_useless_scores_leave_the_rate_open_and_flag_everything_or_nothing_in_vain() -> None:
    gen = np.random.default_rng(0)
    corpus, positives = gen.normal(size=2000), gen.normal(size=300)
    assert fault_rate(corpus, positives, np.ones(300)) > 0.85  # the upper bound knows that it knows nothing
    _, expected = best_threshold(corpus, positives, np.ones(300), 0.1)
    assert expected < 0.25


def test_weights_of_indicators_are_as_good_as_copies() -> None:
    gen = np.random.default_rng(1)
    corpus, positives = gen.normal(size=400), gen.normal(size=40) + 3
    weights = gen.integers(1, 4, 40).astype(np.float64)
    copies = np.repeat(positives, weights.astype(int))
    one = best_threshold(corpus, positives, weights, 0.1)
    assert one == pytest.approx(best_threshold(corpus, copies, np.ones(len(copies)), 0.1))


def test_logistic_regressions_find_known_slopes() -> None:
    gen = np.random.default_rng(2)
    values = np.concatenate([gen.normal(size=(4000, 2)), np.ones((4000, 1))], axis=1)
    true = np.array([2.0, -1.0, 0.5])
    label = gen.random(4000) < 1 / (1 + np.exp(-values @ true))
    assert fit_logistic(values, label, np.ones(4000), ridge=0.0) == pytest.approx(true, abs=0.2)
    shrunk = fit_logistic(values, label, np.ones(4000), ridge=1e6)
    assert np.abs(shrunk[:2]).max() < 0.01 and abs(shrunk[2]) > 0.1
    both = fit_softmax(values, label.astype(np.int64), 2, ridge=1e-3)
    assert both[:, 1] - both[:, 0] == pytest.approx(true, abs=0.2)


def test_ranks_ties_and_speakers() -> None:
    assert logit_ranks(np.array([1.0, 2.0, 2.0, 3.0])) == pytest.approx([np.log(1 / 7), 0.0, 0.0, np.log(7)])
    assert Basis.of(np.array([[0.0], [2.0]]))(np.array([[4.0]])) == pytest.approx(
        np.array([[3.0, 2.0, 1.0, 1.0]]), abs=1e-4
    )
    gen = np.random.default_rng(3)
    corpus = np.concatenate([gen.normal(0, 1, (50, 1)), gen.normal(100, 5, (50, 1)), [[50.0]]])
    owners = ["a"] * 50 + ["b"] * 50 + ["few"]
    found = beside_speaker(np.array([[2.0], [110.0], [50.0]]), ["a", "b", "few"], corpus, owners)
    assert found[:2, 0] == pytest.approx([2.0, 2.0], abs=0.8)
    assert abs(found[2, 0]) < 1.5  # a speaker of one utterance stands beside everybody


def test_an_exchange_is_the_log_ratio_of_the_exchanged_text() -> None:
    heard = emission("three one two")
    given = ["one", "three", "two"]
    own = gather(heard, given)
    other = gather(heard, ["three", "one", "two"])
    found = exchanges(heard, given, own.log_prob)
    assert found[0] == pytest.approx(other.log_prob - own.log_prob, abs=1e-3) and found[0] > 5
    assert exchanges(heard, ["one", "one"], 0.0).tolist() == [-np.inf] and not len(exchanges(heard, ["one"], 0.0))


@pytest.mark.parametrize("lexicon", [Lexicon(tuple(DIGITS)), None], ids=["lexicon", "open"])
@pytest.mark.parametrize("text", ["one nine three", "one three", "one two two three", "two one three", "one two three"])
def test_steps_lead_to_what_was_said(text: str, lexicon: Lexicon | None) -> None:
    heard = emission("one two three")
    path = steps(heard, tuple(text.split()), lexicon=lexicon, max_edits=3)
    assert all(step.gain > 0 for step in path)
    found = taken(path, 6.0)
    assert (" ".join(found.words) if found else text) == "one two three"
    if found:
        gain = gather(heard, found.words).log_prob - gather(heard, text.split()).log_prob
        assert found.gain == pytest.approx(gain, abs=1e-3)


def test_a_silent_or_hopeless_utterance_has_no_suggestion() -> None:
    heard = emission("one", num_frames=12)
    assert steps(heard, ("one",) * 9, lexicon=None, max_edits=3) == []
    assert taken([], 0.0) is None


def test_the_limit_of_further_edits_is_that_of_the_indicators() -> None:
    right, wrong = ("one",), ("two",)
    paths = [[Step(right, 9.0), Step(wrong, 3.0)], [Step(wrong, 9.0), Step(right, 12.0)]]
    assert best_limit(paths, [right, right]) == (11.0, 1.0)
    assert best_limit([], []) == (50.0, 0.0)


def test_equal_scores_have_one_probability() -> None:
    corpus, positives = np.repeat([0.0, 1.0, 2.0], [80, 15, 5]), np.repeat([0.0, 1.0, 2.0], [5, 15, 30])
    curve = fit_curve(corpus, positives, np.ones(50))
    expected = np.minimum(1.0, curve.rate * np.array([0.1 / 0.8, 0.3 / 0.15, 0.6 / 0.05]))
    np.testing.assert_allclose(curve(np.array([0.0, 1.0, 2.0])), expected)


def test_a_corpus_of_single_words_has_no_gaps_to_judge(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    said = {f"u{number:02}": DIGITS[number % 10] for number in range(40)}
    texts = {**said, "u07": "two"}
    cuts = make_manifest(tmp_path / "data", texts, seconds=0.8)
    tokenizer = char_tokenizer()
    heard = {name: say(tokenizer, word, seed=seed, level=5.0) for seed, (name, word) in enumerate(said.items())}
    make_log_probs(tmp_path / "lp", tokenizer, heard, seconds=0.8)
    score_run.run(ScoreConfig(), cuts=cuts, log_probs=[tmp_path / "lp"], out=tmp_path / "scores")
    run_calibrate(CalibrateConfig(indicators=40), scores=tmp_path / "scores", out=tmp_path / "audit")
    rows = read_verdicts(tmp_path / "audit")
    assert rows[0].id == "u07"
    assert rows[0].suggestion == said["u07"]
    assert not any(gap.suspicious or gap.p_missing for row in rows for gap in row.gaps)
    assert "no indicator has wrong gaps" in capfd.readouterr().err
