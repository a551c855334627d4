"""Tables of a report: plain rows, made once and shown as text, Markdown or HTML."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from speechkit import log
from speechkit.errors import ConfigError
from speechkit.report.sources import Score, overlap_mark

NOTHING = "-"


@dataclass(frozen=True)
class Table:
    """A title, column names, and rows of text; the first `num_names` columns are words, the others numbers."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    num_names: int = 1


def number(value: float | None, digits: int = 2) -> str:
    """A rate with fixed digits, `-` when it was not measured."""
    return NOTHING if value is None else f"{value:.{digits}f}"


def score_table(scores: Sequence[Score]) -> Table:
    """One row per score file; columns that nobody measured are left out."""
    columns = [
        "system",
        "WER %",
        "95 % interval",
        "sub",
        "ins",
        "del",
        "words",
        "seen WER %",
        "unseen WER %",
        "parrot %",
    ]
    rows = []
    for score in scores:
        interval = score.interval()
        result = score.result
        rows.append(
            [
                score.name,
                number(score.rate()),
                f"{interval[0]:.2f} to {interval[1]:.2f}" if interval else NOTHING,
                *(str(result[key]) for key in ("sub", "ins", "del", "num_ref_words")),
                *(number(score.rate(part)) for part in ("seen", "unseen")),
                number(score.parrot_rate),
            ]
        )
    kept = [i for i in range(len(columns)) if i < 7 or any(row[i] != NOTHING for row in rows)]
    return Table("Word error rates", [columns[i] for i in kept], [[row[i] for i in kept] for row in rows])


def grouped(scores: Sequence[Score], pattern: str) -> dict[str, list[Score]]:
    """Scores by the name that the pattern captures of their paths.

    Raises:
        ConfigError: the pattern is no regular expression with one capture group, or it matches no score file.
    """
    try:
        regex = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"`--group {pattern}` is not a regular expression: {error}") from None
    if regex.groups != 1:
        raise ConfigError(
            f"`--group {pattern}` has {regex.groups} capture groups", expected="one, as in '(plain|pasted)'"
        )
    groups: dict[str, list[Score]] = {}
    for score in scores:
        match = regex.search(str(score.path))
        if match and match[1]:
            groups.setdefault(match[1], []).append(score)
    if not groups:
        raise ConfigError(
            f"`--group {pattern}` matches none of {len(scores)} score files", where=[str(s.path) for s in scores]
        )
    kinds = {score.kind for group in groups.values() for score in group}
    meant = [score for score in scores if score.kind in kinds]
    left_out = len(meant) - sum(len(group) for group in groups.values())
    if left_out:
        log.warn(f"{left_out} of {len(meant)} score files do not match --group and are in no mean")
    return groups


def mean_table(scores: Sequence[Score], pattern: str) -> Table:
    """Scores averaged per captured name: the mean over seeds or folds, with its range; every file counts the same.

    Raises:
        ConfigError: see `grouped`.
    """
    return mean_table_of(grouped(scores, pattern))


def mean_table_of(groups: dict[str, list[Score]]) -> Table:
    """One row per group of WER scores: means and ranges."""
    is_split = all(score.rate("unseen") is not None for group in groups.values() for score in group)
    parts = [("seen", "seen "), ("unseen", "unseen ")] if is_split else [("", "")]
    columns = ["systems", "runs", *(name for _, title in parts for name in (f"{title}WER %", "range"))]
    rows = []
    for name, group in groups.items():
        overlap = max(score.overlap_percent for score in group)
        row = [name + overlap_mark(overlap), str(len(group))]
        for part, _ in parts:
            rates = [rate for score in group if (rate := score.rate(part)) is not None]
            row += [number(fmean(rates)), f"{min(rates):.2f} to {max(rates):.2f}"] if rates else [NOTHING, NOTHING]
        parrots = [score.parrot_rate for score in group if score.parrot_rate is not None]
        rows.append([*row, number(fmean(parrots)) if parrots else NOTHING])
    columns.append("parrot %")
    if not is_split:
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    return Table("Means over runs", columns, rows)


def example_tables(scores: Sequence[Score]) -> list[Table]:
    """One table per example utterance: its reference and what each system made of it; equal references are joined."""
    heard: dict[tuple[str, str], list[list[str]]] = {}
    for score in scores:
        for item in score.result.get("unseen_examples") or []:
            rows = heard.setdefault((item["id"], item["ref"]), [["REF", item["ref"], ""]])
            mark = "a training sentence" if item["is_parrot"] else "right" if item["hyp"] == item["ref"] else ""
            rows.append([score.name, item["hyp"] or "(nothing)", mark])
    return [Table(utt_id, ["system", "words", ""], rows, num_names=3) for (utt_id, _), rows in heard.items()]


def part_tables(score: Score) -> list[Table]:
    """One table for each field that the score was grouped by (`score wer --by`)."""
    tables = []
    for field, groups in (score.result.get("groups") or {}).items():
        rows = []
        for value, part in groups.items():
            pair = part.get("ci95")
            interval = f"{pair[0]:.2f} to {pair[1]:.2f}" if pair else NOTHING
            counts = [str(part.get(key, NOTHING)) for key in ("sub", "ins", "del", "num_ref_words", "num_utterances")]
            rows.append([str(value) or "(none)", number(part.get("wer")), interval, *counts])
        columns = [field, "WER %", "95 % interval", "sub", "ins", "del", "words", "utterances"]
        tables.append(Table(f"{score.name} by {field}", columns, rows))
    return tables


def run_table(scores: Sequence[Score]) -> Table:
    """How each number came about: the command, config fingerprint, commit, machine, CPU minutes and date."""
    rows = []
    for score in scores:
        run = score.run
        cells = (
            [run.command, run.fingerprint, run.commit, run.machine, f"{run.cpu_minutes:.1f}", run.date] if run else []
        )
        rows.append([score.name, *(cell or NOTHING for cell in cells or [""] * 6)])
    return Table("How they were made", ["system", "command", "config", "commit", "machine", "CPU min", "date"], rows, 5)


def as_text(table: Table) -> str:
    """Columns under each other, for a terminal."""
    lines = [table.columns, *table.rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(table.columns))]
    shown = []
    for line in lines:
        cells = [
            cell.ljust(width) if i < table.num_names else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        shown.append("  ".join(cells).rstrip())
    return "\n".join(shown)


def as_markdown(table: Table) -> str:
    """A pipe table; commands stand in code spans."""
    rule = [":--" if i < table.num_names else "--:" for i in range(len(table.columns))]
    rows = [
        [_markdown_cell(c, is_code=n == "command") for c, n in zip(r, table.columns, strict=True)] for r in table.rows
    ]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [table.columns, rule, *rows])


def _markdown_cell(text: str, *, is_code: bool) -> str:
    escaped = text.replace("|", "\\|").replace("\n", " ")
    return f"`{escaped}`" if is_code and text != NOTHING else escaped
