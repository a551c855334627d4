"""`speechkit prompt import`: unit language models of others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from speechkit.cli.options import Force, Out, Set, ShowConfig
from speechkit.prompt.config_kinds import UlmSource


def register(app: typer.Typer) -> None:
    """Add the command to those of `speechkit prompt`."""
    app.command("import")(import_)


def import_(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="Folder with the files of the model, unpacked.")],
    kind: Annotated[UlmSource, typer.Option("--from", help="Whose files they are.")],
    out: Out,
    codebook: Annotated[
        Path | None, typer.Option("--codebook", help="Codebook that the units are of, so that others are refused.")
    ] = None,
    overrides: Set = [],  # noqa: B006
    show_config: ShowConfig = False,
    force: Force = False,
) -> None:
    """Make a unit language model of GSLM's, Unit mBART's or Hugging Face's (TWIST, Slam) files; nothing in them is run.

    Example: speechkit prompt import gslm/hubert100_lm --from gslm --codebook exp/hubert100 --out exp/gslm
    """
    from speechkit.config import load_config
    from speechkit.config import show_config as describe
    from speechkit.prompt.config_import import UlmImportConfig

    config = load_config(UlmImportConfig, None, [f"kind={kind}", *overrides])
    if show_config:
        print(describe(config), end="")
        return
    from speechkit.prompt.import_ulm import run

    run(config, source, out=out, codebook=codebook, force=force)
