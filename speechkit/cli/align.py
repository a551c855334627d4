"""`speechkit align`: times of words."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from speechkit.cli import options
from speechkit.cli.options import Force, Json, NumJobs, Out, Set, ShowConfig

app = typer.Typer(name="align", help="Times of words, and how exact they are.", no_args_is_help=True)


@app.command()
def forced(
    cuts: Annotated[Path, typer.Argument(metavar="CUTS", help="Manifest with transcripts.")],
    out: Out,
    exp: Annotated[
        Path | None,
        typer.Option(
            "--exp",
            metavar="EXP",
            help="CTC model of `speechkit train`, or an earlier output; none: models trained on CUTS.",
        ),
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

    Without EXP, models of the letters and frequent words are trained on CUTS alone; no lexicon is needed. A CTC
    model finds words in hours of audio, too, and what text and audio do not share (--set ctc.star_penalty=1).

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


@app.command()
def compare(
    ref: Annotated[Path, typer.Argument(metavar="REF_CUTS", help="Manifest with true word times.")],
    hyp: Annotated[Path, typer.Argument(metavar="HYP_CUTS", help="The same utterances with word times to judge.")],
    by: Annotated[str, typer.Option(metavar="FIELD", help="Also by speaker, gender, language or a custom field.")] = "",
    tier: Annotated[str, typer.Option(help="Alignment to compare.")] = "word",
    fail_above: Annotated[
        float | None, options.fail_above("MS", "Exit 3 above this median error, or when HYP lacks utterances.")
    ] = None,
    json_file: Json = None,
) -> None:
    """Errors of word boundaries in ms, and how much the words overlap with the true ones.

    Example: speechkit align compare data/train exp/align --by speaker
    """
    from speechkit.align import compare as comparison
    from speechkit.artifact import check_writable, write_json

    check_writable(json_file)
    result = comparison.compare_files(ref, hyp, tier=tier, by=by)
    print(comparison.table(result))
    if json_file is not None:
        write_json(json_file, result)
    comparison.check_limit(result, fail_above)
