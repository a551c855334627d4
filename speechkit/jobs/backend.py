"""The two places where elements run, with the same few verbs: start, ask, end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from speechkit.errors import SpeechkitError
from speechkit.jobs import slurm
from speechkit.jobs.config import JobSpec, SiteConfig
from speechkit.jobs.folder import SCRIPT_FILE, JobFolder, ranges
from speechkit.jobs.local import start_pool
from speechkit.jobs.slurm import SlurmState, Submission

_STOP_SECONDS = 30.0


class LocalBackend:
    """A pool of processes on this machine."""

    def __init__(self, folder: JobFolder, spec: JobSpec) -> None:
        self.folder, self.spec = folder, spec
        self.pool: subprocess.Popen[bytes] | None = None

    @property
    def can_retry_now(self) -> bool:
        """Only once the pool is done: two would run too much at once."""
        return not self._is_alive()

    def start(self, elements: list[int], *, exclude: set[str]) -> None:
        """Start the pool."""
        self.pool = start_pool(self.folder.path, elements)
        where = {"host": socket.gethostname(), "pid": self.pool.pid, "elements": ranges(elements), "time": time.time()}
        self.folder.write_submitted({"backend": "local", "submissions": [where]})

    def ask(self, elements: Iterable[int]) -> dict[int, SlurmState]:
        """All run while the pool lives; nothing is known of them afterwards."""
        state = SlurmState("RUNNING") if self._is_alive() else SlurmState("LOST")
        return dict.fromkeys(elements, state)

    def explain(self, element: int) -> SlurmState | None:
        """Nobody else to ask."""
        return None

    def end(self, elements: Iterable[int] | None = None) -> None:
        """End the pool with all its elements and wait for it."""
        pid = self._pid()
        if pid is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
            deadline = time.monotonic() + _STOP_SECONDS
            while self._is_alive() and time.monotonic() < deadline:
                time.sleep(0.05)

    def close(self) -> None:
        """All elements have ended: let the pool leave, too."""
        if self.pool is not None:
            with suppress(subprocess.TimeoutExpired):
                self.pool.wait(_STOP_SECONDS)

    def describe(self) -> str:
        """The pool."""
        return "here"

    def other_host(self) -> str:
        """The machine that the pool was started on, when it is not this one."""
        host = str(self._where().get("host", ""))
        return host if host != socket.gethostname() else ""

    def _where(self) -> dict[str, Any]:
        return dict((self.folder.read_submitted().get("submissions") or [{}])[-1])

    def _pid(self) -> int | None:
        if self.pool is not None:
            return self.pool.pid
        where = self._where()
        if where.get("host") != socket.gethostname():
            return None
        pid = where.get("pid")
        try:  # a number may have been given to another process since
            is_ours = str(self.folder.path) in Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        except OSError:
            is_ours = False
        return pid if is_ours else None

    def _is_alive(self) -> bool:
        return self.pool.poll() is None if self.pool is not None else self._pid() is not None


class SlurmBackend:
    """Arrays in the queue of a cluster."""

    can_retry_now = True

    def __init__(self, folder: JobFolder, spec: JobSpec, site: SiteConfig, extra: list[str]) -> None:
        self.folder, self.spec, self.site, self.extra = folder, spec, site, extra
        known = folder.read_submitted()
        self.submissions = [Submission(**item) for item in known.get("submissions", []) if "job" in item]

    def start(self, elements: list[int], *, exclude: set[str]) -> None:
        """Write job.sh and give it to sbatch."""
        path = self.folder.path
        script = slurm.render_script(self.spec, self.site, path, extra=self.extra)
        (path / SCRIPT_FILE).write_text(script, encoding="utf-8")
        for logs in {self.spec.log_of(element).parent for element in elements}:
            logs.mkdir(parents=True, exist_ok=True)  # without it Slurm fails without a word
        extra = [*self.extra, *([f"--exclude={','.join(sorted(exclude))}"] if exclude else [])]
        for submission in slurm.submit(self.spec, self.site, path, elements=elements, extra=extra):
            self.submissions.append(submission)
            self._save()  # at once: the next array may be refused, and this one must not be started again

    def _save(self) -> None:
        items = [asdict(submission) for submission in self.submissions]
        site = self.site.model_dump(mode="json")
        self.folder.write_submitted({"backend": "slurm", "submissions": items, "extra": self.extra, "site": site})

    def forget(self, elements: Iterable[int]) -> None:
        """Drop the submissions that hold none of these elements."""
        wanted = set(elements)
        self.submissions = [item for item in self.submissions if wanted & set(item.elements)]

    def ask(self, elements: Iterable[int]) -> dict[int, SlurmState] | None:
        """One squeue for all."""
        wanted = set(elements)
        return slurm.query([item for item in self.submissions if wanted & set(item.elements)])

    def explain(self, element: int) -> SlurmState | None:
        """What the accounting says, where there is one."""
        owners = [submission for submission in self.submissions if element in submission.elements]
        return slurm.ask_accounting(owners[-1], element) if owners else None

    def end(self, elements: Iterable[int] | None = None) -> None:
        """scancel."""
        slurm.cancel(self.submissions, elements)

    def close(self) -> None:
        """Slurm does it."""

    def describe(self) -> str:
        """The numbers of the jobs."""
        return f"Slurm job {', '.join(submission.job for submission in self.submissions)}"


def make_backend(folder: JobFolder, spec: JobSpec, site: SiteConfig, extra: list[str]) -> LocalBackend | SlurmBackend:
    """The backend that the spec names.

    Raises:
        SpeechkitError: the folder does not say where the job runs.
    """
    if spec.backend == "local":
        return LocalBackend(folder, spec)
    try:
        return SlurmBackend(folder, spec, site, extra)
    except TypeError as error:
        raise SpeechkitError(f"`{folder.path}` holds a damaged submitted.json: {error}") from None
