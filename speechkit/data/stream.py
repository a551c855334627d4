"""Manifests line by line as plain JSON, without lhotse: memory stays small however long the manifest is."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from speechkit.errors import SpeechkitError

CUTS_FILE = "cuts.jsonl.gz"
_MAX_SECONDS = 1e9


def manifest_path(path: Path) -> Path:
    """The manifest itself: an artifact folder stands for the `cuts.jsonl.gz` in it."""
    return path / CUTS_FILE if path.is_dir() else path


def stream_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a JSONL file, packed or not, each with its `file:line`.

    Raises:
        SpeechkitError: missing, truncated, or a line is no JSON object; with file:line.
    """
    for number, line in enumerate(manifest_lines(path), start=1):
        where = f"{path}:{number}"
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise SpeechkitError(f"not valid JSON: {error.msg}", where=where) from None
        if not isinstance(row, dict):
            raise SpeechkitError("not a JSON object", where=where, expected="one object per line")
        yield where, row


def stream_cuts(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The cuts of a manifest or artifact folder as plain objects, each with its `file:line`.

    Looked at is only what others rely on: `id`, `duration`, and that supervisions, custom fields and recordings are
    objects with texts as names of speakers and as transcripts; `data validate` looks at everything.

    Raises:
        SpeechkitError: as `stream_rows`; a row is no cut; there is none at all.
    """
    path = manifest_path(path)
    where = ""
    for where, row in stream_rows(path):
        fault = _fault_of(row)
        if fault:
            raise SpeechkitError(f"not a lhotse cut: {fault}", where=where, expected="one MonoCut per line")
        yield where, row
    if not where:
        raise SpeechkitError(f"`{path}` holds no cuts")


def _fault_of(row: dict[str, Any]) -> str:
    """Why a row can not be read as a cut, or an empty text."""
    duration, supervisions = row.get("duration"), row.get("supervisions")
    if not isinstance(row.get("id"), str):
        return "no `id`"
    if not isinstance(duration, int | float) or isinstance(duration, bool) or not 0 < duration < _MAX_SECONDS:
        return f"`duration` is {duration!r:.40}"
    if not isinstance(supervisions, list) or not all(isinstance(item, dict) for item in supervisions):
        return "`supervisions` is no list of objects"
    if not isinstance(row.get("recording") or {}, dict):
        return "`recording` is no object"
    for item in [row, *supervisions]:
        if not isinstance(item.get("custom") or {}, dict):
            return "`custom` is no object"
    texts = (item.get(name) or "" for item in supervisions for name in ("text", "speaker"))
    return "" if all(isinstance(text, str) for text in texts) else "`text` or `speaker` is no text"


def manifest_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, packed or not.

    Raises:
        SpeechkitError: missing, unreadable or truncated, or a table or a Kaldi directory.
    """
    if path.suffix.lower() == ".tsv" and path.is_file():
        hint = f"`speechkit data prepare tsv {path} --out DIR` makes cuts of it"
        raise SpeechkitError(f"`{path}` is a table, not a manifest of cuts", hint=hint)
    try:
        with path.open("rb") as raw:
            is_packed = raw.peek(2)[:2] == b"\x1f\x8b"
            with gzip.GzipFile(fileobj=raw) if is_packed else raw as stream:
                yield from stream
    except FileNotFoundError:
        hint = _cure_of_folder(path.parent) if path.name == CUTS_FILE and path.parent.is_dir() else ""
        raise SpeechkitError(f"manifest `{path}` does not exist", hint=hint) from None
    except (OSError, EOFError, zlib.error) as error:
        reason = "it is truncated" if isinstance(error, EOFError) else str(error)
        raise SpeechkitError(f"cannot read the manifest `{path}`: {reason}", hint="make it again") from None


def _cure_of_folder(folder: Path) -> str:
    """How a folder without cuts becomes one."""
    if found := sorted(path.name for path in folder.glob("*.jsonl.gz")):
        return f"name one of {', '.join(found)}"
    if (folder / "wav.scp").is_file():
        return f"it is a Kaldi directory: `speechkit data convert {folder} --to cuts --out DIR` makes cuts of it"
    if table := next(iter(sorted(folder.glob("*.tsv"))), None):
        return f"`speechkit data prepare tsv {table} --out DIR` makes cuts of the table there"
    return "`speechkit data prepare` and `data convert` make one"
