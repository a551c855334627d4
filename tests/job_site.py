"""The program as a user of a cluster starts it: a folder to work in and the environment of a login node."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Site:
    """A folder to work in, with the environment of a login node."""

    folder: Path
    env: dict[str, str]
    mode: str = "plain"
    sandbox: tuple[str, ...] = ()
    runners: list[subprocess.Popen[str]] = field(default_factory=list)

    def command(self, *args: object) -> list[str]:
        return [sys.executable, "-m", "speechkit", *map(str, args)]

    def run(self, *args: object, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*args), cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=timeout,
            check=False,
        )  # fmt: skip

    def start(self, *args: object) -> subprocess.Popen[str]:
        """Start it as a terminal does, in a process group of its own."""
        runner = subprocess.Popen(
            self.command(*args), cwd=self.folder, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, start_new_session=True,
        )  # fmt: skip
        self.runners.append(runner)
        return runner

    def call(self, *argv: str) -> str:
        """What a program of Slurm answers."""
        done = subprocess.run(argv, env=self.env, capture_output=True, text=True, timeout=60, check=True)
        return done.stdout.strip()

    def program(self, text: str, name: str = "program.py") -> list[str]:
        """The words that start a Python program."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return [sys.executable, str(path)]

    def toml(self, text: str) -> str:
        """A site file, as the value of --cmd."""
        (self.folder / "site.toml").write_text(text, encoding="utf-8")
        return "slurm:site.toml"

    def job(self, name: str) -> Path:
        return self.folder / "jobs" / name

    def status(self, name: str, element: int = 1) -> dict[str, object]:
        return dict(json.loads((self.job(name) / "status" / f"{element}.json").read_text()))

    def job_id(self, name: str) -> str:
        """The number that Slurm gave to the last submission, once it is written down."""
        path = self.job(name) / "submitted.json"
        wait_until(path.exists)
        return str(json.loads(path.read_text())["submissions"][-1]["job"])

    def queue(self) -> str:
        return self.call("squeue", "--noheader", "--format=%i|%T|%r")

    def state_of(self, task: str) -> str:
        return self.call("squeue", "--noheader", "--states=all", f"--jobs={task}", "--format=%T|%r")

    def start_now(self, task: str) -> None:
        """Spare the two minutes that Slurm waits after a requeue; at once it would revoke the job's credential."""
        wait_until(lambda: self.state_of(task).startswith("PENDING"), 30)
        time.sleep(4)
        self.call("scontrol", "update", f"jobid={task}", "StartTime=now")


def wait_until(is_true: Callable[[], bool], seconds: float = 20) -> None:
    """Look again and again, at most so long."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
