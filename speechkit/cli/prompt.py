"""`speechkit prompt`: tasks for a frozen unit language model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from speechkit.cli.options import AllowOverlap, Force, Json, Out, Seed, Set, ShowConfig
from speechkit.prompt.config_kinds import MethodKind, VerbalizerKind

app = typer.Typer(
    name="prompt",
    help="Prompts for a frozen language model of units: train, predict, compare with baselines, many in one batch.",
    no_args_is_help=True,
)

Lm = Annotated[Path, typer.Option("--lm", help="Folder of a unit language model.")]
Units = Annotated[Path, typer.Option("--units", help="Folder made by `units quantize`.")]
Cuts = Annotated[Path, typer.Option("--cuts", metavar="CUTS", help="Manifest of these utterances, with their labels.")]


@app.command()
def train(
    task: Annotated[Path, typer.Argument(metavar="TASK", help="YAML file of the task.")],
    lm: Lm,
    units: Units,
    cuts: Cuts,
    out: Out,
    method: Annotated[MethodKind, typer.Option("--method", help="What is trained.")] = "prompt",
    verbalizer: Annotated[
        VerbalizerKind | None, typer.Option("--verbalizer", help="How labels are read; without it as the task says.")
    ] = None,
    shots: Annotated[
        int | None, typer.Option("--shots", min=1, metavar="N", help="Only N training utterances per class.")
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, metavar="N", help="Runs, each with a seed of its own.")] = 3,
    seed: Seed = 0,
    dev_units: Annotated[Path | None, typer.Option("--dev-units", help="Units to look at while training.")] = None,
    dev_cuts: Annotated[Path | None, typer.Option("--dev-cuts", metavar="CUTS", help="Their manifest.")] = None,
    overrides: Set = [],  # noqa: B006
    allow_overlap: AllowOverlap = False,
    show_config: ShowConfig = False,
    force: Force = False,
) -> None:
    """Train a prompt (or low-rank updates, a head, all of a copy) for a task: OUT/seed-0, OUT/seed-1, ...

    Example: speechkit prompt train digits.yaml --lm exp/ulm --units exp/units --cuts data/train --out exp/digits
    """
    from speechkit.config import load_config
    from speechkit.config import show_config as describe
    from speechkit.errors import ConfigError
    from speechkit.prompt.config import PromptTrainConfig, TaskConfig

    of_task = [text.removeprefix("task.") for text in overrides if text.startswith("task.")]
    given = [f"method.kind={method}", f"num_seeds={seeds}", f"seed={seed}"]
    given += [] if shots is None else [f"shots={shots}"]
    given += ["allow_overlap=true"] * allow_overlap
    rest = [text for text in overrides if not text.startswith("task.")]
    named = [] if verbalizer is None else [f"verbalizer={verbalizer}"]
    about = load_config(TaskConfig, task, [*named, *of_task])
    config = load_config(PromptTrainConfig, None, [*given, *rest]).model_copy(update={"task": about})
    if show_config:
        print(describe(config), end="")
        return
    if (dev_units is None) != (dev_cuts is None):
        raise ConfigError("a dev set is units with their manifest", expected="--dev-units and --dev-cuts together")
    from speechkit.prompt.train import Source, run

    dev = None if dev_units is None or dev_cuts is None else Source(dev_units, dev_cuts)
    if run(config, lm=lm, train=Source(units, cuts), dev=dev, out=out, force=force):
        print(out)


@app.command()
def predict(
    prompt: Annotated[Path, typer.Argument(metavar="PROMPT", help="A run of `prompt train` (OUT/seed-0), or a bank.")],
    lm: Lm,
    units: Units,
    out: Out,
    overrides: Set = [],  # noqa: B006
    show_config: ShowConfig = False,
    force: Force = False,
) -> None:
    """Predict labels: OUT/hyp.jsonl, of a bank OUT/<task>/hyp.jsonl; all tasks of a bank run in mixed batches.

    Example: speechkit prompt predict exp/digits/seed-0 --lm exp/ulm --units exp/test-units --out exp/hyp
    """
    from speechkit.config import load_config
    from speechkit.config import show_config as describe
    from speechkit.prompt.config import PredictConfig

    config = load_config(PredictConfig, None, overrides)
    if show_config:
        print(describe(config), end="")
        return
    from speechkit.prompt.predict_run import run

    if run(config, prompt=prompt, lm=lm, units=units, out=out, force=force):
        print(out)


@app.command("eval")
def eval_(
    prompts: Annotated[list[Path], typer.Argument(metavar="EXP...", help="Folders of `prompt train`, of one task.")],
    lm: Lm,
    units: Units,
    cuts: Cuts,
    out: Out,
    train_units: Annotated[
        Path | None, typer.Option("--train-units", help="What the prompts were trained on; for baselines.")
    ] = None,
    train_cuts: Annotated[Path | None, typer.Option("--train-cuts", metavar="CUTS", help="Its manifest.")] = None,
    baselines: Annotated[
        str,
        typer.Option("--baselines", metavar="NAME,...", help="bow, pool, head, lora, full, random; all, or none."),
    ] = "all",
    overrides: Set = [],  # noqa: B006
    allow_overlap: AllowOverlap = False,
    json_file: Json = None,
    force: Force = False,
) -> None:
    """Compare trained prompts with baselines of the same data and seeds: mean and sd, parameters, CPU seconds.

    Baselines: bag of units with an SVM, pooled states, head only, LoRA, full fine-tuning, and a random language model.

    Example: speechkit prompt eval exp/digits --lm exp/ulm --units exp/test-units --cuts data/test
    --train-units exp/units --train-cuts data/train --out exp/report
    """
    from speechkit.artifact import check_writable, write_json
    from speechkit.config import load_config
    from speechkit.errors import ConfigError
    from speechkit.prompt.config import BASELINES, EvalConfig

    if (train_units is None) != (train_cuts is None):
        raise ConfigError("training data are units with their manifest", expected="--train-units and --train-cuts")
    check_writable(json_file)
    names = {"all": BASELINES, "none": ()}.get(baselines) or [name.strip() for name in baselines.split(",")]
    chosen = [] if baselines == "none" else list(names)
    given = [f"baselines=[{', '.join(chosen)}]", *["allow_overlap=true"] * allow_overlap]
    config = load_config(EvalConfig, None, [*given, *overrides])
    import json

    from speechkit.prompt.eval import REPORT_FILE, run
    from speechkit.prompt.eval_table import table
    from speechkit.prompt.train import Source

    train_source = None if train_units is None or train_cuts is None else Source(train_units, train_cuts)
    run(config, prompts, lm=lm, test=Source(units, cuts), train=train_source, out=out, force=force)
    report = json.loads((out / REPORT_FILE).read_text(encoding="utf-8"))
    print(table(report))
    if json_file is not None:
        write_json(json_file, report)


@app.command()
def bank(
    prompts: Annotated[list[Path], typer.Argument(metavar="PROMPT...", help="Runs of `prompt train`, a task each.")],
    lm: Lm,
    out: Out,
    force: Force = False,
) -> None:
    """Put prompts of one language model into one folder, so that a batch may hold utterances of many tasks.

    Example: speechkit prompt bank exp/digits/seed-0 exp/speaker/seed-0 --lm exp/ulm --out exp/bank
    """
    from speechkit.prompt.predict_run import make_bank

    if make_bank(prompts, lm=lm, out=out, force=force):
        print(out)


@app.command()
def export(
    source: Annotated[Path, typer.Argument(metavar="PROMPT", help="A run of `prompt train`, or a folder exported.")],
    lm: Lm,
    out: Out,
    to: Annotated[
        Literal["peft", "speechkit"], typer.Option("--to", help="Adapter in peft's layout, or back again.")
    ] = "peft",
    force: Force = False,
) -> None:
    """Write a prompt as an adapter of peft (prefix tuning, prompt tuning or LoRA), or make a prompt of such a folder.

    Example: speechkit prompt export exp/digits/seed-0 --lm exp/ulm --out exp/adapter
    """
    from speechkit.prompt.peft_layout import run

    if run(source, lm=lm, out=out, to=to, force=force):
        print(out)
