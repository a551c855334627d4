"""Joining, counting, intervals, seen and unseen texts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from speechkit.errors import ConfigError, SpeechkitError
from speechkit.score.bootstrap import rate_interval
from speechkit.score.seen_unseen import seen_unseen
from speechkit.score.summary import by_field, summarise
from speechkit.score.transcripts import Transcripts, from_texts
from speechkit.score.wer import score


def texts(source: str = "ref", **items: str) -> Transcripts:
    return from_texts(list(items), list(items.values()), source=source)


REF = texts(a="one two three", b="four", c="")
HYP = texts("hyp", c="five", b="four", a="one too three four")


def test_pairs_are_joined_by_id_whatever_the_order() -> None:
    found = summarise(score(REF, HYP))
    assert (found["sub"], found["del"], found["ins"]) == (1, 0, 2)
    assert found["num_ref_words"] == 4 and found["num_utterances"] == 3 and found["num_empty_refs"] == 1
    assert found["wer"] == 75.0
    assert found["ser"] == pytest.approx(66.6667)


def test_mer_and_wil_follow_morris() -> None:
    found = summarise(score(texts(a="one two three four"), texts(a="one too three five six")))
    assert found["mer"] == pytest.approx(100 * 3 / 5)
    assert found["wil"] == pytest.approx(100 * (1 - (2 / 4) * (2 / 5)))


def test_character_errors_count_spaces() -> None:
    found = summarise(score(texts(a="ab cd"), texts(a="abcd")))
    assert (found["char_errors"], found["num_ref_chars"], found["cer"]) == (1, 5, 20.0)


def test_missing_hypotheses_are_an_error_that_lists_them() -> None:
    with pytest.raises(SpeechkitError) as caught:
        score(REF, texts("hyp", a="one", d="x"))
    assert caught.value.what == "2 references have no hypothesis, 1 hypotheses have no reference"
    assert caught.value.where == ["ref:2  b  no hypothesis", "ref:3  c  no hypothesis", "hyp:2  d  no reference"]


@pytest.mark.parametrize("missing, dele, num", [("delete", 2, 3), ("skip", 1, 2)])
def test_missing_hypotheses_are_deletions_or_left_out_on_demand(missing: str, dele: int, num: int) -> None:
    scored = score(REF, texts("hyp", a="one two", c="", d="x"), missing=missing)
    found = summarise(scored)
    assert (found["del"], found["num_utterances"], scored.num_missing, scored.num_extra) == (dele, num, 1, 1)


def test_files_of_different_sets_and_references_without_words_are_refused() -> None:
    with pytest.raises(SpeechkitError, match="no id of the reference"):
        score(REF, texts("hyp", x="one"), missing="delete")
    with pytest.raises(SpeechkitError, match="no reference has a word"):
        score(texts(a=""), texts(a="one"))


def test_seen_and_unseen_texts_are_counted_apart_and_parrots_are_found() -> None:
    ref = texts(s1="one two", s2="one  two", u1="two one", u2="two two", u3="one")
    hyp = texts(s1="one two", s2="one", u1="one two", u2="two two", u3="")
    found = seen_unseen(score(ref, hyp), ["one two", "three", ""])
    assert found["seen"]["num_utterances"] == 2 and found["seen"]["wer"] == 25.0
    assert found["unseen"]["num_utterances"] == 3 and found["unseen"]["wer"] == 60.0
    assert found["num_parrots"] == 1 and found["parrot_rate"] == pytest.approx(33.3333)


def test_examples_of_unseen_texts_are_the_same_for_all_systems() -> None:
    ref = texts(**{f"u{i}": f"w{i}" for i in range(20)})
    first, second = (
        seen_unseen(score(ref, texts(**{f"u{i}": hyp for i in range(20)})), ["w3", "x"])["unseen_examples"]
        for hyp in ("x", "y")
    )
    assert len(first) == 5 and [item["id"] for item in first] == [item["id"] for item in second]
    assert all(item["is_parrot"] for item in first) and not any(item["is_parrot"] for item in second)
    assert first[0] == {"id": "u0", "ref": "w0", "hyp": "x", "is_parrot": True}


def test_without_unseen_texts_there_is_no_parrot_rate() -> None:
    found = seen_unseen(score(texts(a="one"), texts(a="one")), ["one"])
    assert found["unseen"] is None and found["parrot_rate"] is None


def test_groups_have_their_own_rates_and_add_up() -> None:
    ref = from_texts(["a", "b", "c"], ["one", "two", "three four"], source="ref", fields={"speaker": ["x", "y", "x"]})
    groups = by_field(score(ref, texts("hyp", a="one", b="too", c="three")), "speaker")
    assert {name: (g["sub"], g["del"], g["num_ref_words"]) for name, g in groups.items()} == {
        "x": (0, 1, 3),
        "y": (1, 0, 1),
    }


def test_an_unknown_field_is_refused_with_the_known_ones() -> None:
    ref = from_texts(["a"], ["one"], source="ref", fields={"speaker": ["x"]})
    with pytest.raises(ConfigError) as caught:
        by_field(score(ref, texts(a="one")), "age")
    assert "speaker" in caught.value.expected


def coverage(num_utterances: int, num_trials: int) -> float:
    """Share of corpora of 10 % true rate whose 95 % interval holds it; utterances differ in their rates."""
    source = np.random.default_rng(3)
    hits = 0
    for trial in range(num_trials):
        words = source.integers(5, 30, num_utterances)
        errors = source.binomial(words, source.beta(2, 18, num_utterances))
        low, high = rate_interval(errors, words, seed=trial, num_replicates=400) or (0.0, 0.0)
        hits += low <= 10.0 <= high
    return hits / num_trials


def test_the_interval_covers_the_true_rate_about_as_often_as_it_says() -> None:
    assert 0.90 <= coverage(150, 300) <= 0.98  # 3 standard deviations of 300 trials are 4 points


@pytest.mark.slow
@pytest.mark.parametrize("num_utterances", [150, 500])
def test_intervals_of_95_percent_cover_93_to_97(num_utterances: int) -> None:
    assert 0.93 <= coverage(num_utterances, 2000) <= 0.97


def test_the_interval_depends_on_the_seed_only() -> None:
    errors, words = np.array([0, 1, 5, 2]), np.array([10, 12, 9, 11])
    assert rate_interval(errors, words, seed=1) == rate_interval(errors[::-1], words[::-1], seed=1)
    assert rate_interval(errors, words, seed=1) != rate_interval(errors, words, seed=2)


def test_capitals_are_seen_at_the_start_of_a_long_line(run_speechkit: Callable[..., Any], tmp_path: Path) -> None:
    for name, letter in (("ref", "\u00c9"), ("hyp", "\u00e9")):  # the part that is looked at ends inside a character
        (tmp_path / name).write_text(f"a {letter.lower()} {letter * 1000}\n", encoding="utf-8")
    found = run_speechkit("score", "wer", tmp_path / "ref", tmp_path / "hyp")
    assert found.exit_code == 0 and "capitals are 100 %" in found.stderr
