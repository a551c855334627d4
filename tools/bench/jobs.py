"""What jobs cost: short elements here beside `xargs -P`, and the wait loop of 10,000 elements under Slurm, simulated.

One JSON line per measurement. With SLURM_CONF set, also a 4-element array of `true` in the queue.
Usage: jobs.py [NUM_ELEMENTS]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from speechkit.jobs import slurm
from speechkit.jobs.backend import SlurmBackend
from speechkit.jobs.config import JobSpec, SiteConfig
from speechkit.jobs.folder import JobFolder, Status, inputs_sha_of, is_current, sha_of
from speechkit.jobs.slurm import Submission
from speechkit.jobs.wait import Watch

_HOUR = 3600


def tell(claim: str, **numbers: float | str) -> None:
    """One line of JSON; numbers with three digits."""
    shown = {name: float(f"{n:.3g}") if isinstance(n, float) else n for name, n in numbers.items()}
    print(json.dumps({"claim": claim, **shown}), flush=True)


def cpu_of(argv: list[str], folder: Path) -> tuple[float, float]:
    """CPU and wall seconds of a command with its children."""
    before, start = os.times(), time.monotonic()
    subprocess.run(argv, cwd=folder, check=True, capture_output=True)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return cpu, time.monotonic() - start


def bench_local(folder: Path) -> None:
    """100 elements of `true` here."""
    words = ["job", "run", "--nj", "100", "--log", "log/true.JOB.log", "--", "true", "JOB"]
    cpu, wall = cpu_of([sys.executable, "-m", "speechkit", *words], folder)
    again, _ = cpu_of([sys.executable, "-m", "speechkit", *words], folder)
    peer, _ = cpu_of(["sh", "-c", "seq 100 | xargs -P 2 -n 1 sh -c 'echo $0 >log/$0; exec true $0'"], folder)
    tell(
        "100 local elements of `true`", cpu_seconds=cpu, wall_seconds=wall, second_run_cpu_seconds=again,
        xargs_cpu_seconds=peer,
    )  # fmt: skip


def fill(folder: JobFolder, spec: JobSpec, elements: range) -> float:
    """Status files of done elements; the seconds that one takes."""
    start = time.process_time()
    for element in elements:
        commands = spec.commands_of(element)
        keys = {"argv_sha": sha_of(commands, spec.cwd), "inputs_sha": inputs_sha_of(commands, spec.cwd)}
        text = json.dumps(vars(Status("done", 0, 1, **keys)))
        folder.status_path(element).write_text(text)  # without fsync: 10,000 of them are not what is measured
    return (time.process_time() - start) / len(elements)


def bench_waiting(place: Path, size: int) -> None:
    """One look of the wait loop when half of the elements have ended, and the first look at all of those."""
    spec = JobSpec(
        name="big", backend="slurm", log=str(place / "log" / "x.JOB.log"), cwd=str(place),
        command=["speechkit", "decode", "data/test", "--shard", f"JOB/{size}", "--out", "exp/x"], num_elements=size,
    )  # fmt: skip
    folder = JobFolder(place / "jobs" / "big")
    folder.create()
    folder.save_spec(spec)
    (place / "exp" / "x").mkdir(parents=True)
    script = place / "bin" / "squeue"
    script.parent.mkdir()
    script.write_text(f"#!/bin/sh\nexec cat {place}/queue\n")
    script.chmod(0o755)
    os.environ["PATH"] = f"{script.parent}:{os.environ['PATH']}"
    running = "".join(f"7_{task}|RUNNING|None|node{task % 100}\n" for task in range(size // 2 + 1, size // 2 + 1001))
    (place / "queue").write_text(f"{running}7_[{size // 2 + 1001}-{size}%1000]|PENDING|JobArrayTaskLimit|\n")
    fill(folder, spec, range(1, size // 2 + 1))
    backend = SlurmBackend(folder, spec, SiteConfig(), [])
    backend.submissions = [Submission("7", 0, list(range(1, size + 1)))]
    watch = Watch(folder, spec, SiteConfig(), backend=backend, elements=set(range(1, size + 1)))
    looks = []
    for _ in range(4):
        start = time.monotonic()
        watch.poll()
        looks.append(time.monotonic() - start)
    start = time.monotonic()
    slurm.query(backend.submissions)
    query = time.monotonic() - start
    tell(
        "wait loop", elements=size, ended=size // 2, running=1000, first_look_seconds=looks[0],
        later_look_seconds=min(looks[1:]), squeue_read_seconds=query, looks_per_hour=_HOUR / 2,
        squeue_calls_per_hour=_HOUR / 30, share_of_a_core_percent=100 * (min(looks[1:]) / 2 + query / 30),
    )  # fmt: skip
    start = time.monotonic()
    statuses = {element: folder.read_status(element) for element in folder.listed()}
    done = [e for e, status in statuses.items() if is_current(status, spec.commands_of(e), spec.cwd)]
    tell("plan of a second run", elements=size, done_before=len(done), wall_seconds=time.monotonic() - start)


def bench_slurm(folder: Path) -> None:
    """Four elements of `true` in the queue."""
    words = ["job", "run", "--cmd", "slurm", "--nj", "4", "--log", "log/queue.JOB.log", "--", "true", "JOB"]
    cpu, wall = cpu_of([sys.executable, "-m", "speechkit", *words], folder)
    tell("4 elements of `true` under Slurm", cpu_seconds=cpu, wall_seconds=wall)


def main() -> None:
    """Measure in a folder that is thrown away."""
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        bench_local(folder)
        if os.environ.get("SLURM_CONF"):
            bench_slurm(folder)
        bench_waiting(folder, size)


if __name__ == "__main__":
    main()
