"""The block of RESULTS.md that `speechkit report --update` owns; the text around it is its authors'."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from speechkit.artifact import publish_file
from speechkit.errors import SpeechkitError
from speechkit.report.tables import Table, as_markdown

START = "<!-- speechkit report: start -->"
END = "<!-- speechkit report: end -->"
NOTE = "Written by `speechkit {}`; numbers between these marks are never typed."


def block(tables: Sequence[Table], command: str = "report") -> str:
    """The marks and, between them, which command made the tables and the tables as Markdown."""
    shown = [f"### {table.title}\n\n{as_markdown(table)}" for table in tables if table.rows]
    return "\n\n".join([START, NOTE.format(command), *shown, END])


def update(path: Path, text: str, *, title: str) -> None:
    """Put the block in its place: between the marks, at the end of a file without them, or in a new file.

    Raises:
        SpeechkitError: the marks are not one start before one end; the message names file:line.
    """
    old = path.read_text(encoding="utf-8") if path.is_file() else f"# {title}\n"
    starts, ends = _lines_with(old, START), _lines_with(old, END)
    if not starts and not ends:
        new = f"{old.rstrip()}\n\n{text}\n"
    elif len(starts) == len(ends) == 1 and starts[0] < ends[0]:
        lines = old.splitlines()
        new = "\n".join([*lines[: starts[0] - 1], text, *lines[ends[0] :]]) + "\n"
    else:
        marks = [f"{path}:{line}  {mark}" for mark, found in ((START, starts), (END, ends)) for line in found]
        raise SpeechkitError(
            f"the marks of the report in `{path}` do not make one block",
            where=marks,
            expected=f"one `{START}` above one `{END}`",
            hint="remove all of them, and the block is added at the end",
        )
    if not path.is_file() or new != old:
        with publish_file(path) as stream:
            stream.write(new)


def _lines_with(text: str, mark: str) -> list[int]:
    return [number for number, line in enumerate(text.splitlines(), start=1) if line.strip() == mark]
