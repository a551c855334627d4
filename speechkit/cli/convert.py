"""`speechkit data convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from speechkit.cli.options import Force, Json, NumJobs, Out
from speechkit.config import build_config
from speechkit.data.config_convert import FORMATS, ConvertConfig

_FORMATS = ", ".join(FORMATS)


def register(app: typer.Typer) -> None:
    """Add the command to its group."""
    app.command()(convert)


def convert(
    source: Annotated[Path, typer.Argument(metavar="IN", help="File or folder in any of the formats.")],
    to: Annotated[str, typer.Option("--to", metavar="FORMAT", help=f"{_FORMATS}.")],
    out: Out,
    source_format: Annotated[
        str, typer.Option("--from", metavar="FORMAT", help="Of IN; auto: by name and content.")
    ] = "auto",
    audio: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="From CTM, STM, TextGrid: folder of the audio, or cuts they belong to."),
    ] = None,
    max_bad: Annotated[str, typer.Option(help="Skip up to so many unusable items: a count or a share (1%).")] = "0",
    json: Json = None,
    num_jobs: NumJobs = 1,
    force: Force = False,
) -> None:
    """Exchange with other toolkits; what the target can not hold is counted and listed."""
    config = build_config(ConvertConfig, {"target": to, "source_format": source_format, "max_bad": max_bad})

    from speechkit.data.convert import run

    run(source, config, out=out, audio=audio, num_jobs=num_jobs, force=force, json_file=json)
