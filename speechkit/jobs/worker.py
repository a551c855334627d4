"""The wrapper around one element, the same here and under Slurm: log, lease, heartbeat, signals, status file.

`python -m speechkit.jobs.worker FOLDER ELEMENT` is what job.sh starts. SPEECHKIT_REQUEUE_FILE names a file that the
command makes to be started again; SPEECHKIT_NEXT_ATTEMPT names one that exists once a newer attempt has taken over.
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path
from types import FrameType

from speechkit.errors import Requeue, SpeechkitError
from speechkit.jobs.config import JobSpec, seconds_of
from speechkit.jobs.folder import JobFolder, Status, inputs_sha_of, sha_of
from speechkit.jobs.tasks import start_command

HEARTBEAT_SECONDS = 30.0
_KILL_AFTER_SECONDS = 10.0  # between TERM and KILL when it is we who end a command
_NOTICE, _STOP = signal.SIGUSR1, signal.SIGTERM
_IDLE_SECONDS = 600.0


def heartbeat_seconds() -> float:
    """Seconds between two signs of life of an element."""
    return float(os.environ.get("SPEECHKIT_JOB_HEARTBEAT", HEARTBEAT_SECONDS))


class _Element:
    """One attempt at one element."""

    def __init__(self, folder: JobFolder, spec: JobSpec, element: int) -> None:
        self.folder, self.spec, self.element = folder, spec, element
        array = os.environ.get("SLURM_ARRAY_JOB_ID")
        self.job = f"{array}_{os.environ.get('SLURM_ARRAY_TASK_ID')}" if array and spec.backend == "slurm" else ""
        self.node = os.environ.get("SLURMD_NODENAME", "") if self.job else ""
        self.commands = spec.commands_of(element)
        self.start, self.maxrss_mb = time.time(), 0.0
        self.process: subprocess.Popen[bytes] | None = None
        self.received: list[int] = []
        self.ended_by = ""  # why we ended the command ourselves
        self.is_over = threading.Event()

    def run(self) -> Status:
        """Run the commands and publish how they ended."""
        for number in (_STOP, _NOTICE, signal.SIGINT):
            signal.signal(number, self._on_signal)
        self.attempt = self.folder.take_lease(self.element, {"job": self.job, "node": self.node})
        self._wait_for_orphan()
        argv_sha = sha_of(self.commands, self.spec.cwd)
        inputs_sha = inputs_sha_of(self.commands, self.spec.cwd)
        threading.Thread(target=self._watch, daemon=True).start()
        try:
            state, rc, reason = self._run_logged()
        except OSError as error:
            name = f"`{error.filename}`: " if error.filename else ""
            state, rc, reason = "failed", 1, f"{name}{(error.strerror or str(error)).lower()}"
        self.is_over.set()
        status = Status(
            state, rc, self.attempt, reason, signal=-rc if rc < 0 else None, host=socket.gethostname(),
            node=self.node, job=self.job, start=self.start, end=time.time(), maxrss_mb=round(self.maxrss_mb, 1),
            argv_sha=argv_sha, inputs_sha=inputs_sha,
        )  # fmt: skip
        if self._is_superseded():
            raise SpeechkitError(f"a newer attempt at element {self.element} has taken over: nothing is published")
        self.folder.write_status(self.element, status)
        return status

    def _run_logged(self) -> tuple[str, int, str]:
        log = self.spec.log_of(self.element)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab", buffering=0) as stream:
            where = f"{socket.gethostname()}{f' ({self.node})' if self.node else ''}"
            stream.write(f"# Started {_now()} on {where}, attempt {self.attempt}\n".encode())
            rc = 0
            for argv in self.commands:
                stream.write(f"# {shlex.join(argv)}\n".encode())
                if _STOP in self.received:  # it came between two commands
                    rc = -_STOP
                    break
                rc = self._run_command(argv, stream.fileno())
                if rc != 0 or self._wants_requeue().exists():
                    break
            state, reason = self._verdict(rc)
            note = f", {reason}" if reason else ""
            stream.write(f"# Ended (code {rc}) {_now()}, {time.time() - self.start:.1f} s{note}\n".encode())
            return state, rc, reason

    def _run_command(self, argv: list[str], log: int) -> int:
        """Exit code of a command, negative for a signal."""
        self._wants_requeue().unlink(missing_ok=True)
        env = {
            "OMP_NUM_THREADS": str(self.spec.resources.threads),
            "NUMBA_NUM_THREADS": str(self.spec.resources.threads),
            **os.environ,
            **self.spec.env,
            "SPEECHKIT_REQUEUE_FILE": str(self._wants_requeue()),
            "SPEECHKIT_NEXT_ATTEMPT": str(self.folder.lease_path(self.element, self.attempt + 1)),
        }
        try:
            self.process = start_command(self.spec, argv, env=env, log=log)
        except OSError as error:
            os.write(log, f"cannot start `{argv[0]}`: {(error.strerror or '').lower()}\n".encode())
            return 127
        if self.received:  # it came while the command was being started
            self._pass_on(self.received[-1])
        _, code, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(code)
        unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
        self.maxrss_mb = max(self.maxrss_mb, usage.ru_maxrss / unit)
        with suppress(ProcessLookupError, PermissionError):  # what the command left behind must not go on
            os.killpg(self.process.pid, signal.SIGKILL)
        return self.process.returncode

    def _verdict(self, rc: int) -> tuple[str, str]:
        """State and reason of the attempt."""
        if self.ended_by:
            return "failed", self.ended_by
        asks = self._wants_requeue().exists() or rc == Requeue.exit_code
        if not asks and not (rc and set(self.received) - {_NOTICE}):  # a notice alone ends nothing
            return ("done", "") if rc == 0 else ("failed", _reason_of(rc))
        if self.spec.resumable:
            return "requeue", "checkpointed" if asks else "ended from outside"
        if _STOP in self.received and _NOTICE in self.received:
            return "failed", "time limit reached"
        if asks:
            return "failed", "checkpointed and asks to be started again: give --resumable"
        return "failed", f"ended from outside by signal {signal.Signals(self.received[-1]).name}"

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self.received.append(number)
        self._pass_on(number)

    def _pass_on(self, number: int) -> None:
        process = self.process
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError, PermissionError):
            if number != _NOTICE:
                os.killpg(process.pid, _STOP)
            elif self.spec.resumable and (self.spec.resources.tasks > 1 or _catches(process.pid, number)):
                os.kill(process.pid, number)

    def _wants_requeue(self) -> Path:
        return self.folder.lease_path(self.element, self.attempt).with_suffix(f".{self.attempt}.requeue")

    def _is_superseded(self) -> bool:
        return self.folder.lease_path(self.element, self.attempt + 1).exists()

    def _wait_for_orphan(self) -> None:
        """Give an earlier attempt that still lives, on a node that Slurm has lost, the time to see that it is one."""
        before = self.attempt - 1
        patience = 3 * heartbeat_seconds()
        while before and not self.received:
            status = self.folder.read_status(self.element)
            if (status is not None and status.attempt >= before) or self._silence(before) > patience:
                return
            time.sleep(min(1.0, heartbeat_seconds()))

    def _silence(self, attempt: int) -> float:
        about, seconds = self.folder.read_lease(self.element, attempt)
        if about.get("host") == socket.gethostname() and not Path(f"/proc/{about.get('pid')}").exists():
            return float("inf") if sys.platform == "linux" else seconds
        return seconds

    def _watch(self) -> None:
        """Heartbeat; ends the command when a newer attempt takes over, the time is up or the local pool has died."""
        limit = self.spec.resources.time
        is_local = self.spec.backend == "local"
        seconds = seconds_of(limit) if limit and is_local else float("inf")
        notice = seconds - min(self.spec.notice_seconds, 0.2 * seconds) if limit and is_local else float("inf")
        parent, next_beat = os.getppid(), 0.0
        while True:
            now = time.time() - self.start
            if now >= next_beat:
                with suppress(OSError):
                    os.utime(self.folder.lease_path(self.element, self.attempt))
                next_beat = now + heartbeat_seconds()
                if self._is_superseded():
                    self._end("a newer attempt has taken over")
            if now >= notice:
                notice = float("inf")
                self.received.append(_NOTICE)
                self._pass_on(_NOTICE)
            if now >= seconds:
                self._end("time limit reached")
            if is_local and os.getppid() != parent:
                self._end("its runner was ended")
            pause = min(1.0 if is_local else 60.0, next_beat - now, notice - now, seconds - now)
            if self.is_over.wait(max(0.05, pause)):
                return

    def _end(self, why: str) -> None:
        self.ended_by = self.ended_by or why
        for number in (signal.SIGTERM, signal.SIGKILL):
            process = self.process
            if process is None or process.returncode is not None:
                return
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, number)
            if self.is_over.wait(_KILL_AFTER_SECONDS):
                return


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")


def _reason_of(rc: int) -> str:
    if rc in (-signal.SIGKILL, 128 + signal.SIGKILL):
        return "killed, perhaps for memory"
    if rc < 0:
        return f"ended by signal {signal.Signals(-rc).name}"
    return "cannot be started" if rc == 127 else ""


def _catches(pid: int, number: int) -> bool:
    """True unless it is known that the process would just die of this signal."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return True
    caught = next((line.split()[1] for line in lines if line.startswith("SigCgt:")), "")
    return not caught or bool(int(caught, 16) >> (number - 1) & 1)


