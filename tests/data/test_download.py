"""Downloads go through lhotse, once, without stdout, and unpack nothing outside their folder."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lhotse.recipes
import mock_corpora
import pytest

from speechkit.data.download import DOWNLOADS, SOURCES, download
from speechkit.data.prepare import CORPORA
from speechkit.errors import ConfigError, SpeechkitError


def test_every_corpus_is_downloaded_or_has_a_source() -> None:
    assert not DOWNLOADS.keys() & SOURCES.keys()
    assert set(CORPORA) == DOWNLOADS.keys() | SOURCES.keys() | {"fsdd-strings", "kaldi", "lhotse", "tsv"}
    for name, arguments, _ in DOWNLOADS.values():
        function = getattr(lhotse.recipes, name)
        assert {"target_dir", *arguments} <= set(function.__annotations__)


def test_a_corpus_is_downloaded_and_prepared_in_one_command_and_only_once(
    run_speechkit: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def fetch(target_dir: Path) -> None:
        print("lhotse talks")
        calls.append(target_dir)
        mock_corpora.yesno(target_dir)

    monkeypatch.setattr(lhotse.recipes, "download_yesno", fetch)
    command = ["data", "prepare", "yesno", tmp_path / "raw", "--download", "--out", tmp_path / "out"]
    done = run_speechkit(*command)
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path}/out: 4 utterances, 0.00 h, 1 speaker\n")
    assert run_speechkit(*command).stdout == f"up to date: {tmp_path}/out\n"
    assert calls == [tmp_path / "raw"]


def test_a_corpus_that_is_not_downloaded_says_where_it_is(run_speechkit: Callable[..., Any], tmp_path: Path) -> None:
    failed = run_speechkit("data", "prepare", "timit", tmp_path / "raw", "--download", "--out", tmp_path / "out")
    assert failed.exit_code == 2
    assert "get it here: https://catalog.ldc.upenn.edu/LDC93S1" in failed.stderr
    with pytest.raises(ConfigError, match="`tsv` is not downloaded"):
        download("tsv", tmp_path)


def test_a_failed_download_is_a_failure_with_a_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(target_dir: Path) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(lhotse.recipes, "download_yesno", fetch)
    with pytest.raises(SpeechkitError, match=r"failed: no route to host(?s:.*)leave out --download"):
        download("yesno", tmp_path)


def test_an_archive_can_not_write_outside_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "evil.tar"
    with tarfile.open(archive, "w") as tar:
        member = tarfile.TarInfo("../escaped.txt")
        member.size = 3
        tar.addfile(member, io.BytesIO(b"bad"))

    def fetch(target_dir: Path, **arguments: object) -> None:
        with tarfile.open(archive) as tar:
            tar.extractall(target_dir / "deep")

    monkeypatch.setattr(lhotse.recipes, "download_speechcommands", fetch)
    with pytest.raises(SpeechkitError, match="outside the destination"):
        download("speech_commands", tmp_path / "raw")
    assert not list(tmp_path.rglob("escaped.txt"))
    assert "extraction_filter" not in vars(tarfile.TarFile) or tarfile.TarFile.extraction_filter is None
