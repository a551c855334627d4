"""Histograms of durations and the like: round bins, as bars of text and as inline SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from speechkit.report.svg import WIDTH, line, svg, text, ticks

_NUM_BINS = 20
_TAIL_SHARE = 0.01  # the longest of these share one open bin, so that an outlier does not squeeze the rest
_MIN_RANGE = 1e-6
_BAR_CHARACTERS = 40
_HEIGHT, _LEFT, _TOP = 220.0, 56.0, 14.0


@dataclass(frozen=True)
class Histogram:
    """Counts per bin; bin k holds edges[k] <= value < edges[k + 1], the last one all values from its edge on.

    edges: one more than counts; the last is None when the last bin is open.
    """

    edges: list[float | None]
    counts: list[int]

    @property
    def labels(self) -> list[str]:
        """Names of the bins, such as `0.5-1` and `4 and more`."""
        ends = self.edges[1:]
        return [
            f"{low:g} and more" if high is None else f"{low:g}-{high:g}"
            for low, high in zip(self.edges, ends, strict=False)
        ]


def histogram(values: npt.NDArray[np.float64], num_bins: int = _NUM_BINS) -> Histogram:
    """About `num_bins` bins of round width from 0 on; empty without values."""
    if not len(values):
        return Histogram([], [])
    high = float(np.quantile(values, 1 - _TAIL_SHARE))
    marks = ticks(max(high, _MIN_RANGE), num_bins)
    bounds = [round(mark, 10) for mark in marks]
    bounds += [round(marks[-1] + marks[1], 10)] if high >= bounds[-1] else []  # a value on the last edge is no outlier
    is_open = bool(values.max() >= bounds[-1])
    places = np.searchsorted(bounds, values, side="right") - 1
    counts = np.bincount(places, minlength=len(bounds) - 1).tolist()
    return Histogram([*bounds, None] if is_open else list(bounds), counts)


def as_bars(shown: Histogram) -> str:
    """One line per bin from the first that holds a value: label, bar, count."""
    first = next((k for k, count in enumerate(shown.counts) if count), 0)
    labels, counts = shown.labels[first:], shown.counts[first:]
    width = max(map(len, labels), default=0)
    highest = max(counts, default=1) or 1
    lines = []
    for label, count in zip(labels, counts, strict=True):
        size = max(1, round(count / highest * _BAR_CHARACTERS)) if count else 0
        lines.append(f"{label.rjust(width)} |{'#' * size}{' ' * bool(size)}{count}")
    return "\n".join(lines)


def as_svg(shown: Histogram, *, unit: str, title: str) -> str:
    """Columns over an axis in `unit`; an empty text without values."""
    if not shown.counts:
        return ""
    marks = ticks(max(shown.counts), 4)
    base = _TOP + _HEIGHT
    step = (WIDTH - _LEFT - 20) / len(shown.counts)
    parts = [
        line(_LEFT, base - m / marks[-1] * _HEIGHT, WIDTH - 20, base - m / marks[-1] * _HEIGHT, "grid") for m in marks
    ]
    parts += [text(_LEFT - 8, base - m / marks[-1] * _HEIGHT + 4, f"{m:g}", anchor="end", kind="tick") for m in marks]
    for k, (count, label) in enumerate(zip(shown.counts, shown.labels, strict=True)):
        height = count / marks[-1] * _HEIGHT
        x = _LEFT + k * step
        parts.append(
            f'<rect class="all" x="{x + 1:.1f}" y="{base - height:.1f}" width="{step - 2:.1f}" height="{height:.1f}">'
            f"<title>{label} {unit}: {count}</title></rect>"
        )
    parts += _axis(shown.edges, step, base)
    parts.append(text(WIDTH - 20, base + 32, unit, anchor="end", kind="tick"))
    return svg(base + 38, parts, title)


def _axis(edges: Sequence[float | None], step: float, base: float) -> list[str]:
    return [
        text(_LEFT + k * step, base + 16, f"{edge:g}", anchor="middle", kind="tick")
        for k, edge in enumerate(edges)
        if edge is not None
    ]
