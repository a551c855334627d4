"""Log lines and progress on stderr (and in the artifact's log.txt); stdout is for results."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

logger = logging.getLogger("speechkit")
_FORMAT = logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S")

_CLEAR = "\r\x1b[K"


class _StderrHandler(logging.Handler):
    """Writes to the present sys.stderr, so that tests and redirections see it."""

    def emit(self, record: logging.LogRecord) -> None:
        if sys.stderr is None:
            return
        with suppress(BrokenPipeError):  # nobody reads any more (`2>&1 | head`): the work goes on
            live = _CLEAR if sys.stderr.isatty() else ""  # a line of track() may stand there
            sys.stderr.write(f"{live}{self.format(record)}\n")


def setup(verbose: bool = False) -> None:
    """Send the log of this process to stderr; call once, from the CLI."""
    logger.setLevel(logging.DEBUG if verbose else logging.INFO)
    logger.propagate = False
    logging.raiseExceptions = False  # a full disk stops the work itself; log.txt must not add a traceback
    if not logger.handlers:
        handler = _StderrHandler()
        handler.setFormatter(_FORMAT)
        logger.addHandler(handler)


def info(message: str) -> None:
    """One line of progress."""
    logger.info(message)


def warn(message: str) -> None:
    """One line about something that was skipped, clipped or repaired, with its count."""
    logger.warning(message)


@contextmanager
def log_to(path: Path) -> Iterator[None]:
    """Copy every log line into `path` while the block runs."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(_FORMAT)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()


def track(items: Iterable[T], title: str, *, unit: str = "utt", total: int | None = None) -> Iterator[T]:
    """Pass items on and report progress: a live line on a terminal, else a line after 10, 30 s, then each minute."""
    if total is None and isinstance(items, Collection):
        total = len(items)
    live = sys.stderr is not None and sys.stderr.isatty()
    start = time.monotonic()
    next_report, count = (0.2 if live else 10.0), 0
    try:
        for item in items:
            yield item
            count += 1
            elapsed = time.monotonic() - start
            if elapsed < next_report:
                continue
            share = f"{count}/{total}" if total else str(count)
            _report(f"{title}: {share} {unit}, {count / elapsed:.1f} {unit}/s", live=live)
            next_report = elapsed + 0.2 if live else 30.0 if next_report < 30.0 else elapsed + 60.0
    finally:
        if live and time.monotonic() - start >= 0.2:
            sys.stderr.write(_CLEAR)


def _report(line: str, *, live: bool) -> None:
    if live:
        sys.stderr.write(f"\r{line}\x1b[K")
        sys.stderr.flush()
    else:
        info(line)
