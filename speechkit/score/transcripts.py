"""Transcripts by utterance id, read from Kaldi `text`, NIST `.trn`, JSONL, cut manifests and artifact folders.

Texts stay bytes (UTF-8) in one buffer with a start and an end each: scoring reads them without making Python
strings. Words are separated by bytes up to 0x20, so a no-break space is part of a word in every format.
"""

# Above 300 lines: the readers share one byte buffer and the wording of its faults.
from __future__ import annotations

import codecs
import gzip
import os
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
import orjson

from speechkit.errors import SpeechkitError
from speechkit.kernels.lanes import SPACE
from speechkit.kernels.line_index import (
    FORMAT_LINES,
    FORMAT_TEXT,
    FORMAT_TRN,
    gather,
    index_lines,
    is_increasing,
    prefix_runs,
    survey,
)
from speechkit.kernels.words import PADDING

Format: TypeAlias = Literal["auto", "text", "trn", "jsonl", "cuts", "lines", "stm", "ctm"]
FORMATS: tuple[str, ...] = get_args(Format)
HYP_FILE = "hyp.jsonl"
CUTS_FILE = "cuts.jsonl.gz"
_CONTROL_TO_SPACE = bytes.maketrans(bytes(range(32)), b" " * 32)


@dataclass(frozen=True)
class Transcripts:
    """Texts of N utterances.

    data: uint8, the bytes that hold all texts and `PADDING` spaces; text u is data[starts[u]:ends[u]].
    lines: line number of each utterance in `source`, from 1.
    id_spans: start and end of each id in `data`, or the ids themselves in `names`.
    fields: further values by name, one per utterance, for example `speaker`; "" where an utterance has none.
    seconds: audio duration of each utterance, 0.0 where unknown.
    """

    source: str
    data: npt.NDArray[np.uint8]
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    lines: npt.NDArray[np.int64]
    id_spans: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None = None
    names: list[str] | None = None
    fields: dict[str, list[str]] = field(default_factory=dict)
    seconds: npt.NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.starts)

    @cached_property
    def ids(self) -> list[str]:
        """The id of each utterance."""
        if self.names is not None or self.id_spans is None:
            return self.names or []
        return _split(gather(self.data, *self.id_spans))

    @cached_property
    def prefixes(self) -> tuple[list[str], npt.NDArray[np.int64]]:
        """The different parts of the ids before the first `-` or `_`, sorted, and which one each utterance has."""
        if self.id_spans is None:
            names = [name.replace("_", "-").split("-", 1)[0] for name in self.ids]
            starts = np.arange(len(names))
        else:
            starts, ends = (np.empty(len(self), np.int64) for _ in range(2))  # neighbours mostly have one speaker
            num = prefix_runs(self.data, *self.id_spans, starts, ends)
            starts = starts[:num]
            names = _split(gather(self.data, self.id_spans[0][starts], ends[:num]))
        known = sorted(set(names))
        place = {name: k for k, name in enumerate(known)}
        numbers = np.array([place[name] for name in names], np.int64)
        return known, np.repeat(numbers, np.diff(np.append(starts, len(self))))

    def words(self, utterance: int) -> list[str]:
        """The words of one utterance."""
        return _words_of(self.data[self.starts[utterance] : self.ends[utterance]].tobytes())

    def text(self, utterance: int) -> str:
        """The text of one utterance, words separated by single spaces."""
        return " ".join(self.words(utterance))

    def texts(self) -> list[str]:
        """All texts, words separated by single spaces."""
        return [self.text(u) for u in range(len(self))]

    def with_texts(self, texts: list[str]) -> Transcripts:
        """The same utterances with other texts."""
        data, starts, ends = _pack(texts)
        return replace(self, data=data, starts=starts, ends=ends, id_spans=None, names=self.ids)


def split_words(text: str) -> list[str]:
    """The words of a text; other spaces than those of ASCII, such as the no-break space, are parts of words."""
    return _words_of(text.encode())


def _words_of(packed: bytes) -> list[str]:
    return [word.decode() for word in packed.translate(_CONTROL_TO_SPACE).split()]


def _split(lines: npt.NDArray[np.uint8]) -> list[str]:
    return lines.tobytes().decode().split("\n")[:-1]


