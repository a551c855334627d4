"""Tests of significance: known values, sc_stats, and how often they are wrong."""

from __future__ import annotations

import math
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nist_tools import nist_tool

from speechkit.errors import ConfigError, SpeechkitError
from speechkit.kernels.edit import COR, INS, align_words
from speechkit.kernels.segments import error_segments
from speechkit.score.compare import compare, compare_files, step_segments
from speechkit.score.compare import segments as segments_of_systems
from speechkit.score.config import CompareConfig
from speechkit.score.nist import Markup, align_marked
from speechkit.score.significance import holm, mapsswe, mcnemar, normal_p, paired_bootstrap, sign_test, wilcoxon
from speechkit.score.transcripts import from_texts
from speechkit.score.wer import score


def segments(ref: str, hyp_a: str, hyp_b: str) -> list[list[int]]:
    found = [align_words([ref.split()], [h.split()]) for h in (hyp_a, hyp_b)]
    sides = [(f.ops, f.starts, f.ends) for f in found]
    return error_segments(sides[0], sides[1], 2).tolist()


def test_two_right_words_in_a_row_end_a_segment() -> None:
    assert segments("a b c d e", "x b c d e", "a b c d y") == [[0, 1, 0], [0, 0, 1]]
    assert segments("a b c", "x b c", "a b y") == [[0, 1, 1]]


def test_an_insertion_between_two_right_words_joins_segments() -> None:
    assert segments("a b c d", "x b c d", "a b z c d") == [[0, 1, 1]]


def test_without_errors_there_is_no_segment() -> None:
    assert segments("a b", "a b", "a b") == []
    assert segments("", "", "") == []


def test_mapsswe_is_a_paired_z_test() -> None:
    found = mapsswe(np.array([1, 2, 0, 3]), np.array([0, 1, 1, 0]))
    difference = np.array([1, 1, -1, 3])
    z = difference.mean() / (difference.std(ddof=1) / 2)
    assert found["statistic"] == pytest.approx(z) and found["p"] == pytest.approx(math.erfc(z / math.sqrt(2)))
    assert mapsswe(np.array([1, 1]), np.array([1, 1]))["p"] == 1.0
    assert mapsswe(np.ones(30, np.int64), np.zeros(30, np.int64))["p"] == pytest.approx(2 / 2**30)


def test_small_samples_have_exact_probabilities() -> None:
    assert mcnemar(np.array([True] * 8 + [False]), np.array([False] * 8 + [True]))["p"] == pytest.approx(2 * 10 / 512)
    assert sign_test(np.arange(6.0) + 1, np.zeros(6), "speaker")["p"] == pytest.approx(2 / 64)
    assert wilcoxon(np.arange(6.0) + 1, np.zeros(6), "speaker")["p"] == pytest.approx(2 / 64)
    assert wilcoxon(np.zeros(3), np.zeros(3), "speaker")["p"] == 1.0


def test_holm_multiplies_by_what_is_left_and_never_falls() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_equal_systems_are_rarely_called_different() -> None:
    source = np.random.default_rng(1)
    wrong = 0
    for trial in range(200):
        words = source.integers(5, 30, 120)
        rates = source.beta(2, 18, 120)
        sides = [np.stack([source.binomial(words, rates), words], axis=1) for _ in "ab"]
        found = paired_bootstrap(sides[0], sides[1], unit="utterance", num_replicates=500, seed=trial)
        wrong += found["p"] < 0.05
        assert found["interval"][0] <= found["effect"] <= found["interval"][1]
    assert wrong <= 20


def test_a_comparison_names_n_effect_interval_and_test() -> None:
    ids = [f"{s}-{k}" for s in "abcd" for k in range(5)]
    ref = from_texts(ids, ["one two three four"] * 20, source="ref")
    good = from_texts(ids, ["one two three four"] * 18 + ["one"] * 2, source="x/good.trn")
    bad = from_texts(ids, ["one too three"] * 20, source="x/bad.trn")
    result = compare([score(ref, good), score(ref, bad)], CompareConfig(by="prefix", num_replicates=200))
    tests = result["pairs"][0]["tests"]
    assert set(tests) == {"mapsswe", "bootstrap", "bootstrap by prefix", "mcnemar", "sign", "wilcoxon"}
    assert all({"n", "unit", "effect", "p", "p_holm"} <= set(test) for test in tests.values())
    assert tests["bootstrap"]["effect"] == pytest.approx(100 * (6 - 40) / 80)
    assert tests["mapsswe"]["p"] < 0.001 and tests["sign"]["n"] == 4


def test_systems_with_other_ids_and_single_systems_are_refused(tmp_path: Path) -> None:
    for name, text in (("ref", "a one\nb one\n"), ("hyp", "a one\nc one\n")):
        (tmp_path / name).write_text(text)
    with pytest.raises(SpeechkitError, match="1 references have no hypothesis, 1 hypotheses"):
        compare_files(tmp_path / "ref", [tmp_path / "ref", tmp_path / "hyp"], CompareConfig())
    with pytest.raises(ConfigError, match="one system"):
        compare_files(tmp_path / "ref", [tmp_path / "ref"], CompareConfig())
    with pytest.raises(ConfigError, match="hyp` is given more than once"):
        compare_files(tmp_path / "ref", [tmp_path / "hyp", tmp_path / "ref", tmp_path / "hyp"], CompareConfig())


