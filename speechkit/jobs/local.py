"""The elements of a job on this machine, some at once: `python -m speechkit.jobs.local FOLDER ELEMENTS RUNNER`.

A process of its own, so that forking is cheap and clean. It ends its elements when it gets SIGTERM, or when the
process that started it is gone.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections import deque
from contextlib import suppress
from pathlib import Path
from types import FrameType

from speechkit.jobs.config import JobSpec
from speechkit.jobs.folder import JobFolder, parse_ranges, ranges
from speechkit.jobs.worker import attempt_safely

_AGAIN = 75  # exit code of a child whose element wants to be started again


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def start_pool(path: Path, elements: list[int]) -> subprocess.Popen[bytes]:
    """Start the elements in the background."""
    return subprocess.Popen(
        [sys.executable, "-m", "speechkit.jobs.local", str(path), ranges(elements), str(os.getpid())],
        stdin=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


class _Pool:
    def __init__(self, path: Path, spec: JobSpec, elements: list[int], runner: int) -> None:
        self.path, self.spec, self.runner = path, spec, runner
        self.waiting = deque(elements)
        self.running: dict[int, int] = {}  # pid -> element
        per_element = spec.resources.threads * spec.resources.tasks
        self.max_run = spec.max_run or max(1, num_cores() // per_element)
        self.is_stopping = False

    def run(self) -> None:
        reader, writer = os.pipe()
        for end in (reader, writer):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.signal(signal.SIGTERM, self._stop)
        while self.running or (self.waiting and not self.is_stopping):
            if os.getppid() != self.runner and not self.is_stopping:  # perhaps it was gone before we came to life
                self._stop(signal.SIGTERM, None)
            while self.waiting and len(self.running) < self.max_run and not self.is_stopping:
                self._start(self.waiting.popleft())
            select.select([reader], [], [], 1.0)
            with suppress(BlockingIOError):
                os.read(reader, 4096)
            self._collect()

    def _start(self, element: int) -> None:
        pid = os.fork()
        if pid:
            self.running[pid] = element
            return
        code = 70
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setpgid(0, 0)
            status = attempt_safely(self.path, element, self.spec)
            again = status.state == "requeue" and status.reason == "checkpointed"
            code = _AGAIN if again else 0
        finally:
            os._exit(code)

    def _collect(self) -> None:
        while self.running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            element = self.running.pop(pid, None)
            if element is not None and os.waitstatus_to_exitcode(status) == _AGAIN and not self.is_stopping:
                self.waiting.append(element)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.is_stopping = True
        for pid in self.running:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)


def main() -> None:
    """Run the elements named on the command line."""
    path = Path(sys.argv[1])
    _Pool(path, JobFolder(path).load_spec(), parse_ranges(sys.argv[2]), int(sys.argv[3])).run()


if __name__ == "__main__":
    main()
