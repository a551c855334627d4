"""The command `audit curve`: from measurements at many rates of noise to curves, break points and what predicts them.

OUT holds curves.json and curves.html.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from speechkit import log
from speechkit.artifact import make_artifact, publish_file, write_json
from speechkit.audit.breaks import HALF, Break, crossing_of, find_break, rank_correlations
from speechkit.audit.cells import Cell, predicted_flip, read_cells
from speechkit.audit.config_curve import CurveConfig
from speechkit.errors import counted
from speechkit.report import results
from speechkit.report.html import render
from speechkit.report.plots import NUM_COLOURS
from speechkit.report.svg import WIDTH, line, svg, text
from speechkit.report.tables import NOTHING, Table, as_text, number

CURVES_FILE, PAGE_FILE = "curves.json", "curves.html"
_TEMPLATE = Path(__file__).parent / "templates" / "curve.html.j2"
_LEFT, _RIGHT, _TOP, _HEIGHT = 46.0, 150.0, 14.0, 300.0
_DIGITS = 5


def run(
    config: CurveConfig, paths: Sequence[Path], *, out: Path, results_file: Path | None = None, force: bool = False
) -> None:
    """Make the folder `out`, print its tables, and rewrite the block of `results_file`.

    Raises:
        ConfigError, SpeechkitError: see `read_cells`.
    """
    cells = read_cells(paths, config)

    def build(folder: Path) -> None:
        result = summarise(cells, config)
        write_json(folder / CURVES_FILE, result)
        with publish_file(folder / PAGE_FILE) as stream:
            stream.write(_page(result, config))

    inputs = {f"evaluation {i}": path for i, path in enumerate(paths)}
    make_artifact(out, command="audit curve", config=config, inputs=inputs, build=build, force=force)
    tables = tables_of(orjson.loads((out / CURVES_FILE).read_bytes()))
    if results_file is not None:
        results.update(results_file, results.block(tables, "audit curve"), title=config.title)
    print("\n\n".join(as_text(table) for table in tables))
    log.info(f"{counted(len(cells), 'cell')}; wrote {out / PAGE_FILE}")


def summarise(cells: Sequence[Cell], config: CurveConfig) -> dict[str, Any]:
    """Everything that is shown, as plain values."""
    families = list(dict.fromkeys(cell.family for cell in cells))
    groups = list(dict.fromkeys(cell.group for cell in cells))
    flips = {name: predicted_flip(name, [cell for cell in cells if cell.family == name]) for name in families}
    curves = []
    for group in groups:
        for family in families:
            own = [cell for cell in cells if (cell.group, cell.family) == (group, family)]
            if own:
                curves.append(_curve(own, flips[family], find_break(own, config)))
    parts = {group: [cell for cell in cells if cell.group == group] for group in groups}
    if len(groups) > 1:
        parts["all"] = list(cells)
    return {
        "schema": 1,
        "score": config.score,
        "ci_level": config.ci_level,
        "curves": curves,
        "correlations": {name: rank_correlations(part, config) for name, part in parts.items()},
        "cells": [_plain(cell) for cell in cells],
    }


def _curve(cells: Sequence[Cell], flip: float, fitted: Break | None) -> dict[str, Any]:
    by_rate: dict[float, list[Cell]] = {}
    for cell in sorted(cells, key=lambda cell: cell.asked):
        by_rate.setdefault(cell.asked, []).append(cell)
    points: list[dict[str, Any]] = []
    for asked, part in by_rate.items():
        aurocs = [cell.auroc for cell in part]
        alone = part[0].auroc_ci if len(part) == 1 else None
        points.append(
            {
                "asked": asked,
                "runs": len(part),
                "rate": _mean([cell.rate for cell in part]),
                "auroc": _mean(aurocs),
                "spread": list(alone or (min(aurocs), max(aurocs))),
                "ap": _mean([cell.ap for cell in part]),
                "wer_said": _mean([cell.wer_said for cell in part]),
                "wer_given": _mean([cell.wer_given for cell in part]),
                "margin": _mean([cell.margin for cell in part]),
                "second_eigenvalue": _mean([cell.second_eigenvalue for cell in part]),
            }
        )
    return {
        "group": cells[0].group,
        "family": cells[0].family,
        "predicted_flip": round(flip, _DIGITS),
        "crossing": crossing_of([(p["asked"], p["auroc"]) for p in points]),
        "fit": None if fitted is None else {**asdict(fitted), "difference": round(fitted.r50 - flip, _DIGITS)},
        "points": points,
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(float(np.mean(known)), _DIGITS) if known else None


def _plain(cell: Cell) -> dict[str, Any]:
    shown = {name: value for name, value in vars(cell).items() if name != "pairs"}
    return {**shown, "margin": round(cell.margin, 4), "second_eigenvalue": round(cell.second_eigenvalue, 4)}


def tables_of(result: Mapping[str, Any]) -> list[Table]:
    """Break points, points of the curves, and rank correlations."""
    breaks = [_break_row(curve) for curve in result["curves"]]
    columns = ["curve", "family", "rates", "runs", "predicted flip", "r50", "interval", "difference", "level"]
    points = [
        [
            curve["group"] or NOTHING,
            curve["family"],
            number(point["asked"]),
            str(point["runs"]),
            number(point["auroc"], 3),
            f"{point['spread'][0]:.3f} to {point['spread'][1]:.3f}",
            *(number(point[name], 3) for name in ("ap", "margin", "second_eigenvalue")),
            *(number(point[name], 1) for name in ("wer_said", "wer_given")),
        ]
        for curve in result["curves"]
        for point in curve["points"]
    ]
    names = ["curve", "family", "rate", "runs", "word AUROC", "range", "word AP", "margin", "2nd eigenvalue"]
    ranks = [
        [group or "all", name, number(row["correlation"], 3), _between(row["interval"])]
        for group, rows in result["correlations"].items()
        for name, row in rows.items()
    ]
    found = [
        Table("Break points", [*columns, "crosses 1/2 between"], breaks, 2),
        Table("Curves", [*names, "WER to what was said %", "WER to what was given %"], points, 2),
        Table("Rank correlation with the word AUROC over cells", ["curve", "of", "Spearman", "interval"], ranks, 2),
    ]
    return [table for table in found if table.rows]


def _break_row(curve: Mapping[str, Any]) -> list[str]:
    points, fit = curve["points"], curve["fit"]
    head = [curve["group"] or NOTHING, curve["family"], str(len(points)), str(sum(p["runs"] for p in points))]
    head.append(number(curve["predicted_flip"], 3))
    crossing = "{:g} and {:g}, near {:.3f}".format(*curve["crossing"]) if curve["crossing"] else NOTHING
    if fit is None:
        return [*head, *[NOTHING] * 4, crossing]
    beyond = " (beyond the rates)" if fit["r50"] > max(point["asked"] for point in points) else ""
    return [
        *head,
        number(fit["r50"], 3) + beyond,
        _between(fit["r50_ci"]),
        f"{fit['difference']:+.3f}",
        number(HALF + fit["level"], 3),
        crossing,
    ]


def _between(pair: Sequence[float] | None) -> str:
    return f"{pair[0]:.3f} to {pair[1]:.3f}" if pair else NOTHING


def _page(result: Mapping[str, Any], config: CurveConfig) -> str:
    groups = list(dict.fromkeys(curve["group"] for curve in result["curves"]))
    charts = [(group, chart([c for c in result["curves"] if c["group"] == group], group)) for group in groups]
    return render(_TEMPLATE, title=config.title, charts=charts, tables=tables_of(result))


def chart(curves: Sequence[Mapping[str, Any]], name: str) -> str:
    """AUROC against the rate of wrong words, a line for each family."""
    width, base = WIDTH - _LEFT - _RIGHT, _TOP + _HEIGHT

    def place(rate: float, auroc: float) -> tuple[float, float]:
        return _LEFT + rate * width, base - auroc * _HEIGHT

    parts = []
    for mark in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = place(mark, mark)
        parts.append(line(_LEFT, y, _LEFT + width, y, "whisker" if mark == HALF else "grid"))
        parts.append(text(_LEFT - 8, y + 4, f"{mark:g}", anchor="end", kind="tick"))
        parts.append(text(x, base + 16, f"{mark:g}", anchor="middle", kind="tick"))
    parts.append(text(_LEFT + width / 2, base + 32, "share of wrong words", anchor="middle", kind="tick"))
    for i, curve in enumerate(curves):
        kind = f"curve{i % NUM_COLOURS}"
        places = [place(point["asked"], point["auroc"]) for point in curve["points"]]
        parts.append(f'<polyline class="{kind}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in places)}"/>')
        for (x, _), point in zip(places, curve["points"], strict=True):
            low, high = (place(0.0, value)[1] for value in point["spread"])
            parts.append(line(x, low, x, high, kind))
        x, y = place(curve["predicted_flip"], HALF)
        parts.append(line(x, y - 8, x, y + 8, kind))
        parts.append(line(WIDTH - _RIGHT + 14, 20 + 18 * i, WIDTH - _RIGHT + 34, 20 + 18 * i, kind))
        parts.append(text(WIDTH - _RIGHT + 40, 24 + 18 * i, curve["family"], kind="tick"))
    return svg(base + 38, parts, f"AUROC of wrong words against their share{': ' + name if name else ''}")
