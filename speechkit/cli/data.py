"""`speechkit data`: prepare corpora, make synthetic ones."""

from __future__ import annotations

import typer

app = typer.Typer(name="data", help="Prepare corpora and make synthetic ones.", no_args_is_help=True)
