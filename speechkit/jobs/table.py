"""What `speechkit job status` shows: each job below a folder, and its elements that run or failed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from speechkit.errors import SpeechkitError
from speechkit.jobs.config import JobSpec
from speechkit.jobs.folder import SPEC_FILE, JobFolder, Status
from speechkit.jobs.wait import how, tail_of
from speechkit.jobs.worker import HEARTBEAT_SECONDS

_NUM_SHOWN = 8
_SILENT_AFTER = 4 * HEARTBEAT_SECONDS


@dataclass(frozen=True)
class ElementRow:
    """An element that runs or has failed."""

    element: int
    state: str  # running, silent (no heartbeat) or failed
    host: str
    attempt: int
    seconds: float
    maxrss_mb: float
    note: str


@dataclass(frozen=True)
class JobRow:
    """A job in numbers."""

    job: str
    stage: str
    backend: str
    elements: int
    done: int
    failed: int
    running: int
    waiting: int
    seconds: float  # in elements that have ended
    maxrss_mb: float
    shown: list[ElementRow]


def find_jobs(root: Path) -> list[JobFolder]:
    """The job folders at or below `root`, by stage and name.

    Raises:
        SpeechkitError: there is none.
    """
    found = [root] if (root / SPEC_FILE).is_file() else [path.parent for path in root.glob(f"**/jobs/*/{SPEC_FILE}")]
    if not found:
        raise SpeechkitError(f"there is no job below `{root}`", expected="a folder in which `speechkit job run` worked")
    return [JobFolder(path.absolute()) for path in sorted(found)]


def job_row(folder: JobFolder) -> JobRow:
    """Look at the files of a job."""
    spec = folder.load_spec()
    attempts, listed = folder.attempts(), folder.listed()
    found = {element: folder.read_status(element) for element in sorted(listed) if element <= spec.num_elements}
    statuses = {element: status for element, status in found.items() if status is not None}
    ended = {e: s for e, s in statuses.items() if s.state != "requeue" and s.attempt in (0, attempts.get(e, 0))}
    started = {e: n for e, n in attempts.items() if e <= spec.num_elements and e not in ended}
    running = {e: n for e, n in started.items() if e not in statuses or statuses[e].attempt < n}
    failed = [element for element, status in ended.items() if status.state == "failed"]
    rows = [_failed_row(spec, element, ended[element]) for element in failed[:_NUM_SHOWN]]
    rows += [_running_row(folder, spec, element, attempt) for element, attempt in sorted(running.items())[:_NUM_SHOWN]]
    return JobRow(
        str(folder.path), spec.stage, spec.backend, spec.num_elements, len(ended) - len(failed), len(failed),
        len(running), spec.num_elements - len(ended) - len(running),
        round(sum(status.end - status.start for status in ended.values() if status.start), 1),
        max((status.maxrss_mb for status in ended.values()), default=0.0), rows,
    )  # fmt: skip


def _failed_row(spec: JobSpec, element: int, status: Status) -> ElementRow:
    tail = tail_of(spec, element, 1)
    note = f"{how(status)}{': ' + tail[-1] if tail else ''}"
    seconds = round(max(0.0, status.end - status.start), 1) if status.start else 0.0
    return ElementRow(element, "failed", status.node or status.host, status.attempt, seconds, status.maxrss_mb, note)


def _running_row(folder: JobFolder, spec: JobSpec, element: int, attempt: int) -> ElementRow:
    about, silence = folder.read_lease(element, attempt)
    state = "running" if silence < _SILENT_AFTER else "silent"
    tail = tail_of(spec, element, 1)
    host, start = str(about.get("node") or about.get("host", "")), float(about.get("start", time.time()))
    return ElementRow(element, state, host, attempt, round(time.time() - start, 1), 0.0, tail[-1] if tail else "")


def rows_as_json(rows: list[JobRow]) -> list[dict[str, object]]:
    """The table as plain values."""
    return [asdict(row) for row in rows]


def table_lines(rows: list[JobRow], root: Path) -> Iterator[str]:
    """The table as text: a line per job, indented ones for elements that run or failed."""
    head = ("job", "stage", "where", "elements", "done", "failed", "running", "waiting", "minutes", "peak MB")
    cells = [
        (
            _short(row.job, root), row.stage, row.backend, row.elements, row.done, row.failed, row.running, row.waiting,
            f"{row.seconds / 60:.1f}", f"{row.maxrss_mb:.0f}",
        )
        for row in rows
    ]  # fmt: skip
    table = [head, *[tuple(map(str, line)) for line in cells]]
    widths = [max(len(line[column]) for line in table) for column in range(len(head))]
    for number, line in enumerate(table):
        pairs = zip(line, widths, strict=True)
        text = [cell.ljust(w) if column < 3 else cell.rjust(w) for column, (cell, w) in enumerate(pairs)]
        yield "  ".join(text).rstrip()
        if number:
            yield from map(_element_line, rows[number - 1].shown)
            yield from _hidden(rows[number - 1])


def _element_line(row: ElementRow) -> str:
    memory = f"  {row.maxrss_mb:.0f} MB" if row.maxrss_mb else ""
    return f"  {row.element}  {row.state}  {row.host}  {row.seconds:.0f} s{memory}  {row.note[:100]}"


def _hidden(row: JobRow) -> Iterator[str]:
    shown = len(row.shown)
    if row.failed + row.running > shown:
        yield f"  ... {row.failed + row.running - shown} more"


def _short(job: str, root: Path) -> str:
    path = Path(job)
    return str(path.relative_to(root.absolute())) if path.is_relative_to(root.absolute()) else job
