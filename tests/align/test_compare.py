"""Figures of word boundaries against hand-made pairs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lhotse import MonoCut
from make import make_cut, make_wav

from speechkit.align.compare import compare, figures
from speechkit.data.store import Word, save_cuts
from speechkit.errors import SpeechkitError

Run = Callable[..., Any]


def cut_of(folder: Path, utt_id: str, spans: list[tuple[str, float, float]], speaker: str = "anna") -> MonoCut:
    words = [Word(symbol, start, end - start) for symbol, start, end in spans]
    wav = make_wav(folder / "a.wav", 2.0)
    return make_cut(utt_id, wav, text=" ".join(s for s, _, _ in spans if s), speaker=speaker, tiers={"word": words})


def test_figures_of_known_errors() -> None:
    found = figures([(0.0, 1.0, 0.01, 1.0), (1.0, 2.0, 1.0, 1.9), (3.0, 3.1, 3.2, 3.3)])
    assert found["num_words"] == 3
    assert found["boundary_error_ms"] == {
        "mean": pytest.approx((10 + 0 + 0 + 100 + 200 + 200) / 6, abs=0.01),
        "median": 55.0,
        "p90": 200.0,
        "start_bias": 10.0,
        "end_bias": 0.0,
    }
    assert found["within_percent"] == {"10": 50.0, "20": 50.0, "50": 50.0, "100": pytest.approx(66.67)}
    assert found["iou"] == {"mean": pytest.approx((0.99 + 0.9 + 0) / 3, abs=1e-3), "min": 0.0, "num_below_0.3": 1}


def test_utterances_that_have_no_pair_are_counted(tmp_path: Path) -> None:
    ref = [cut_of(tmp_path, name, [("one", 0, 1), ("two", 1, 2)]) for name in "abc"]
    hyp = [
        cut_of(tmp_path, "a", [("", 0, 0.1), ("one", 0.1, 1), ("two", 1, 2)]),
        cut_of(tmp_path, "b", [("one", 0, 1)]),
    ]
    found = compare(ref, hyp)
    assert (found.num_utterances, found.missing, found.different) == (1, ["c"], ["b"])
    assert found.edges[""] == [(0, 1, 0.1, pytest.approx(1)), (1, 2, 1, 2)]


def test_the_command_prints_groups_and_writes_json(run_speechkit: Run, tmp_path: Path) -> None:
    ref = [cut_of(tmp_path, n, [("one", 0, 1)], speaker=s) for n, s in (("a", "anna"), ("b", "bert"))]
    hyp = [cut_of(tmp_path, "a", [("one", 0.02, 1)]), cut_of(tmp_path, "b", [("one", 0.0, 1.5)])]
    save_cuts(ref, tmp_path / "ref.jsonl.gz")
    save_cuts(hyp, tmp_path / "hyp.jsonl.gz")
    command = ["align", "compare", tmp_path / "ref.jsonl.gz", tmp_path / "hyp.jsonl.gz", "--by", "speaker"]
    result = run_speechkit(*command, "--json", tmp_path / "f.json")
    assert result.exit_code == 0, result.stderr
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["group", "all", "anna", "bert"]
    found = json.loads((tmp_path / "f.json").read_text())
    assert found["groups"]["bert"]["boundary_error_ms"]["end_bias"] == 500.0
    assert found["num_utterances"] == 2
    failed = run_speechkit(*command, "--fail-above", 5)
    assert failed.exit_code == 3 and "median boundary error is 10 ms" in failed.stderr
    assert run_speechkit(*command, "--fail-above", 11).exit_code == 0
    for limit in ("nan", "inf", "-3"):
        refused = run_speechkit(*command, "--fail-above", limit)
        assert refused.exit_code == 2 and f"--fail-above {limit} is no limit" in refused.stderr


def test_a_limit_holds_for_all_utterances_of_the_reference(run_speechkit: Run, tmp_path: Path) -> None:
    save_cuts([cut_of(tmp_path, name, [("one", 0, 1)]) for name in "ab"], tmp_path / "ref.jsonl.gz")
    save_cuts([cut_of(tmp_path, "a", [("one", 0, 1)])], tmp_path / "hyp.jsonl.gz")
    command = ["align", "compare", tmp_path / "ref.jsonl.gz", tmp_path / "hyp.jsonl.gz"]
    assert run_speechkit(*command).exit_code == 0
    failed = run_speechkit(*command, "--fail-above", 50)
    assert failed.exit_code == 3 and "of 1 utterance of REF is not known" in failed.stderr


def test_missing_tiers_fields_and_pairs_are_named(run_speechkit: Run, tmp_path: Path) -> None:
    for name in "ab":
        save_cuts([cut_of(tmp_path, name, [("one", 0, 1)])], tmp_path / f"{name}.jsonl.gz")
    files = [tmp_path / "a.jsonl.gz", tmp_path / "b.jsonl.gz"]
    result = run_speechkit("align", "compare", *files)
    assert result.exit_code == 1 and "share no utterance" in result.stderr and "not in" in result.stderr
    result = run_speechkit("align", "compare", files[0], files[0], "--tier", "phone")
    assert result.exit_code == 1 and "no alignment `phone`" in result.stderr
    with pytest.raises(SpeechkitError, match="no field `age`"):
        compare([cut_of(tmp_path, "a", [("one", 0, 1)])], [cut_of(tmp_path, "a", [("one", 0, 1)])], by="age")
    result = run_speechkit("align", "compare", files[0], files[0], "--by", "age")
    assert result.exit_code == 1 and "no field `age`" in result.stderr


def test_words_that_end_before_they_start_are_no_truth(tmp_path: Path) -> None:
    good, bad = (cut_of(tmp_path, "a", [("one", 0.5, end)]) for end in (1, 0.2))
    for pair in ((good, bad), (bad, good)):
        with pytest.raises(SpeechkitError, match="`one` ends before it starts") as caught:
            compare([pair[0]], [pair[1]])
        assert caught.value.where == ["a"]
