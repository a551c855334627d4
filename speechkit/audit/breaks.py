"""Break points of detection: where the AUROC of wrong words falls through one half as noise grows.

The rate is the one that was asked for: what the judged cuts got differs from what the model learnt from by chance.
A curve is 1/2 + level * tanh((r50 - rate) / width): it falls from 1/2 + level to 1/2 - level and crosses one half at
r50, so that a lower level, such as that of other speakers, does not move the break point.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.optimize import least_squares
from scipy.stats import rankdata

from speechkit.audit.cells import Cell
from speechkit.audit.config_curve import CurveConfig
from speechkit.audit.metrics import Floats, interval
from speechkit.rng import rng

HALF = 0.5
_MIN_RATES = 3  # as many as a curve has parameters
_LOW, _HIGH = (0.02, 0.02, -0.5), (0.5, 1.5, 2.0)  # of level, width and r50
_START = (0.45, 0.2)
_MIN_CELLS = 4


@dataclass(frozen=True)
class Break:
    """A fitted curve, and the interval of its r50."""

    level: float
    width: float
    r50: float
    r50_ci: list[float] | None


def fit_curve(rates: Floats, aurocs: Floats, starts: Sequence[float] = ()) -> tuple[float, float, float]:
    """Level, width and r50 with the smallest squared error; several starts, because r50 may lie on either side."""

    def error(values: Floats) -> Floats:
        level, width, r50 = values
        return np.asarray(HALF + level * np.tanh((r50 - rates) / width) - aurocs, np.float64)

    best = None
    for r50 in starts or (0.4, 0.6, 0.9):
        found = least_squares(error, (*_START, r50), bounds=(_LOW, _HIGH))
        if best is None or found.cost < best.cost:
            best = found
    assert best is not None
    level, width, r50 = best.x.tolist()
    return level, width, r50


def find_break(cells: Sequence[Cell], config: CurveConfig) -> Break | None:
    """The curve through cells of one family; None for fewer than three rates.

    A draw of the bootstrap takes as many cells of each rate again, and moves each within the interval of its AUROC.
    """
    by_rate: dict[float, list[Cell]] = defaultdict(list)
    for cell in cells:
        by_rate[cell.asked].append(cell)
    if len(by_rate) < _MIN_RATES:
        return None
    rates, aurocs = np.array([c.asked for c in cells]), np.array([c.auroc for c in cells])
    level, width, r50 = fit_curve(rates, aurocs)
    gen = rng(config.seed, "break", *sorted(cell.path for cell in cells))
    found = []
    for _ in range(config.num_replicates):
        drawn = [group[k] for group in by_rate.values() for k in gen.integers(0, len(group), len(group)).tolist()]
        moved = [cell.auroc + cell.auroc_sd * gen.standard_normal() for cell in drawn]
        again = fit_curve(np.array([c.asked for c in drawn]), np.clip(moved, 0.0, 1.0), [r50])
        found.append(again[2])
    return Break(level, width, r50, interval(np.array(found), config.ci_level))


def crossing_of(points: Sequence[tuple[float, float]]) -> tuple[float, float, float] | None:
    """The rates between which the AUROC of (rate, AUROC) falls below one half, and where a straight line does.

    Returns:
        None where all lie on one side.
    """
    for (low, above), (high, below) in pairwise(sorted(points)):
        if above >= HALF > below:
            return low, high, low + (above - HALF) / (above - below) * (high - low)
    return None


PREDICTORS: dict[str, Callable[[Cell], float]] = {
    "rate": lambda cell: cell.rate,
    "margin": lambda cell: cell.margin,
    "second eigenvalue": lambda cell: cell.second_eigenvalue,
}


def rank_correlations(cells: Sequence[Cell], config: CurveConfig) -> dict[str, Any]:
    """Spearman correlation of each predictor with the AUROC over cells, with a bootstrap interval over cells."""
    if len(cells) < _MIN_CELLS:
        return {}
    aurocs = np.array([cell.auroc for cell in cells])
    gen = rng(config.seed, "correlation", *sorted(cell.path for cell in cells))
    draws = gen.integers(0, len(cells), (config.num_replicates, len(cells)))
    found = {}
    for name, measure in PREDICTORS.items():
        values = np.array([measure(cell) for cell in cells])
        again = np.array([spearman(values[rows], aurocs[rows]) for rows in draws])
        value = spearman(values, aurocs)
        known = round(value, 6) if np.isfinite(value) else None  # a family at one rate has nothing to rank
        found[name] = {"correlation": known, "interval": interval(again, config.ci_level)}
    return found


def spearman(x: Floats, y: Floats) -> float:
    """Rank correlation; nan where one of them is constant."""
    a, b = rankdata(x) - (len(x) + 1) / 2, rankdata(y) - (len(y) + 1) / 2
    size = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / size) if size else float("nan")
