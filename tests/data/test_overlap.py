"""What an evaluation set shares with training: ids, stretches of audio, and the keys that its split promised."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechkit.data.overlap import (
    TRAINING_SET_FILE,
    Heard,
    describe_overlap,
    find_overlap,
    heard_of_cuts,
    heard_of_manifest,
    load_training_set,
    overlap_with_training,
    refuse_overlap,
    training_set,
)
from speechkit.data.store import load_cuts
from speechkit.errors import CheckFailed, SpeechkitError


def _heard(name: str, text: str = "", speaker: str = "", *, promise: tuple[str, ...] = (), **more: Any) -> Heard:
    start, end = more.pop("ms", (0, 2000))
    near_words = more.pop("near_words", 0)
    custom = {"promise": {"side": "test", "disjoint": list(promise), "near_words": near_words}} if promise else {}
    supervision = {"text": text or f"text of {name}", "speaker": speaker or f"speaker of {name}", "custom": more}
    return Heard(name, more.get("audio", f"/{name}.wav"), start, end, supervision, {"custom": custom})


def test_other_utterances_share_nothing() -> None:
    found = find_overlap([_heard("b")], training_set([_heard("a")]))
    assert (found.num_utterances, found.by, found.ids, found.unchecked) == (1, {}, [], [])


def test_utterances_and_audio_are_found_without_any_promise() -> None:
    known = training_set([_heard("a"), _heard("b", audio="/x.wav", ms=(1000, 5000))])
    same = [_heard("a", audio="/y.wav"), _heard("c", audio="/x.wav", ms=(3000, 9000)), _heard("d")]
    found = find_overlap(same, known)
    assert found.by == {"id": ["a"], "audio": ["c"]} and found.ids == ["a", "c"]


def test_other_stretches_of_one_recording_are_no_overlap() -> None:
    known = training_set([_heard(f"t{i}", audio="/x.wav", ms=(4000 * i, 4000 * i + 2100)) for i in range(5)])
    between = [_heard(f"e{i}", audio="/x.wav", ms=(4000 * i + 2000, 4000 * i + 4000)) for i in range(5)]
    assert find_overlap(between, known).by == {}
    inside = find_overlap(
        [_heard("i", audio="/x.wav", ms=(0, 60_000)), _heard("j", audio="/x.wav", ms=(500, 700))], known
    )
    assert inside.by == {"audio": ["i", "j"]}


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30), st.integers(1, 9)), max_size=8), st.integers(0, 30))
def test_shared_audio_is_what_a_comparison_of_all_pairs_says(stretches: list[tuple[int, int, int]], start: int) -> None:
    known = training_set(
        [_heard(f"t{i}", audio=f"/{f}", ms=(1000 * s, 1000 * (s + n))) for i, (f, s, n) in enumerate(stretches)]
    )
    found = find_overlap([_heard("e", audio="/1", ms=(1000 * start, 1000 * start + 3000))], known)
    expected = any(f == 1 and s < start + 3 and s + n > start for f, s, n in stretches)
    assert bool(found.by) == expected


def test_keys_are_compared_where_they_were_promised() -> None:
    known = training_set([_heard("a", "Turn left!", "anna"), _heard("b", "go", "bert")])
    closed_text = _heard("c", "turn left", "carl", promise=("speaker",))
    assert find_overlap([closed_text, _heard("d", "turn left", "anna")], known).by == {}
    bound = [
        _heard("e", "TURN LEFT", "carl", promise=("text",)),
        _heard("f", "new", "anna", promise=("speaker", "text")),
    ]
    assert find_overlap(bound, known).by == {"text": ["e"], "speaker": ["f"]}


def test_a_promise_about_any_field_is_kept_by_training_that_knows_of_it() -> None:
    train, test = (
        [_heard("a", room="1")],
        [_heard("b", room="1", promise=("room",)), _heard("c", room="2", promise=("room",))],
    )
    assert find_overlap(test, training_set(train, test)).by == {"room": ["b"]}
    found = find_overlap(test, training_set(train))
    assert (found.by, found.unchecked) == ({}, ["room"])


def test_near_texts_count_where_the_split_joined_them() -> None:
    train = [_heard("a", "turn on the big light"), _heard("b", "one two three four five six")]
    near = [_heard("c", "turn off the big light"), _heard("d", "turn on the light"), _heard("e", "one two")]
    assert find_overlap(near, training_set(train, near)).by == {}
    bound = [_heard(i.utt_id, i.supervision["text"], promise=("text",), near_words=4) for i in near]
    assert find_overlap(bound, training_set(train, bound)).by == {"text": ["c", "d"]}


def test_the_note_in_the_model_says_the_same(tmp_path: Path) -> None:
    train = [_heard("a", "turn on the big light", audio="/x.wav"), _heard("b", "x")]
    test = [_heard("c", "turn on the light", promise=("text",), near_words=4), _heard("d", audio="/x.wav"), _heard("b")]
    known = training_set(train, test)
    known.save(tmp_path / TRAINING_SET_FILE)
    loaded = load_training_set(tmp_path)
    assert loaded is not None and find_overlap(test, loaded) == find_overlap(test, known)
    assert find_overlap(test, loaded).by == {"id": ["b"], "audio": ["d", "b"], "text": ["c"]}
    training_set(train[::-1], test).save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / TRAINING_SET_FILE).read_bytes()
    (tmp_path / TRAINING_SET_FILE).write_bytes(b"12345678")
    with pytest.raises(SpeechkitError, match="is damaged"):
        load_training_set(tmp_path)
    assert load_training_set(tmp_path / "elsewhere") is None


def test_cuts_and_lines_of_a_manifest_say_the_same(tmp_path: Path) -> None:
    cut = {
        "id": "a", "start": 1.5, "duration": 2.0, "channel": 0, "type": "MonoCut",
        "custom": {"promise": {"side": "test", "disjoint": ["session"], "near_words": 0}},
        "supervisions": [{"id": "a", "recording_id": "r", "start": 0.0, "duration": 2.0, "channel": 0, "text": "x",
                          "speaker": "anna", "custom": {"session": 3}}],
        "recording": {"id": "r", "sources": [{"type": "file", "channels": [0], "source": "audio/r.wav"}],
                      "sampling_rate": 8000, "num_samples": 80000, "duration": 10.0},
    }  # fmt: skip
    (tmp_path / "cuts.jsonl").write_text(json.dumps(cut) + "\n")
    (one,), (other,) = (
        list(heard_of_cuts(load_cuts(tmp_path / "cuts.jsonl"))),
        list(heard_of_manifest(tmp_path / "cuts.jsonl")),
    )
    for item in (one, other):
        assert (item.utt_id, item.audio) == ("a", f"{tmp_path.resolve()}/audio/r.wav")
        assert (item.start_ms, item.end_ms, item.promise) == (1500, 3500, (("session",), 0))
        assert [item.value(key) for key in ("session", "speaker", "text", "gender")] == ["3", "anna", "x", None]


def test_overlap_is_refused_unless_it_is_allowed() -> None:
    summary = find_overlap([_heard("a"), _heard("b")], training_set([_heard("a")])).summary()
    assert describe_overlap(summary) == "1 of 2 utterances (50.0 %) overlap with training: 1 by id, 1 by audio"
    with pytest.raises(CheckFailed, match="the dev set: 1 of 2 utterances") as failure:
        refuse_overlap(summary, "the dev set", allowed=False)
    assert failure.value.where == ["a"] and "--allow-overlap" in failure.value.hint
    refuse_overlap(summary, "the dev set", allowed=True)
    refuse_overlap(find_overlap([_heard("b")], training_set([_heard("a")])).summary(), "x", allowed=False)


def test_a_model_without_a_note_says_nothing(tmp_path: Path) -> None:
    assert overlap_with_training([], tmp_path) is None
