"""Commands of `speechkit audit`: faults with known truth, folds, measures, labelers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from speechkit.cli.options import Force, Json, NumJobs, Out, Seed

Cuts = Annotated[Path, typer.Argument(metavar="CUTS", help="Manifest, or the folder that holds cuts.jsonl.gz.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the group."""
    app.command("inject")(inject)
    app.command("folds")(folds)
    app.command("eval")(evaluate)
    app.command("labelers")(labelers)


def inject(
    cuts: Cuts,
    out: Out,
    mix: Annotated[
        str,
        typer.Option(
            metavar="TYPE[:WEIGHT],...",
            help="swap, swap-speaker, swap-length, sub, confusable, pairflip, ins, del, del-frequent, transpose, "
            "misread, form, language, truncate, silence, duplicate, wrong-speaker; default: the usual seven.",
        ),
    ] = "default",
    rate: Annotated[float, typer.Option(help="Share of faulty utterances; of wrong words with --level word.")] = 0.1,
    level: Annotated[
        str, typer.Option(help="utterance: one fault each; word: each word by itself, types sub to del.")
    ] = "utterance",
    seed: Seed = 0,
    labelers: Annotated[int, typer.Option(min=0, help="Assign so many labelers (custom field `labeler`).")] = 0,
    bad_labelers: Annotated[int, typer.Option(min=0, help="So many of them make most of the faults.")] = 0,
    bad_share: Annotated[float, typer.Option(help="Share of the faults that bad labelers make.")] = 0.8,
    language: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Sentences of another language, one a line.")
    ] = None,
    confusions: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A word and those it is taken for on each line.")
    ] = None,
    forms: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A word and other ways to write it, separated by tabs.")
    ] = None,
    exclude: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Ids that stay as they are: a line each, or JSONL.")
    ] = None,
    num_jobs: NumJobs = 1,
    force: Force = False,
) -> None:
    """Plant faults in transcripts and audio, with the truth about each: cuts.jsonl.gz and truth.jsonl.

    Example: speechkit audit inject data/train --rate 0.1 --seed 1 --out data/noisy
    """
    from speechkit.audit.config_truth import InjectConfig
    from speechkit.config import build_config

    tree = {
        "mix": mix,
        "rate": rate,
        "level": level,
        "seed": seed,
        "labelers": labelers,
        "bad_labelers": bad_labelers,
        "bad_share": bad_share,
    }
    config = build_config(InjectConfig, tree)
    from speechkit.audit.inject_run import Lists, run

    lists = Lists(language=language, confusions=confusions, forms=forms, exclude=exclude)
    run(config, cuts=cuts, out=out, lists=lists, num_jobs=num_jobs, force=force)


def folds(
    cuts: Cuts,
    out: Out,
    num_folds: Annotated[int, typer.Option("--folds", metavar="K", help="Number of folds.")] = 5,
    by: Annotated[
        str,
        typer.Option(
            metavar="FIELD,...",
            help="Equal values stay in one fold: text, duplicate (equal audio), speaker, recording, or any field.",
        ),
    ] = "text,duplicate",
    seed: Seed = 0,
    num_jobs: NumJobs = 1,
    force: Force = False,
) -> None:
    """Training and test sets in which every cut is tested once, by a model that heard nothing like it.

    Example: speechkit audit folds data/noisy --folds 3 --out exp/folds
    """
    from speechkit.audit.config_truth import FoldsConfig
    from speechkit.config import build_config

    names = tuple(name.strip() for name in by.split(","))
    config = build_config(FoldsConfig, {"folds": num_folds, "by": names, "seed": seed})
    from speechkit.audit.folds import run

    run(config, cuts=cuts, out=out, num_threads=num_jobs, force=force)


def evaluate(
    judged: Annotated[
        Path, typer.Argument(metavar="SCORES", help="Folder of `audit score` or of `audit calibrate`, or its file.")
    ],
    truth: Annotated[Path, typer.Argument(metavar="TRUTH", help="Folder of `audit inject`, or its truth.jsonl.")],
    baseline: Annotated[
        str, typer.Option(metavar="NAME", help="Score from which AP differences count; default: best of CER, cleanlab.")
    ] = "",
    budget: Annotated[float, typer.Option(help="Share of the utterances inspected, for the recall.")] = 0.1,
    star_penalty: Annotated[float, typer.Option(help="Nats that a star costs in the log-odds of words.")] = 6.0,
    num_replicates: Annotated[
        int, typer.Option("--bootstrap", metavar="N", help="Bootstrap draws of utterances; 0: no intervals.")
    ] = 500,
    ci_level: Annotated[float, typer.Option("--ci", metavar="LEVEL", help="Level of the intervals.")] = 0.95,
    seed: Seed = 0,
    json_file: Json = None,
) -> None:
    """Measure scores or an audit against known truth: AUROC, AP, words, gaps, calibration, suggestions.

    Example: speechkit audit eval exp/scores data/noisy --json exp/eval.json
    """
    from speechkit.audit.config_truth import EvalConfig
    from speechkit.config import build_config

    tree = {
        "baseline": baseline,
        "budget": budget,
        "star_penalty": star_penalty,
        "num_replicates": num_replicates,
        "ci_level": ci_level,
        "seed": seed,
    }
    config = build_config(EvalConfig, tree)
    from speechkit.audit.eval import run

    run(config, judged=judged, truth=truth, json_file=json_file)


def labelers(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="AUDIT | T1 T2 ...", help="An audit; or transcripts of the same utterances, one each."),
    ],
    field: Annotated[str, typer.Option(metavar="FIELD", help="Field of the cuts that names the labeler.")] = "labeler",
    cuts: Annotated[Path | None, typer.Option(metavar="CUTS", help="The audited cuts, which have the field.")] = None,
    decisions: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Decisions about the audit; they count for its P(error)."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the consensus of transcripts as JSONL.")
    ] = None,
    num_replicates: Annotated[
        int, typer.Option("--bootstrap", metavar="N", help="Bootstrap draws of utterances, for transcripts.")
    ] = 200,
    ci_level: Annotated[float, typer.Option("--ci", metavar="LEVEL", help="Level of the intervals.")] = 0.95,
    seed: Seed = 0,
    json_file: Json = None,
) -> None:
    """How often each labeler is wrong: from one audit, or from several transcripts and their consensus.

    Example: speechkit audit labelers anna.trn bert.trn carl.trn --out consensus.jsonl
    """
    from speechkit.audit.config_truth import LabelersConfig
    from speechkit.config import build_config

    tree = {"field": field, "num_replicates": num_replicates, "ci_level": ci_level, "seed": seed}
    config = build_config(LabelersConfig, tree)
    from speechkit.audit.labelers_run import Files, run

    run(config, paths, files=Files(cuts=cuts, decisions=decisions, out=out), json_file=json_file)
