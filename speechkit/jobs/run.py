"""Start a job, find it again, wait for it, end it.

handle = submit(spec)
results = handle.wait()
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from speechkit import log
from speechkit.artifact import lease
from speechkit.config import build_config
from speechkit.errors import Requeue, SpeechkitError
from speechkit.jobs.backend import LocalBackend, SlurmBackend, make_backend
from speechkit.jobs.config import JobSpec, Pick, SiteConfig
from speechkit.jobs.folder import JobFolder, Status, is_current, ranges
from speechkit.jobs.wait import ElementResult, Watch, how, tail_of
from speechkit.signals import noted_signals

_CANCEL_SECONDS = 60.0
_NUM_TAIL = 6
# what may differ between two runs of one job without making it another job
_NOT_WHAT = {"commit", "env", "stage", "retries", "max_run", "resources", "notice_seconds"}


@dataclass
class JobHandle:
    """A job that was started, here or earlier; `skipped` are the elements that were done before."""

    folder: JobFolder
    spec: JobSpec
    watch: Watch
    skipped: dict[int, Status] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> JobHandle:
        """Find a job again by its folder.

        Raises:
            SpeechkitError: it is no job folder, or nothing was ever started.
        """
        folder = JobFolder(path.absolute())
        spec = folder.load_spec()
        submitted = folder.read_submitted()
        if not submitted:
            raise SpeechkitError(f"the job `{path}` was never started", hint="speechkit job run starts it")
        site = build_config(SiteConfig, submitted.get("site", {}))
        backend = make_backend(folder, spec, site, submitted.get("extra", []))
        everyone = set(range(1, spec.num_elements + 1))
        return cls(folder, spec, Watch(folder, spec, site, backend=backend, elements=everyone))

    @property
    def backend(self) -> LocalBackend | SlurmBackend:
        """Where it runs."""
        return self.watch.backend

    @property
    def num_untouched(self) -> int:
        """Elements that `--pick failed` left out although they never ran to an end."""
        known = self.watch.open | self.watch.results.keys()
        done = {element for element, status in self.skipped.items() if status.state == "done"}
        return self.spec.num_elements - len(known | done)

    def wait(self, timeout: float | None = None) -> list[ElementResult]:
        """Wait for all elements, at most `timeout` seconds; those that have ended, in order."""
        if self.watch.wait(timeout):
            self.backend.close()
        ended = self.skipped | self.watch.results
        return [ElementResult(element, status) for element, status in sorted(ended.items())]

    def cancel(self) -> None:
        """End all elements and wait until none runs.

        Raises:
            SpeechkitError: they were started on another machine, without Slurm.
        """
        if isinstance(self.backend, LocalBackend) and (host := self.backend.other_host()):
            raise SpeechkitError(f"the job `{self.folder.path}` was started on {host}", hint="cancel it there")
        self.backend.end()
        deadline = time.monotonic() + _CANCEL_SECONDS
        while time.monotonic() < deadline:
            states = self.backend.ask(range(1, self.spec.num_elements + 1))
            if states is not None and not any(state.is_alive for state in states.values()):
                return
            time.sleep(0.5)
        log.warn(f"{self.spec.name}: some elements have not ended within {_CANCEL_SECONDS:.0f} s")


def folder_of(spec: JobSpec) -> Path:
    """The job folder: beside the folder of the logs."""
    return spec.log_of(1).parent.parent / "jobs" / spec.name


def submit(
    spec: JobSpec, *, site: SiteConfig | None = None, pick: Pick = "incomplete", extra: Sequence[str] = ()
) -> JobHandle:
    """Start those elements of a job that `pick` names and that neither are done nor run already.

    Args:
        extra: further words for sbatch.
    Raises:
        SpeechkitError: sbatch refuses, or another job of this name is in the queue.
    """
    folder, site = JobFolder(folder_of(spec)), site or SiteConfig()
    folder.create()
    backend = make_backend(folder, spec, site, list(extra))
    alive = _still_alive(folder, spec, backend)
    skipped, wanted = _pick(folder, spec, pick)
    wanted |= alive
    folder.save_spec(spec)
    if isinstance(backend, SlurmBackend):
        backend.forget(alive)
    for element in folder.listed() & wanted - alive:
        folder.status_path(element).unlink(missing_ok=True)
    watch = Watch(folder, spec, site, backend=backend, elements=wanted)
    if wanted - alive:
        backend.start(sorted(wanted - alive), exclude=set())
    before = f", {len(skipped)} done before" if skipped else ""
    before += f", {len(alive)} in the queue already" if alive else ""
    if wanted:
        log.info(f"{spec.name}: {len(wanted - alive)} elements started{before} ({backend.describe()})")
    return JobHandle(folder, spec, watch, skipped)


def _pick(folder: JobFolder, spec: JobSpec, pick: Pick) -> tuple[dict[int, Status], set[int]]:
    """Elements that stay as they are, and those that run."""
    everyone = set(range(1, spec.num_elements + 1))
    if pick == "all":
        return {}, everyone
    statuses = {element: folder.read_status(element) for element in folder.listed() & everyone}
    done = {
        element: status
        for element, status in statuses.items()
        if status is not None and is_current(status, spec.commands_of(element), spec.cwd)
    }
    if pick == "incomplete":
        return done, everyone - done.keys()
    failed = {element for element, status in statuses.items() if status is not None and status.state == "failed"}
    return {k: v for k, v in statuses.items() if v is not None and k not in failed}, failed


def _still_alive(folder: JobFolder, spec: JobSpec, backend: LocalBackend | SlurmBackend) -> set[int]:
    """Elements of an earlier start that still wait or run under Slurm; a local pool without its runner is ended."""
    submitted = folder.read_submitted()
    if not submitted:
        return set()
    before = folder.load_spec()
    if submitted.get("backend") == "local":
        LocalBackend(folder, before).end()
        return set()
    site = build_config(SiteConfig, submitted.get("site", {}))
    earlier = backend if isinstance(backend, SlurmBackend) else make_backend(folder, before, site, [])
    states = earlier.ask(range(1, before.num_elements + 1))
    if states is None:
        raise SpeechkitError("squeue does not answer: does an earlier job of this name still run?", hint="try again")
    alive = {element for element, state in states.items() if state.is_alive}
    alive -= {e for e in alive if states[e].state == "COMPLETING" and folder.has_ended(e)}  # Slurm only tidies up
    if alive and (spec.backend != "slurm" or _what(before) != _what(spec)):
        raise SpeechkitError(
            f"{len(alive)} elements of another job `{spec.name}` are still in the queue ({earlier.describe()})",
            hint=f"speechkit job cancel {folder.path}, or wait for it",
        )
    return alive


def _what(spec: JobSpec) -> dict[str, object]:
    return spec.model_dump(exclude=_NOT_WHAT)


def run_job(
    spec: JobSpec, *, site: SiteConfig | None = None, pick: Pick = "incomplete", extra: Sequence[str] = ()
) -> None:
    """Start a job, follow it to its end and say how it went.

    Raises:
        SpeechkitError: elements failed; Requeue: ended from outside, elements are checkpointed.
    """
    folder_of(spec).parent.mkdir(parents=True, exist_ok=True)
    with _alone(folder_of(spec)):
        follow(submit(spec, site=site, pick=pick, extra=extra))


def attach(path: Path) -> None:
    """Wait again for a job that was started earlier, as `run_job` does."""
    handle = JobHandle.load(path)
    with _alone(handle.folder.path):
        follow(handle)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(lease(path))
        except SpeechkitError as error:
            hint = f"wait for it, or speechkit job cancel {path}"
            raise SpeechkitError(error.what.replace("is being written by", "is followed by"), hint=hint) from None
        yield


def follow(handle: JobHandle) -> None:
    """Wait; Ctrl-C ends the job, SIGTERM ends what runs here and leaves what runs under Slurm."""
    if not handle.watch.open:
        rest = f"; {handle.num_untouched} elements never ran" if handle.num_untouched else ""
        print(f"{'nothing failed' if rest else 'up to date'}: {_near(handle.folder.path)}{rest}")
        return
    with noted_signals(signal.SIGTERM, signal.SIGHUP) as stopped:
        try:
            handle.watch.wait(until=lambda: bool(stopped))
        except KeyboardInterrupt:
            _interrupt(handle)
            raise
    if handle.watch.open:
        _stop(handle)
    handle.backend.close()
    _tell(handle)


def _near(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _interrupt(handle: JobHandle) -> None:
    is_slurm = isinstance(handle.backend, SlurmBackend)
    leave = "; Ctrl-C again leaves it running" if is_slurm else ""
    log.info(f"{handle.spec.name}: ending the job ({handle.backend.describe()}){leave}")
    try:
        handle.cancel()
    except KeyboardInterrupt:
        log.warn(f"{handle.spec.name}: not waited for; speechkit job attach {handle.folder.path}")


def _stop(handle: JobHandle) -> None:
    """What SIGTERM means.

    Raises:
        Requeue: elements are checkpointed; SystemExit: nothing is.
    """
    name, path = handle.spec.name, handle.folder.path
    if isinstance(handle.backend, SlurmBackend):
        log.info(f"{name}: {handle.backend.describe()} goes on; speechkit job attach {path}")
        raise SystemExit(128 + signal.SIGTERM)
    handle.backend.end()
    statuses = [handle.folder.read_status(element) for element in handle.watch.open]
    if any(status is not None and status.state == "requeue" for status in statuses):
        raise Requeue(f"{len(handle.watch.open)} elements of `{name}` were ended, checkpoints written")
    raise SystemExit(128 + signal.SIGTERM)


def _tell(handle: JobHandle) -> None:
    """Say how it went.

    Raises:
        SpeechkitError: elements failed.
    """
    spec, results = handle.spec, handle.watch.results
    failed = {element: status for element, status in sorted(results.items()) if status.state == "failed"}
    seconds = sum(status.end - status.start for status in results.values() if status.start)
    if not failed:
        peak = max((status.maxrss_mb for status in results.values()), default=0.0)
        rest = handle.num_untouched
        which = f"{spec.num_elements - rest} of {spec.num_elements}" if rest else f"all {spec.num_elements}"
        log.info(f"{spec.name}: {which} elements done, {seconds:.1f} s in them, peak {peak:.0f} MB")
        return
    first = next(iter(failed))
    reasons = [f"element {element}: {how(status)}" for element, status in list(failed.items())[:3]]
    tail = tail_of(spec, first, _NUM_TAIL)
    logs = [f"{spec.log_of(first)}:", *(f"  {line}" for line in tail)] if tail else []
    raise SpeechkitError(
        f"{len(failed)} of {spec.num_elements} elements of `{spec.name}` failed: {ranges(failed)}",
        where=[*reasons, *logs],
        hint=f"the same command runs {'only this one' if len(failed) == 1 else 'only these'} again; logs: {spec.log}",
    )
