"""`speechkit recipe`: start a recipe of your own, list those there are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(name="recipe", help="Start a recipe of your own, list those there are.", no_args_is_help=True)


@app.command("new")
def new_command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Letters, digits, `_`, `-` and `.`.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="The new folder.", show_default="egs/NAME")
    ] = None,
) -> None:
    """Write a working recipe for your own recordings: run.sh, conf/, README.md, RESULTS.md.

    Example: speechkit recipe new my-digits
    """
    from speechkit.recipes import new_recipe

    print(new_recipe(name, out))


@app.command("list")
def list_command(
    egs: Annotated[
        Path | None,
        typer.Argument(metavar="EGS", help="Folder of recipes.", show_default="egs here or of the checkout"),
    ] = None,
) -> None:
    """Print each recipe and what it is for."""
    from speechkit.recipes import list_recipes

    recipes = list_recipes(egs)
    width = max((len(name) for name, _ in recipes), default=0)
    for name, description in recipes:
        print(f"{name:{width}}  {description}".rstrip())
