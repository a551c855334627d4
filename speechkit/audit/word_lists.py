"""Small text files that faults are made with: choices by word, sentences, and ids."""

from __future__ import annotations

from pathlib import Path

from speechkit.data.corpora.tables import read_lines
from speechkit.data.stream import manifest_lines, stream_rows
from speechkit.errors import SpeechkitError


def _lines_of(path: Path) -> list[tuple[str, str]]:
    """The lines that are not blank, each with its `file:line`."""
    lines, bad = read_lines(path)
    if bad:
        raise SpeechkitError(f"`{path}` can not be read", where=[f"{item.where}  {item.reason}" for item in bad])
    return [(f"{path}:{number}", line.strip()) for number, line in lines if line.strip()]


def read_choices(path: Path, sep: str | None = None) -> dict[str, tuple[str, ...]]:
    """A word and what it may become on each line, separated by blanks, or by `sep` where a choice has blanks.

    Raises:
        SpeechkitError: missing, empty or not UTF-8, a line without a choice, or a word given twice; with file:line.
    """
    found: dict[str, tuple[str, ...]] = {}
    bad = []
    for where, line in _lines_of(path):
        word, *choices = (part.strip() for part in line.split(sep))
        others = tuple(choice for choice in choices if choice and choice != word)
        if not others:
            bad.append(f"{where}  {line}: nothing that `{word}` may become")
        elif word in found:
            bad.append(f"{where}  `{word}` is given twice")
        found.setdefault(word, others)
    if bad:
        expected = "a word and other words, separated by " + ("tabs" if sep else "blanks")
        raise SpeechkitError(f"`{path}` is no list of choices", where=bad, expected=expected)
    return found


def read_sentences(path: Path) -> list[list[str]]:
    """The words of each line.

    Raises:
        SpeechkitError: missing, empty or not UTF-8.
    """
    return [line.split() for _, line in _lines_of(path)]


def read_ids(path: Path) -> set[str]:
    """Ids one per line, or those of the rows of a JSONL file, such as an earlier truth.

    Raises:
        SpeechkitError: missing, empty or not UTF-8, or a row has no id.
    """
    if next(manifest_lines(path), b"")[:1] != b"{":
        return {line for _, line in _lines_of(path)}
    found = set()
    for where, row in stream_rows(path):
        if not isinstance(row.get("id"), str):
            raise SpeechkitError("the row has no `id`", where=where)
        found.add(row["id"])
    return found
