"""Fingerprints see what decides a result, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

from speechkit.fingerprint import fingerprint, hash_of


def test_fingerprints_see_content_and_names_but_not_the_run(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.txt").write_text("1")
    first = fingerprint(tmp_path)
    (tmp_path / "run.json").touch()
    (tmp_path / "log.txt").touch()
    os.utime(tmp_path / "sub" / "a.txt", (1, 1))
    assert fingerprint(tmp_path) == first
    (tmp_path / "sub" / "a.txt").rename(tmp_path / "sub" / "b.txt")
    renamed = fingerprint(tmp_path)
    (tmp_path / "sub" / "b.txt").write_text("2")
    assert len({first, renamed, fingerprint(tmp_path)}) == 3


def test_audio_in_folders_counts_by_size_and_time(tmp_path: Path) -> None:
    sound = tmp_path / "a.FLAC"
    sound.write_bytes(b"1")
    os.utime(sound, (1, 1))
    first = fingerprint(tmp_path)
    os.utime(sound, (2, 2))
    assert fingerprint(tmp_path) != first


def test_links_in_folders_are_followed_but_never_in_a_circle(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "other"
    inside.mkdir()
    outside.mkdir()
    (outside / "a.txt").write_text("1")
    (inside / "linked").symlink_to(outside)
    (outside / "back").symlink_to(inside)
    (inside / "nothing").symlink_to("absent")
    os.mkfifo(inside / "pipe")
    first = fingerprint(inside)
    (outside / "a.txt").write_text("2")
    assert fingerprint(inside) != first


def test_hash_of_ignores_the_order_of_keys() -> None:
    assert hash_of({"a": 1, "b": [1, 2]}) == hash_of({"b": [1, 2], "a": 1})
    assert hash_of({"b": [1, 2]}) != hash_of({"b": [2, 1]})
