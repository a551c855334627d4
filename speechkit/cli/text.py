"""`speechkit text`: tokenizers and text tools."""

from __future__ import annotations

import typer

app = typer.Typer(name="text", help="Tokenizers and text tools.", no_args_is_help=True)
