"""The log line of a first compilation."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest
from numba.core import event

from speechkit.kernels import lines, notice


def compiling(name: str) -> event.Event:
    """What numba announces when a function of a module is compiled."""
    function = SimpleNamespace(__module__=name)
    return event.Event("numba:compile", event.EventStatus.START, {"dispatcher": SimpleNamespace(py_func=function)})


def test_the_first_kernel_is_told_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    told = notice._Notice()
    with caplog.at_level(logging.INFO, logger="speechkit"):
        told.on_start(compiling("numba.np.arrayobj"))
        assert not caplog.records
        for module in ("speechkit.kernels.short_lines", "speechkit.kernels.edit"):
            told.on_start(compiling(module))
    assert [record.message for record in caplog.records] == ["compiling kernels, which takes up to half a minute, once"]


def test_importing_a_kernel_installs_the_notice() -> None:
    assert lines.count_lines and any(
        isinstance(listener, notice._Notice) for listener in event._registered["numba:compile"]
    )
