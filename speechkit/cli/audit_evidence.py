"""Commands of `speechkit audit`: log-probs and scores."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add the commands to the group."""
