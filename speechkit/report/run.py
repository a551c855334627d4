"""The command `report`: score files and experiments in; a table on stdout, one page and RESULTS.md out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from speechkit import log
from speechkit.artifact import publish_file
from speechkit.report import results
from speechkit.report.audits import audit_means, audit_table
from speechkit.report.html import TEMPLATES, render
from speechkit.report.plots import loss_curves, rate_bars
from speechkit.report.prompts import prompt_tables
from speechkit.report.sources import Score, read_sources
from speechkit.report.tables import (
    Table,
    as_text,
    example_tables,
    grouped,
    mean_table_of,
    part_tables,
    run_table,
    score_table,
)


def run(
    sources: Sequence[Path],
    *,
    out: Path,
    title: str = "Results",
    groups: Sequence[str] = (),
    results_file: Path | None = None,
) -> None:
    """Write the page `out`, print the score table, and rewrite the block of `results_file`.

    The same sources give the same bytes: dates are those of the runs, not of the report.

    Raises:
        SpeechkitError: a source cannot be read; ConfigError: a wrong pattern among `groups`.
    """
    scores, experiments = read_sources(sources)
    tables = _main_tables(scores, groups)
    runs = run_table(scores)
    page = render(
        TEMPLATES / "report.html.j2",
        title=title,
        tables=tables,
        bars=rate_bars([score for score in scores if score.kind == "rates"]),
        curves=loss_curves(experiments),
        part_tables=[table for score in scores for table in part_tables(score)],
        runs=runs,
        examples=example_tables(scores),
        experiments=experiments,
    )
    with publish_file(out) as stream:
        stream.write(page)
    if results_file is not None:
        results.update(results_file, results.block([*tables, runs]), title=title)
    if tables:
        print("\n\n".join(as_text(table) for table in tables))
    num_without = sum(score.run is None for score in scores)
    if num_without:
        log.warn(f"{num_without} of {len(scores)} score files name no run: their command and commit are not known")
    log.info(f"wrote {out}" + (f" and the block of {results_file}" if results_file else ""))


def _main_tables(scores: Sequence[Score], patterns: Sequence[str]) -> list[Table]:
    """Word error rates, audits and prompts, each file and then each mean; a mean over single runs says nothing new."""
    rates, audits = [s for s in scores if s.kind == "rates"], [s for s in scores if s.kind == "audit"]
    tables = [score_table(rates)] if rates else []
    tables += [audit_table(audits)] if audits else []
    tables += prompt_tables(scores)
    for pattern in patterns:
        groups = grouped(scores, pattern)
        for make, kind in ((mean_table_of, "rates"), (audit_means, "audit")):
            parts = {name: [s for s in group if s.kind == kind] for name, group in groups.items()}
            parts = {name: group for name, group in parts.items() if group}
            if any(len(group) > 1 for group in parts.values()):
                tables.append(make(parts))
            elif parts:
                log.info(f"`--group {pattern}` has one run in each group: no means")
    return tables
