"""Parts of charts as inline SVG: lines, words, round tick marks.  No library, no network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

WIDTH = 860


def ticks(high: float, wanted: int = 5) -> list[float]:
    """About `wanted` round values from 0 up to the first that is not below `high`."""
    raw = max(high, 1e-9) / wanted
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if raw <= power * factor * (1 + 1e-9))
    return [step * i for i in range(math.ceil(high / step - 1e-9) + 1)] if high > 0 else [0.0, step]


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A line of a class of page.html.j2."""
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def text(x: float, y: float, content: str, *, anchor: str = "start", kind: str = "name") -> str:
    """Words that start, are centred or end at a place."""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(content)}</text>'


def svg(height: float, parts: Sequence[str], title: str) -> str:
    """A drawing of `WIDTH` units that scales with its page; `title` says what it shows."""
    head = f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}">'
    return "\n".join([head, f"<title>{escape(title)}</title>", *parts, "</svg>"])
