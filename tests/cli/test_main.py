"""How the program ends: exit code and whole stderr of every kind of error."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer

from speechkit import __version__, cli
from speechkit.errors import CheckFailed, ConfigError, Requeue, SpeechkitError, missing_package

Run = Callable[..., Any]
PYTHON = [sys.executable, "-m", "speechkit"]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, run_speechkit: Run) -> Run:
    """The program with one more command, `raise NAME`, and its debug switch reset."""
    monkeypatch.setenv("SPEECHKIT_DEBUG", "")
    toy = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None, no_args_is_help=True)
    toy.callback()(cli._root)

    @toy.command("raise")
    def raise_command(
        name: Annotated[str, typer.Argument()], count: Annotated[int, typer.Option("--count", min=1)] = 1
    ) -> None:
        "Raise an exception."
        if name in EXCEPTIONS:
            raise EXCEPTIONS[name][0]
        print(f"{name} {count}")

    @toy.command("code")
    def code_command(code: int) -> None:
        "Leave with a code."
        raise typer.Exit(code)

    monkeypatch.setattr(cli, "app", toy)
    return run_speechkit


EXCEPTIONS: dict[str, tuple[BaseException, int, str]] = {
    "data": (
        SpeechkitError("2 cuts are bad", where=["a.jsonl:1", "a.jsonl:7"], expected="good ones", hint="drop them"),
        1,
        "error: 2 cuts are bad\n  a.jsonl:1\n  a.jsonl:7\nexpected: good ones\nhint: drop them\n",
    ),
    "config": (ConfigError("`x` is wrong"), 2, "error: `x` is wrong\n"),
    "package": (
        missing_package("kenlm", "lm", "`--lm`"),
        2,
        "error: `--lm` needs the package `kenlm`, which is not installed\n"
        "hint: in the checkout: pip install -e '.[lm]'\n",
    ),
    "check": (CheckFailed("WER 12.0 is above 10.0"), 3, "error: WER 12.0 is above 10.0\n"),
    "requeue": (Requeue("checkpointed at step 3"), 85, "error: checkpointed at step 3\n"),
    "interrupt": (KeyboardInterrupt(), 130, "interrupted\n"),
    "file": (
        FileNotFoundError(errno.ENOENT, "No such file or directory", "x.wav"),
        1,
        "error: cannot read or write `x.wav`: no such file or directory\n",
    ),
    "full": (
        OSError(errno.ENOSPC, "No space left on device"),
        1,
        "error: cannot read or write: no space left on device\n",
    ),
    "reason": (OSError("it is odd"), 1, "error: cannot read or write: it is odd\n"),
    "memory": (MemoryError("Unable to allocate 9 GiB"), 1, "error: not enough memory: unable to allocate 9 gib\n"),
    "bare memory": (MemoryError(), 1, "error: not enough memory\n"),
}


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_each_error_has_its_exit_code_and_its_whole_message(run: Run, name: str) -> None:
    _, code, message = EXCEPTIONS[name]
    done = run("raise", name)
    assert (done.exit_code, done.stdout, done.stderr) == (code, "", message)


def test_success_prints_results_on_stdout_only(run: Run) -> None:
    done = run("raise", "nothing", "--count", "3")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "nothing 3\n", "")


@pytest.mark.parametrize("code", [0, 3])
def test_an_exit_of_a_command_is_passed_on(run: Run, code: int) -> None:
    assert run("code", code).exit_code == code


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["rasie", "x"], "error: no such command 'rasie', did you mean `raise`?\nhint: see `speechkit --help`\n"),
        (["zzz"], "error: no such command 'zzz'\nhint: see `speechkit --help`\n"),
        (["--zzz"], "error: no such option: --zzz\nhint: see `speechkit --help`\n"),
        (
            ["raise", "x", "--cuont", "3"],
            "error: no such option: --cuont, did you mean --count?\nhint: see `speechkit raise --help`\n",
        ),
        (["raise"], "error: missing argument 'name'\nhint: see `speechkit raise --help`\n"),
        (["raise", "x", "y"], "error: got unexpected extra argument(s) (y)\nhint: see `speechkit raise --help`\n"),
    ],
)
def test_wrong_usage_leaves_with_2_and_points_to_the_help(run: Run, args: list[str], message: str) -> None:
    done = run(*args)
    assert (done.exit_code, done.stdout, done.stderr) == (2, "", message)


@pytest.mark.parametrize("args", [["--count"], ["--count", "two"], ["--count", "0"]])
def test_a_wrong_value_leaves_with_2_and_names_the_option(run: Run, args: list[str]) -> None:
    done = run("raise", "x", *args)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert "'--count'" in done.stderr


@pytest.mark.parametrize("args", [[], ["score"]])
def test_a_group_without_a_command_shows_its_help(run_speechkit: Run, args: list[str]) -> None:
    done = run_speechkit(*args)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"Usage: {' '.join(['speechkit', *args])} [OPTIONS] COMMAND")


def test_version_and_help_leave_with_0(run_speechkit: Run) -> None:
    version = run_speechkit("--version")
    assert (version.exit_code, version.stdout, version.stderr) == (0, f"speechkit {__version__}\n", "")
    assert run_speechkit("--help").exit_code == 0


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setitem(EXCEPTIONS, "bug", (ZeroDivisionError("division by zero"), 70, ""))
    return tmp_path


def test_a_bug_leaves_with_70_and_a_traceback_file(run: Run, reports: Path) -> None:
    done = run("raise", "bug")
    (report,) = reports.glob("speechkit-bug-*.txt")
    assert (done.exit_code, done.stdout) == (70, "")
    assert done.stderr == (
        f"bug: ZeroDivisionError: division by zero\n  traceback: {report}\n"
        "hint: this is a fault of speechkit; report it with that traceback\n"
    )
    text = report.read_text()
    assert text.startswith(f"speechkit {__version__}\nargv: ")
    assert "in raise_command" in text


def test_a_bug_without_room_for_a_file_prints_the_traceback(
    run: Run, reports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(reports / "absent"))
    done = run("raise", "bug")
    assert done.exit_code == 70
    assert done.stderr.startswith("bug: ZeroDivisionError: division by zero\n  traceback:\nTraceback (most recent call")


@pytest.mark.parametrize(("name", "code"), [("data", 1), ("config", 2), ("bug", 70)])
def test_debug_shows_the_traceback_and_keeps_message_and_code(run: Run, reports: Path, name: str, code: int) -> None:
    done = run("--debug", "raise", name)
    assert done.exit_code == code
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert re.search(r"\n(error|bug): ", done.stderr)


def test_without_debug_there_is_never_a_traceback(run: Run, reports: Path) -> None:
    for name in EXCEPTIONS:
        assert "Traceback" not in run("raise", name).stderr


def test_a_reader_that_stops_early_is_no_error() -> None:
    code = (
        "import sys, typer\nfrom speechkit import cli\n"
        "@cli.app.command()\ndef many() -> None:\n    for n in range(100000): print(n)\n"
        "cli.main(['many'])"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == b"0\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_closed_streams_are_no_bug() -> None:
    command = " ".join(PYTHON)
    for redirect, code in [("--version >&-", 0), ("--zzz 2>&-", 2)]:
        done = subprocess.run(["sh", "-c", f"{command} {redirect}"], capture_output=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (code, b"", b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_under_stdout_or_stderr_is_told_by_the_exit_code() -> None:
    with open("/dev/full", "w") as full:
        out = subprocess.run([*PYTHON, "--version"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        err = subprocess.run([*PYTHON, "--zzz"], stdout=subprocess.PIPE, stderr=full, check=False)
    assert (out.returncode, out.stderr) == (1, "error: cannot read or write: no space left on device\n")
    assert (err.returncode, err.stdout) == (2, b"")


def test_ctrl_c_leaves_with_130() -> None:
    code = (
        "import os, signal\nfrom speechkit import cli\n"
        "@cli.app.command()\ndef wait() -> None:\n    os.kill(os.getpid(), signal.SIGINT)\n"
        "cli.main(['wait'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_ctrl_c_that_a_package_turns_into_an_error_of_its_own_is_no_bug() -> None:
    code = (
        "import os, signal\nfrom speechkit import cli\n"
        "@cli.app.command()\ndef wait() -> None:\n    try:\n        os.kill(os.getpid(), signal.SIGINT)\n"
        "    except KeyboardInterrupt:\n        raise RecursionError('while importing') from None\n"
        "cli.main(['wait'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_the_module_is_the_program() -> None:
    done = subprocess.run([*PYTHON, "--version"], capture_output=True, text=True, env=dict(os.environ), check=False)
    assert (done.returncode, done.stdout) == (0, f"speechkit {__version__}\n")
