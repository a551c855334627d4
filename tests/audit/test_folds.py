"""Folds: nothing that is alike on both sides, equal hours, leaks that are said."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make import make_cut, make_wav

from speechkit.audit.config_truth import FoldsConfig
from speechkit.audit.folds import assign, components, same_audio
from speechkit.data.overlap import find_overlap, heard_of_cuts
from speechkit.data.split.keys import make_groups
from speechkit.data.store import load_cuts, save_cuts
from speechkit.errors import SpeechkitError

TEXTS = ("one two", "three", "four five", "six", "seven eight", "nine")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """24 cuts: 6 texts, 4 speakers, each cut of its own pitch."""
    cuts = []
    for number in range(24):
        audio = make_wav(tmp_path / "all" / f"{number:02d}.wav", 0.2 + 0.01 * number, frequency=200 + 10 * number)
        text = TEXTS[number % 6] if number < 12 else f"{TEXTS[number % 6]} {TEXTS[number // 6]} {number}"
        cuts.append(make_cut(f"utt-{number:02d}", audio, text=text, speaker=f"s{number % 4}"))
    save_cuts(cuts, tmp_path / "all" / "cuts.jsonl.gz")
    return tmp_path / "all"


def sides(folder: Path, number: int) -> tuple[dict[str, Any], dict[str, Any]]:
    train, test = (
        {cut.id: cut for cut in load_cuts(folder / f"fold-{number}" / f"{side}.jsonl.gz")} for side in ("train", "test")
    )
    return train, test


def test_every_cut_is_tested_once_and_trains_all_other_folds(
    corpus: Path, tmp_path: Path, run_speechkit: Callable[..., Any]
) -> None:
    done = run_speechkit("audit", "folds", corpus, "--folds", 3, "--out", tmp_path / "folds")
    assert done.exit_code == 0, done.stderr
    tested: list[str] = []
    for number in range(3):
        train, test = sides(tmp_path / "folds", number)
        assert not train.keys() & test.keys()
        assert len(train) + len(test) == 24
        tested += test
        texts = [{cut.supervisions[0].text for cut in side.values()} for side in (train, test)]
        assert not texts[0] & texts[1]
        assert all(cut.recording.sources[0].source.startswith(str(corpus)) for cut in test.values())
    assert sorted(tested) == [f"utt-{number:02d}" for number in range(24)]
    report = json.loads((tmp_path / "folds" / "folds.json").read_text())
    assert report["groups"] == 18
    hours = [fold["hours"] for fold in report["folds"]]
    assert max(hours) < 1.1 * min(hours)
    assert all(fold["shared"]["text"] == fold["shared"]["duplicate"] == 0 for fold in report["folds"])
    assert all(fold["shared"]["speaker"] > 0 for fold in report["folds"])
    again = run_speechkit("audit", "folds", corpus, "--folds", 3, "--out", tmp_path / "again", "--nj", 2)
    assert again.stdout == done.stdout
    for name in ("fold-1/train.jsonl.gz", "folds.json"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "folds" / name).read_bytes()


def test_speaker_folds_say_which_texts_leak(corpus: Path, tmp_path: Path, run_speechkit: Callable[..., Any]) -> None:
    done = run_speechkit("audit", "folds", corpus, "--folds", 2, "--by", "speaker", "--out", tmp_path / "folds")
    assert done.exit_code == 0, done.stderr
    train, test = sides(tmp_path / "folds", 0)
    assert not {c.supervisions[0].speaker for c in train.values()} & {c.supervisions[0].speaker for c in test.values()}
    shared = json.loads((tmp_path / "folds" / "folds.json").read_text())["folds"][0]["shared"]
    texts = {cut.supervisions[0].text for cut in train.values()}
    assert shared == {
        "speaker": 0,
        "text": sum(cut.supervisions[0].text in texts for cut in test.values()),
        "audio file": 0,
    }
    assert ("by text" in done.stderr) == (shared["text"] > 0)


def test_test_sets_carry_the_promise_that_training_and_decoding_check(
    corpus: Path, tmp_path: Path, run_speechkit: Callable[..., Any]
) -> None:
    run_speechkit("audit", "folds", corpus, "--folds", 2, "--out", tmp_path / "folds")
    train, test = sides(tmp_path / "folds", 1)
    assert next(iter(test.values())).custom["promise"] == {"side": "test", "disjoint": ["text"], "near_words": 0}
    from speechkit.data.overlap import training_set

    known = training_set(heard_of_cuts(train.values()), [])
    assert not find_overlap(heard_of_cuts(test.values()), known).ids


def test_equal_audio_lies_in_one_fold(corpus: Path, tmp_path: Path, run_speechkit: Callable[..., Any]) -> None:
    (corpus / "copy.wav").write_bytes((corpus / "03.wav").read_bytes())
    cuts = list(load_cuts(corpus))
    cuts.append(make_cut("copy", corpus / "copy.wav", text="something else", speaker="s9"))
    cuts.append(replace(cuts[5], id="stretch", start=0.05, duration=0.1))
    save_cuts(cuts, corpus / "cuts.jsonl.gz")
    assert run_speechkit("audit", "folds", corpus, "--folds", 4, "--out", tmp_path / "folds").exit_code == 0
    for number in range(4):
        _, test = sides(tmp_path / "folds", number)
        assert ("copy" in test) == ("utt-03" in test)
        assert ("stretch" in test) == ("utt-05" in test)


def test_silence_is_no_duplicate(tmp_path: Path) -> None:
    cuts = []
    for name in ("a", "b"):
        audio = make_wav(tmp_path / f"{name}.wav", 0.1, frequency=0.0)
        cuts.append(make_cut(name, audio))
    assert same_audio(list(heard_of_cuts(cuts))).codes.tolist() == [0, 1]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=20))
def test_groups_are_the_connected_components(pairs: list[tuple[int, int]]) -> None:
    found = components([make_groups(name, [str(pair[k]) for pair in pairs]) for k, name in enumerate("ab")])
    parent = list(range(len(pairs)))
    changed = True
    while changed:  # the slow way
        changed = False
        for i, a in enumerate(pairs):
            for j, b in enumerate(pairs):
                if (a[0] == b[0] or a[1] == b[1]) and parent[i] != parent[j]:
                    parent[i] = parent[j] = min(parent[i], parent[j])
                    changed = True
    for i in range(len(pairs)):
        for j in range(len(pairs)):
            assert (found[i] == found[j]) == (parent[i] == parent[j])


def test_folds_are_balanced_by_hours() -> None:
    seconds = np.array([10.0, 1, 1, 1, 1, 1, 5, 5, 5])
    component = np.arange(9)
    fold = assign(component, seconds, [str(k) for k in range(9)], FoldsConfig(folds=3))
    assert sorted(np.bincount(fold, seconds).tolist()) == [10.0, 10.0, 10.0]
    other = assign(component, seconds, [str(k) for k in range(9)], FoldsConfig(folds=3, seed=7))
    assert np.bincount(other, seconds).tolist() == [10.0, 10.0, 10.0]


def test_more_folds_than_groups_are_refused() -> None:
    with pytest.raises(SpeechkitError, match="3 folds asked for, but cuts that share text form only 2 groups"):
        assign(np.array([0, 0, 1]), np.ones(3), ["a", "b", "c"], FoldsConfig(folds=3, by=("text",)))


def test_folds_name_what_is_wrong_with_the_cuts(
    corpus: Path, tmp_path: Path, run_speechkit: Callable[..., Any]
) -> None:
    done = run_speechkit("audit", "folds", corpus, "--by", "age", "--out", tmp_path / "folds")
    assert done.exit_code == 1
    assert "utt-00  has no age" in done.stderr
    done = run_speechkit("audit", "folds", corpus, "--by", "text,text", "--out", tmp_path / "folds")
    assert done.exit_code == 2
    done = run_speechkit("audit", "folds", corpus, "--by", "text", "--folds", 99, "--out", tmp_path / "folds")
    assert "99 folds asked for" in done.stderr
    (corpus / "07.wav").write_bytes(b"")
    done = run_speechkit("audit", "folds", corpus, "--out", tmp_path / "folds")
    assert done.exit_code == 1
    assert "utt-07" in done.stderr
    assert "empty" in done.stderr
    assert not (tmp_path / "folds").exists()
