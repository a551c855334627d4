"""The `speechkit` program: one file per command group; exceptions become exit codes here and nowhere else.

Modules in this package import configs only; the body of each command imports what does the work,
so that every `--help` stays fast.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Annotated, NoReturn

import typer
from typer.exceptions import Abort, TyperException

from speechkit import __version__, log
from speechkit.cli import (
    align,
    audit,
    cutpaste,
    data,
    decode,
    doctor,
    job,
    prompt,
    prompt_import,
    prompt_more,
    recipe,
    report,
    score,
    text,
    train,
    units,
)
from speechkit.errors import EXIT_BUG, EXIT_INTERRUPTED, SpeechkitError

app = typer.Typer(
    name="speechkit",
    help="Speech toolkit for few texts, many speakers, noisy labels. Recipes are in egs/.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
for _group in (data, align, cutpaste, text, score, audit, units, prompt, job, recipe):
    app.add_typer(_group.app)
prompt_import.register(prompt.app)
prompt_more.register(prompt.app)
train.register(app)
decode.register(app)
report.register(app)
doctor.register(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"speechkit {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    if debug:
        os.environ["SPEECHKIT_DEBUG"] = "1"
    log.setup(verbose=debug)


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run one command and leave with its exit code (0, 1, 2, 3, 70, 85 or 130)."""
    with _interrupts() as received:
        _run(args, received)


def _run(args: Sequence[str] | None, interrupts: list[int]) -> NoReturn:
    try:
        code = app(args=None if args is None else list(args), prog_name="speechkit", standalone_mode=False)
        if sys.stdout is not None:  # None: started with a closed stdout
            sys.stdout.flush()
    except SpeechkitError as error:
        _leave(error.render(), error.exit_code)
    except TyperException as error:
        _leave(_usage_message(error), 2)
    except (KeyboardInterrupt, Abort):
        _leave("interrupted", EXIT_INTERRUPTED)
    except BrokenPipeError:
        _leave_quietly()
    except SystemExit as leaving:  # typer's own answer to a broken pipe
        if isinstance(leaving.__context__, BrokenPipeError):
            _leave_quietly()
        raise
    except OSError as error:
        name = f" `{error.filename}`" if error.filename else ""
        _leave(f"error: cannot read or write{name}: {(error.strerror or str(error)).lower()}", 1)
    except MemoryError as error:
        _leave(f"error: not enough memory{': ' * bool(str(error))}{str(error).lower()}", 1)
    except Exception:
        if interrupts:  # packages turn a Ctrl-C during their import into errors of their own
            _leave("interrupted", EXIT_INTERRUPTED)
        _leave_with_bug_report()
    if code == EXIT_INTERRUPTED:  # typer's own answer to Ctrl-C
        _leave("interrupted", EXIT_INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """A list that gets an item with each Ctrl-C, which raises KeyboardInterrupt as ever; not where it is ignored."""
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)
        signal.default_int_handler(number, frame)

    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield received
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield received
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _usage_message(error: TyperException) -> str:
    message = error.format_message().strip().rstrip(".")
    if message.startswith("Usage:"):  # a group without a command: its help
        return message
    message = re.sub(r" \(Possible options: (.*)\)$", r", did you mean \1?", message)
    message = re.sub(r"\. Did you mean '(.*)'\?$", r", did you mean `\1`?", message)
    context = getattr(error, "ctx", None)
    hint = f"\nhint: see `{context.command_path} --help`" if context is not None else ""
    return f"error: {message[:1].lower()}{message[1:]}{hint}"


def _leave(message: str, code: int) -> NoReturn:
    if os.environ.get("SPEECHKIT_DEBUG"):
        traceback.print_exc()
    with suppress(OSError):  # nobody may be reading
        if sys.stderr is not None:
            print(message, file=sys.stderr, flush=True)
    sys.exit(code)


def _leave_quietly() -> NoReturn:
    # `speechkit ... | head`: the reader has seen enough; what is still buffered must not fail at the end
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno() if sys.__stdout__ else 1)
    sys.exit(0)


def _leave_with_bug_report() -> NoReturn:
    problem = traceback.format_exc().strip().splitlines()[-1]
    try:
        with tempfile.NamedTemporaryFile("w", prefix="speechkit-bug-", suffix=".txt", delete=False) as stream:
            stream.write(f"speechkit {__version__}\nargv: {sys.argv}\n{traceback.format_exc()}")
        where = f"traceback: {stream.name}"
    except OSError:  # no room for a file: the terminal must do
        where = f"traceback:\n{traceback.format_exc()}"
    hint = "hint: this is a fault of speechkit; report it with that traceback"
    _leave(f"bug: {problem}\n  {where}\n{hint}", EXIT_BUG)


__all__ = ["app", "main"]
