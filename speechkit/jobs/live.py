"""The table of `speechkit job status --watch`, drawn again and again."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from speechkit.jobs.table import JobRow, find_jobs, job_row, table_lines

_PAUSE_SECONDS = 2.0


def watch_jobs(root: Path) -> list[JobRow]:
    """Draw the table until no element runs or waits; without a terminal only when it changes."""
    shown: list[str] = []
    while True:
        rows = [job_row(folder) for folder in find_jobs(root)]
        lines = list(table_lines(rows, root))
        if sys.stdout.isatty():
            print(f"\x1b[H\x1b[J{time.strftime('%H:%M:%S')}", *lines, sep="\n", flush=True)
        elif lines != shown:
            print("\n".join(lines), flush=True)
        shown = lines
        if not any(row.running or row.waiting for row in rows):
            return rows
        time.sleep(_PAUSE_SECONDS)
