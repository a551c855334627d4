"""Readers of transcripts: every format, and every fault with its line."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from speechkit.errors import SpeechkitError
from speechkit.score.transcripts import read_transcripts


def write(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


FORMATS = {
    "text": b"b-2 seven  two\n\na-1\tone \n",
    "ref.trn": b";; a comment\nseven  two (b-2)\n\none (a-1)\n",
    "hyp.jsonl": b'{"id": "b-2", "text": "seven  two", "speaker": "b"}\n{"id": "a-1", "text": "one"}\n',
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"], ids=["lf", "crlf"])
def test_every_format_gives_the_same_ids_and_texts(tmp_path: Path, name: str, line_end: bytes) -> None:
    found = read_transcripts(write(tmp_path, name, FORMATS[name].replace(b"\n", line_end)))
    assert found.ids == ["b-2", "a-1"]
    assert found.texts() == ["seven two", "one"]


@pytest.mark.parametrize("name", FORMATS)
def test_a_byte_order_mark_is_no_part_of_an_id(tmp_path: Path, name: str) -> None:
    assert read_transcripts(write(tmp_path, name, b"\xef\xbb\xbf" + FORMATS[name])).ids == ["b-2", "a-1"]


def test_packed_files_and_folders_are_read(tmp_path: Path) -> None:
    write(tmp_path, "hyp.jsonl", FORMATS["hyp.jsonl"])
    packed = write(tmp_path, "x.trn.gz", gzip.compress(FORMATS["ref.trn"]))
    assert read_transcripts(tmp_path).texts() == read_transcripts(packed).texts()


def test_fields_of_jsonl_are_kept(tmp_path: Path) -> None:
    assert read_transcripts(write(tmp_path, "hyp.jsonl", FORMATS["hyp.jsonl"])).fields == {"speaker": ["b", ""]}


def test_plain_sentences_need_no_ids(tmp_path: Path) -> None:
    assert read_transcripts(write(tmp_path, "train.txt", b"one two\n\nthree\n")).texts() == ["one two", "three"]


def test_a_text_without_words_and_without_line_end_is_empty(tmp_path: Path) -> None:
    assert read_transcripts(write(tmp_path, "text", b"a one\nb")).texts() == ["one", ""]


def test_unicode_words_stay_whole(tmp_path: Path) -> None:
    found = read_transcripts(write(tmp_path, "text", "a  na\u00efve \u5929\u5730 a\u00a0b".encode()))
    assert found.text(0).split(" ") == ["na\u00efve", "\u5929\u5730", "a\u00a0b"]


FAULTS = {
    "empty": ("text", b"\n\n", "holds no utterances", ""),
    "duplicate": ("text", b"a one\nb two\na three\n", "1 ids occur more than once", "text:3  a, first in line 1"),
    "nul": ("text", b"a one\nb t\0o\n", "NUL byte", "text:2"),
    "latin1": ("text", b"a one\nb caf\xe9\n", "byte 0xe9 is not UTF-8", "text:2"),
    "trn without id": ("x.trn", b"one (a)\ntwo three\n", "do not end in an utterance id", "x.trn:2  two three"),
    "not json": ("x.jsonl", b'{"id": "a", "text": ""}\n{"id"\n', "not valid JSON", "x.jsonl:2"),
    "no text": ("x.jsonl", b'{"id": "a", "text": ""}\n{"id": "b"}\n', "the field `text` is missing", "x.jsonl:2"),
    "number as id": ("x.jsonl", b'{"id": 7, "text": ""}\n', "the field `id` is int, not text", "x.jsonl:1"),
    "nul in json": ("x.jsonl", b'{"id": "a", "text": "x\\u0000"}\n', "NUL", "x.jsonl:1"),
    "list": ("x.jsonl", b"[1]\n", "not a JSON object", "x.jsonl:1"),
    "truncated gzip": ("x.trn.gz", gzip.compress(b"one (a)\n" * 99)[:-6], "cannot read", ""),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named_with_their_line(tmp_path: Path, fault: str) -> None:
    name, content, what, where = FAULTS[fault]
    with pytest.raises(SpeechkitError) as caught:
        read_transcripts(write(tmp_path, name, content))
    assert what in caught.value.what
    assert where in "\n".join(caught.value.where)


def test_a_missing_file_and_a_folder_without_transcripts_are_named(tmp_path: Path) -> None:
    with pytest.raises(SpeechkitError, match="does not exist"):
        read_transcripts(tmp_path / "text")
    with pytest.raises(SpeechkitError, match="holds no transcripts"):
        read_transcripts(tmp_path)


def test_a_no_break_space_is_part_of_a_word_whatever_is_done_to_the_text(
    tmp_path: Path, run_speechkit: Callable[..., Any]
) -> None:
    text = "a one\u00a0two x\n"
    write(tmp_path, "text", text.encode())
    write(tmp_path, "nbest", '{"id": "a", "nbest": ["one\u00a0two x"]}\n'.encode())
    write(tmp_path, "r.stm", "f A s 0 2 one\u00a0two x\n".encode())
    write(tmp_path, "h.ctm", "f A 0 1 one\u00a0two\nf A 1 1 x\n".encode())
    write(tmp_path, "rules", b"y => z\n")
    runs = [("text", "text", "--nbest", "nbest"), ("text", "text", "--case", "unicode"), ("r.stm", "h.ctm")]
    runs += [("r.stm", "h.ctm", "--normalize", "rules"), ("h.ctm", "h.ctm", "--by-time")]
    for run in runs:
        names = [str(tmp_path / part) if (tmp_path / part).is_file() else part for part in run]
        result = run_speechkit("score", "wer", *names, "--json", tmp_path / "out.json")
        assert result.exit_code == 0, result.stderr
        found = json.loads((tmp_path / "out.json").read_text())
        assert (found["num_ref_words"], found["num_hyp_words"], found["wer"]) == (2, 2, 0.0), run
        assert found.get("oracle", found)["wer"] == 0.0


def test_plain_text_files_are_scored_only_when_it_is_said_what_they_hold(
    tmp_path: Path, run_speechkit: Callable[..., Any]
) -> None:
    write(tmp_path, "ref.txt", b"a one\nb two\n")
    write(tmp_path, "hyp.txt", b"b two\na one\n")
    command = ["score", "wer", tmp_path / "ref.txt", tmp_path / "hyp.txt", "--fail-above", "0"]
    result = run_speechkit(*command)
    assert result.exit_code == 2 and "--ref-format text" in result.stderr
    assert "--hyp-format text" in run_speechkit(*command, "--ref-format", "text").stderr
    assert run_speechkit(*command, "--ref-format", "text", "--hyp-format", "text").exit_code == 0
    assert run_speechkit(*command, "--ref-format", "lines", "--hyp-format", "lines").exit_code == 3


def test_a_missing_file_is_named_before_the_form_of_the_other(
    run_speechkit: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "hyp.txt").write_text("a hello\n")
    for words in (("ref.txt", "hyp.txt"), ("hyp.txt", "ref.txt")):
        done = run_speechkit("score", "wer", *(tmp_path / word for word in words))
        assert (done.exit_code, done.stderr) == (1, f"error: `{tmp_path / 'ref.txt'}` does not exist\n")
