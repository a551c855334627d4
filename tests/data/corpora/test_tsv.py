"""Tables: what is taken over, and every planted fault by line and reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from make import make_broken_audio, make_table, make_wav

from speechkit.data.config import TsvConfig
from speechkit.data.corpora.items import Prepared
from speechkit.data.corpora.tsv import prepare
from speechkit.data.store import audio_path
from speechkit.errors import ConfigError, SpeechkitError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_wav(tmp_path / "a.wav", 0.5, 8000)
    make_wav(tmp_path / "b.wav", 0.25, 16000)
    return tmp_path


def read(source: Path, **options: object) -> Prepared:
    return prepare(source, source, TsvConfig(**options), num_jobs=2)  # type: ignore[arg-type]


def faults(source: Path, **options: object) -> list[str]:
    """Line and reason of every unusable row."""
    return sorted(
        f"{item.where.rpartition(':')[2]} {item.utt_id} {item.reason}" for item in read(source, **options).bad
    )


def test_rows_become_cuts_in_the_order_of_the_table(folder: Path) -> None:
    make_table(
        folder / "manifest.tsv",
        "id path speaker text sr samples dur split gender lang age pcm",
        "u2 b.wav ben Zwei_Worte 16000 4000 0.25 dev m de 7 0012",
        "u1 a.wav ann One 8000 4000 0.5 train f en - -",
    )
    cuts = read(folder).cuts
    assert [cut.id for cut in cuts] == ["u2", "u1"]
    first, second = cuts[0].supervisions[0], cuts[1].supervisions[0]
    assert (first.text, first.speaker, first.gender, first.language) == ("Zwei Worte", "ben", "m", "de")
    assert first.custom == {"split": "dev", "gender": "m", "age": 7, "pcm": "0012"}
    assert second.custom == {"split": "train", "gender": "f"}
    assert (cuts[0].sampling_rate, cuts[0].num_samples, cuts[0].duration) == (16000, 4000, 0.25)
    assert audio_path(cuts[1]) == folder / "a.wav"


def test_a_table_of_any_name_is_read_and_paths_are_relative_to_it(folder: Path) -> None:
    table = make_table(folder / "lists" / "mine.tsv", "id path speaker text", "u1 ../a.wav ann one")
    assert audio_path(read(table).cuts[0]) == folder / "a.wav"


def test_options_choose_rows_column_and_case(folder: Path) -> None:
    make_table(
        folder / "manifest.tsv",
        "id path speaker text said split kind",
        "u1 a.wav ann x One_TWO train digits",
        "u2 a.wav ann x Three train words",
        "u3 a.wav ann x Four dev digits",
        "u4 a.wav ann x Five test digits",
    )
    kept = read(folder, where="split:train|dev,kind:digits", text_column="said", case="lower").cuts
    assert [cut.supervisions[0].text for cut in kept] == ["one two", "four"]
    assert read(folder, case="upper").cuts[0].supervisions[0].text == "X"


@pytest.mark.parametrize(
    "where, problem",
    [("split", "is no filter"), ("fold:1", "no column `fold`"), ("split:exam", "values of `split`: train")],
)
def test_a_filter_that_can_not_work_is_a_config_error(folder: Path, where: str, problem: str) -> None:
    make_table(folder / "manifest.tsv", "id path speaker text split", "u1 a.wav ann one train")
    with pytest.raises(ConfigError, match=problem):
        read(folder, where=where)


def test_crlf_a_byte_order_mark_and_blanks_around_fields_are_accepted(folder: Path) -> None:
    table = folder / "manifest.tsv"
    table.write_bytes(b"\xef\xbb\xbfid\tpath\tspeaker\ttext\r\nu1\t a.wav \tann\tone  two \r\n")
    prepared = read(folder)
    assert not prepared.bad
    assert prepared.cuts[0].supervisions[0].text == "one two"


@pytest.mark.parametrize(
    "content, problem",
    [
        (b"", "is empty"),
        (b"\r\n \n", "is empty"),
        (b"id\tpath\tspeaker\ttext\n", "a header line and nothing else"),
        (b"id\tpath\ttext\nu1\ta.wav\tone\n", "missing column `speaker`"),
        (b"path\ttext\nu1\tone\n", "missing columns `id`, `speaker`"),
        (b"id\tid\tpath\tspeaker\ttext\n", "column `id` occurs twice"),
        (b"id\tp\xffth\n", "header line is not UTF-8"),
    ],
)
def test_a_table_without_a_sound_header_is_refused(folder: Path, content: bytes, problem: str) -> None:
    (folder / "manifest.tsv").write_bytes(content)
    with pytest.raises(SpeechkitError, match=problem):
        read(folder)


def test_a_missing_column_is_named_with_the_present_ones_and_the_line(folder: Path) -> None:
    make_table(folder / "manifest.tsv", "id path text", "u1 a.wav one")
    with pytest.raises(SpeechkitError) as caught:
        read(folder)
    assert caught.value.where == [f"{folder / 'manifest.tsv'}:1  present: id, path, text"]


def test_a_folder_without_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpeechkitError, match=r"no `manifest\.tsv`"):
        read(tmp_path)


def test_all_faulty_rows_are_found_in_one_pass(folder: Path) -> None:
    make_table(
        folder / "manifest.tsv",
        "id path speaker text",
        "u1 a.wav ann one",
        "u2 a.wav ann",
        "u3 a.wav ann one two",
        "u1 a.wav ann one",
        "- a.wav ann one",
        "u6 - ann one",
        "u7 a.wav - -",
        "u_8 a.wav ann one",
    )
    with (folder / "manifest.tsv").open("ab") as table:
        table.write(b"\nu11\ta.wav\tann\tna\xefve\n")
    assert faults(folder) == [
        "10 - an empty line, 4 expected",
        "11 - not UTF-8: byte 0xef at position 17",
        "3 u2 3 fields, 4 expected",
        "4 u3 5 fields, 4 expected",
        f"5 u1 the id occurs twice, first at {folder / 'manifest.tsv'}:2",
        "6 - empty `id`",
        "7 u6 empty `path`",
        "8 u7 empty `speaker`; empty `text`",
        "9 u 8 the id holds a blank",
    ]
    assert [cut.id for cut in read(folder).cuts] == ["u1"]


@pytest.mark.parametrize(
    "kind, reason",
    [
        ("missing", "does not exist"),
        ("zero_bytes", r"is empty \(0 bytes\)"),
        ("not_audio", "cannot read the audio file"),
        ("truncated", "truncated|cannot read"),
        ("no_samples", "holds no samples"),
    ],
)
def test_unusable_audio_is_found(folder: Path, kind: str, reason: str) -> None:
    name = make_broken_audio(folder)[kind].name
    make_table(folder / "manifest.tsv", "id path speaker text", "u1 a.wav ann one", f"u2 {name} ann one")
    (bad,) = read(folder).bad
    assert bad.where == f"{folder / 'manifest.tsv'}:3"
    assert bad.utt_id == "u2"
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(bad.reason)


def test_declared_rate_samples_and_duration_are_compared_with_the_file(folder: Path) -> None:
    make_table(
        folder / "manifest.tsv",
        "id path speaker text sr samples dur",
        "u1 a.wav ann one 8000 4000 0.51",
        "u2 a.wav ann one 16000 4001 0.6",
        "u3 a.wav ann one fast 4000 nan",
    )
    assert faults(folder) == [
        "3 u2 `sr` says 16000, the file has 8000; `samples` says 4001, the file has 4000;"
        " `dur` says 0.6, the file has 0.5",
        "4 u3 `sr` is not a number: fast; `dur` says nan, the file has 0.5",
    ]
    assert faults(folder, check_audio=False) == []


def test_files_of_several_channels_are_counted(folder: Path) -> None:
    make_wav(folder / "c.wav", channels=2)
    make_table(folder / "manifest.tsv", "id path speaker text", "u1 c.wav ann one", "u2 a.wav ann one")
    assert read(folder).notes == ["1 files have more than one channel: the first is used"]


def test_whole_numbers_too_long_for_a_manifest_stay_texts(folder: Path) -> None:
    make_table(folder / "manifest.tsv", "id path speaker text age", f"u1 a.wav ann one {'9' * 5000}")
    (cut,) = read(folder).cuts
    assert cut.supervisions[0].custom == {"age": "9" * 5000}
