"""Options that several commands share, spelled and described once."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperArgument, TyperOption

from speechkit.errors import ConfigError

_CONFIG_FILES = ("CONF", "TASK")


def _check_limit(value: float | None) -> float | None:
    if value is not None and not 0 <= value < math.inf:
        raise ConfigError(f"--fail-above {value:g} is no limit", expected="a number from 0 up")
    return value


def fail_above(metavar: str, help: str) -> Any:
    """The option of a check: a limit that is a number from 0 up."""
    return typer.Option("--fail-above", metavar=metavar, help=help, callback=_check_limit)


Out = Annotated[Path, typer.Option("--out", help="Folder or file to make; appears only when complete.")]
Force = Annotated[bool, typer.Option("--force", help="Make it again even if it is up to date.")]
Set = Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="Override one config key; repeatable.")]


def _needs_no_files(context: typer.Context, wanted: bool) -> bool:
    """With --show-config only what decides the config is required; the command has its files back when it has ended."""
    needed = [
        parameter
        for parameter in context.command.params
        if wanted and isinstance(parameter, TyperArgument | TyperOption) and parameter.required
        and parameter.type_descriptor.annotation in (Path, list[Path]) and parameter.metavar not in _CONFIG_FILES
    ]  # fmt: skip

    def require(required: bool) -> None:
        for parameter in needed:
            parameter.required = required

    require(False)
    context.call_on_close(lambda: require(True))
    return wanted


ShowConfig = Annotated[
    bool,
    typer.Option(
        "--show-config", help="Print the resolved config with its meaning and exit.", is_eager=True,
        callback=_needs_no_files,
    ),
]  # fmt: skip
Json = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Also write the result as JSON.")]
Seed = Annotated[int, typer.Option("--seed", help="Randomness comes from this seed and the utterance id only.")]
AllowOverlap = Annotated[
    bool,
    typer.Option("--allow-overlap", help="Go on when training and evaluation data overlap; said beside every result."),
]
NumJobs = Annotated[int, typer.Option("--nj", min=1, help="Processes; the result does not depend on it.")]
ShardOption = Annotated[
    str | None,
    typer.Option("--shard", metavar="K/N", help="Make only part K of N, beside --out; JOB/N in an array."),
]
Merge = Annotated[int | None, typer.Option("--merge", min=1, metavar="N", help="Make --out from its N parts.")]
