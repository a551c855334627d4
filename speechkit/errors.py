"""What can go wrong, and the exit code of each kind.

SpeechkitError   1   bad data, missing file, failed job: the message says it all
  ConfigError    2   option, YAML or missing optional package
  CheckFailed    3   the command ran and the answer is no
  Requeue       85   checkpointed, start again with the same command
anything else   70   a bug in speechkit
KeyboardInterrupt 130
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

NUM_SHOWN = 10
EXIT_BUG = 70
EXIT_INTERRUPTED = 130


def counted(number: int, noun: str) -> str:
    """A number with its noun, as messages say it: `1 cut`, `2 cuts`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


class SpeechkitError(Exception):
    """A failure the user can understand and mend without a traceback.

    Args:
        what: what is wrong, with the offending value; lower case, no full stop.
        where: `file:line`, utterance ids or details; the first ten are shown, the rest counted.
        expected: what would have been right.
        hint: a command or change that mends it.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str | Sequence[str] = (), expected: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = [where] if isinstance(where, str) else list(where)
        self.expected = expected
        self.hint = hint

    def render(self) -> str:
        """The block printed on stderr, without trailing newline."""
        lines = [f"error: {self.what}"]
        lines += [f"  {line}" for line in self.where[:NUM_SHOWN]]
        if len(self.where) > NUM_SHOWN:
            lines.append(f"  ... and {len(self.where) - NUM_SHOWN} more")
        if self.expected:
            lines.append(f"expected: {self.expected}")
        if self.hint:
            lines.append(f"hint: {self.hint}")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.render()


class ConfigError(SpeechkitError):
    """A wrong option, a wrong YAML key or value, or a missing optional package."""

    exit_code = 2


class CheckFailed(SpeechkitError):
    """The command did its work and the answer is no."""

    exit_code = 3


class Requeue(SpeechkitError):
    """Stopped on request after writing a checkpoint; the same command goes on from there."""

    exit_code = 85


def missing_package(package: str, extra: str, purpose: str) -> ConfigError:
    """The error for an optional package that is not installed."""
    return ConfigError(
        f"{purpose} needs the package `{package}`, which is not installed",
        hint=f"in the checkout: pip install -e '.[{extra}]'",
    )


def disk_error(path: Path, num_bytes: int, error: Exception) -> SpeechkitError:
    """The error for a file of `num_bytes` that could not be written; libraries seldom say that the disk is full."""
    free = os.statvfs(path.parent)
    is_full = free.f_bavail * free.f_frsize < num_bytes
    return SpeechkitError(
        f"cannot write `{path}`: {'no space left on device' if is_full else error}",
        hint="free some disk space and run the same command again" if is_full else "",
    )