def _pack(texts: Iterable[str]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    packed = [text.encode() for text in texts]
    ends = np.cumsum([len(text) + 1 for text in packed], dtype=np.int64) - 1
    starts = ends - np.array([len(text) for text in packed], np.int64)
    return _padded(b"\n".join(packed)), starts, ends


def from_texts(
    ids: Iterable[str],
    texts: Iterable[str],
    *,
    source: str,
    lines: Iterable[int] | None = None,
    fields: dict[str, list[str]] | None = None,
    seconds: npt.NDArray[np.float64] | None = None,
) -> Transcripts:
    """Transcripts made of Python strings.

    Raises:
        SpeechkitError: an id occurs twice, or a text holds a NUL character.
    """
    names = list(ids)
    kept = list(texts)
    numbers = np.arange(1, len(names) + 1) if lines is None else np.array(list(lines), np.int64)
    bad = [f"{source}:{numbers[u]}  {names[u]}" for u, text in enumerate(kept) if "\0" in text]
    if bad:
        raise SpeechkitError("a text holds a NUL character", where=bad, hint="write the file again as UTF-8")
    _refuse_duplicates(names, numbers, source)
    data, starts, ends = _pack(kept)
    return Transcripts(source, data, starts, ends, numbers, None, names, fields or {}, seconds)


def read_transcripts(path: Path, kind: str = "auto") -> Transcripts:
    """Read transcripts of any known format; `auto` goes by name and first bytes.

    A folder stands for its `hyp.jsonl` or `cuts.jsonl.gz`. `lines` is one sentence per line without ids.

    Raises:
        SpeechkitError: with file:line, for a missing or empty file, a malformed line, an id given twice,
            bytes that are not UTF-8, NUL bytes, or a missing field.
    """
    if path.is_dir():
        path = _inside(path)
    if kind == "auto":
        kind = guess_format(path)
    if kind in ("stm", "ctm"):
        raise SpeechkitError(
            f"`{path}` is time-marked",
            expected="`score wer REF.stm HYP.ctm`, or two CTM files",
            hint="see `score wer --help`",
        )
    if kind not in READERS:
        raise SpeechkitError(f"unknown format `{kind}` for `{path}`", expected=" or ".join(FORMATS))
    transcripts = READERS[kind](path)
    if not len(transcripts):
        raise SpeechkitError(f"`{path}` holds no utterances", hint="was the command before this one run?")
    return transcripts


def guess_format(path: Path) -> str:
    """The format of a file by its name, and for `.jsonl` by its first line."""
    suffixes = [s.lower() for s in path.suffixes if s.lower() != ".gz"]
    if suffixes[-1:] in ([".trn"], [".stm"], [".ctm"]):
        return suffixes[-1][1:]
    if suffixes[-1:] == [".txt"]:
        return "lines" if path.name != "text.txt" else "text"
    if suffixes[-1:] in ([".jsonl"], [".json"]):
        head = read_bytes(path).split(b"\n", 1)[0]
        return "cuts" if b'"supervisions"' in head else "jsonl"
    return "text"


def read_bytes(path: Path) -> bytes:
    """The content of a file, unpacked if it is gzip.

    Raises:
        SpeechkitError: missing, unreadable or truncated.
    """
    try:
        data = path.read_bytes()
        return (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).removeprefix(codecs.BOM_UTF8)
    except FileNotFoundError:
        raise SpeechkitError(f"`{path}` does not exist") from None
    except IsADirectoryError:
        raise SpeechkitError(f"`{path}` is a folder", expected="a file") from None
    except (OSError, EOFError, zlib.error) as error:
        raise SpeechkitError(f"cannot read `{path}`: {error}", hint="make it again") from None


def _read_padded(path: Path) -> npt.NDArray[np.uint8]:
    """The content of a file and `PADDING` spaces, read in place."""
    try:
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            data = np.empty(size + PADDING, np.uint8)
            filled = stream.readinto(data[:size].data)
    except OSError:
        filled, data = -1, np.empty(0, np.uint8)
    head = data[:3].tobytes()
    if filled < 1 or filled != len(data) - PADDING or head[:2] == b"\x1f\x8b":  # a pipe, an error, or packed
        return _padded(read_bytes(path))
    data[filled:] = SPACE
    if head == codecs.BOM_UTF8:
        data[:3] = SPACE
    return data


def check_bytes(data: bytes, path: Path) -> None:
    """Refuse NUL bytes and what is not UTF-8, with the line.

    Raises:
        SpeechkitError: file:line of the first bad byte.
    """
    spot = data.find(b"\0")
    if spot >= 0:
        where = f"{path}:{data.count(10, 0, spot) + 1}"
        raise SpeechkitError("the file holds a NUL byte", where=where, hint="is it UTF-16? convert it to UTF-8")
    if data.isascii():
        return
    try:
        data.decode()
    except UnicodeDecodeError as error:
        where = f"{path}:{data.count(10, 0, error.start) + 1}"
        raise SpeechkitError(
            f"byte 0x{data[error.start]:02x} is not UTF-8", where=where, hint="convert it: iconv -f latin1 -t utf-8"
        ) from None


def _inside(folder: Path) -> Path:
    for name in (HYP_FILE, CUTS_FILE):
        if (folder / name).is_file():
            return folder / name
    raise SpeechkitError(f"the folder `{folder}` holds no transcripts", expected=f"`{HYP_FILE}` or `{CUTS_FILE}` in it")


def _refuse_duplicates(ids: list[str], lines: npt.NDArray[np.int64], source: str) -> None:
    if len(set(ids)) == len(ids):
        return
    first: dict[str, int] = {}
    bad = []
    for name, line in zip(ids, lines.tolist(), strict=True):
        if name in first:
            bad.append(f"{source}:{line}  {name}, first in line {first[name]}")
        first.setdefault(name, line)
    raise SpeechkitError(
        f"{len(bad)} ids occur more than once", where=bad, hint="keep one line per id, for example with `sort -u -k1,1`"
    )


def _padded(data: bytes) -> npt.NDArray[np.uint8]:
    padded = np.full(len(data) + PADDING, SPACE, np.uint8)
    padded[: len(data)] = np.frombuffer(data, np.uint8)
    return padded


def _read_indexed(path: Path, kind: int) -> Transcripts:
    data = _read_padded(path)
    size = len(data) - PADDING
    num_lines, has_nul, has_others = survey(data, size)
    if has_nul or has_others:
        check_bytes(data[:size].tobytes(), path)
    rows = np.empty((5, num_lines + 1), np.int64)
    id_starts, id_ends, starts, ends, lines = rows[:, : index_lines(data, size, kind, rows)]
    if kind == FORMAT_LINES:
        return Transcripts(str(path), data, starts, ends, lines, None, [f"line-{k}" for k in lines.tolist()])
    found = Transcripts(str(path), data, starts, ends, lines, (id_starts, id_ends))
    bad = np.flatnonzero(id_starts == id_ends).tolist()
    if bad:
        raise SpeechkitError(
            f"{len(bad)} lines do not end in an utterance id",
            where=[f"{path}:{lines[u]}  {found.text(u)[-60:]}" for u in bad],
            expected="`some words (utterance-id)`",
        )
    if not is_increasing(data, id_starts, id_ends):
        _refuse_duplicates(found.ids, lines, str(path))
    return found


def _read_jsonl(path: Path) -> Transcripts:
    ids, texts, lines, rest = [], [], [], []
    for number, line in enumerate(read_bytes(path).split(b"\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            item = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise SpeechkitError(f"not valid JSON: {error.msg}", where=where) from None
        if not isinstance(item, dict):
            raise SpeechkitError("not a JSON object", where=where, expected='{"id": ..., "text": ...}')
        for key in ("id", "text"):
            if not isinstance(item.get(key), str):
                state = "missing" if key not in item else f"{type(item[key]).__name__}, not text"
                raise SpeechkitError(f"the field `{key}` is {state}", where=where, expected='{"id": ..., "text": ...}')
        ids.append(item["id"])
        texts.append(item["text"])
        lines.append(number)
        rest.append(item)
    return from_texts(ids, texts, source=str(path), lines=lines, fields=_fields(rest), seconds=_seconds(rest))


def _fields(items: list[dict[str, Any]]) -> dict[str, list[str]]:
    names = dict.fromkeys(k for item in items for k, v in item.items() if isinstance(v, (str, int, float, bool)))
    return {name: [str(item.get(name, "")) for item in items] for name in names if name not in ("id", "text")}


def _seconds(items: list[dict[str, Any]]) -> npt.NDArray[np.float64] | None:
    found = [item.get("duration", item.get("seconds", 0.0)) for item in items]
    values = np.array([v if isinstance(v, (int, float)) else 0.0 for v in found], np.float64)
    return values if values.any() else None


def _read_cuts(path: Path) -> Transcripts:
    from speechkit.data.store import load_cuts, text_of  # lhotse takes a second to import

    cuts = list(load_cuts(path))
    items = []
    for cut in cuts:
        supervision = cut.supervisions[0] if cut.supervisions else None
        item: dict[str, Any] = {**(cut.custom or {}), **((supervision and supervision.custom) or {})}
        for name in ("speaker", "gender", "language"):
            item[name] = getattr(supervision, name, None) or ""
        items.append(item)
    return from_texts(
        [cut.id for cut in cuts],
        [text_of(cut) for cut in cuts],
        source=str(path),
        fields=_fields(items),
        seconds=np.array([cut.duration for cut in cuts], np.float64),
    )


READERS: dict[str, Callable[[Path], Transcripts]] = {
    "text": partial(_read_indexed, kind=FORMAT_TEXT),
    "trn": partial(_read_indexed, kind=FORMAT_TRN),
    "jsonl": _read_jsonl,
    "cuts": _read_cuts,
    "lines": partial(_read_indexed, kind=FORMAT_LINES),
}
