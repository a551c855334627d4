"""`speechkit decode`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from speechkit.cli.options import Force, Json, Out, Set


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("decode")(decode)


def decode(
    cuts: Annotated[Path, typer.Argument(metavar="CUTS", help="Manifest to recognise.")],
    exp: Annotated[Path, typer.Option("--exp", help="Folder made by `speechkit train`.")],
    out: Out,
    method: Annotated[str, typer.Option("--method", help="greedy")] = "greedy",
    overrides: Set = [],  # noqa: B006 - typer reads the default, nobody changes it
    force: Force = False,
    json_file: Json = None,
) -> None:
    """Recognise a manifest: OUT/hyp.jsonl has `id` and `text` of each utterance.

    Example: speechkit decode data/test --exp exp/ctc --out exp/ctc-test
    """
    from speechkit.config import load_config
    from speechkit.decode.config import DecodeConfig

    config = load_config(DecodeConfig, None, [f"method={method}", *overrides])
    from speechkit.decode.run import run

    run(config, cuts=cuts, exp=exp, out=out, force=force, json_file=json_file)
    print(out / "hyp.jsonl")
