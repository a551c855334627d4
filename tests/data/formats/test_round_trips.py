"""What goes into a format comes out of it, except for what is named as lost: on utterances made by hypothesis."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from make import make_wav

from speechkit.data.config import KaldiConfig, TsvConfig
from speechkit.data.corpora import kaldi, tsv
from speechkit.data.corpora.items import Prepared
from speechkit.data.formats.kaldi_dir import write_kaldi
from speechkit.data.formats.marks import (
    AudioIndex,
    read_ctm_as_cuts,
    read_stm_as_cuts,
    read_textgrids,
    write_ctm_of,
    write_textgrids,
)
from speechkit.data.formats.nemo import read_nemo, write_nemo
from speechkit.data.formats.shar import read_shar, write_shar
from speechkit.data.formats.stm import write_stm
from speechkit.data.formats.table import write_table
from speechkit.data.formats.utterance import Losses, Utterance, cut_of, utterances_of
from speechkit.data.store import Word
from speechkit.errors import SpeechkitError

RATE = 8000
SECONDS = {"r0": 2.0, "r1": 3.0}
PLAIN = st.characters(codec="utf-8")
NAMES = st.text(PLAIN, min_size=1, max_size=4)
TEXTS = st.sampled_from(["", "one two", "a  b ", "c\td", "<x> e", 'say "it"']) | st.text(PLAIN, max_size=6)
VALUES = (
    st.text(PLAIN, max_size=4) | st.integers(-9, 99) | st.booleans() | st.floats(0, 1) | st.lists(st.integers(0, 3))
)
KEYS = st.sampled_from(["age", "digit", "split", "id", "text", "gender", "start"]) | NAMES


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("audio")
    return {name: make_wav(folder / f"{name}.wav", seconds, RATE) for name, seconds in SECONDS.items()}


@pytest.fixture(autouse=True, scope="module")
def no_fsync() -> Iterator[None]:
    """A power cut is not what is tried here, hundreds of times."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda descriptor: None)
        yield


@st.composite
def tiers(draw: st.DrawFn, samples: int) -> dict[str, list[Word]]:
    found = {}
    for name in draw(st.lists(st.sampled_from(["word", "phone", "text", "odd tier"]), unique=True, max_size=2)):
        edges = sorted(draw(st.sets(st.integers(0, samples), min_size=2, max_size=5)))
        symbols = draw(
            st.lists(st.sampled_from(["a", "b c", "", 'd"']), min_size=len(edges) - 1, max_size=len(edges) - 1)
        )
        score = draw(st.none() | st.floats(0, 1))
        found[name] = [
            Word(symbol, round(low / RATE, 8), round((high - low) / RATE, 8), score)
            for low, high, symbol in zip(edges[:-1], edges[1:], symbols, strict=True)
        ]
    return found


@st.composite
def utterance_lists(draw: st.DrawFn) -> list[Utterance]:
    made = []
    for utt_id in draw(st.lists(NAMES, min_size=1, max_size=4, unique=True)):
        recording = draw(st.sampled_from(sorted(SECONDS)))
        total = round(SECONDS[recording] * RATE)
        start, end = sorted(draw(st.lists(st.integers(0, total), min_size=2, max_size=2, unique=True)))
        start, end = draw(st.sampled_from([(0, total), (start, end)]))
        is_whole = (start, end) == (0, total)
        made.append(
            Utterance(
                utt_id=utt_id,
                recording_id=draw(st.sampled_from([utt_id, recording])) if is_whole else recording,
                audio=Path(recording),
                sampling_rate=RATE,
                recording_samples=total,
                start_seconds=start / RATE,
                duration_seconds=(end - start) / RATE,
                text=draw(TEXTS),
                speaker=draw(st.none() | st.sampled_from(["ann", "bob", "two words"])),
                gender=draw(st.none() | st.sampled_from(["f", "m", "female"])),
                language=draw(st.none() | st.sampled_from(["en", "x y"])),
                tiers=draw(tiers(end - start)),
                custom=draw(st.dictionaries(KEYS, VALUES, max_size=2)),
            )
        )
    return made


def write_in_folder(write: Callable[..., int]) -> Callable[..., int]:
    def written(utterances: list[Utterance], path: Path, losses: Losses) -> int:
        path.mkdir()
        return write(utterances, path, losses)

    return written


