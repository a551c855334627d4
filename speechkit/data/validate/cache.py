"""What was measured in audio files, remembered by path, size and modification time.

One SQLite file in `$SPEECHKIT_CACHE`, else `$XDG_CACHE_HOME/speechkit`, else `~/.cache/speechkit`: its commits are
atomic, runs side by side share it, and removing it costs nothing but time. A cache that can not be used is told
once and done without.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import orjson

from speechkit import log
from speechkit.audio.measure import Measures

_VERSION = 1  # of Measures and of how they are taken
_FILE = f"audio-measures-{_VERSION}.sqlite"
_MAX_NAMED = 500
_WAIT_SECONDS = 30.0

Key = tuple[str, float, float]  # path, start and end of the part; the whole file is 0, 0
State = tuple[int, int]  # size, modification time in ns


def cache_folder() -> Path:
    """The folder of caches of this user."""
    if given := os.environ.get("SPEECHKIT_CACHE"):
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "speechkit"


class MeasureCache:
    """Get and put measures; made by `open_cache`."""

    def __init__(self, connection: sqlite3.Connection | None) -> None:
        self._connection = connection

    def get(self, states: dict[Key, State]) -> dict[Key, Measures]:
        """The measures of those files that are as they were."""
        found: dict[Key, Measures] = {}
        for keys in _chunks(list(states), _MAX_NAMED):
            names = {_name(key): key for key in keys}
            marks = ",".join("?" * len(names))
            for name, size, mtime, value in self._rows(
                f"SELECT name, size, mtime, value FROM measures WHERE name IN ({marks})", list(names)
            ):
                key = names[name]
                if (size, mtime) == states[key]:
                    found[key] = Measures(*orjson.loads(value))
        return found

    def put(self, items: Iterable[tuple[Key, State, Measures]]) -> None:
        """Remember measures; all of this call or none."""
        rows = [(_name(key), *state, orjson.dumps(tuple(measures))) for key, state, measures in items]
        if self._connection is None or not rows:
            return
        try:
            with self._connection:
                self._connection.executemany("INSERT OR REPLACE INTO measures VALUES (?, ?, ?, ?)", rows)
        except sqlite3.Error as error:
            self._give_up(error)

    def _rows(self, query: str, values: Sequence[bytes]) -> list[tuple[bytes, int, int, bytes]]:
        if self._connection is None:
            return []
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            self._give_up(error)
            return []

    def _give_up(self, error: Exception) -> None:
        log.warn(f"the cache of audio measures can not be used: {error}")
        self._connection = None


@contextmanager
def open_cache(*, use: bool) -> Iterator[MeasureCache]:
    """The cache of this user, or one that remembers nothing."""
    if not use:
        yield MeasureCache(None)
        return
    path = cache_folder() / _FILE
    try:
        connection = _connect(path)
    except (OSError, sqlite3.Error) as error:
        log.warn(f"the cache `{path}` can not be used: {error}")
        yield MeasureCache(None)
        return
    with closing(connection):
        yield MeasureCache(connection)


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _open(path)
    except sqlite3.OperationalError:  # locked, read-only or full
        raise
    except sqlite3.DatabaseError:  # overwritten by something else: it held nothing that can not be measured again
        path.unlink()
        return _open(path)


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_WAIT_SECONDS)
    try:
        with connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS measures (name BLOB PRIMARY KEY, size INTEGER, mtime INTEGER, value BLOB)"
            )
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _name(key: Key) -> bytes:
    path, start, end = key
    return f"{path}|{start!r}|{end!r}".encode("utf-8", "surrogatepass")


def _chunks(items: list[Key], size: int) -> Iterator[list[Key]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
