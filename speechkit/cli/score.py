"""`speechkit score`: word error rate and its relatives."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from speechkit.cli.options import Json, Seed
from speechkit.config import build_config
from speechkit.score.config import WerConfig

app = typer.Typer(name="score", help="Word error rate and its relatives.", no_args_is_help=True)

_FORMATS = "auto, text, trn, jsonl, cuts or lines"


@app.command()
def wer(
    ref: Annotated[Path, typer.Argument(help="Kaldi text, .trn, JSONL with id and text, cuts, or an artifact folder.")],
    hyp: Annotated[Path, typer.Argument(help="The same formats; joined with REF by id.")],
    train_text: Annotated[
        Path | None,
        typer.Option(help="Texts of the training set (cuts, JSONL, Kaldi text, or .txt with one sentence a line)."),
    ] = None,
    by: Annotated[str, typer.Option(metavar="FIELD,...", help="Group by fields of the cuts or JSONL.")] = "",
    missing: Annotated[str, typer.Option(help="No hypothesis: error, delete (count deletions) or skip.")] = "error",
    ties: Annotated[str, typer.Option(help="Rule among equally good alignments: kaldi, rapidfuzz or sclite.")] = "kaldi",
    ci: Annotated[float, typer.Option(help="Level of the bootstrap intervals.")] = 0.95,
    replicates: Annotated[int, typer.Option(help="Bootstrap samples.")] = 1000,
    ref_format: Annotated[str, typer.Option(help=_FORMATS)] = "auto",
    hyp_format: Annotated[str, typer.Option(help=_FORMATS)] = "auto",
    json: Json = None,
    align: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write every alignment; .jsonl for machines, else text.")
    ] = None,
    fail_above: Annotated[float | None, typer.Option(metavar="WER", help="Exit 3 above this word error rate.")] = None,
    seed: Seed = 0,
) -> None:
    """Word and character error rates with intervals, on all, seen and unseen texts, and by group."""
    from speechkit.artifact import write_json
    from speechkit.score import report

    config = build_config(
        WerConfig,
        {
            "ties": ties,
            "missing": missing,
            "by": tuple(filter(None, by.split(","))),
            "ci_level": ci,
            "num_replicates": replicates,
            "seed": seed,
            "ref_format": ref_format,
            "hyp_format": hyp_format,
            "train_text": train_text,
        },
    )
    scored, result = report.report(ref, hyp, config)
    print(report.table(result))
    if json is not None:
        write_json(json, result)
    if align is not None:
        report.write_alignment(align, scored)
    report.check_limit(result, fail_above)