def run_element(path: Path, element: int, spec: JobSpec | None = None) -> Status:
    """Make one attempt at an element, in this process and its children.

    Raises:
        SpeechkitError: there is no such job or element, or a newer attempt has taken over.
    """
    folder = JobFolder(path)
    spec = spec or folder.load_spec()
    if not 1 <= element <= spec.num_elements:
        raise SpeechkitError(f"there is no element {element}", expected=f"1 to {spec.num_elements}")
    return _Element(folder, spec, element).run()


def attempt_safely(path: Path, element: int, spec: JobSpec | None = None) -> Status:
    """As `run_element`, but any failure of the wrapper itself becomes a status, too, so that nobody waits for it."""
    try:
        return run_element(path, element, spec)
    except Exception as error:
        traceback.print_exc()
        folder = JobFolder(path)
        attempt = folder.newest_attempt(element)
        status = Status("failed", 1, attempt, f"the wrapper failed: {error}", host=socket.gethostname())
        if not isinstance(error, SpeechkitError):
            folder.write_status(element, status)
        return status


def _requeue_under_slurm(status: Status) -> str:
    """Ask Slurm to start this element again and wait for it to end us; the reason why it refuses."""
    done = subprocess.run(["scontrol", "requeue", status.job], capture_output=True, text=True, check=False)
    if done.returncode != 0 and "pending" not in done.stderr.lower():
        return done.stderr.strip() or f"scontrol left with {done.returncode}"
    time.sleep(_IDLE_SECONDS)  # leaving now would count as the end of the job
    return "Slurm did not end the job"


def main() -> int:
    """The element that job.sh names."""
    path, element = Path(sys.argv[1]), int(sys.argv[2])
    status = attempt_safely(path, element)
    if status.state == "requeue" and status.job and status.reason == "checkpointed":
        refusal = _requeue_under_slurm(status)
        failed = Status(**{**vars(status), "state": "failed", "reason": f"Slurm does not start it again: {refusal}"})
        JobFolder(path).write_status(element, failed)
        return 1
    return 0 if status.state == "done" else (status.rc if 0 < status.rc < 128 else 1)


if __name__ == "__main__":
    sys.exit(main())
