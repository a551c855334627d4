"""What fields of blank-separated formats can hold."""

from __future__ import annotations

import math
from collections.abc import Collection

_DECIMALS = 8  # as in manifests


def seconds_text(seconds: float) -> str:
    """A time with as many decimals as it needs, at least 2 and at most 8."""
    digits = f"{seconds:.{_DECIMALS}f}"
    return digits[: max(len(digits.rstrip("0")), len(digits) - _DECIMALS + 2)]


def parse_seconds(text: str) -> float:
    """A time from 0 on.

    Raises:
        ValueError: anything else.
    """
    value = float(text)
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{text} is not a time from 0 on")
    return value


def is_field(text: str) -> bool:
    """True when a text can be a field between blanks: not empty, no white space, NUL, comment or byte order mark."""
    return text.split() == [text] and "\0" not in text and not text.startswith((";;", "\ufeff"))


def unused_name(name: str, taken: Collection[str], *, separator: str = " ") -> str:
    """The name, or with the first number from 2 on that makes it new."""
    number, free = 2, name
    while free in taken:
        free, number = f"{name}{separator}{number}", number + 1
    return free