def read_kaldi(path: Path, index: AudioIndex) -> Prepared:
    return kaldi.prepare(path, path, KaldiConfig(), num_jobs=1)


def read_table(path: Path, index: AudioIndex) -> Prepared:
    return tsv.prepare(path, path, TsvConfig(may_be_empty="text,speaker"), num_jobs=1)


def bare(index: AudioIndex) -> AudioIndex:
    """The utterances of a manifest without what their own marks shall bring back."""
    return AudioIndex(index.files, {k: replace(u, text="", tiers={}) for k, u in index.utterances.items()})


FORMATS: dict[str, tuple[Callable[..., int], Callable[[Path, AudioIndex], Prepared]]] = {
    "kaldi": (write_in_folder(write_kaldi), read_kaldi),
    "tsv": (write_table, read_table),
    "nemo": (write_nemo, lambda path, index: read_nemo(path, num_jobs=1)),
    "shar": (write_in_folder(write_shar), lambda path, index: read_shar(path, path.with_name("unpacked"))),
    "textgrid": (write_in_folder(write_textgrids), lambda path, index: read_textgrids(path, bare(index))),
    "stm": (write_stm, lambda path, index: read_stm_as_cuts(path, AudioIndex(index.files, {}))),
}


def assert_kaldi_accepts(folder: Path) -> None:
    """What `utils/validate_data_dir.sh --no-feats --no-spk-sort` asks for."""
    tables = {}
    for file in folder.iterdir():
        assert file.read_bytes().endswith(b"\n")
        lines = [line.split(b" ", 1) for line in file.read_bytes().split(b"\n")[:-1]]
        tables[file.name] = dict(lines)
        keys = [line[0] for line in lines]
        assert keys == sorted(set(keys)), f"{file.name} is not sorted as LC_ALL=C has it"
    utterances = list(tables["utt2spk"])
    for name in ("text", "utt2dur", "utt2lang", "segments"):
        assert name not in tables or list(tables[name]) == utterances
    speakers: dict[bytes, list[bytes]] = {}
    for utt_id, speaker in tables["utt2spk"].items():
        assert len(speaker.split()) == 1
        speakers.setdefault(speaker, []).append(utt_id)
    assert {k: v.split() for k, v in tables["spk2utt"].items()} == speakers
    if "spk2gender" in tables:
        assert list(tables["spk2gender"]) == list(tables["spk2utt"])
        assert set(tables["spk2gender"].values()) <= {b"m", b"f"}
    if "segments" in tables:
        fields = [value.split() for value in tables["segments"].values()]
        assert all(len(f) == 3 and float(f[2]) > float(f[1]) for f in fields)
        assert sorted({f[0] for f in fields}) == list(tables["wav.scp"])
    else:
        assert list(tables["wav.scp"]) == utterances


def excused(name: str, losses: list[str]) -> bool:
    """True when some loss of an utterance is about this field."""
    words = {
        "place": r"the place in|times between samples",
        "recording_id": r"id of the recording|the place in",
        "utt_id": r"id of the utterance",
        "speaker": r"^speaker|no speaker|in speaker$",
        "gender": r"^gender|wording of the gender|in gender$",
        "language": r"^language|white space in lang",
        "text": r"^text|in the text$|in text$",
    }
    return any(re.search(words.get(name, re.escape(name)), loss) for loss in losses)


def differences(before: Utterance, after: Utterance) -> set[str]:
    """Names of the fields that are not the same."""
    found = {n for n in ("speaker", "gender", "language", "text") if getattr(before, n) != getattr(after, n)}
    found |= {n for n in ("recording_id", "utt_id") if getattr(before, n) != getattr(after, n)}
    places = [(u.start_seconds, u.duration_seconds) for u in (before, after)]
    found |= {"place"} if places[0] != pytest.approx(places[1], abs=1e-7) else set()
    for name in before.tiers.keys() | after.tiers.keys():
        found |= {f"alignment `{name}`"} if before.tiers.get(name) != after.tiers.get(name) else set()
    for name in before.custom.keys() | after.custom.keys():
        pair = [before.custom.get(name), after.custom.get(name)]
        found |= {f"custom field `{name}`"} if pair[0] != pair[1] or type(pair[0]) is not type(pair[1]) else set()
    return found


