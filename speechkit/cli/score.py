"""`speechkit score`: word error rate and its relatives."""

from __future__ import annotations

import typer

app = typer.Typer(name="score", help="Word error rate and its relatives.", no_args_is_help=True)
