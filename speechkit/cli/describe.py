"""`speechkit data describe`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from speechkit.cli.options import Json


def register(app: typer.Typer) -> None:
    """Add the command to its group."""
    app.command()(describe)


def describe(
    cuts: Annotated[Path, typer.Argument(metavar="CUTS", help="A cuts manifest, or the folder that holds one.")],
    against: Annotated[
        list[Path],
        typer.Option("--against", metavar="CUTS", help="Another set, usually a test set: what it shares; repeatable."),
    ] = [],  # noqa: B006 - typer reads the default, nobody changes it
    lexicon: Annotated[
        Path | None,
        typer.Option("--lexicon", metavar="FILE", help="`word phone phone ...`: word boundaries by phone, not letter."),
    ] = None,
    json: Json = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="One page with a plot; no network.")
    ] = None,
) -> None:
    """Durations, speakers, fields and the diversity of texts; what other sets share; a plain verdict."""
    from speechkit.data.describe.run import run

    run(cuts, against=against, lexicon=lexicon, json_file=json, html_file=html)