@pytest.mark.parametrize("kind", sorted(FORMATS))
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=25, deadline=None
)
@given(data=st.data())
def test_nothing_is_lost_that_is_not_named(
    kind: str, data: st.DataObject, audio: dict[str, Path], tmp_path_factory: Any
) -> None:
    utterances = [replace(u, audio=audio[str(u.audio)]) for u in data.draw(utterance_lists())]
    if kind == "kaldi":  # one recording id is one file
        utterances = list(
            {u.utt_id: u for u in utterances if u.recording_id != u.utt_id or u.utt_id not in SECONDS}.values()
        )
    if not utterances:
        return
    index = AudioIndex({u.recording_id: u.audio for u in utterances}, {u.utt_id: u for u in utterances})
    path = tmp_path_factory.mktemp("trip") / f"out.{kind}"
    losses = Losses()
    write, read = FORMATS[kind]
    try:
        num_written = write(utterances, path, losses)
    except SpeechkitError as error:
        assert error.what == "no utterance is left to write"
        num_written = 0
    lost = {u.utt_id: [what for what, ids in losses.ids.items() if u.utt_id in ids] for u in utterances}
    kept = [u for u in utterances if not any(what.startswith("the utterance:") for what in lost[u.utt_id])]
    assert num_written == len(kept)
    if not kept:
        return
    if kind == "kaldi":
        assert_kaldi_accepts(path)
    prepared = read(path, index)
    assert not prepared.bad
    again = list(utterances_of(prepared.cuts, Losses()))
    assert len(again) == len({u.utt_id for u in again}) == len(kept)
    if kind == "stm":
        kept.sort(key=lambda u: (u.recording_id, u.start_seconds))
    else:
        by_id = {u.utt_id: u for u in again}
        again = [by_id[u.utt_id] for u in kept]
    for u, other in zip(kept, again, strict=True):
        unnamed = {name for name in differences(u, other) if not excused(name, lost[u.utt_id])}
        assert not unnamed, (unnamed, lost[u.utt_id], u, other)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(data=st.data())
def test_words_of_a_ctm_return_to_their_utterances(data: st.DataObject, audio: dict[str, Path], tmp_path: Path) -> None:
    drawn = [replace(u, audio=audio[str(u.audio)]) for u in data.draw(utterance_lists())]
    utterances = [replace(u, recording_id=f"r{k}-{u.utt_id}") for k, u in enumerate(drawn)]  # none overlap
    losses = Losses()
    try:
        count = write_ctm_of(utterances, tmp_path / "w.ctm", losses)
    except SpeechkitError:
        return
    lost = {utt_id for what, ids in losses.ids.items() if what.startswith("the utterance:") for utt_id in ids}
    assert count == len(utterances) - len(lost)
    without = {u.utt_id: replace(u, tiers={k: v for k, v in u.tiers.items() if k != "word"}) for u in utterances}
    prepared = read_ctm_as_cuts(tmp_path / "w.ctm", AudioIndex({}, without))
    assert not prepared.bad
    for u in utterances_of(prepared.cuts, Losses()):
        before = next(b for b in utterances if b.utt_id == u.utt_id)
        if u.utt_id not in lost:
            assert [w.symbol for w in u.tiers["word"]] == [w.symbol for w in before.tiers["word"]]
            for got, meant in zip(u.tiers["word"], before.tiers["word"], strict=True):
                assert (got.start_seconds, got.score) == (pytest.approx(meant.start_seconds, abs=1e-7), meant.score)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(data=st.data())
def test_cuts_and_utterances_are_two_views_of_one_thing(data: st.DataObject) -> None:
    for u in data.draw(utterance_lists()):
        losses = Losses()
        (again,) = utterances_of([cut_of(u)], losses)
        meant = dict(u.custom)
        if meant.get("gender") == u.gender:
            meant.pop("gender", None)
        assert replace(again, custom={}) == replace(u, custom={})
        assert again.custom == meant
        assert not losses.ids


def test_a_shar_id_that_ends_with_a_dot_comes_back(audio: dict[str, Path], tmp_path: Path) -> None:
    u = Utterance("0.", "0.", audio["r0"], 8000, 16000, 0.0, 2.0)
    write, read = FORMATS["shar"]
    assert write([u], tmp_path / "out.shar", Losses()) == 1
    prepared = read(tmp_path / "out.shar", AudioIndex({}, {}))
    assert [cut.id for cut in prepared.cuts] == ["0."] and not prepared.bad
