"""`speechkit decode`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from speechkit.cli.options import Force, Json, Merge, Out, Set, ShardOption


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("decode")(decode)


def decode(
    cuts: Annotated[Path, typer.Argument(metavar="CUTS", help="Manifest to recognise.")],
    exp: Annotated[Path, typer.Option("--exp", help="Folder made by `speechkit train`.")],
    out: Out,
    method: Annotated[str, typer.Option("--method", help="greedy or beam")] = "greedy",
    head: Annotated[
        str | None, typer.Option("--head", help="Output to decode: ctc or attention; without it the main one.")
    ] = None,
    beam: Annotated[int | None, typer.Option("--beam", help="Hypotheses that the method beam keeps.")] = None,
    ctc_weight: Annotated[
        float | None,
        typer.Option("--ctc-weight", help="Share of the CTC output when the ended hypotheses of a beam compete."),
    ] = None,
    require_converged: Annotated[
        bool, typer.Option("--require-converged", help="Refuse a model whose training did not converge (exit 3).")
    ] = False,
    shard: ShardOption = None,
    merge: Merge = None,
    overrides: Set = [],  # noqa: B006 - typer reads the default, nobody changes it
    force: Force = False,
    json_file: Json = None,
) -> None:
    """Recognise a manifest: OUT/hyp.jsonl has `id` and `text` of each utterance.

    Example: speechkit decode data/test --exp exp/ctc --out exp/ctc-test
    """
    from speechkit.config import load_config
    from speechkit.decode.config import DecodeConfig

    options = {"head": head, "beam.size": beam, "beam.ctc_weight": ctc_weight}
    given = [f"{key}={value}" for key, value in options.items() if value is not None]
    config = load_config(DecodeConfig, None, [f"method={method}", *given, *overrides])
    from speechkit.decode.run import run
    from speechkit.jobs.shard import parse_sharing

    sharing = parse_sharing(shard, merge)
    hyp = run(
        config, cuts=cuts, exp=exp, out=out, require_converged=require_converged, force=force, json_file=json_file,
        sharing=sharing,
    )  # fmt: skip
    print(hyp)
