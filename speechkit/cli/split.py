"""`speechkit data split`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from speechkit.cli.options import Force, Json, NumJobs, Out, Seed


def register(app: typer.Typer) -> None:
    """Add the command to `speechkit data`."""
    app.command("split")(split)


def split(
    cuts: Annotated[Path, typer.Argument(metavar="CUTS", help="Manifest, or the folder that holds cuts.jsonl.gz.")],
    out: Out,
    by: Annotated[
        str, typer.Option(metavar="FIELD,...", help="Keys no two sides share: speaker, text, or any field of the cuts.")
    ] = "speaker,text",
    dev: Annotated[
        str, typer.Option(metavar="F", help="Size of dev: 0.1 or 10%, 500 (utterances), 2h, 30min; 0: none.")
    ] = "10%",
    test: Annotated[str, typer.Option(metavar="F", help="Size of test.")] = "10%",
    seed: Seed = 0,
    stratify: Annotated[
        str, typer.Option(metavar="FIELD", help="A field whose values all sides hold in the same shares.")
    ] = "",
    near_words: Annotated[
        int, typer.Option(metavar="N", min=0, help="Texts of N words or more that differ in one word are one text.")
    ] = 0,
    measure: Annotated[str, typer.Option(help="What shares count: utterances or hours.")] = "utterances",
    max_lost: Annotated[
        str, typer.Option(metavar="F", help="Refuse when strictness leaves out a larger share of the data.")
    ] = "20%",
    like: Annotated[
        Path | None, typer.Option(metavar="DIR", help="An earlier split; what it knows keeps its side.")
    ] = None,
    curve: Annotated[bool, typer.Option("--curve", help="Also print what other sizes would cost.")] = False,
    json_file: Json = None,
    num_jobs: NumJobs = 1,
    force: Force = False,
) -> None:
    """Train, dev and test that share no speaker and no text, or no value of any other field.

    Example: speechkit data split data/all --by speaker,text --dev 10% --test 10% --out data/split
    """
    from speechkit.config import build_config
    from speechkit.data.config_split import SplitConfig

    config = build_config(
        SplitConfig,
        {
            "by": tuple(name.strip() for name in by.split(",")),
            "dev": dev,
            "test": test,
            "seed": seed,
            "stratify": stratify,
            "near_words": near_words,
            "measure": measure,
            "max_lost": max_lost,
            "curve": curve,
        },
    )
    from speechkit.data.split.run import run

    run(config, cuts=cuts, out=out, like=like, num_threads=num_jobs, json_file=json_file, force=force)
