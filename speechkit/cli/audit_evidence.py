"""Commands of `speechkit audit`: log-probs and scores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from speechkit.cli.options import Force, NumJobs, Out, Set

Cuts = Annotated[Path, typer.Argument(metavar="CUTS", help="Manifest, or the folder that holds cuts.jsonl.gz.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the group."""
    app.command("logprobs")(logprobs)
    app.command("score")(score)


def logprobs(
    cuts: Cuts,
    exp: Annotated[Path, typer.Option("--exp", help="CTC model of `speechkit train` that was not trained on CUTS.")],
    out: Out,
    max_bad: Annotated[
        str, typer.Option(help="Leave out up to so many unreadable utterances: a count or a share (1%).")
    ] = "0",
    num_jobs: NumJobs = 1,
    overrides: Set = [],  # noqa: B006
    force: Force = False,
) -> None:
    """Keep what a model hears in CUTS: OUT/log_probs.npy, for any number of `audit score`. A killed run goes on.

    Example: speechkit audit logprobs folds/fold-0/test.jsonl.gz --exp exp/fold-0 --out exp/fold-0-log-probs
    """
    from speechkit.audit.config_evidence import LogProbsConfig
    from speechkit.config import build_config, load_config

    given = {**load_config(LogProbsConfig, None, overrides).model_dump(), "max_bad": max_bad}
    config = build_config(LogProbsConfig, given)
    from speechkit.audit.logprobs_run import run

    run(config, cuts=cuts, exp=exp, out=out, num_jobs=num_jobs, force=force)


def score(
    cuts: Cuts,
    out: Out,
    log_probs: Annotated[
        list[Path], typer.Option("--log-probs", metavar="DIR", help="Made by `audit logprobs`; one for each fold.")
    ],
    lexicon: Annotated[
        str,
        typer.Option(
            metavar="FILE|auto|none", help="Words to try in each place, one a line; auto: the corpus' own if few."
        ),
    ] = "auto",
    star_penalty: Annotated[float, typer.Option(help="Nats that a star costs, which fits any speech.")] = 6.0,
    speaker_distance: Annotated[
        bool, typer.Option("--speaker-distance", help="Also compare voices with those of their speakers; reads audio.")
    ] = False,
    k2: Annotated[bool, typer.Option("--k2", help="Also edits in any number at once, through k2.")] = False,
    num_jobs: NumJobs = 1,
    force: Force = False,
) -> None:
    """Score each transcript, its words and the gaps between them: OUT/scores.jsonl, OUT/left_out.jsonl.

    Example: speechkit audit score data/train --log-probs lp/fold-0 --log-probs lp/fold-1 --out exp/scores
    """
    from speechkit.audit.config_evidence import ScoreConfig
    from speechkit.config import build_config

    given = {"lexicon": lexicon, "star_penalty": star_penalty, "speaker_distance": speaker_distance, "k2": k2}
    config = build_config(ScoreConfig, given)
    from speechkit.audit.score_run import run

    run(config, cuts=cuts, log_probs=log_probs, out=out, num_jobs=num_jobs, force=force)
