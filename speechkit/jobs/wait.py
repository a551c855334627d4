"""Wait for the elements of a job: their status files are the truth, the backend explains a missing one.

The folder is listed every 0.1 to 2 s (less often when listing is slow), Slurm is asked every 2 to 30 s.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from speechkit import log
from speechkit.errors import SpeechkitError
from speechkit.jobs.backend import LocalBackend, SlurmBackend
from speechkit.jobs.config import JobSpec, SiteConfig
from speechkit.jobs.folder import FINAL, JobFolder, Status, ranges
from speechkit.jobs.slurm import SlurmState

_FIRST_PAUSE, _LAST_PAUSE = 0.05, 2.0
_FIRST_QUERY, _LAST_QUERY = 2.0, 30.0
_MAX_LISTING_SHARE = 0.05  # of the time; listing 10,000 elements on a file server takes a while
_NO_ANSWER_SECONDS = 600.0
_NUM_TOLD, _NUM_TAIL = 3, 15
_ASK_AGAIN_SECONDS, _EXPLAIN_SECONDS = 1.0, 10.0
_AT_ONCE = {"NODE_FAIL", "BOOT_FAIL"}  # nobody is left who could write a status
_NO_RETRY = ("time limit", "memory", "cancelled", "never start", "log or job folder", "runner was ended")


@dataclass(frozen=True)
class ElementResult:
    """How an element ended in the end."""

    element: int
    status: Status


class Watch:
    """Follows elements until each is done or failed, and starts failed ones again."""

    def __init__(
        self, folder: JobFolder, spec: JobSpec, site: SiteConfig, *, backend: LocalBackend | SlurmBackend,
        elements: set[int],
    ) -> None:  # fmt: skip
        self.folder, self.spec, self.site, self.backend = folder, spec, site, backend
        self.open = set(elements)
        self.results: dict[int, Status] = {}
        self.tries: Counter[int] = Counter()
        self.to_retry: set[int] = set()
        self.states: dict[int, SlurmState] = {}
        self.bad_nodes: set[str] = set()
        self.first_seen: dict[tuple[int, str], float] = {}
        self.interrupted: set[int] = set()  # elements that wrote `requeue` and may start again
        self.answered = self.started = time.monotonic()
        self.asked = 0.0
        self.query_pause, self.next_query = _FIRST_QUERY, self.started + _FIRST_QUERY
        self.num_told, self.next_report = 0, 10.0

    def wait(self, timeout: float | None = None, until: Callable[[], bool] | None = None) -> bool:
        """Follow until no element is open, `timeout` seconds are over or `until` says so; True when none is open."""
        pause = _FIRST_PAUSE
        while True:
            num_open, begin = len(self.open), time.monotonic()
            self.poll()
            if not self.open:
                return True
            now = time.monotonic()
            if (timeout is not None and now - self.started >= timeout) or (until is not None and until()):
                return False
            pause = _FIRST_PAUSE if len(self.open) < num_open else min(_LAST_PAUSE, 1.4 * pause)
            time.sleep(max(pause, (now - begin) / _MAX_LISTING_SHARE if len(self.open) > 1000 else 0.0))

    def poll(self) -> None:
        """Look once at the status files, and when it is time at the backend."""
        suspects = self._read_statuses()
        now = time.monotonic()
        if now >= self.next_query or (suspects and now >= self.asked + _ASK_AGAIN_SECONDS):
            self.asked = now
            self.query_pause = min(_LAST_QUERY, 1.3 * self.query_pause)
            self._ask()
            self.next_query = time.monotonic() + self.query_pause
        for element, status in suspects.items():
            state = self.states.get(element)
            is_ending = state is None or state.is_alive  # Slurm says later why, if it was Slurm
            if self.spec.backend == "local" or not is_ending or self._since(element, "explain") > _EXPLAIN_SECONDS:
                self._settle(element, self._explained(element, status, state))
        self._start_again()
        self._report()

    def _read_statuses(self) -> dict[int, Status]:
        """Settle what is clear; return those that ended from outside and need an explanation."""
        suspects = {}
        for element in self.folder.listed() & self.open - self.to_retry:
            status = self.folder.read_status(element)
            if status is None or status.state not in FINAL:
                if status is not None and element not in self.interrupted:
                    self.interrupted.add(element)
                    self.next_query = 0.0
                continue
            if status.state == "failed" and (status.reason.startswith("ended ") or "killed" in status.reason):
                suspects[element] = status
            else:
                self._settle(element, status)
        return suspects

    def _ask(self) -> None:
        states = self.backend.ask(self.open)
        now = time.monotonic()
        if states is None:
            if now - self.answered > _NO_ANSWER_SECONDS:
                raise SpeechkitError(
                    f"squeue has not answered for {_NO_ANSWER_SECONDS / 60:.0f} minutes",
                    hint=f"the job goes on; when Slurm answers again: speechkit job attach {self.folder.path}",
                )
            return
        self.answered, self.states = now, states
        never: dict[str, list[int]] = {}
        for element in sorted(self.open - self.to_retry):
            state = states.get(element)
            if state is None or not state.is_alive:
                self._consider_lost(element, state)
            elif (why := state.never()) and self._since(element, "never") >= self._patience(state):
                never.setdefault(why, []).append(element)
            if state is not None and state.is_alive:
                self.first_seen.pop((element, "lost"), None)
        for why, elements in never.items():
            self.backend.end(elements)
            for element in elements:
                self._settle(element, _ended_unheard(f"never starts: {why} (Slurm: {states[element].reason})"))

    def _patience(self, state: SlurmState) -> float:
        return 0.0 if state.is_launch_failure else self.site.pending_after_seconds

    def _since(self, element: int, what: str) -> float:
        """Seconds since this was first seen of an element."""
        now = time.monotonic()
        return now - self.first_seen.setdefault((element, what), now)

    def _consider_lost(self, element: int, state: SlurmState | None) -> None:
        """The backend knows of no running element and no final status is there: wait a while for it, then give up."""
        since = self._since(element, "lost")
        if self.folder.read_status(element) is not None and element not in self.interrupted:
            return  # it came just now
        if state is not None and self._is_hopeless(element, state, since):
            self._settle(element, _ended_unheard(self._words(element, state), node=state.node))
            return
        self.next_query = min(self.next_query, time.monotonic() + _FIRST_QUERY)
        if since < self.site.lost_after_seconds:
            return
        state = state or self.backend.explain(element)
        if state is not None and state.is_alive:
            return
        lost = "lost: nobody knows how it ended" if state is None else f"lost: {self._words(element, state)}"
        self._settle(element, _ended_unheard(lost, node=state.node if state else ""))

    def _is_hopeless(self, element: int, state: SlurmState, since: float) -> bool:
        """True when no status file can be on its way any more."""
        if state.state in _AT_ONCE or self.spec.backend == "local":
            return True
        if element in self.interrupted:  # it waits to be started again; a state of between is not yet its end
            return since >= 2 * _FIRST_QUERY
        return (state.state == "CANCELLED" or state.is_launch_failure) and not self._was_started(element)

    def _was_started(self, element: int) -> bool:
        """True when a wrapper of this start has said so."""
        _, silence = self.folder.read_lease(element, self.folder.newest_attempt(element))
        return silence < time.monotonic() - self.started + 1.0

    def _words(self, element: int, state: SlurmState) -> str:
        if state.state == "LOST" and element in self.interrupted:
            return "ended from outside"
        if state.state == "LOST":
            return "its wrapper was killed" if self._was_started(element) else "never started: its runner was ended"
        limit = self.spec.resources.time or "of the partition"
        words = state.ended(was_started=self._was_started(element))
        return words.replace("time limit reached", f"time limit {limit} reached")

    def _explained(self, element: int, status: Status, state: SlurmState | None) -> Status:
        if "killed" in status.reason or (state is not None and state.state == "OUT_OF_MEMORY"):
            asked = self.spec.resources.mem or "the default"
            reason = f"killed, perhaps for memory (asked {asked}, peak {status.maxrss_mb:.0f} MB): --mem"
            return replace(status, reason=reason)
        if state is not None and not state.is_alive and state.state not in ("FAILED", "COMPLETED", "LOST"):
            return replace(status, reason=self._words(element, state))
        return status

    def _settle(self, element: int, status: Status) -> None:
        if status.state == "failed":
            if "node failed" in status.reason and status.node:
                self.bad_nodes.add(status.node)
            if self.tries[element] < self.spec.retries and self._may_help(status):
                self.tries[element] += 1
                self.to_retry.add(element)
                self._tell_failure(element, status, again=True)
                return
            self._tell_failure(element, status, again=False)
        self.open.discard(element)
        self.results[element] = status

    def _may_help(self, status: Status) -> bool:
        """False when another try would end alike, or somebody wants the end (`speechkit job cancel`)."""
        is_wanted = self.spec.backend == "local" and status.reason.startswith("ended from outside")
        return not is_wanted and not any(word in status.reason for word in _NO_RETRY)

    def _start_again(self) -> None:
        if not self.to_retry or not self.backend.can_retry_now:
            return
        elements = sorted(self.to_retry)
        self.to_retry.clear()
        for element in elements:
            self.folder.status_path(element).unlink(missing_ok=True)
            self.first_seen.pop((element, "lost"), None)
            self.interrupted.discard(element)
        self.backend.start(elements, exclude=self.bad_nodes)
        self.query_pause, self.next_query = _FIRST_QUERY, time.monotonic() + _FIRST_QUERY
        log.info(f"{self.spec.name}: started again: {ranges(elements)} ({self.backend.describe()})")

    def _tell_failure(self, element: int, status: Status, *, again: bool) -> None:
        self.num_told += 1
        line = f"{self.spec.name}: element {element} of {self.spec.num_elements} failed: {how(status)}"
        line += "; it is started again" if again else ""
        tail = self.tail(element) if self.num_told <= _NUM_TOLD else []
        if tail:
            line += "\n".join([f"; last lines of {self.spec.log_of(element)}:", *(f"  {text}" for text in tail)])
        if self.num_told <= 10 * _NUM_TOLD:
            log.warn(line)

    def tail(self, element: int, num_lines: int = _NUM_TAIL) -> list[str]:
        """The last lines of the log of an element."""
        return tail_of(self.spec, element, num_lines)

    def _report(self) -> None:
        elapsed = time.monotonic() - self.started
        if elapsed < self.next_report:
            return
        self.next_report = 30.0 if self.next_report < 30 else elapsed + 60.0
        waiting = {e: s for e, s in self.states.items() if s.state == "PENDING" and e in self.open}
        text = "".join(
            f", {count} wait {words}"
            for words, count in Counter(state.waits() for state in waiting.values()).most_common(2)
        )
        done = self.spec.num_elements - len(self.open)
        log.info(f"{self.spec.name}: {done} of {self.spec.num_elements} ended{text}")


def _ended_unheard(reason: str, *, node: str = "") -> Status:
    return Status("failed", 1, 0, reason, node=node, end=time.time())


def how(status: Status) -> str:
    """How an element failed, in a few words."""
    place = f" on {status.node or status.host}" if status.node or status.host else ""
    if status.reason:
        return status.reason if place and place in status.reason else status.reason + place
    return f"exit {status.rc}{place}"


def tail_of(spec: JobSpec, element: int, num_lines: int) -> list[str]:
    """The last lines of the newest attempt at an element, without those of the wrapper about start and end."""
    try:
        with spec.log_of(element).open("rb") as stream:
            stream.seek(0, 2)
            stream.seek(max(0, stream.tell() - 20000))
            lines = stream.read().decode(errors="replace").splitlines()
    except OSError:
        return []
    starts = [number for number, line in enumerate(lines) if line.startswith("# Started ")]
    newest = lines[starts[-1] + 1 :] if starts else lines
    return [line[:500] for line in newest if not line.startswith("# Ended (code")][-num_lines:]
