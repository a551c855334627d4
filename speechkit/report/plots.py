"""Charts as inline SVG: bars of error rates with intervals, and curves of losses.  No library, no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from speechkit.report.sources import Experiment, Score
from speechkit.report.svg import WIDTH, line, svg, text, ticks

BAR_HEIGHT, BAR_GAP, ROW_GAP = 16, 3, 14
CURVE_HEIGHT = 300
MAX_POINTS = 250
NUM_COLOURS = 6


@dataclass(frozen=True)
class Bar:
    """One bar: the class that colours it, its value and interval in percent."""

    kind: str
    value: float
    interval: tuple[float, float] | None


def rate_bars(scores: Sequence[Score]) -> str:
    """Horizontal bars per score: seen and unseen texts side by side, or all texts when they were not told apart."""
    groups = [(score.name, _bars_of(score)) for score in scores]
    groups = [(name, bars) for name, bars in groups if bars]
    if not groups:
        return ""
    marks = ticks(max(max(b.value, b.interval[1] if b.interval else 0.0) for _, bars in groups for b in bars))
    left = 24 + min(300, 7 * max(len(name) for name, _ in groups))
    scale = (WIDTH - left - 60) / marks[-1]
    parts, y = [], 26.0
    for name, bars in groups:
        height = len(bars) * (BAR_HEIGHT + BAR_GAP) - BAR_GAP
        parts.append(text(left - 10, y + height / 2 + 4, name, anchor="end"))
        for bar in bars:
            parts += _one_bar(bar, left=left, y=y, scale=scale)
            y += BAR_HEIGHT + BAR_GAP
        y += ROW_GAP
    grid = [line(left + m * scale, 18, left + m * scale, y - 6, "grid") for m in marks]
    labels = [text(left + m * scale, y + 10, f"{m:g}", anchor="middle", kind="tick") for m in marks]
    kinds = list(dict.fromkeys(bar.kind for _, bars in groups for bar in bars))
    return svg(y + 18, [*_legend(kinds, left), *grid, *parts, *labels], "word error rates in percent")


def _bars_of(score: Score) -> list[Bar]:
    split = [(part, rate) for part in ("seen", "unseen") if (rate := score.rate(part)) is not None]
    whole = score.rate()
    if split:
        return [Bar(part, rate, score.interval(part)) for part, rate in split]
    return [] if whole is None else [Bar("all", whole, score.interval())]


def _one_bar(bar: Bar, *, left: float, y: float, scale: float) -> list[str]:
    end = left + bar.value * scale
    middle = y + BAR_HEIGHT / 2
    width = max(bar.value * scale, 1.0)
    parts = [f'<rect class="{bar.kind}" x="{left:.1f}" y="{y:.1f}" width="{width:.1f}" height="{BAR_HEIGHT}"/>']
    if bar.interval:
        low, high = (left + value * scale for value in bar.interval)
        parts.append(line(low, middle, high, middle, "whisker"))
        parts += [line(x, middle - 4, x, middle + 4, "whisker") for x in (low, high)]
        end = max(end, high)
    return [*parts, text(end + 6, middle + 4, f"{bar.value:.1f}", kind="value")]


def _legend(kinds: Sequence[str], left: float) -> list[str]:
    names = {"seen": "seen texts", "unseen": "unseen texts", "all": "all texts"}
    parts = []
    for i, kind in enumerate(kinds):
        x = left + 130 * i
        parts.append(f'<rect class="{kind}" x="{x:.1f}" y="0" width="11" height="11"/>')
        parts.append(text(x + 16, 10, names[kind], kind="tick"))
    return parts


def loss_curves(experiments: Sequence[Experiment]) -> str:
    """Loss against step, one curve per experiment; long histories are averaged in bins."""
    drawn = [(e.name, binned(e.losses)) for e in experiments if len(e.losses) > 1]
    if not drawn:
        return ""
    left, top, bottom = 56.0, 12.0 + 18 * len(drawn), 34.0
    height = top + CURVE_HEIGHT + bottom
    marks_x = ticks(max(step for _, points in drawn for step, _ in points))
    # the first steps may be far above the rest: the axis ends at the highest value of the binned curves
    marks_y = ticks(max(loss for _, points in drawn for _, loss in points))
    scale_x, scale_y = (WIDTH - left - 30) / marks_x[-1], CURVE_HEIGHT / marks_y[-1]
    base = top + CURVE_HEIGHT
    parts = [line(left, base - m * scale_y, WIDTH - 30, base - m * scale_y, "grid") for m in marks_y]
    parts += [text(left - 8, base - m * scale_y + 4, f"{m:g}", anchor="end", kind="tick") for m in marks_y]
    parts += [text(left + m * scale_x, base + 16, f"{m:g}", anchor="middle", kind="tick") for m in marks_x]
    parts.append(text((left + WIDTH) / 2, base + 31, "step", anchor="middle", kind="tick"))
    for i, (name, points) in enumerate(drawn):
        path = " ".join(f"{left + step * scale_x:.1f},{base - max(loss, 0.0) * scale_y:.1f}" for step, loss in points)
        kind = f"curve{i % NUM_COLOURS}"
        parts.append(f'<polyline class="{kind}" points="{path}"/>')
        parts.append(line(left, 8 + 18 * i, left + 22, 8 + 18 * i, kind))
        parts.append(text(left + 28, 12 + 18 * i, f"{name}: last {points[-1][1]:.3g}", kind="tick"))
    return svg(height, parts, "training loss against step")


def binned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most MAX_POINTS points: means of equally many neighbours, in the order of the steps."""
    ordered = sorted(points)
    size = -(-len(ordered) // MAX_POINTS)
    bins = [ordered[i : i + size] for i in range(0, len(ordered), size)]
    return [(sum(s for s, _ in b) / len(b), sum(v for _, v in b) / len(b)) for b in bins]
