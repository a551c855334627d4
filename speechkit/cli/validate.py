"""`speechkit data validate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from speechkit.cli.options import Force, Json, NumJobs, Set, ShowConfig


def validate(
    manifests: Annotated[
        list[Path],
        typer.Argument(
            metavar="MANIFEST...", help="Cuts, Kaldi directories or tables; several are splits of one corpus."
        ),
    ],
    fix: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write repaired manifests and what went into quarantine.")
    ] = None,
    max_bad: Annotated[
        str, typer.Option(help="With --fix: leave out up to so many utterances, a count or a share.")
    ] = "1%",
    json: Json = None,
    list_file: Annotated[
        Path | None, typer.Option("--list", metavar="FILE", help="Write every finding as a line of a table.")
    ] = None,
    skip: Annotated[
        str,
        typer.Option(metavar="GROUP,...", help="Leave out: text, audio, timing, duplicates, speakers, leaks."),
    ] = "",
    may_share: Annotated[str, typer.Option(metavar="KEY,...", help="What the sets may share: speaker, text.")] = "",
    cache: Annotated[
        bool, typer.Option("--cache/--no-cache", help="Remember what was measured in audio files.")
    ] = True,
    num_jobs: NumJobs = 1,
    overrides: Set = [],  # noqa: B006
    show_config: ShowConfig = False,
    force: Force = False,
) -> None:
    """Find every fault of manifests, transcripts and audio in one pass; exit code 3 when there are any."""
    from speechkit.config import load_config
    from speechkit.config import show_config as describe
    from speechkit.data.validate.config import ValidateConfig

    options = {"skip": skip, "may_share": may_share}
    given = [f"{name}={value}" for name, value in options.items() if value]
    config = load_config(ValidateConfig, None, [*given, *([] if cache else ["cache=false"]), *overrides])
    if show_config:
        print(describe(config), end="")
        return
    from speechkit.data.validate.run import Outputs, run

    run(manifests, config, Outputs(json, list_file, fix, max_bad, force), num_jobs=num_jobs)


def register(app: typer.Typer) -> None:
    """Add `validate` to the group `data`."""
    app.command()(validate)
