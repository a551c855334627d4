"""What is told of a training run on the way, and how it is asked to stop."""

from __future__ import annotations

import signal
import time
from contextlib import AbstractContextManager
from pathlib import Path

from speechkit.artifact import publish_file
from speechkit.data.batch import Load
from speechkit.signals import noted_signals

HISTORY_FILE = "train.jsonl"


class Meter:
    """Speed and padding since the last log line."""

    def __init__(self) -> None:
        self.cpu, self.unit, self.amount, self.used, self.padded = time.process_time(), "", 0.0, 0, 0

    def add(self, load: Load) -> None:
        """Count a batch that has been trained on."""
        self.unit = load.unit
        self.amount += load.amount
        self.used += load.used
        self.padded += load.padded

    def report(self) -> str:
        """The end of a log line."""
        cpu = max(1e-9, time.process_time() - self.cpu)
        waste = 100.0 * (1.0 - self.used / max(1, self.padded))
        return f"{self.amount / cpu:.0f} {self.unit}/CPU s  padding {waste:.1f} %"


def cut_history(path: Path, num_steps: int) -> None:
    """Drop the records after the checkpoint: those steps are made again."""
    if path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines()[:num_steps]
        with publish_file(path) as stream:
            stream.writelines(line + "\n" for line in lines)


def stop_signals() -> AbstractContextManager[list[int]]:
    """A list that gets the number of a SIGTERM or SIGUSR1 when one arrives; the loop looks at it between steps."""
    return noted_signals(signal.SIGTERM, signal.SIGUSR1)
