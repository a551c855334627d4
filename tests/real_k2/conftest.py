"""Only for `make test-k2`: collects the largest differences from k2 and prints them at the end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

LARGEST: dict[str, float] = {}


@pytest.fixture
def measure() -> Callable[[str, float], float]:
    """`measure(name, difference)` keeps the largest difference of that name and returns the one given."""

    def keep(name: str, difference: float) -> float:
        LARGEST[name] = max(LARGEST.get(name, 0.0), difference)
        return difference

    return keep


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for name, difference in LARGEST.items():
        terminalreporter.write_line(f"largest difference, {name}: {difference:.2e}")
