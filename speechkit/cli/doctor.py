"""`speechkit doctor`."""

from __future__ import annotations

from typing import Annotated

import typer

from speechkit.cli.options import Json


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(doctor)


def doctor(
    warm: Annotated[bool, typer.Option("--warm", help="Compile the kernels now and print the seconds.")] = False,
    json_file: Json = None,
) -> None:
    """Check this machine: versions, audio, k2, memory, disk, GPU, Slurm; exit 3 if something must be mended."""
    from speechkit import doctor as checks

    checks.run(warm=warm, json_file=json_file)
