"""`speechkit recipe`: start a recipe of your own, list those there are."""

from __future__ import annotations

import typer

app = typer.Typer(name="recipe", help="Start a recipe of your own, list those there are.", no_args_is_help=True)
