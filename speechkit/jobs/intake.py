"""From the options of `speechkit job run` to a spec."""

from __future__ import annotations

import itertools
import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from speechkit.config import build_config
from speechkit.errors import ConfigError, SpeechkitError
from speechkit.jobs.config import JobSpec, SiteConfig
from speechkit.jobs.site import load_site, parse_backend
from speechkit.provenance import git_commit

# What a command may need from the environment of the one who starts it; the rest of it stays behind.
_CARRIED = re.compile(
    r"PATH|PYTHONPATH|VIRTUAL_ENV|CONDA_PREFIX|LD_LIBRARY_PATH|LANG|LC_ALL|TZ|TMPDIR|HOME"
    r"|(OMP|MKL|NUMBA|SPEECHKIT|HF|TORCH|PYTORCH|NCCL|GLOO|CUDA|XDG_CACHE)_.*"
)
_OWN = {"SPEECHKIT_REQUEUE_FILE", "SPEECHKIT_NEXT_ATTEMPT", "SPEECHKIT_CMD"}
_REPLACED_BY_SETUP = {"PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "CONDA_PREFIX"}


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line."""

    cmd: str = "local"
    num_elements: int = 1
    command: list[str] = field(default_factory=list)
    commands_file: Path | None = None
    log: str | None = None
    resources: Mapping[str, object] = field(default_factory=dict)
    max_run: int | None = None
    retries: int = 0
    resumable: bool = False


def make_spec(request: Request) -> tuple[JobSpec, SiteConfig]:
    """The spec and the site of a request.

    Raises:
        ConfigError: with every problem at once.
    """
    backend, site_file = parse_backend(request.cmd)
    site = load_site(site_file)
    commands = None if request.commands_file is None else read_commands(request.commands_file)
    if bool(request.command) == (commands is not None):
        raise ConfigError("not exactly one of a command and --commands is given", hint="the command stands behind `--`")
    log = os.path.abspath(request.log or _default_log(request.command, request.num_elements))
    spec = {
        "name": name_of(Path(log)),
        "backend": backend,
        "log": log,
        "cwd": os.getcwd(),
        "command": request.command or None,
        "commands": commands,
        "num_elements": request.num_elements if commands is None else len(commands),
        "resources": request.resources,
        "max_run": request.max_run,
        "retries": request.retries,
        "resumable": request.resumable,
        "env": environment(site) if backend == "slurm" else {"PATH": _path_with_own_programs()},
        "notice_seconds": site.notice_seconds,
        "stage": os.environ.get("SPEECHKIT_STAGE", ""),
        "commit": git_commit(),
    }
    return build_config(JobSpec, spec), site


def _path_with_own_programs() -> str:
    """PATH, and behind it the folder of the program that runs now."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)])


def environment(site: SiteConfig) -> dict[str, str]:
    """Variables that an element gets under Slurm besides those of its node."""
    carried = {name: value for name, value in os.environ.items() if _CARRIED.fullmatch(name) and name not in _OWN}
    carried["PATH"] = _path_with_own_programs()
    if site.setup or site.launch or site.python:
        carried = {name: value for name, value in carried.items() if name not in _REPLACED_BY_SETUP}
    return carried | site.env


def name_of(log: Path) -> str:
    """The name of a job after its log: feats of feats.JOB.log."""
    stem = re.sub(r"\.(log|txt)$", "", log.name)
    return re.sub(r"[._-]?(?<![A-Za-z0-9])JOB(?![A-Za-z0-9])", "", stem).strip("._-") or "job"


def _default_log(command: list[str], num_elements: int) -> str:
    """log/ beside what the command makes."""
    for option, value in itertools.pairwise(command):
        if option == "--out":
            out = Path(value)
            name = out.name if "JOB" in out.name or num_elements == 1 else f"{out.name}.JOB"
            return str(out.parent / "log" / f"{name}.log")
    raise ConfigError("there is no --log, and the command has no --out beside which it could be", expected="--log FILE")


def read_commands(path: Path) -> list[list[list[str]]]:
    """A line per element: a JSON list of commands, each a list of words.

    Raises:
        SpeechkitError: missing, empty, or a line is none; with file:line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SpeechkitError(f"cannot read `{path}`: {error}") from None
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            value = json.loads(line, strict=False)
        except ValueError:
            value = None
        if not _is_commands(value):
            raise SpeechkitError(
                "not a list of commands", where=f"{path}:{number}", expected='for example [["speechkit", "doctor"]]'
            )
        found.append(value)
    if not found:
        raise SpeechkitError(f"`{path}` holds no commands")
    return found


def _is_commands(value: object) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(argv, list) and argv and all(isinstance(word, str) for word in argv) for argv in value)
    )
