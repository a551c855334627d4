"""Commands of `speechkit audit`: calibration, noise rate, page, cleaned manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from speechkit.audit.config_verdict import (
    ApplyConfig,
    CalibrateConfig,
    DrawConfig,
    EstimateConfig,
    Policy,
    ReportConfig,
)
from speechkit.cli.options import Force, Json, Out, Seed
from speechkit.config import build_config
from speechkit.errors import ConfigError

Audit = Annotated[Path, typer.Argument(metavar="AUDIT", help="Folder made by `speechkit audit calibrate`.")]
Decisions = Annotated[
    Path | None, typer.Option(metavar="FILE", help="JSONL with id, decision (wrong, right, unsure) and text.")
]
Sample = Annotated[Path | None, typer.Option(metavar="FILE", help="What `audit estimate --draw` wrote.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the group."""
    for command in (calibrate, estimate, report, apply):
        app.command()(command)


def calibrate(
    scores: Annotated[Path, typer.Argument(metavar="SCORES", help="Folder made by `speechkit audit score`.")],
    out: Out,
    indicators: Annotated[int, typer.Option(metavar="N", help="So many transcripts are made wrong on purpose.")] = 500,
    max_edits: Annotated[int, typer.Option(metavar="N", help="Edits that a suggested correction may have.")] = 3,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Probabilities of errors, kinds and corrections, from faults planted in the corpus' own transcripts."""
    from speechkit.audit.calibrate import run_calibrate

    config = build_config(CalibrateConfig, {"indicators": indicators, "max_edits": max_edits, "seed": seed})
    run_calibrate(config, scores=scores, out=out, force=force)


def estimate(
    audit: Audit,
    draw: Annotated[int | None, typer.Option(min=3, metavar="N", help="Draw N utterances to inspect.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="With --draw: the sample, to be decided.")] = None,
    decisions: Decisions = None,
    sample: Sample = None,
    ci: Annotated[float, typer.Option(min=0.5, max=0.9999, help="Level of the interval.")] = 0.95,
    json: Json = None,
    fail_on_flip: Annotated[
        bool, typer.Option("--fail-on-flip", help="Exit 3 when the top holds fewer errors than the corpus.")
    ] = False,
    seed: Seed = 0,
) -> None:
    """Draw utterances to inspect, then say from their decisions how many transcripts are wrong, with an interval."""
    if (draw is None) == (decisions is None):
        raise ConfigError(
            "one of --draw and --decisions is needed", expected="--draw N --out FILE, or --decisions FILE"
        )
    if (draw is None) != (out is None):
        raise ConfigError("--draw and --out belong together", expected="--draw N --out FILE")
    from speechkit.artifact import check_writable, write_json
    from speechkit.audit import estimate as noise_rate

    check_writable(out, json)
    if draw is not None and out is not None:
        noise_rate.run_draw(audit, out, build_config(DrawConfig, {"draw": draw, "seed": seed}))
        return
    assert decisions is not None
    config = build_config(EstimateConfig, {"ci": ci, "seed": seed})
    result = noise_rate.run_estimate(audit, decisions, config, sample=sample)
    if json is not None:
        write_json(json, result)
    print(noise_rate.estimate_table(result))
    if fail_on_flip:
        noise_rate.check_flip(result)


def report(
    audit: Audit,
    cuts: Annotated[Path, typer.Option(metavar="CUTS", help="The cuts that were audited, for their audio.")],
    out: Annotated[Path, typer.Option(metavar="FILE.html", help="The page.")],
    top: Annotated[int, typer.Option(min=1, help="So many utterances, the most suspicious ones.")] = 500,
    sample: Sample = None,
    audio: Annotated[
        Literal["embedded", "relative"], typer.Option(help="Inside the page, or by path relative to it.")
    ] = "embedded",
) -> None:
    """Write one HTML page to listen to suspicious transcripts, decide by keyboard and export the decisions."""
    from speechkit.artifact import check_writable
    from speechkit.audit.report import run_report
    from speechkit.errors import counted

    check_writable(out)
    num = run_report(audit, out, build_config(ReportConfig, {"top": top, "audio": audio}), cuts=cuts, sample=sample)
    print(f"{counted(num, 'transcript')} in {out}")


def apply(
    cuts: Annotated[Path, typer.Argument(metavar="CUTS", help="The cuts that were audited.")],
    audit: Annotated[Path, typer.Option(metavar="AUDIT", help="Folder made by `speechkit audit calibrate`.")],
    policy: Annotated[Policy, typer.Option(help="What happens to wrong and suspicious transcripts.")],
    out: Out,
    decisions: Decisions = None,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="P(error) that is suspicious; default: that of the audit.")
    ] = None,
    accept_above: Annotated[
        float | None, typer.Option(metavar="LOGODDS", help="correct: take suggestions with at least these log-odds.")
    ] = None,
    min_kept: Annotated[float, typer.Option(help="trim: share of the words that must stay, else removed.")] = 0.5,
    margin_ms: Annotated[float, typer.Option(help="trim: audio kept around the words that stay.")] = 100.0,
    force: Force = False,
) -> None:
    """Drop, weight, correct or trim transcripts into a new manifest that says what was done to each."""
    if accept_above is not None and policy != "correct":
        raise ConfigError("--accept-above is for --policy correct")
    from speechkit.audit.apply import run_apply

    config = build_config(
        ApplyConfig,
        {
            "policy": policy,
            "threshold": threshold,
            "accept_above": accept_above,
            "min_kept": min_kept,
            "margin_ms": margin_ms,
        },
    )
    run_apply(cuts, out, config, audit=audit, decisions=decisions, force=force)
