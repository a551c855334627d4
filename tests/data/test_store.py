"""Manifests survive saving and loading, move with their audio, and say what is wrong with them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make import make_cut, make_wav

from speechkit.data.store import Word, audio_path, load_cuts, save_cuts, save_manifests, text_of, words_of
from speechkit.errors import SpeechkitError

seconds = st.integers(0, 8000).map(lambda n: n / 8000)
words = st.lists(st.builds(Word, st.text(min_size=1, max_size=4), seconds, seconds), max_size=4)


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_wav(tmp_path_factory.mktemp("audio") / "a.wav", 1.0)


@given(tiers=st.dictionaries(st.sampled_from(["word", "phone"]), words), text=st.text(max_size=9))
@settings(deadline=None, max_examples=30)
def test_cuts_survive_saving_and_loading(
    audio: Path, tmp_path_factory: pytest.TempPathFactory, tiers: dict[str, list[Word]], text: str
) -> None:
    path = tmp_path_factory.mktemp("saved") / "cuts.jsonl.gz"
    saved = make_cut("u1", audio, text=text, tiers=tiers, custom={"age": 7})
    save_cuts([saved], path)
    (loaded,) = load_cuts(path)
    assert text_of(loaded) == text
    assert words_of(loaded) == tiers.get("word", [])
    assert loaded.supervisions[0].custom == {"age": 7}
    assert (loaded.id, loaded.duration, loaded.num_samples) == (saved.id, 1.0, 8000)
    assert audio_path(loaded) == audio
    again = path.with_name("again.jsonl.gz")
    save_cuts([loaded], again)
    assert again.read_bytes() == path.read_bytes()


def test_iterating_gives_cuts_and_ids_find_them(audio: Path, tmp_path: Path) -> None:
    save_cuts([make_cut(name, audio) for name in ("b", "a")], tmp_path / "cuts.jsonl")
    cuts = load_cuts(tmp_path / "cuts.jsonl")
    assert [cut.id for cut in cuts] == ["b", "a"]
    assert cuts["a"].id == "a"


def test_audio_beside_the_manifest_moves_with_it(tmp_path: Path) -> None:
    inside = make_wav(tmp_path / "out" / "audio" / "a.wav")
    save_manifests([make_cut("u1", inside)], tmp_path / "out")
    moved = (tmp_path / "out").rename(tmp_path / "moved")
    assert audio_path(next(iter(load_cuts(moved)))) == moved / "audio" / "a.wav"


@pytest.mark.parametrize(
    "content, problem",
    [
        (b"", "holds no cuts"),
        (b"\x1f\x8b\x08garbage", "cannot read the manifest"),
        (gzip.compress(b'{"id": 1}\n', mtime=0)[:-9], "it is truncated"),
        (b'{"id":', "not valid JSON"),
        (b'{"id": "x"}', "not a lhotse cut"),
        (b"[]", "not a lhotse cut"),
    ],
)
def test_a_damaged_manifest_is_named(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "cuts.jsonl.gz"
    path.write_bytes(content)
    with pytest.raises(SpeechkitError, match=problem) as caught:
        load_cuts(path)
    assert str(path) in caught.value.render()


def test_an_id_that_occurs_twice_is_named_with_its_line(audio: Path, tmp_path: Path) -> None:
    save_cuts([make_cut("u1", audio), make_cut("u1", audio)], tmp_path / "cuts.jsonl")
    with pytest.raises(SpeechkitError, match=r"`u1` occurs twice\n.*cuts\.jsonl:2"):
        load_cuts(tmp_path / "cuts.jsonl")


def test_fields_that_can_not_be_stored_leave_no_file(audio: Path, tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        save_cuts([make_cut("u1", audio, custom={"x": object()})], tmp_path / "cuts.jsonl.gz")
    assert list(tmp_path.iterdir()) == []
    save_cuts([make_cut("u1", audio, custom={"x": {"y": [1]}})], tmp_path / "cuts.jsonl.gz")
    stored = json.loads(gzip.decompress((tmp_path / "cuts.jsonl.gz").read_bytes()))
    assert stored["supervisions"][0]["custom"] == {"x": {"y": [1]}}


@pytest.mark.parametrize(
    ("keys", "value", "problem"),
    [
        (["id"], 5, "the id 5 is no text"),
        (["channel"], 1, "channel 1 is not the first one"),
        (["channel"], None, "channel None is not the first one"),
        (["start"], -0.5, "`start` is -0.5"),
        (["start"], None, "`start` is None"),
        (["start"], "0", "`start` is '0'"),
        (["duration"], None, "`duration` is None"),
        (["duration"], "1", "`duration` is '1'"),
        (["duration"], 0, "`duration` is 0"),
        (["recording"], None, ""),
        (["recording", "sampling_rate"], 0, "`sampling_rate` is 0"),
        (["recording", "sampling_rate"], 8000.5, "`sampling_rate` is 8000.5"),
        (["recording", "sampling_rate"], "8000", "`sampling_rate` is '8000'"),
        (["recording", "sources"], [], ""),
        (["recording", "sources", 0, "source"], 5, "from 5, not a file"),
        (["recording", "sources", 0, "type"], "command", "the audio is a 'command'"),
        (["recording", "sources", 0, "channels"], [], "`channels` of the source is []"),
        (["recording", "transforms"], [{"name": "Speed", "kwargs": {"factor": 1.1}}], "has `transforms`"),
        (["recording", "transforms"], [{"name": "Resample", "kwargs": {}}], ""),
        (["supervisions", 0, "start"], None, ""),
        (["supervisions", 0, "duration"], "1", ""),
        (["supervisions", 0, "alignment", "word", 0, 1], "x", "alignment `word`: start 'x'"),
        (["supervisions", 0, "alignment", "word", 0, 2], None, "alignment `word`: start 0.0 or duration None"),
    ],
)
def test_what_would_be_misread_is_refused_with_its_line(
    audio: Path, tmp_path: Path, keys: list[str | int], value: object, problem: str
) -> None:
    path = tmp_path / "cuts.jsonl"
    save_cuts([make_cut("u1", audio), make_cut("u2", audio, tiers={"word": [Word("one", 0.0, 0.5)]})], path)
    first, second = gzip.decompress(path.read_bytes()).splitlines()
    cut = json.loads(second)
    node = cut
    for key in keys[:-1]:
        node = node[key]
    node[keys[-1]] = value
    path.write_bytes(first + b"\n" + json.dumps(cut).encode() + b"\n")
    with pytest.raises(SpeechkitError) as caught:
        load_cuts(path)
    assert problem in caught.value.what
    assert caught.value.where[0].startswith(f"{path}:2")


def test_a_file_of_one_channel_may_bear_another_number(audio: Path, tmp_path: Path) -> None:
    cut = make_cut("u1", audio)
    cut.channel, cut.recording.sources[0].channels = 3, [3]
    save_cuts([cut], tmp_path / "cuts.jsonl")
    assert load_cuts(tmp_path / "cuts.jsonl")["u1"].channel == 3
