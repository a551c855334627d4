"""The commands of the program as a tree, and their parser without their bodies: for the CLI and docs tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer


def root() -> Any:
    """The whole program as typer's command object."""
    from speechkit.cli import app

    return typer.main.get_command(app)


def all_commands(command: Any = None, words: tuple[str, ...] = ("speechkit",)) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command and group with the words that name it."""
    command = root() if command is None else command
    yield words, command
    for name, child in sorted(getattr(command, "commands", {}).items()):
        yield from all_commands(child, (*words, name))


def parse(words: list[str]) -> None:
    """Parse a command line, `speechkit` first, without running it; raises typer's usage errors."""
    command, rest = root(), words[1:]
    while rest and not rest[0].startswith("-") and hasattr(command, "commands"):
        name, *rest = rest
        if name not in command.commands:
            raise ValueError(f"no command `{name}`; there are {', '.join(sorted(command.commands))}")
        command = command.commands[name]
    if not ({"--help", "--version"} & set(rest)):
        command.make_context(" ".join(words[:1]), rest)
