"""What `run.json` says of the program, the libraries and the machine that made an artifact."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import socket
import subprocess
import sys
from pathlib import Path

from speechkit import __version__

_LIBRARIES = ("torch", "torchaudio", "lhotse", "numpy", "numba", "soundfile", "sentencepiece")


def provenance() -> dict[str, object]:
    """What `run.json` says of the program that ran: argv, versions, commit, host."""
    versions = {}
    for name in _LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "argv": sys.argv,
        "version": __version__,
        "commit": git_commit(),
        "python": sys.version.split()[0],
        "libraries": versions,
        "host": socket.gethostname(),
        "machine": _machine(),
    }


def _machine() -> str:
    """The kind of machine, without its name: results name it beside the minutes they took."""
    model = ""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        model = next(
            (line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")), ""
        )
    except OSError:
        pass  # not Linux
    return f"{os.cpu_count()} x {model or platform.machine()}"


def git_commit() -> str | None:
    """The commit of the speechkit checkout that runs, `+` behind it when files differ; None when not in git."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty=+", "--abbrev=12"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
