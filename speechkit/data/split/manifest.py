"""Manifests of millions of cuts, read for what decides a split and written again side by side.

The lines are parsed as plain JSON, not as lhotse objects, and lie unpacked in a temporary file, so that memory holds
ids, keys and durations only. Everything is in the order of the ids: the order of the input does not show.
"""

from __future__ import annotations

import mmap
import os
import zlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import orjson

from speechkit.artifact import publish_file
from speechkit.data.split.keys import ALONE, field_value
from speechkit.data.stream import manifest_lines
from speechkit.errors import SpeechkitError, counted
from speechkit.log import track

_BLOCK = 1 << 20
_LEVEL = 4  # half the time of 6 for 8 % more bytes


@dataclass
class Manifest:
    """The cuts of a manifest in the order of their ids.

    seconds: (N,).  values: per field the value of each cut.  stream: the unpacked lines.  spans: (N, 2) start and end
    of each line in `stream`.  folder: relative audio paths count from here.
    """

    ids: list[str]
    seconds: npt.NDArray[np.float64]
    values: dict[str, list[str]]
    stream: IO[bytes]
    spans: npt.NDArray[np.int64]
    folder: Path

    def __len__(self) -> int:
        return len(self.ids)


@dataclass
class _Columns:
    ids: list[str] = field(default_factory=list)
    seconds: array[float] = field(default_factory=lambda: array("d"))
    spans: array[int] = field(default_factory=lambda: array("q"))
    lines: array[int] = field(default_factory=lambda: array("q"))
    values: dict[str, list[str]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


@contextmanager
def open_manifest(path: Path, fields: Sequence[str], *, spool: Path) -> Iterator[Manifest]:
    """Ids, durations and some fields of all cuts; the lines can be read while the block runs.

    Args:
        fields: names for `field_value`; a cut with an empty text shares its text with no other.
        spool: folder for the unpacked lines of a packed manifest.
    Raises:
        SpeechkitError: the manifest is missing, empty, truncated or not JSON lines; cuts without one supervision,
            an id of their own, a duration or one of the fields; all of them listed by file:line.
    """
    with TemporaryFile(dir=spool) as stream:
        columns = _read_columns(path, stream, fields)
        stream.flush()
        if not columns.faults:
            columns.faults = _double_ids(path, columns)
        if columns.faults:
            raise SpeechkitError(
                f"`{path}` can not be split: {counted(len(columns.faults), 'bad cut')}",
                where=columns.faults,
                expected="one MonoCut per line: its own id, one supervision with every field of --by and --stratify",
                hint="`speechkit data validate` names all faults of a manifest",
            )
        if not columns.ids:
            raise SpeechkitError(f"`{path}` holds no cuts")
        yield _sorted(columns, stream, path.parent.resolve())


def _read_columns(path: Path, stream: IO[bytes], fields: Sequence[str]) -> _Columns:
    """What decides a split; the lines themselves go to `stream`."""
    columns = _Columns(values={name: [] for name in fields})
    same: dict[str, str] = {}  # one object for equal values
    position = done = 0
    for lines in track(_thousands(manifest_lines(path)), f"reading {path.name}", unit="thousand cuts"):
        stream.writelines(lines)
        for number, line in enumerate(lines, start=done + 1):
            fault = _add(columns, line, same)
            if fault:
                columns.faults.append(f"{path}:{number}  {fault}")
            elif len(columns.lines) < len(columns.ids):
                columns.lines.append(number)
                columns.spans.extend((position, position + len(line)))
            position += len(line)
        done += len(lines)
    return columns


def _thousands(lines: Iterator[bytes]) -> Iterator[list[bytes]]:
    while block := list(islice(lines, 1000)):
        yield block


def _add(columns: _Columns, line: bytes, same: dict[str, str]) -> str:
    """Take one line in, unless it is blank; the answer is what is wrong with it."""
    try:
        cut = orjson.loads(line)
        name, seconds, supervisions = cut["id"], cut["duration"], cut["supervisions"]
        _relocated(cut, "/")
        count = len(supervisions)
        found = [field_value(field_name, supervisions[0], cut) for field_name in columns.values] if count == 1 else []
    except orjson.JSONDecodeError as error:
        return f"not valid JSON: {error.msg}" if line.strip() else ""
    except (KeyError, TypeError, AttributeError, ValueError):
        return "not a lhotse cut"
    if not isinstance(name, str):
        return "the id is no text"
    if count != 1:
        return f"{name}  {counted(count, 'supervision')} instead of one"
    if not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
        return f"{name}  its duration is {seconds!r}"
    for place, (field_name, value) in enumerate(zip(columns.values, found, strict=True)):
        if value is not None and not value.strip() and field_name == "text":
            found[place] = ALONE + name
        elif value is None or not value.strip():
            return f"{name}  has no {field_name}"
    for column, value in zip(columns.values.values(), found, strict=True):
        column.append(same.setdefault(value, value))  # type: ignore[arg-type]
    columns.ids.append(name)
    columns.seconds.append(seconds)
    return ""


def _double_ids(path: Path, columns: _Columns) -> list[str]:
    if len(set(columns.ids)) == len(columns.ids):
        return []
    first: dict[str, int] = {}
    faults = []
    for name, number in zip(columns.ids, columns.lines, strict=True):
        if first.setdefault(name, number) != number:
            faults.append(f"{path}:{number}  {name}  has the id of line {first[name]}")
    return faults


def _sorted(columns: _Columns, stream: IO[bytes], folder: Path) -> Manifest:
    order = sorted(range(len(columns.ids)), key=columns.ids.__getitem__)
    return Manifest(
        ids=[columns.ids[i] for i in order],
        seconds=np.array(columns.seconds, np.float64)[order],
        values={name: [column[i] for i in order] for name, column in columns.values.items()},
        stream=stream,
        spans=np.array(columns.spans, np.int64).reshape(-1, 2)[order],
        folder=folder,
    )


def write_side(
    manifest: Manifest,
    chosen: npt.NDArray[np.int64],
    path: Path,
    *,
    note: Callable[[int], dict[str, Any]],
    num_threads: int = 1,
) -> None:
    """Write some cuts of a manifest, in the order of their ids; equal cuts give equal bytes for any `num_threads`.

    Args:
        chosen: numbers of the cuts.
        note: what is added to `custom` of a cut, by its number; None removes a field.
    """
    with (
        publish_file(path, "wb") as target,
        ThreadPoolExecutor(num_threads) as pool,
        mmap.mmap(manifest.stream.fileno(), 0, access=mmap.ACCESS_READ) as lines,
    ):
        blocks = (_block(lines, manifest, part.tolist(), note) for part in _parts_of(manifest, chosen))
        waiting: list[Any] = []
        for block in track(blocks, f"writing {path.name}", unit="MB"):
            waiting.append(pool.submit(_packed, block))
            if len(waiting) > 2 * num_threads:
                target.write(waiting.pop(0).result())
        for rest in waiting:
            target.write(rest.result())


def _parts_of(manifest: Manifest, chosen: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """The numbers in pieces of about a megabyte of lines."""
    sizes = (manifest.spans[chosen, 1] - manifest.spans[chosen, 0]).cumsum()
    return np.split(chosen, np.searchsorted(sizes, np.arange(_BLOCK, sizes[-1], _BLOCK)))


def _block(
    lines: mmap.mmap, manifest: Manifest, numbers: Sequence[int], note: Callable[[int], dict[str, Any]]
) -> bytes:
    folder = str(manifest.folder)
    texts = []
    for number, (start, end) in zip(numbers, manifest.spans[numbers].tolist(), strict=True):
        cut = orjson.loads(lines[start:end])
        _relocated(cut, folder)
        custom = {**(cut.get("custom") or {}), **note(number)}
        cut["custom"] = {name: value for name, value in custom.items() if value is not None}
        texts.append(orjson.dumps(cut, option=orjson.OPT_APPEND_NEWLINE))
    return b"".join(texts)


def _relocated(cut: dict[str, Any], folder: str) -> None:
    """Let relative audio paths of a cut count from `folder`."""
    for source in (cut.get("recording") or {}).get("sources") or ():
        name = source["source"]
        if source["type"] == "file" and not name.startswith("/"):
            is_plain = "./" not in name and "//" not in name
            source["source"] = f"{folder}/{name}" if is_plain else os.path.normpath(os.path.join(folder, name))


def _packed(block: bytes) -> bytes:
    # a gzip file may consist of several members; this header holds no time and no name
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, 31)
    return packer.compress(block) + packer.flush()