def test_time_marked_systems_are_compared_on_the_segments_of_the_stm(tmp_path: Path) -> None:
    (tmp_path / "r.stm").write_text("f A x 0 1 one { two / too } three\nf A y 1 2 (um) four five six\n")
    (tmp_path / "a.ctm").write_text(
        "f A 0 .2 one\nf A .3 .2 two\nf A .6 .2 tree\nf A 1.1 .1 four\nf A 1.3 .1 five\nf A 1.6 .1 six\n"
    )
    (tmp_path / "b.ctm").write_text("f A 0 .2 one\nf A .3 .2 too\nf A .6 .2 three\nf A 1.1 .1 for\n")
    hyps = [tmp_path / "a.ctm", tmp_path / "b.ctm"]
    result = compare_files(tmp_path / "r.stm", hyps, CompareConfig(by="speaker", optional=True, num_replicates=100))
    tests = result["pairs"][0]["tests"]
    assert [s["num_ref_words"] for s in result["systems"]] == [7, 7]
    assert tests["mapsswe"]["n"] == 2 and tests["mapsswe"]["effect"] == pytest.approx(-1.0)
    assert tests["bootstrap by speaker"]["effect"] == pytest.approx(100 * (1 - 3) / 7)
    with pytest.raises(ConfigError, match="can not be paired against a CTM"):
        compare_files(hyps[0], hyps, CompareConfig())


def test_segments_follow_what_both_systems_chose() -> None:
    a = align_marked("{ going to / gonna } see it now yes", "going to see it now no", Markup())
    b = align_marked("{ going to / gonna } see it now yes", "gonna sea it now yes", Markup())
    assert step_segments(a, b) == [(0, 1), (1, 0)]
    words = ["x", "a", "b", "c", "d"]
    same = [(COR, w, w) for w in words]
    assert step_segments([(INS, None, "z"), *same], same) == [(1, 0)]
    assert step_segments(same, same) == []


@given(st.data())
def test_segments_of_steps_are_those_of_the_kernel(data: st.DataObject) -> None:
    sides = [data.draw(st.text("abc", max_size=9)) for _ in range(3)]
    ref, a, b = (from_texts(["u", "v"], [" ".join(side), "one"], source="x") for side in sides)
    systems = [score(ref, hyp, with_chars=False) for hyp in (a, b)]
    steps = [system.align(0) for system in systems]
    assert step_segments(steps[0], steps[1]) == [
        tuple(row) for row in segments_of_systems(systems[0], systems[1]).tolist()
    ]


def test_mapsswe_equals_sc_stats_on_real_systems(corpus_root: Path) -> None:
    sclite, sc_stats = nist_tool("sclite"), nist_tool("sc_stats")
    folder = corpus_root / "scoring" / "earnings21"
    names = ["amazon", "google", "microsoft"]
    systems = [part for name in names for part in ("-h", f"{folder / f'utt_{name}.trn'}", "trn", name)]
    command = [sclite, "-r", str(folder / "utt_ref.trn"), "trn", *systems, "-i", "spu_id", "-o", "sgml", "stdout"]
    aligned = subprocess.run(command, capture_output=True, check=True).stdout
    command = [sc_stats, "-p", "-t", "mapsswe", "-v", "-n", "-"]
    report = subprocess.run(command, input=aligned, capture_output=True, check=True).stdout.decode(errors="replace")
    pattern = r"systems: (\w+) (\w+)\) \(# segs: (\d+)\).*?\(Z Stat: +(\S+)\)"
    expected = {(a, b): (int(n), float(z)) for a, b, n, z in re.findall(pattern, report)}
    config = CompareConfig(tests=("mapsswe",), ties="sclite")
    result = compare_files(folder / "utt_ref.trn", [folder / f"utt_{name}.trn" for name in names], config)
    assert len(expected) == 3
    for pair in result["pairs"]:
        found = pair["tests"]["mapsswe"]
        num, z = expected[pair["a"].removeprefix("utt_"), pair["b"].removeprefix("utt_")]
        assert found["n"] == num and found["statistic"] == pytest.approx(z, abs=6e-4)
        assert found["p"] == pytest.approx(normal_p(z), abs=1e-3)  # sc_stats itself prints p for z cut to two digits


def test_the_bootstrap_knows_that_systems_may_have_other_numbers_of_reference_words() -> None:
    source = np.random.default_rng(4)
    words = source.integers(5, 30, 80)
    a, b = (np.stack([source.binomial(words, rate), words], axis=1) for rate in (0.1, 0.2))
    plain = paired_bootstrap(a, b, unit="utterance", num_replicates=4000)
    b[3, 1] += 1
    found = paired_bootstrap(a, b, unit="utterance", num_replicates=4000)
    assert found["effect"] == pytest.approx(100 * (a[:, 0].sum() / a[:, 1].sum() - b[:, 0].sum() / b[:, 1].sum()))
    assert found["interval"] == pytest.approx(plain["interval"], abs=0.5)
    assert found["effect"] != plain["effect"] and found["p"] == pytest.approx(plain["p"], abs=0.01)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("num", [3, 120])
def test_a_large_corpus_with_few_different_utterances_has_the_p_of_these(num: int, seed: int) -> None:
    source = np.random.default_rng(4)
    words = source.integers(5, 105, 10_000)
    a, b = (np.stack([words // 10, words], axis=1) for _ in range(2))
    a[:num, 0] += 1
    a[num : 2 * num - 6, 0] -= 1
    drawn = source.poisson(num, 40_000) - source.poisson(max(0, num - 6), 40_000)  # how often each side is drawn
    tail = min((drawn <= 0).mean(), (drawn >= 0).mean())
    found = paired_bootstrap(a, b, unit="utterance", num_replicates=4000, seed=seed)
    assert found["p"] == pytest.approx(2 * tail, rel=0.2)
