"""Start the process of a command, or the processes of one that trains on several tasks.

Under Slurm several tasks are a job step (srun, which places them); here they are children of a shell-free starter.
Each finds RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT in its environment.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from types import FrameType

from speechkit.jobs.config import JobSpec

_FIRST_PORT, _NUM_PORTS = 20000, 10000


def start_command(spec: JobSpec, argv: list[str], *, env: dict[str, str], log: int) -> subprocess.Popen[bytes]:
    """The started command, in a session of its own; its output goes to the descriptor `log`."""
    tasks = spec.resources.tasks
    if tasks > 1:
        here = [sys.executable, "-m", "speechkit.jobs.tasks"]
        if spec.backend == "slurm":
            env = {**env, **_meeting_point()}
            # every task passes through this module once more, which names its rank
            argv = ["srun", f"--ntasks={tasks}", "--kill-on-bad-exit=1", "--export=ALL", *here, "rank", *argv]
        else:
            argv = [*here, "start", str(tasks), *argv]
    return subprocess.Popen(
        argv, cwd=spec.cwd, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
    )


def _meeting_point() -> dict[str, str]:
    nodes = os.environ.get("SLURM_JOB_NODELIST", "")
    done = subprocess.run(["scontrol", "show", "hostnames", nodes], capture_output=True, text=True, check=False)
    first = (done.stdout.split() or [socket.gethostname()])[0]
    port = _FIRST_PORT + int(os.environ.get("SLURM_JOB_ID", "0")) % _NUM_PORTS
    return {"MASTER_ADDR": first, "MASTER_PORT": str(port)}


def _become_rank(argv: list[str]) -> None:
    """Name the rank that srun gave this task, and become the command."""
    names = {"RANK": "SLURM_PROCID", "WORLD_SIZE": "SLURM_NTASKS", "LOCAL_RANK": "SLURM_LOCALID"}
    os.environ.update({name: os.environ[slurm] for name, slurm in names.items()})
    os.execvp(argv[0], argv)


def _start_all(num_tasks: int, argv: list[str]) -> int:
    """Run the tasks here; the first that fails ends the others. The first exit code that is not 0."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    common = {**os.environ, "WORLD_SIZE": str(num_tasks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    tasks = [
        subprocess.Popen(argv, env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)}) for rank in range(num_tasks)
    ]

    def pass_on(number: int, _frame: FrameType | None) -> None:
        for task in tasks:
            if task.returncode is None:
                with suppress(ProcessLookupError):
                    task.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, pass_on)
    alive, code = {task.pid: task for task in tasks}, 0
    while alive:
        pid, status = os.wait()
        task = alive.pop(pid, None)
        if task is None:
            continue
        task.returncode = os.waitstatus_to_exitcode(status)
        if task.returncode != 0 and code == 0:
            code = task.returncode
            pass_on(signal.SIGTERM, None)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    if sys.argv[1] == "rank":
        _become_rank(sys.argv[2:])
    sys.exit(_start_all(int(sys.argv[2]), sys.argv[3:]))
