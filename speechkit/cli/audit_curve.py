"""`speechkit audit curve`: noise rates, break points."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from speechkit.cli.options import Force, Out, Seed


def register(app: typer.Typer) -> None:
    """Add the command to the group."""
    app.command("curve")(curve)


def curve(
    evaluations: Annotated[
        list[Path], typer.Argument(metavar="EVAL.json...", help="Files of `audit eval --json`, a kind and rate each.")
    ],
    out: Out,
    group: Annotated[
        str, typer.Option(metavar="REGEX", help="A curve for each value of the one group that it captures of a path.")
    ] = "",
    score: Annotated[str, typer.Option(metavar="NAME", help="Word score of `audit eval` that is followed.")] = "doubt",
    title: Annotated[str, typer.Option(help="Heading of the page.")] = "Label noise: curves and break points",
    num_replicates: Annotated[
        int, typer.Option("--bootstrap", metavar="N", help="Bootstrap draws of runs; 0: no intervals.")
    ] = 200,
    ci_level: Annotated[float, typer.Option("--ci", metavar="LEVEL", help="Level of the intervals.")] = 0.95,
    seed: Seed = 0,
    update: Annotated[
        Path | None, typer.Option("--update", metavar="RESULTS.md", help="Also rewrite the block of this file.")
    ] = None,
    force: Force = False,
) -> None:
    """Detection of wrong words against noise rates: OUT/curves.html, break points beside predicted flip points.

    Example: speechkit audit curve exp/*/eval.json --group 'exp/(sub|pairflip)' --out exp/curves
    """
    from speechkit.audit.config_curve import CurveConfig
    from speechkit.config import build_config

    tree = {"group": group, "score": score, "title": title, "seed": seed}
    config = build_config(CurveConfig, {**tree, "num_replicates": num_replicates, "ci_level": ci_level})
    from speechkit.audit.curve import run

    run(config, evaluations, out=out, results_file=update, force=force)
