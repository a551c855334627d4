"""`speechkit cutpaste`: new utterances from the words of recorded ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from speechkit.cli.options import Force, Merge, NumJobs, Out, Seed, Set, ShardOption, ShowConfig
from speechkit.cutpaste.config_kinds import Mode, SelectMethod, Speakers

app = typer.Typer(name="cutpaste", help="New utterances from the words of recorded ones.", no_args_is_help=True)

MaxBad = Annotated[str, typer.Option(help="Skip up to so many unusable utterances: a count or a share (1%).")]


def _quoted(key: str, value: str) -> str:
    """An override whose value is taken as text, whatever it looks like."""
    return f"{key}={json.dumps(value)}"


@app.command()
def inventory(
    cuts: Annotated[Path, typer.Argument(metavar="CUTS", help="Manifest with word times (`speechkit align forced`).")],
    out: Out,
    max_bad: MaxBad = "0",
    num_jobs: NumJobs = 1,
    overrides: Set = [],  # noqa: B006
    show_config: ShowConfig = False,
    force: Force = False,
) -> None:
    """List the words that may be pasted, with their cuts and the sound at both edges, in the folder --out."""
    from speechkit.config import load_config
    from speechkit.config import show_config as show
    from speechkit.cutpaste.config import InventoryConfig

    config = load_config(InventoryConfig, None, [_quoted("max_bad", max_bad), *overrides])
    if show_config:
        print(show(config), end="")
        return
    from speechkit.cutpaste.assemble import run_inventory

    run_inventory(config, cuts=cuts, out=out, num_jobs=num_jobs, force=force)


@app.command()
def plan(
    inv: Annotated[Path, typer.Argument(metavar="INV", help="Folder made by `speechkit cutpaste inventory`.")],
    out: Out,
    mode: Annotated[Mode, typer.Option(help="How texts are made.")] = "uniform",
    num: Annotated[int | None, typer.Option(min=1, help="So many utterances.")] = None,
    hours: Annotated[float | None, typer.Option(help="So many hours of audio.")] = None,
    ratio: Annotated[float | None, typer.Option(help="So many times the recorded hours.")] = None,
    exclude_text: Annotated[
        list[Path],
        typer.Option(metavar="FILE|CUTS", help="Texts never to be made, such as the test set's; repeatable."),
    ] = [],  # noqa: B006
    target_text: Annotated[
        list[Path],
        typer.Option(metavar="FILE|CUTS", help="Texts to be like, for target-lm and cover; repeatable."),
    ] = [],  # noqa: B006
    speakers: Annotated[
        Speakers, typer.Option(help="Snippets of one utterance: of the same speaker, or of any.")
    ] = "same",
    prefix: Annotated[str, typer.Option(help="Ids are PREFIX-000000, ...; empty: cp-MODE-SEED.")] = "",
    seed: Seed = 0,
    overrides: Set = [],  # noqa: B006
    show_config: ShowConfig = False,
    force: Force = False,
) -> None:
    """Plan new utterances: texts, snippets and pauses, as small files that render to the same audio anywhere.

    Example: speechkit cutpaste plan exp/inv --mode uniform --ratio 2 --exclude-text data/test --out exp/plan
    """
    from speechkit.config import load_config
    from speechkit.config import show_config as show
    from speechkit.cutpaste.config import PlanConfig
    from speechkit.errors import ConfigError

    given = {"num": num, "hours": hours, "ratio": ratio}
    chosen = [f"{name}={value}" for name, value in given.items() if value is not None]
    if len(chosen) != 1 and not any(item.partition("=")[0] in given for item in overrides):
        if not show_config:
            raise ConfigError("not exactly one amount is given", expected="one of --num N, --hours H, --ratio R")
        chosen = ["ratio=1"]
    options = [_quoted("text.mode", mode), _quoted("speakers", speakers), _quoted("prefix", prefix), f"seed={seed}"]
    config = load_config(PlanConfig, None, [*options, *chosen, *overrides])
    if show_config:
        print(show(config), end="")
        return
    from speechkit.cutpaste.plan import TextFiles, run_plan

    files = TextFiles(tuple(exclude_text), tuple(target_text))
    run_plan(config, inventory=inv, out=out, files=files, force=force)


@app.command()
def render(
    plan_folder: Annotated[Path, typer.Argument(metavar="PLAN", help="Folder made by `speechkit cutpaste plan`.")],
    out: Out,
    max_bad: MaxBad = "0",
    num_jobs: NumJobs = 1,
    shard: ShardOption = None,
    merge: Merge = None,
    force: Force = False,
) -> None:
    """Render a plan into FLAC files with manifests that hold the exact word times, in the folder --out."""
    from speechkit.config import load_config
    from speechkit.cutpaste.config import RenderConfig
    from speechkit.cutpaste.render import run_render
    from speechkit.jobs.shard import parse_sharing

    config = load_config(RenderConfig, None, [_quoted("max_bad", max_bad)])
    sharing = parse_sharing(shard, merge)
    run_render(config, plan=plan_folder, out=out, num_jobs=num_jobs, force=force, sharing=sharing)


@app.command()
def select(
    plans: Annotated[list[Path], typer.Argument(metavar="PLAN...", help="Folders made by `speechkit cutpaste plan`.")],
    out: Out,
    num: Annotated[int, typer.Option(min=1, help="Utterances to choose.")],
    method: Annotated[
        SelectMethod, typer.Option(help="Gradient matching, facility location, influence, or chance.")
    ] = "gradmatch",
    exp: Annotated[
        Path | None, typer.Option(metavar="EXP", help="Model whose gradients are taken; not for random.")
    ] = None,
    target: Annotated[
        Path | None, typer.Option(metavar="CUTS", help="Speech to get good at; never the test set.")
    ] = None,
    seed: Seed = 0,
    overrides: Set = [],  # noqa: B006
    show_config: ShowConfig = False,
    force: Force = False,
) -> None:
    """Choose from plans the utterances that teach a model most about a target; the result is a plan again.

    Example: speechkit cutpaste select exp/pool --exp exp/ctc --target data/dev --num 100 --out exp/chosen
    """
    from speechkit.config import load_config
    from speechkit.config import show_config as show
    from speechkit.cutpaste.config import SelectConfig

    options = [_quoted("method", method), f"num={num}", f"seed={seed}"]
    config = load_config(SelectConfig, None, [*options, *overrides])
    if show_config:
        print(show(config), end="")
        return
    from speechkit.cutpaste.choose import run_select

    run_select(config, plans, out=out, exp=exp, target=target, force=force)


@app.command()
def report(
    plan_folder: Annotated[Path, typer.Argument(metavar="PLAN", help="Folder made by `speechkit cutpaste plan`.")],
    target_text: Annotated[
        list[Path],
        typer.Option(metavar="FILE|CUTS", help="Texts whose word pairs ought to be covered; repeatable."),
    ] = [],  # noqa: B006
    num: Annotated[int, typer.Option(min=1, help="Utterances that are rendered and measured.")] = 300,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the numbers.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page with players.")] = None,
    num_players: Annotated[int, typer.Option(min=0, help="Pasted, and as many recorded, utterances to play.")] = 6,
) -> None:
    """Measure a plan: how far the sound jumps at joins, whether they can be found, and how diverse the texts are."""
    from speechkit.cutpaste.report import run_report

    run_report(plan_folder, target=target_text, num=num, num_players=num_players, json_file=json_file, html_file=html)
