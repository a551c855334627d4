"""What an artifact was made from, as one hash: a change of any input shows."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from speechkit.errors import SpeechkitError

RUN_FILE = "run.json"
LOG_FILE = "log.txt"
_NOT_OUTPUT = {RUN_FILE, LOG_FILE}
_AUDIO = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".sph"}
_MAX_HASHED = 64 << 20


def hash_of(value: object) -> str:
    """SHA-256 of a plain value, independent of the order of keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def fingerprint(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents of a folder.

    In folders, links are followed; audio and files above 64 MiB count by size and modification time; run.json and
    log.txt do not count. Of an artifact only its own outputs count, not what later commands have put beside them.
    """
    if path.is_file():
        return _hash_file(path)
    if not path.is_dir():
        raise SpeechkitError(f"`{path}` does not exist")
    own = _outputs(path)
    if own:
        return hash_of([(name, fingerprint(path / name)) for name in own])
    return hash_of([(str(file.relative_to(path)), _content(file)) for file in _files_below(path, frozenset())])


def _outputs(folder: Path) -> list[str]:
    try:
        run = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
        return [name for name in run["outputs"] if name not in _NOT_OUTPUT and (folder / name).exists()]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def fingerprint_of_states(paths: Iterable[Path]) -> str:
    """SHA-256 of the paths, sizes and modification times of files; one that is missing counts as such."""
    return hash_of([_state(path) for path in paths])


def _files_below(folder: Path, above: frozenset[str]) -> Iterator[Path]:
    """The files of a folder and its subfolders in order; a link back to a folder `above` is left out."""
    above |= {os.path.realpath(folder)}
    children = sorted(folder.iterdir())
    yield from (path for path in children if not path.is_dir() and path.name not in _NOT_OUTPUT)
    for path in children:
        if path.is_dir() and path.name != ".git" and os.path.realpath(path) not in above:
            yield from _files_below(path, above)


def _content(file: Path) -> str:
    if not file.is_file():  # a link to nothing, or a pipe
        return "no file"
    stat = file.stat()
    by_stat = file.suffix.lower() in _AUDIO or stat.st_size > _MAX_HASHED
    return f"{stat.st_size}:{stat.st_mtime_ns}" if by_stat else _hash_file(file)


def _state(path: Path) -> tuple[str, int, int]:
    try:
        stat = path.stat()
    except (OSError, ValueError):  # missing, or no name of a file
        return str(path), -1, -1
    return str(path), stat.st_size, stat.st_mtime_ns


def _hash_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
