"""Kaldi data directories: whole files and segments, and faults by file and line."""

from __future__ import annotations

from pathlib import Path

import pytest
from make import make_wav

from speechkit.data.config import KaldiConfig
from speechkit.data.corpora.items import Prepared
from speechkit.data.corpora.kaldi import prepare
from speechkit.data.store import audio_path, load_cuts, save_manifests
from speechkit.errors import SpeechkitError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files of 1 s and 2 s, two utterances."""
    make_wav(tmp_path / "r1.wav", 1.0)
    make_wav(tmp_path / "r2.wav", 2.0)
    return write(
        tmp_path,
        **{"wav.scp": f"r2 {tmp_path}/r2.wav\nr1 {tmp_path}/r1.wav\n"},
        text="r1 one  two\nr2 three\n",
        utt2spk="r1 ann\nr2 ben\n",
    )


def write(folder: Path, **files: str) -> Path:
    for name, content in files.items():
        (folder / name).write_text(content)
    return folder


def read(folder: Path) -> Prepared:
    return prepare(folder, folder, KaldiConfig(), num_jobs=1)


def faults(folder: Path) -> list[str]:
    return sorted(str(item).removeprefix(f"{folder}/") for item in read(folder).bad)


def test_whole_files_become_cuts_with_speaker_gender_and_language(folder: Path) -> None:
    write(folder, spk2gender="ann f\n", utt2lang="r2 de\n")
    prepared = read(folder)
    assert not prepared.bad
    cuts = {cut.id: cut for cut in prepared.cuts}
    first, second = cuts["r1"].supervisions[0], cuts["r2"].supervisions[0]
    assert (first.text, first.speaker, first.gender, first.language) == ("one two", "ann", "f", None)
    assert (second.text, second.speaker, second.gender, second.language) == ("three", "ben", None, "de")
    assert audio_path(cuts["r2"]) == folder / "r2.wav"
    assert cuts["r2"].duration == 2.0


def test_segments_become_parts_of_recordings_and_survive_saving(folder: Path) -> None:
    write(
        folder,
        segments="a r2 0.5 1.25\nb r2 1.25 -1\nc r1 0 1.01\n",
        text="a one\nb two\nc three\n",
        utt2spk="a ann\nb ann\nc ben\n",
    )
    prepared = read(folder)
    assert not prepared.bad
    assert prepared.notes == ["1 segments ran past the end of the audio by up to 20 ms and were clipped"]
    save_manifests(prepared.cuts, folder / "saved")
    cuts = {cut.id: cut for cut in load_cuts(folder / "saved")}
    assert [(cuts[i].start, cuts[i].duration) for i in "abc"] == [(0.5, 0.75), (1.25, 0.75), (0.0, 1.0)]
    assert cuts["a"].recording_id == "r2"
    assert cuts["a"].supervisions[0].start == 0
    assert cuts["a"].load_audio().shape == (1, 6000)


def test_stored_recordings_are_unique_and_supervisions_count_from_their_start(folder: Path) -> None:
    from lhotse import load_manifest

    write(folder, segments="a r2 0.5 1.25\nb r2 1.25 2\n", text="a one\nb two\n", utt2spk="a ann\nb ann\n")
    save_manifests(read(folder).cuts, folder / "saved")
    assert [r.id for r in load_manifest(folder / "saved" / "recordings.jsonl.gz")] == ["r2"]
    assert [s.start for s in load_manifest(folder / "saved" / "supervisions.jsonl.gz")] == [0.5, 1.25]


def test_commands_in_wav_scp_are_refused_and_never_run(folder: Path) -> None:
    witness = folder / "witness"
    write(folder, **{"wav.scp": f"r1 touch {witness} |\nr2 {folder}/r2.wav\n"})
    (fault,) = faults(folder)
    assert f"wav.scp:1: `touch {witness} |` is a command" in fault
    assert not witness.exists()


def test_relative_audio_is_found_from_the_present_folder_and_from_the_data_directory(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_wav(folder / "there" / "x.wav", 1.0)
    monkeypatch.chdir(folder / "there")
    write(folder, **{"wav.scp": "r1 x.wav\nr2 r2.wav\n"})
    assert [audio_path(cut) for cut in read(folder).cuts] == [folder / "there" / "x.wav", folder / "r2.wav"]


def test_utterances_that_one_of_the_files_lacks_are_listed(folder: Path) -> None:
    write(folder, text="r1 one\nextra two\n", utt2spk="r2 ben\nextra ben\n")
    assert faults(folder) == [
        "text:2  extra  missing in wav.scp",
        "wav.scp:1  r2  missing in text",
        "wav.scp:2  r1  missing in utt2spk",
    ]


def test_malformed_lines_are_listed_by_file_and_line(folder: Path) -> None:
    write(
        folder,
        segments="a r2 0.5 1.25\nb r2 1.25\nc r2 1 x\nd r2 1.5 1.5\n"
        "e r2 -3 1\nf r9 0 1\ng r2 1 2.5\na r2 0 1\n\nh r2 nan -1\n",
        text="".join(f"{i} one\n" for i in "acdefgh") + "b\n",
        utt2spk="".join(f"{i} ann\n" for i in "abcdefgh"),
    )
    assert faults(folder) == [
        "segments:10  h  the segment runs from nan to -1 s",
        "segments:2  b  not `UTTERANCE RECORDING START END`",
        "segments:3  c  not `UTTERANCE RECORDING START END`",
        "segments:4  d  the segment runs from 1.5 to 1.5 s",
        "segments:5  e  the segment runs from -3 to 1 s",
        "segments:6  f  missing in wav.scp (recording `r9`)",
        "segments:7  g  the segment ends at 2.5 s, the audio at 2 s",
        f"segments:8  a  the key occurs twice, first at {folder}/segments:1",
        "segments:9  -  an empty line",
        "text:8  b  nothing after the key",
    ]
    assert [cut.id for cut in read(folder).cuts] == ["a"]


def test_unreadable_audio_spoils_each_of_its_utterances(folder: Path) -> None:
    (folder / "r2.wav").write_bytes(b"")
    write(folder, segments="a r2 0 1\nb r2 1 2\n", text="a one\nb two\n", utt2spk="a ann\nb ann\n")
    prepared = read(folder)
    assert [item.utt_id for item in prepared.bad] == ["a", "b"]
    assert all("wav.scp:1: audio file" in item.reason and "is empty" in item.reason for item in prepared.bad)


def test_a_folder_that_lacks_a_needed_file_is_no_kaldi_directory(folder: Path) -> None:
    (folder / "utt2spk").unlink()
    with pytest.raises(SpeechkitError, match="no `utt2spk`"):
        read(folder)
