"""`speechkit prompt icl` and `generate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from speechkit.cli.options import Force, Out, Seed, Set, ShowConfig

Lm = Annotated[Path, typer.Option("--lm", metavar="DIR", help="Folder of a unit language model.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `speechkit prompt`."""
    app.command("icl")(icl)
    app.command("generate")(generate)


def icl(
    conf: Annotated[Path, typer.Argument(metavar="CONF", help="YAML file: tasks of warm-up and of evaluation.")],
    lm: Lm,
    out: Out,
    demos: Annotated[
        int | None, typer.Option("--demos", min=2, metavar="K", help="Demonstrations of an episode; 4 without it.")
    ] = None,
    unit_len: Annotated[
        int | None,
        typer.Option(
            "--unit-len", min=0, metavar="L", help="Units of every utterance, cut or repeated; 50 without it."
        ),
    ] = None,
    seed: Seed = 0,
    overrides: Set = [],  # noqa: B006
    show_config: ShowConfig = False,
    force: Force = False,
) -> None:
    """Warm up a prompt on episodes of demonstrations, and measure it on tasks it has not seen: OUT/icl.json.

    Beside it: no warm-up, a linear machine that learns the demonstrations of each episode, and a random label.

    Example: speechkit prompt icl conf/icl.yaml --lm exp/ulm --unit-len 50 --out exp/icl
    """
    from speechkit.config import load_config
    from speechkit.config import show_config as describe
    from speechkit.prompt.config_icl import IclConfig

    given = {"num_demos": demos, "unit_len": unit_len, "seed": seed or None}
    options = [f"{name}={value}" for name, value in given.items() if value is not None]
    config = load_config(IclConfig, conf, [*options, *overrides])
    if show_config:
        print(describe(config), end="")
        return
    from speechkit.prompt.icl import run

    run(config, lm=lm, out=out, force=force)


def generate(
    units: Annotated[Path, typer.Argument(metavar="UNITS", help="Folder made by `units quantize`.")],
    lm: Lm,
    out: Out,
    kind: Annotated[
        Literal["continue", "inpaint"],
        typer.Option("--kind", help="Go on after the first units, or fill a gap between units."),
    ] = "continue",
    temperature: Annotated[
        float, typer.Option("--temperature", min=0, help="Of the distribution that units are drawn from; 0: greedy.")
    ] = 1.0,
    top_k: Annotated[
        int, typer.Option("--top-k", min=0, metavar="K", help="Draw from the K likeliest units; 0: from all.")
    ] = 0,
    seed: Seed = 0,
    overrides: Set = [],  # noqa: B006
    show_config: ShowConfig = False,
    force: Force = False,
) -> None:
    """Let a unit language model go on with utterances or fill gaps: units that `units resynth` can speak.

    Perplexity of new units stands beside that of the real ones that were there.

    Example: speechkit prompt generate exp/test-units --lm exp/ulm --kind inpaint --out exp/filled
    """
    from speechkit.config import load_config
    from speechkit.config import show_config as describe
    from speechkit.prompt.config_generate import GenerateConfig

    given = [f"kind={kind}", f"temperature={temperature}", f"top_k={top_k}", f"seed={seed}"]
    config = load_config(GenerateConfig, None, [*given, *overrides])
    if show_config:
        print(describe(config), end="")
        return
    from speechkit.prompt.generate_run import run

    run(config, lm=lm, units=units, out=out, force=force)
