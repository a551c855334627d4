"""`speechkit text tokenizer` from the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from make import make_cut, make_wav

from speechkit.data.store import save_cuts
from speechkit.text.tokenizer import load_tokenizer


@pytest.fixture
def sources(tmp_path: Path) -> list[Path]:
    """A cuts manifest and a text file."""
    audio = make_wav(tmp_path / "a.wav")
    save_cuts([make_cut("u1", audio, text="one two"), make_cut("u2", audio, text="two")], tmp_path / "c.jsonl.gz")
    (tmp_path / "more.txt").write_text("three two\n\nfour\n")
    return [tmp_path / "c.jsonl.gz", tmp_path / "more.txt"]


def test_texts_of_manifests_and_files_are_joined(
    run_speechkit: Callable[..., Any], sources: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "tokens"
    done = run_speechkit("text", "tokenizer", *sources, "--kind", "word", "--out", out)
    assert (done.exit_code, done.stdout) == (0, f"{out}: 6 tokens, kind word\n")
    assert (out / "tokens.txt").read_text() == "<blk> 0\n<unk> 1\nfour 2\none 3\nthree 4\ntwo 5\n"
    assert load_tokenizer(out).encode("two one") == [5, 3]
    again = run_speechkit("text", "tokenizer", *sources, "--kind", "word", "--out", out)
    assert again.stdout == f"up to date: {out}\n"


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_a_size_beyond_the_texts_is_refused_with_the_largest_that_works(
    run_speechkit: Callable[..., Any], sources: list[Path], tmp_path: Path, kind: str
) -> None:
    command = ["text", "tokenizer", *sources, "--kind", kind, "--out", tmp_path / "tokens", "--size"]
    failed = run_speechkit(*command, 5000)
    assert failed.exit_code == 2
    largest = failed.stderr.split("at most ")[1].split()[0]
    assert run_speechkit(*command, largest).stdout.endswith(f": {largest} tokens, kind {kind}\n")
    assert run_speechkit(*command, int(largest) + 1).exit_code == 2


def test_usage_faults_and_data_faults_have_their_exit_codes(
    run_speechkit: Callable[..., Any], sources: list[Path], tmp_path: Path
) -> None:
    def code(*args: object) -> int:
        return int(run_speechkit("text", "tokenizer", *args, "--out", tmp_path / "tokens").exit_code)

    assert code(*sources, "--kind", "letters") == 2
    assert code(*sources, "--kind", "bpe") == 2
    assert code(*sources, "--kind", "char", "--size", 30) == 2
    assert code(tmp_path / "none.txt", "--kind", "char") == 1
    (tmp_path / "latin.txt").write_bytes(b"na\xefve\n")
    assert code(tmp_path / "latin.txt", "--kind", "char") == 1
    (tmp_path / "empty.txt").write_text("\n")
    assert code(tmp_path / "empty.txt", "--kind", "char") == 1


def test_sentences_are_new_seeded_and_none_of_the_excluded(run_speechkit: Callable[..., Any], tmp_path: Path) -> None:
    first, second = tmp_path / "first.txt", tmp_path / "second.txt"
    done = run_speechkit("text", "sentences", "--num", "50", "--out", first)
    assert (done.exit_code, done.stdout) == (0, f"{first}: 50 sentences, none of 0 excluded ones\n")
    run_speechkit("text", "sentences", "--num", "50", "--exclude", first, "--out", second)
    lines = [path.read_text().splitlines() for path in (first, second)]
    assert len(set(lines[0]) | set(lines[1])) == 100
    run_speechkit("text", "sentences", "--num", "50", "--exclude", first, "--out", tmp_path / "third.txt")
    assert (tmp_path / "third.txt").read_text() == second.read_text()
    missing = run_speechkit("text", "sentences", "--num", "5", "--exclude", tmp_path / "no.txt", "--out", second)
    assert missing.exit_code == 1 and "no.txt" in missing.stderr
