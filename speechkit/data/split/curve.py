"""What strictness costs at other sizes: the trade-off curve of a split by several keys."""

from __future__ import annotations

from typing import Any

import numpy as np

from speechkit.data.split.pack import DEV, LEFT_OUT, TEST, TRAIN, Floats, Goal, Sides
from speechkit.data.split.search import Problem, random_sides, search

FACTORS = (0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
_MAX_SHARE = 0.8  # of all the data, for dev and test together
_NUM_STARTS = 3
SLACK = 0.1  # of a size; further off it is another size
NUM_RANDOM = 3


def trade_off(problem: Problem) -> list[dict[str, Any]]:
    """One row per size, as shares of the data: asked, found, left out, and left out by a random assignment.

    The sizes are those asked for times 0.1 to 3, then test alone and dev alone if both were asked for; those that
    can not be had within 10 % are not among the rows.
    """
    sizes = problem.goal.sizes
    rows = []
    near: list[Sides] | None = None
    for factor in FACTORS:
        if sizes.sum() * factor <= _MAX_SHARE * problem.cells.total:
            row, near = _point(problem, sizes * factor, near)
            rows += row
    for side in (TEST, DEV):
        alone = np.where(np.arange(LEFT_OUT)[:, None] == side, sizes, 0.0)
        if 0 < alone.sum() < sizes.sum():
            rows += _point(problem, alone, None)[0]
    return rows


def random_shares(problem: Problem) -> tuple[float, float]:
    """Shares of the data that a random assignment of these sizes leaves out, and that it gives to dev and test.

    Means of three.
    """
    held = np.mean([random_sides(problem, salt=salt) for salt in range(1, NUM_RANDOM + 1)], axis=0)
    return float(held[LEFT_OUT] / problem.cells.total), float(held[DEV:LEFT_OUT].sum() / problem.cells.total)


def _point(problem: Problem, sizes: Floats, near: list[Sides] | None) -> tuple[list[dict[str, Any]], list[Sides]]:
    here = Problem(problem.cells, Goal(sizes), problem.priorities, problem.pinned)
    found = search(here, num_starts=_NUM_STARTS, given=[near] if near else [])
    asked, held = (weights.sum(axis=1) / problem.cells.total for weights in (sizes, found.held))
    if not held[TRAIN] or (np.abs(held - np.append(asked, 0))[DEV:LEFT_OUT] > SLACK * asked[DEV:]).any():
        return [], found.sides
    row = {
        "dev_asked": asked[DEV],
        "test_asked": asked[TEST],
        "train": held[TRAIN],
        "dev": held[DEV],
        "test": held[TEST],
        "left_out": held[LEFT_OUT],
        "random_left_out": random_shares(here)[0],
    }
    return [{name: round(float(value), 6) for name, value in row.items()}], found.sides
