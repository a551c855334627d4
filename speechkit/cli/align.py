"""`speechkit align`: times of words."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from speechkit.cli.options import Force, Json, NumJobs, Out, Set, ShowConfig

app = typer.Typer(name="align", help="Times of words, and how exact they are.", no_args_is_help=True)


@app.command()
def forced(
    cuts: Annotated[Path, typer.Argument(metavar="CUTS", help="Manifest with transcripts.")],
    out: Out,
    exp: Annotated[
        Path | None,
        typer.Option("--exp", metavar="EXP", help="Earlier output of this command; none: models trained on CUTS."),
    ] = None,
    formats: Annotated[str, typer.Option("--format", metavar="ctm,textgrid", help="Written besides the cuts.")] = "",
    max_bad: Annotated[
        str, typer.Option(help="Skip up to so many unusable utterances: a count or a share (1%).")
    ] = "0",
    min_confidence: Annotated[float, typer.Option(help="Words below it are listed in OUT/suspicious.tsv.")] = 0.5,
    num_jobs: NumJobs = 1,
    overrides: Set = [],  # noqa: B006
    show_config: ShowConfig = False,
    force: Force = False,
    json_file: Json = None,
) -> None:
    """Find when each word is said: OUT/cuts.jsonl.gz has word times with confidences.

    Without EXP, models of the letters and frequent words are trained on CUTS alone; no lexicon is needed.

    Example: speechkit align forced data/train --out exp/align --format ctm
    """
    from speechkit.align.config import AlignConfig
    from speechkit.config import build_config, load_config
    from speechkit.config import show_config as describe

    given = {"formats": formats, "max_bad": max_bad, "min_confidence": min_confidence}
    config = build_config(AlignConfig, {**load_config(AlignConfig, None, overrides).model_dump(), **given})
    if show_config:
        print(describe(config), end="")
        return
    from speechkit.align.forced import run

    run(config, cuts=cuts, out=out, exp=exp, num_jobs=num_jobs, force=force, json_file=json_file)
