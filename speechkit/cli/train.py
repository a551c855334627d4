"""`speechkit train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from speechkit.cli.options import AllowOverlap, Force, Set, ShowConfig


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("train")(train)


def train(
    conf: Annotated[
        Path, typer.Argument(metavar="CONF", help="YAML file with the keys that differ from the defaults.")
    ],
    train_cuts: Annotated[
        list[Path],
        typer.Option("--train", metavar="CUTS", help="Training manifest; repeat it to join several."),
    ] = [],  # noqa: B006 - typer reads the default, nobody changes it
    dev_cuts: Annotated[
        Path | None, typer.Option("--dev", metavar="CUTS", help="Manifest whose WER (of units: nats) is logged.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder to make; appears only when complete.")] = None,
    overrides: Set = [],  # noqa: B006
    allow_overlap: AllowOverlap = False,
    force: Force = False,
    show_config: ShowConfig = False,
) -> None:
    """Train a model; killed at any step, the same command goes on from its last checkpoint.

    A model of kind ulm is a language model of units: its CUTS are folders made by `units quantize`.

    Example: speechkit train conf/ctc.yaml --train data/train --dev data/dev --out exp/ctc --set optim.lr=1e-3
    """
    from speechkit.config import load_config
    from speechkit.config import show_config as show
    from speechkit.errors import ConfigError
    from speechkit.train.config import config_class

    overrides = [*overrides, *["allow_overlap=true"] * allow_overlap]
    config = load_config(config_class(conf, overrides), conf, overrides)
    if show_config:
        print(show(config), end="")
        return
    if not train_cuts or out is None:
        missing = "--train" if not train_cuts else "--out"
        raise ConfigError(f"option {missing} is missing", hint="see `speechkit train --help`")
    from speechkit.train.loop import run

    if run(config, train=train_cuts, dev=dev_cuts, out=out, force=force):
        print(out)
