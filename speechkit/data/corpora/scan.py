"""Corpora that are told by their folders and file names: what a scan finds, and how it becomes cuts.

A corpus file has a function that fills a `Found` and a `prepare` that calls `cuts_of` with it.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from speechkit.data.config import CorpusConfig, TsvConfig
from speechkit.data.corpora.items import BadItem, Prepared
from speechkit.data.corpora.tables import Row, filter_rows, read_lines
from speechkit.data.corpora.tsv import Tiers, cuts_from_rows
from speechkit.errors import SpeechkitError
from speechkit.text.normalize import without_punctuation

_GENDERS = {"m": "m", "f": "f", "male": "m", "female": "f", "male_masculine": "m", "female_feminine": "f"}


@dataclass
class Found:
    """What a scan of a corpus found.

    root: the folder that paths count from.
    bad: what can not be used; counts against `--max-bad`.
    left_out: what the corpus holds by design and nobody can train on, such as pictures as prompts; only listed.
    """

    root: Path
    rows: list[Row] = field(default_factory=list)
    bad: list[BadItem] = field(default_factory=list)
    left_out: list[BadItem] = field(default_factory=list)

    def add(self, where: str, utt_id: str, audio: Path, *, speaker: str, text: str, **fields: str | None) -> None:
        """One utterance; `gender` is brought to m or f, fields without a value are left away."""
        fields["gender"] = _GENDERS.get((fields.get("gender") or "").strip().lower(), "")
        named = {"id": utt_id, "path": os.path.relpath(audio, self.root), "speaker": speaker, "text": text}
        self.rows.append(Row(where, named | {name: value for name, value in fields.items() if value}))

    def refuse(self, where: str, utt_id: str, reason: str) -> None:
        """Something that can not be used."""
        self.bad.append(BadItem(where, utt_id, reason))

    def leave_out(self, where: str, utt_id: str, reason: str) -> None:
        """Something that is not meant to be used."""
        self.left_out.append(BadItem(where, utt_id, reason))

    def refuse_unmentioned(self, files: Iterable[Path], what: str) -> None:
        """Audio files that no row names."""
        known = {row["path"] for row in self.rows} | {os.path.relpath(item.where, self.root) for item in self.left_out}
        for path in files:
            if os.path.relpath(path, self.root) not in known:
                self.refuse(str(path), path.stem, f"the audio has no {what}")


def cuts_of(
    found: Found,
    config: CorpusConfig,
    *,
    num_jobs: int,
    tiers: Tiers | None = None,
    may_be_empty: str = "",
) -> Prepared:
    """The cuts of what was found, in its order.

    Args:
        tiers: gives the alignments of a row.
        may_be_empty: of text and speaker, what the corpus does not say.
    Raises:
        SpeechkitError: nothing was found.
    """
    if not found.rows and not found.bad:
        raise SpeechkitError(f"`{found.root}` holds no utterance of this corpus", hint="see the README for its layout")
    columns = list(dict.fromkeys(name for row in found.rows for name in row.fields))
    rows = [Row(row.where, {name: row.get(name) for name in columns}) for row in found.rows]
    rows = filter_rows(rows, config.where)
    if config.punctuation == "drop":
        rows = [Row(row.where, row.fields | {"text": without_punctuation(row["text"])}) for row in rows]
    table = TsvConfig(case=config.case, check_audio=config.check_audio, may_be_empty=may_be_empty)
    prepared = cuts_from_rows(rows, found.bad, found.root, config=table, num_jobs=num_jobs, tiers=tiers)
    prepared.left_out = found.left_out
    return prepared


def root_with(source: Path, name: str, corpus: str) -> Path:
    """The folder that holds `name`: the source or one at most two levels below it.

    Raises:
        SpeechkitError: there is none, or there are several.
    """
    found = sorted({p for pattern in (name, f"*/{name}", f"*/*/{name}") for p in source.glob(pattern)})
    parts = len(Path(name).parts)
    roots = sorted({path.parents[parts - 1] for path in found})
    nearest = [root for root in roots if len(root.parts) == min(len(r.parts) for r in roots)]
    if len(nearest) != 1:
        what = "several times" if nearest else "not"
        raise SpeechkitError(
            f"`{source}` is no copy of {corpus}: `{name}` is there {what}",
            where=[str(root) for root in nearest],
            expected=f"the folder that holds `{name}`",
        )
    return nearest[0]


def read_csv(path: Path, required: Iterable[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of a comma-separated table with their `file:line`, fields stripped.

    Raises:
        SpeechkitError: missing, empty, not UTF-8, or a column is missing.
    """
    lines, bad = read_lines(path)
    if bad:
        raise SpeechkitError(f"`{path}` is not UTF-8", where=[f"{item.where}  {item.reason}" for item in bad])
    reader = csv.DictReader((line for _, line in lines), restval="")
    missing = [name for name in required if name not in (reader.fieldnames or [])]
    if missing:
        raise SpeechkitError(f"missing columns {', '.join(missing)}", where=f"{path}:1")
    try:
        for row in reader:
            fields = {(k or "").strip(): v.strip() for k, v in row.items() if isinstance(v, str)}
            yield f"{path}:{reader.line_num}", fields
    except csv.Error as error:
        raise SpeechkitError(
            f"`{path}` is no comma-separated table: {error}", where=f"{path}:{reader.line_num}"
        ) from None


def read_json(path: Path) -> Any:
    """The value of a JSON file.

    Raises:
        SpeechkitError: missing, not UTF-8 or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"), strict=False)
    except OSError as error:
        raise SpeechkitError(f"cannot read `{path}`: {error.strerror}") from None
    except ValueError as error:
        raise SpeechkitError(f"`{path}` is not valid JSON: {error}") from None


def first_line(path: Path) -> str:
    """The first line of a small text file, stripped; Latin-1 when it is not UTF-8.

    Raises:
        SpeechkitError: it can not be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SpeechkitError(f"cannot read `{path}`: {error.strerror}") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return next(iter(text.splitlines()), "").strip()


def lines_of(path: Path, found: Found) -> Iterator[tuple[str, str]]:
    """`file:line` and stripped text of each line that is not empty; what can not be read is refused."""
    try:
        lines, bad = read_lines(path)
    except SpeechkitError as error:
        found.refuse(str(path), "-", error.what)
        return
    found.bad += bad
    yield from ((f"{path}:{number}", line.strip()) for number, line in lines if line.strip())


def audio_below(folder: Path, *suffixes: str) -> list[Path]:
    """Files with one of the suffixes (small letters) in a folder and below, sorted."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes and path.is_file())


def joined(fields: Mapping[str, Any]) -> dict[str, str]:
    """Plain values as the texts of a row, lists and dicts as JSON."""
    return {name: v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for name, v in fields.items()}
