"""`speechkit report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(report)


def report(
    sources: Annotated[
        list[Path],
        typer.Argument(metavar="SCORE.json|EXP...", help="Files of `score wer` or `audit eval` with --json, folders."),
    ],
    out: Annotated[Path, typer.Option("--out", help="The HTML page to write; one file, no network.")],
    update: Annotated[
        Path | None, typer.Option("--update", metavar="RESULTS.md", help="Also rewrite the block of this file.")
    ] = None,
    title: Annotated[str, typer.Option("--title", help="Heading of the page and of a new RESULTS.md.")] = "Results",
    groups: Annotated[
        list[str],
        typer.Option(
            "--group", metavar="REGEX", help="Average the files that share what the one group captures; repeatable."
        ),
    ] = [],  # noqa: B006 - typer reads the default, nobody changes it
) -> None:
    """Show scores, training curves and how each number was made, as one page and in RESULTS.md."""
    from speechkit.report.run import run

    run(sources, out=out, title=title, groups=groups, results_file=update)
