"""Marks beside audio: what STM lines, TextGrids of others and folders of audio are taken for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from make import make_cut, make_wav

from speechkit.data.formats.marks import AudioIndex, read_ctm_as_cuts, read_stm_as_cuts, read_textgrids
from speechkit.data.formats.stm import read_stm
from speechkit.data.formats.textgrid import write_textgrid
from speechkit.data.store import Word, save_cuts, words_of
from speechkit.errors import ConfigError, SpeechkitError


@pytest.fixture
def index(tmp_path: Path) -> AudioIndex:
    make_wav(tmp_path / "audio" / "call.wav", 4.0)
    return AudioIndex.of(tmp_path / "audio")


def test_stm_lines_are_read_with_and_without_labels(tmp_path: Path) -> None:
    path = tmp_path / "a.stm"
    path.write_text(
        ";; a comment\ncall 1 ann 0.5 1.25 <o,f0,male> one  two\ncall A bob 1.25 2\ncall 1 ann 2 3 three\n"
        "call 1 x 3 4 IGNORE_TIME_SEGMENT_IN_SCORING\ncall 1 ann 3 2 back\ncall 1 ann 3\ncall 1 ann -1 2 before\n"
    )
    segments, bad = read_stm(path)
    assert [(s.speaker, s.start_seconds, s.end_seconds, s.text) for s in segments] == [
        ("ann", 0.5, 1.25, "one two"),
        ("bob", 1.25, 2.0, ""),
        ("ann", 2.0, 3.0, "three"),
    ]
    assert [item.where.rpartition(":")[2] for item in bad] == ["6", "7", "8"]
    assert bad[0].reason == "the segment runs from 3 to 2 s"


def test_segments_of_an_stm_become_cuts_named_by_speaker_and_place(tmp_path: Path, index: AudioIndex) -> None:
    path = tmp_path / "a.stm"
    path.write_text("call 1 ann 0.5 1.25 one\ncall 1 unknown 2 3 two\ncall 1 ann 3.5 9 three\nlost 1 ann 0 1 four\n")
    prepared = read_stm_as_cuts(path, index)
    assert [(c.id, c.start, c.duration, c.supervisions[0].speaker) for c in prepared.cuts] == [
        ("ann-call-0000500-0001250", 0.5, 0.75, "ann"),
        ("unknown-call-0002000-0003000", 2.0, 1.0, None),
    ]
    assert [item.reason for item in prepared.bad] == [
        "it ends at 9 s, the audio at 4 s",
        "no audio file `lost` and no recording of this id in --audio",
    ]


def test_words_without_a_manifest_are_the_text_of_whole_recordings(tmp_path: Path, index: AudioIndex) -> None:
    path = tmp_path / "a.ctm"
    path.write_text("call 1 1.5 0.5 two\ncall 1 0.5 0.5 one 0.9\nlost 1 0 1 x\n")
    prepared = read_ctm_as_cuts(path, index)
    (cut,) = prepared.cuts
    assert (cut.id, cut.duration, cut.supervisions[0].text) == ("call", 4.0, "one two")
    assert words_of(cut) == [Word("one", 0.5, 0.5, 0.9), Word("two", 1.5, 0.5)]
    assert [item.utt_id for item in prepared.bad] == ["lost"]


def test_words_outside_every_utterance_are_named(tmp_path: Path, index: AudioIndex) -> None:
    path = tmp_path / "a.ctm"
    path.write_text("call 1 0.2 0.2 early\ncall 1 1.5 0.5 two\ncall 1 500 0.5 late\n")
    part = AudioIndex({}, {"u": replace(index.whole("call"), utt_id="u", start_seconds=1.0, duration_seconds=2.0)})
    for audio, words, outside in ((index, ["early", "two"], ["late"]), (part, ["two"], ["early", "late"])):
        prepared = read_ctm_as_cuts(path, audio)
        assert [w.symbol for cut in prepared.cuts for w in words_of(cut)] == words
        assert [item.reason.split("`")[1] for item in prepared.bad] == outside
        assert prepared.bad[-1].reason == "`late` at 500 s lies in no utterance"


def test_tiers_of_the_montreal_aligner_get_our_names(tmp_path: Path, index: AudioIndex) -> None:
    tiers = {"ann - words": [Word("hi", 0.5, 1.0)], "ann - phones": [Word("HH", 0.5, 0.4), Word("AY", 0.9, 0.6)]}
    write_textgrid(tmp_path / "grids" / "call.TextGrid", tiers, end_seconds=4.0)
    (cut,) = read_textgrids(tmp_path / "grids", index).cuts
    assert cut.supervisions[0].text == "hi"
    assert [item.symbol for item in cut.supervisions[0].alignment["phone"]] == ["HH", "AY"]


def test_a_grid_without_audio_or_of_another_length_is_named(tmp_path: Path, index: AudioIndex) -> None:
    write_textgrid(tmp_path / "grids" / "call.TextGrid", {}, end_seconds=2.0)
    write_textgrid(tmp_path / "grids" / "lost.TextGrid", {}, end_seconds=2.0)
    prepared = read_textgrids(tmp_path / "grids", index)
    assert not prepared.cuts
    assert [item.reason for item in prepared.bad] == [
        "it ends at 2 s, the audio at 4 s",
        "no audio file `lost` and no recording of this id in --audio",
    ]
    with pytest.raises(SpeechkitError, match=r"no `\*\.TextGrid` in"):
        read_textgrids(tmp_path / "audio", index)


def test_two_audio_files_of_one_name_are_refused(tmp_path: Path, index: AudioIndex) -> None:
    make_wav(tmp_path / "audio" / "deep" / "call.flac")
    with pytest.raises(SpeechkitError, match="two audio files are called `call`"):
        AudioIndex.of(tmp_path / "audio")
    with pytest.raises(ConfigError, match="--audio FOLDER"):
        AudioIndex.of(None)


def test_a_manifest_gives_recordings_and_utterances(tmp_path: Path) -> None:
    save_cuts([make_cut("u1", make_wav(tmp_path / "a.wav"))], tmp_path / "m.jsonl.gz")
    found = AudioIndex.of(tmp_path / "m.jsonl.gz")
    assert found.files == {"u1": tmp_path / "a.wav"}
    assert found.utterances["u1"].text == "one two"
