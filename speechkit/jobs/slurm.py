"""Speak with Slurm: job.sh, sbatch, one squeue for all elements, scancel; states and reasons in words."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from speechkit.errors import ConfigError, SpeechkitError
from speechkit.jobs.config import JobSpec, SiteConfig, of_element
from speechkit.jobs.folder import SCRIPT_FILE, parse_ranges, ranges
from speechkit.jobs.site import defaults_of

_TIMEOUT_SECONDS = 120.0
_ALIVE = {
    "PENDING", "RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD",
    "RESIZING", "SIGNALING", "SPECIAL_EXIT", "STAGE_OUT", "STOPPED", "RESV_DEL_HOLD",
}  # fmt: skip

# Why an element waits that will wait for ever, in words. A reason ending in `Limit` of an association or QOS counts
# when it is about the job alone (PerJob), not about what else runs.
_NEVER = {
    "PartitionConfig": "the partition does not allow such a job: time limit, nodes or accounts",
    "PartitionTimeLimit": "the time limit is above that of the partition",
    "PartitionNodeLimit": "the partition has not so many nodes",
    "PartitionInactive": "the partition does not start jobs",
    "DependencyNeverSatisfied": "the job it depends on failed",
    "BadConstraints": "no node has what is asked for",
    "InvalidQOS": "the QOS does not exist or is not for this account",
    "InvalidAccount": "the account does not exist",
    "AccountNotAllowed": "the account may not use this partition",
    "QOSNotAllowed": "the QOS may not use this partition",
    "JobLaunchFailure": "it cannot be launched on its node",
    "launch_failed_requeued_held": "it cannot be launched on its node",
    "launch failed requeued held": "it cannot be launched on its node",
    "job_requeued_in_held_state": "it was held after it was requeued",
}
_WAITS = {
    "Resources": "for free nodes",
    "Priority": "behind jobs of higher priority",
    "BeginTime": "to be started again (Slurm waits about two minutes after a requeue)",
    "JobArrayTaskLimit": "for other elements (--max-run)",
    "Dependency": "for another job",
    "ReqNodeNotAvail": "for a node that is down or reserved",
    "JobHeldUser": "until it is released: scontrol release",
    "JobHeldAdmin": "until an administrator releases it",
}
_ENDED = {
    "CANCELLED": "cancelled (scancel)",
    "TIMEOUT": "time limit reached",
    "OUT_OF_MEMORY": "killed for memory",
    "NODE_FAIL": "its node failed",
    "PREEMPTED": "preempted by a job of higher priority",
    "BOOT_FAIL": "its node did not boot",
    "DEADLINE": "its deadline has passed",
}


@dataclass(frozen=True)
class SlurmState:
    """What Slurm says of an element."""

    state: str
    reason: str = ""
    node: str = ""

    @property
    def is_alive(self) -> bool:
        """True while it waits or runs."""
        return self.state in _ALIVE

    @property
    def is_launch_failure(self) -> bool:
        """True when the node could not even open the log, or the wrapper was killed."""
        return self.reason.lower().replace("_", "").replace(" ", "").startswith(("joblaunchfailure", "launchfailed"))

    def never(self) -> str:
        """Why a waiting element can never start, or nothing."""
        if self.state != "PENDING":
            return ""
        if self.reason in _NEVER:
            return _NEVER[self.reason]
        per_job = re.fullmatch(r"(?:Assoc|QOS)(?:Grp)?Max.*PerJob(?:Limit)?", self.reason)
        return "more than the account or QOS allows for one job" if per_job else ""

    def waits(self) -> str:
        """What a waiting element waits for."""
        return _WAITS.get(self.reason, f"({self.reason})")

    def ended(self, *, was_started: bool) -> str:
        """How an element ended that left no word itself."""
        on = f" on {self.node}" if self.node else ""
        if self.is_launch_failure and not was_started:
            return f"log or job folder not there{on} (not a shared disk?)"
        if self.state == "CANCELLED" and self.reason in _NEVER:
            return f"never started: {_NEVER[self.reason]}"
        return f"{_ENDED.get(self.state, f'ended as {self.state} without a word')}{on}"


@dataclass(frozen=True)
class Submission:
    """One sbatch: task T of job `job` is element `offset` + T."""

    job: str
    offset: int
    elements: list[int] = field(default_factory=list)


def _call(argv: list[str], *, timeout: float = _TIMEOUT_SECONDS) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "SLURM_BITSTR_LEN": "0"}  # never shorten [1-4,7,...]
    try:
        return subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False, env=env)
    except FileNotFoundError:
        message = f"`{argv[0]}` is not installed here"
        raise ConfigError(message, expected="a login node of the cluster", hint="--cmd local runs it here") from None
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(argv, 124, "", f"no answer within {timeout:.0f} s")


def sbatch_options(spec: JobSpec, site: SiteConfig) -> list[str]:
    """The words that say what the job needs, in the order of job.sh, but for array and output."""
    defaults = defaults_of(site, spec.name)
    words = [f"--job-name={spec.name}"]
    for name in ("partition", "account", "qos"):
        if value := getattr(defaults, name):
            words.append(f"--{name}={value}")
    amounts = {
        "mem": spec.resources.mem or defaults.mem,
        "threads": spec.resources.threads,
        "gpus": spec.resources.gpus or None,
        "time": spec.resources.time or defaults.time,
        "tasks": spec.resources.tasks if spec.resources.tasks > 1 else None,
        "nodes": spec.resources.nodes,
    }
    for resource, amount in amounts.items():
        if amount is not None:
            words += [word.replace("{}", str(amount)) for word in getattr(site.options, resource)]
    words += ["--open-mode=append", "--kill-on-invalid-dep=yes", f"--signal=B:USR1@{site.notice_seconds}"]
    words += ["--export=NONE", "--requeue" if spec.resumable else "--no-requeue"]
    return [*words, *defaults.extra]


def render_script(spec: JobSpec, site: SiteConfig, folder: Path, *, extra: list[str]) -> str:
    """The text of job.sh; `sbatch job.sh` by hand does the same as `speechkit job run`."""
    directives = [
        *sbatch_options(spec, site),
        *extra,
        f"--array=1-{spec.num_elements}",
        f"--output={_output_pattern(spec, folder, 0)}",
    ]
    python = site.python or sys.executable
    words = [*site.launch, python, "-m", "speechkit.jobs.worker", str(folder)]
    lines = [
        f"#!/bin/bash{' -l' if site.setup else ''}",
        f"# {spec.num_elements} elements; written by `speechkit job run`, may be given to sbatch by hand.",
        *map(_directive, directives),
        "export SLURM_EXPORT_ENV=ALL  # what runs below sees the variables set here",
        "trap '' USR1  # a notice before the wrapper can take it would end the job",
        *(f"export {name}={shlex.quote(value)}" for name, value in _own_variables(site).items()),
        *map(shlex.join, site.setup),
        "# the first word is the number of the element before the first task",
        f'exec {shlex.join(words)} "$((${{1:-0}} + SLURM_ARRAY_TASK_ID))"',
    ]
    return "\n".join(lines) + "\n"


def _output_pattern(spec: JobSpec, folder: Path, offset: int) -> str:
    """Where Slurm writes: into the log of the element, as long as tasks are numbered as elements."""
    if offset:
        return f"{str(folder).replace('%', '%%')}/slurm.%A_%a.log"
    return of_element(spec.log.replace("%", "%%"), "%a")


def _directive(word: str) -> str:
    if re.search(r'["\\\n$`]', word) or not word.isprintable():
        return f"# on the command line of sbatch, as no such line can hold it: {word!a}"
    return f'#SBATCH "{word}"' if re.search(r"[\s'#]", word) else f"#SBATCH {word}"


def _own_variables(site: SiteConfig) -> dict[str, str]:
    # the interpreter must find this package also when it is not installed
    own = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": own} if own and site.python is None and not site.launch else {}


def submit(
    spec: JobSpec, site: SiteConfig, folder: Path, *, elements: list[int], extra: list[str]
) -> Iterator[Submission]:
    """Give elements to Slurm, in as many arrays as its MaxArraySize asks for; each is told before the next is given.

    Raises:
        SpeechkitError: sbatch says no; the message is Slurm's.
    """
    most = _max_array_size()
    max_run = spec.max_run or defaults_of(site, spec.name).max_run
    chunks: dict[int, list[int]] = {}
    for element in elements:
        chunks.setdefault((element - 1) // (most - 1) * (most - 1), []).append(element)
    for offset, chunk in chunks.items():
        limit = f"%{max(1, max_run // len(chunks))}" if max_run else ""
        tasks = ranges(element - offset for element in chunk)
        argv = [
            "sbatch", "--parsable", *sbatch_options(spec, site), *extra, f"--array={tasks}{limit}",
            f"--output={_output_pattern(spec, folder, offset)}", str(folder / SCRIPT_FILE), str(offset),
        ]  # fmt: skip
        answer = _call(argv)
        if answer.returncode != 0:
            said = answer.stderr.strip().removeprefix("sbatch: error: ").splitlines()
            raise SpeechkitError(
                f"sbatch refuses the job `{spec.name}`",
                where=said,
                hint="docs/cluster.md says how to ask for less or other",
            )
        yield Submission(answer.stdout.strip().partition(";")[0], offset, chunk)


def _max_array_size() -> int:
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", _call(["scontrol", "show", "config"]).stdout, re.MULTILINE)
    return max(2, int(found[1])) if found else 1001


def query(submissions: Sequence[Submission]) -> dict[int, SlurmState] | None:
    """What Slurm says of each element it still knows, by one squeue; None when it gives no answer.

    An element that was submitted twice is that of the later submission.
    """
    jobs = {submission.job: submission for submission in submissions}
    owner = {element: submission.job for submission in submissions for element in submission.elements}
    if not jobs:
        return {}
    done = _call(["squeue", "--noheader", "--all", "--states=all", f"--jobs={','.join(jobs)}", "--format=%i|%T|%r|%N"])
    if done.returncode != 0:
        return {} if "Invalid job id" in done.stderr else None
    states: dict[int, SlurmState] = {}
    for line in done.stdout.splitlines():
        name, state, reason, node = ([*line.split("|"), "", "", ""])[:4]
        job, _, tasks = name.partition("_")
        offset = jobs[job].offset if job in jobs else 0
        for task in parse_ranges(tasks.strip("[]")):
            if owner.get(task + offset) == job:
                states[task + offset] = SlurmState(state, reason, node)
    return states


def ask_accounting(submission: Submission, element: int) -> SlurmState | None:
    """What sacct knows of an element that squeue has forgotten; None without accounting."""
    task = f"{submission.job}_{element - submission.offset}"
    words = ["sacct", "--noheader", "--parsable2", "--allocations", f"--jobs={task}", "--format=State,NodeList"]
    done = _call(words)
    state, _, node = (done.stdout.splitlines() or [""])[-1].partition("|")
    return SlurmState(state.split()[0], "", node) if done.returncode == 0 and state else None


def cancel(submissions: Sequence[Submission], elements: Iterable[int] | None = None) -> None:
    """End the jobs, or some elements of them.

    Raises:
        SpeechkitError: scancel fails.
    """
    wanted = None if elements is None else set(elements)
    ids = []
    for submission in submissions:
        if wanted is None:
            ids.append(submission.job)
        elif tasks := [element - submission.offset for element in submission.elements if element in wanted]:
            ids.append(f"{submission.job}_[{ranges(tasks)}]")
    done = _call(["scancel", *ids]) if ids else None
    if done is not None and done.returncode != 0 and "already completing" not in done.stderr.lower():
        raise SpeechkitError("scancel fails", where=done.stderr.strip().splitlines())
