"""What was measured in audio files is remembered by path, size and modification time."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from make import make_wav
from planted_corpus import Corpus

from speechkit.audio.measure import Measures, measure_file
from speechkit.data.validate import cache, sound
from speechkit.data.validate.config import ValidateConfig
from speechkit.data.validate.report import as_json
from speechkit.data.validate.run import validate


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPEECHKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are really opened."""
    names: list[str] = []

    def measure(path: Path, parts: list[tuple[float, float]]) -> list[Measures]:
        names.append(path.stem)
        return measure_file(path, parts)

    monkeypatch.setattr(sound, "measure_file", measure)
    return names


def test_the_second_run_opens_no_file_and_says_the_same(tmp_path: Path, folder: Path, opened: list[str]) -> None:
    manifests = Corpus(tmp_path / "corpus").write()
    first = as_json(validate(manifests, ValidateConfig()))
    assert len(opened) == 30
    opened.clear()
    assert as_json(validate(manifests, ValidateConfig())) == first
    assert opened == []
    assert [path.suffix for path in folder.iterdir()] == [".sqlite"]


def test_changed_and_broken_files_are_opened_again(tmp_path: Path, folder: Path, opened: list[str]) -> None:
    manifests = Corpus(tmp_path / "corpus").write()
    audio = tmp_path / "corpus" / "audio"
    (audio / "d0.wav").write_bytes(b"")
    validate(manifests, ValidateConfig())
    opened.clear()
    state = (audio / "t1.wav").stat()
    make_wav(audio / "t1.wav", 0.8)
    os.utime(audio / "t2.wav", ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    validate(manifests, ValidateConfig())
    assert sorted(opened) == ["d0", "t1", "t2"]


def test_parts_of_a_recording_are_remembered_each(tmp_path: Path, folder: Path, opened: list[str]) -> None:
    train = Corpus(tmp_path / "corpus").write()[0]
    ids = [line.split()[0] for line in (train / "utt2spk").read_text().splitlines()]
    (train / "segments").write_text(
        "".join(f"{u} {ids[0]} {0.01 * i:.2f} {0.01 * i + 0.1:.2f}\n" for i, u in enumerate(ids))
    )
    first = as_json(validate([train], ValidateConfig(min_seconds=0)))
    assert opened == [ids[0]]
    opened.clear()
    assert as_json(validate([train], ValidateConfig(min_seconds=0))) == first
    assert opened == []


def test_without_the_cache_nothing_is_read_or_written(tmp_path: Path, folder: Path, opened: list[str]) -> None:
    manifests = Corpus(tmp_path / "corpus").write()
    for _ in range(2):
        validate(manifests, ValidateConfig(cache=False))
    assert len(opened) == 60 and not folder.exists()


@pytest.mark.parametrize("damage", ["overwritten", "another table"])
def test_a_damaged_cache_does_not_stop_the_work(damage: str, tmp_path: Path, folder: Path, opened: list[str]) -> None:
    manifests = Corpus(tmp_path / "corpus").write()
    validate(manifests, ValidateConfig())
    path = next(folder.iterdir())
    path.unlink()
    if damage == "overwritten":
        path.write_bytes(b"this is no database\n" * 100)
    else:
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE measures (name BLOB PRIMARY KEY)")
        connection.close()
    assert validate(manifests, ValidateConfig()).faults == []
    assert len(opened) == 60


def test_a_cache_that_can_not_be_made_is_told_and_done_without(
    tmp_path: Path, folder: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr("speechkit.log.warn", told.append)
    folder.write_text("a file, not a folder")
    assert validate(Corpus(tmp_path / "corpus").write(), ValidateConfig()).faults == []
    assert len(told) == 1 and "can not be used" in told[0] and len(opened) == 30


def test_the_folder_of_the_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPEECHKIT_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere/cache")
    assert cache.cache_folder() == Path("/somewhere/cache/speechkit")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/somewhere/anna")
    assert cache.cache_folder() == Path("/somewhere/anna/.cache/speechkit")
