"""A log line when a kernel must be compiled: a first command must not look stuck."""

from __future__ import annotations

from numba.core import event

from speechkit import log


class _Notice(event.Listener):  # type: ignore[misc, unused-ignore]
    """Tells once in a process."""

    def __init__(self) -> None:
        self._has_told = False

    def on_start(self, event: event.Event) -> None:
        """A compilation begins; loading from the cache is none."""
        package = event.data["dispatcher"].py_func.__module__.rpartition(".")[0]
        if package == __package__ and not self._has_told:
            self._has_told = True
            log.info("compiling kernels, which takes up to half a minute, once")

    def on_end(self, event: event.Event) -> None:
        """A compilation has ended."""


def watch() -> None:
    """Log compilations of this process from now on."""
    event.register("numba:compile", _Notice())
