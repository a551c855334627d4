"""`speechkit audit`: which transcripts are wrong, where, how many, how sure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from speechkit.cli import audit_curve, audit_evidence, audit_truth, audit_verdict
from speechkit.cli.options import Force, NumJobs, Out, Seed, Set

app = typer.Typer(
    name="audit", help="Find wrong transcripts, say how many there are, repair them.", no_args_is_help=True
)


@app.command()
def run(
    cuts: Annotated[Path, typer.Argument(metavar="CUTS", help="Manifest, or the folder that holds cuts.jsonl.gz.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the audit; what is up to date in it stays.")],
    conf: Annotated[
        Path | None, typer.Option("--conf", metavar="CONF", help="YAML of `speechkit train`; without it a small CTC.")
    ] = None,
    folds: Annotated[int, typer.Option(min=2, metavar="K", help="Models, each judges the part it did not hear.")] = 3,
    by: Annotated[
        str, typer.Option(metavar="FIELD,...", help="Equal values stay in one part, as in `audit folds`.")
    ] = "text,duplicate",
    extra: Annotated[
        list[Path], typer.Option("--also-train", metavar="CUTS", help="Every model also hears this; repeatable.")
    ] = [],  # noqa: B006 - typer reads the default, nobody changes it
    word_times: Annotated[bool, typer.Option(help="Find word times first: models converge sooner.")] = True,
    lexicon: Annotated[str, typer.Option(metavar="FILE|auto|none", help="As in `audit score`.")] = "auto",
    indicators: Annotated[int, typer.Option(min=40, help="Wrong transcripts made to calibrate.")] = 500,
    top: Annotated[int, typer.Option(min=1, help="Utterances on the page.")] = 500,
    seed: Seed = 0,
    num_jobs: NumJobs = 1,
    overrides: Set = [],  # noqa: B006
    force: Force = False,
) -> None:
    """Audit a manifest: folds, models, scores, calibration, and OUT/report.html to decide on.

    Example: speechkit audit run data/train --by speaker --out exp/audit
    """
    from speechkit.audit.config_run import RunConfig
    from speechkit.config import build_config, load_config
    from speechkit.errors import ConfigError
    from speechkit.train.config import TrainConfig

    tree = {
        "folds": folds,
        "by": [name.strip() for name in by.split(",")],
        "align": word_times,
        "lexicon": lexicon,
        "indicators": indicators,
    }
    config = build_config(RunConfig, {**tree, "top": top, "seed": seed})
    if overrides and conf is None:
        raise ConfigError("--set changes the configuration of the models, which needs --conf")
    train = load_config(TrainConfig, conf, overrides) if conf is not None else None
    from speechkit.audit.run import run as run_audit

    print(run_audit(config, cuts=cuts, out=out, train=train, extra=extra, num_jobs=num_jobs, force=force))


@app.command()
def relabel(
    cuts: Annotated[Path, typer.Argument(metavar="CUTS", help="Manifest, or the folder that holds cuts.jsonl.gz.")],
    hyp: Annotated[
        Path, typer.Option("--hyp", metavar="HYP", help="Folder of `speechkit decode`, or any transcripts.")
    ],
    out: Out,
    max_cer: Annotated[
        float, typer.Option(min=0, help="Leave out where the hypothesis differs from the text by more percent CER.")
    ] = 100.0,
    force: Force = False,
) -> None:
    """Give utterances the transcripts that a better model heard, where it agrees with the last ones well enough.

    Example: speechkit audit relabel data/web --hyp exp/teacher-web --max-cer 10 --out data/web-1
    """
    from speechkit.audit.config_run import RelabelConfig
    from speechkit.config import build_config

    config = build_config(RelabelConfig, {"max_cer": max_cer})
    from speechkit.audit.relabel import run as run_relabel

    if run_relabel(config, cuts=cuts, hyp=hyp, out=out, force=force):
        print(out)


for _commands in (audit_truth, audit_evidence, audit_verdict, audit_curve):
    _commands.register(app)
