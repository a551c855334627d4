"""Sides for the groups of several keys at once, so that least is left out: a cut of fixed sizes through the table.

A cell is kept when all its groups have one side. The search goes round the keys: with the sides of the other keys
fixed, group g would bring w_s(g) to side s, and the groups with the best w_s / (price of the best other side) fill
test and dev up to the sizes asked for; the ratio at the border is the price of that side (Lagrange multiplier) for
the other. Each step is a sort; several starts, hashed sides, guard against poor local optima.  Cost: O(cells + groups
log groups) per step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from speechkit.data.split.cells import Cells
from speechkit.data.split.pack import DEV, FREE, LEFT_OUT, TEST, TRAIN, Floats, Goal, Sides, rehashed

_MAX_STEPS = 60
_PATIENCE = 6
_SIZE_SLACK = 0.02  # of the size asked for; beyond it a miss costs more than anything kept
_MISS_PRICE = 30.0
_LEANS = (1.0, 1.1, 0.9, 1.0, 1.3, 1.0, 1.6, 1.2, 0.8, 1.4)  # large problems come to the first three only
_SPREAD = 0.9


@dataclass(frozen=True)
class Found:
    """Sides of the groups of each key, the weights (4, R) they hold, and their cost; lower is better."""

    sides: list[Sides]
    held: Floats
    cost: float

    @property
    def left_out(self) -> float:
        """Weight of what is left out."""
        return float(self.held[LEFT_OUT].sum())


@dataclass(frozen=True)
class Problem:
    """What is searched: cells, goal, per key a hash in [0, 1) and the given side (or `FREE`) of each group."""

    cells: Cells
    goal: Goal
    priorities: list[Floats]
    pinned: list[Sides]

    def judge(self, sides: Sequence[Sides]) -> Found:
        """What sides are worth."""
        held = self.cells.held(self.cells.sides_of(sides))
        wanted = self.goal.sizes[DEV:].sum(axis=1)
        totals = held[DEV:LEFT_OUT].sum(axis=1)
        miss = np.maximum(0.0, np.abs(totals - wanted) - _SIZE_SLACK * wanted).sum()
        shares = self.goal.sizes[DEV:] / np.maximum(wanted, 1e-9)[:, None]
        skew = 0.5 * np.abs(held[DEV:LEFT_OUT] - shares * totals[:, None]).sum()
        if not held[TRAIN].any():
            miss += self.cells.total
        return Found([side.copy() for side in sides], held, float(held[LEFT_OUT].sum() + _MISS_PRICE * miss + skew))


def search(problem: Problem, *, num_starts: int, given: Sequence[Sequence[Sides]] = ()) -> Found:
    """The best sides found from the given starts and `num_starts` hashed ones.

    Sizes within 2 % of the goal come first, then little left out and strata like the goal's.
    """
    found = [_climb(problem, list(sides), first=key) for sides in given for key in range(len(problem.pinned))]
    found += [_climb(problem, hashed_start(problem, number), first=number + 1) for number in range(num_starts)]
    return min(found, key=lambda one: one.cost)


def hashed_start(problem: Problem, number: int) -> list[Sides]:
    """Sides from the hashes alone, so many groups of each key that chance fills dev and test.

    With shares f of the data, f ** 1/2 of the groups of two keys do that; other starts take more groups of one key and
    fewer of the others.
    """
    num_keys = len(problem.pinned)
    first, lean = number % num_keys, _LEANS[number // num_keys % len(_LEANS)]
    rest = (1.0 - lean / num_keys) / max(num_keys - 1, 1)
    shares = _shares(problem)
    return [
        _dealt(problem, key, shares ** (lean / num_keys if key == first else rest) * (shares > 0), salt=number)
        for key in range(num_keys)
    ]


def random_sides(problem: Problem, *, salt: int) -> Floats:
    """(4,) weight on each side and left out when groups are put on sides by chance, in numbers that give the sizes
    asked for, or come nearest: small tables need more groups of one key and fewer of the others.
    """
    wanted = problem.goal.sizes.sum(axis=1)
    slack = _SIZE_SLACK * wanted[DEV:].sum()
    best = (np.inf, np.zeros(LEFT_OUT + 1))
    for lean in dict.fromkeys(_LEANS):
        best = min(best, _random_sides(problem, wanted, lean=lean, salt=salt), key=lambda one: one[0])
        if best[0] <= slack:
            break
    return best[1]


def _random_sides(problem: Problem, wanted: Floats, *, lean: float, salt: int) -> tuple[float, Floats]:
    """How far the sizes are off, and the weights: numbers of groups are turned until they fit."""
    shares, scale = _shares(problem), np.ones(3)
    num_keys = len(problem.pinned)
    rest = (1.0 - lean / num_keys) / max(num_keys - 1, 1)
    powers = [lean / num_keys] + [rest] * (num_keys - 1)
    free = Problem(problem.cells, problem.goal, problem.priorities, [np.full_like(p, FREE) for p in problem.pinned])
    best = (np.inf, np.zeros(LEFT_OUT + 1))
    for _ in range(30):
        parts = [np.clip(shares * scale, 0, 1) ** power * (shares > 0) for power in powers]
        sides = [_dealt(free, key, part, salt=salt) for key, part in enumerate(parts)]
        held = problem.cells.held(problem.cells.sides_of(sides)).sum(axis=1)
        error = float(np.abs(held[DEV:LEFT_OUT] - wanted[DEV:]).sum())
        if error < best[0]:
            best = (error, held)
        if error <= _SIZE_SLACK * wanted[DEV:].sum():
            break
        scale[DEV:] *= np.clip(wanted[DEV:] / np.maximum(held[DEV:LEFT_OUT], 1e-9), 0.5, 2.0) ** 0.7
    return best


def _shares(problem: Problem) -> Floats:
    shares = problem.goal.sizes.sum(axis=1) / problem.cells.total
    shares[TRAIN] = 0.0
    return np.asarray(shares)


def _dealt(problem: Problem, key: int, shares: Floats, *, salt: int) -> Sides:
    """Sides of one key: the given ones, else shares of the groups in the order of their hashes, one at least."""
    shares = shares * min(1.0, _SPREAD / max(float(shares.sum()), 1e-9))
    sides = problem.pinned[key].copy()
    order = np.argsort(rehashed(problem.priorities[key], salt), kind="stable")
    order = order[sides[order] == FREE]
    sides[order] = TRAIN
    counts = np.where(shares > 0, np.maximum(1, np.round(shares * len(sides))), 0).astype(np.int64)
    counts = np.maximum(0, counts - np.bincount(problem.pinned[key] + 1, minlength=LEFT_OUT + 1)[1:])
    while counts.sum() >= len(order) and counts.max() > 1:  # train needs a group, too
        counts[counts.argmax()] -= 1
    sides[order[: counts[TEST]]] = TEST
    sides[order[counts[TEST] : counts[TEST] + counts[DEV]]] = DEV
    return sides


def _climb(problem: Problem, start: list[Sides], *, first: int) -> Found:
    """Go round the keys from `first` on; the start of that key does not count when there are two."""
    sides = [side.copy() for side in start]
    prices = np.ones(3)
    stress = np.ones((LEFT_OUT + 1, problem.cells.num_strata))
    best, worse = problem.judge(sides), 0
    for step in range(_MAX_STEPS):
        key = (first + step) % len(sides)
        sides[key] = _refilled(problem, sides, key, prices=prices, stress=stress)
        found = problem.judge(sides)
        if found.cost < best.cost - 1e-9:
            best, worse = found, 0
        else:
            worse += 1
        if worse >= _PATIENCE:
            break
        if problem.cells.num_strata > 1:  # strata that a side lacks weigh more in the next step
            lacking = problem.goal.sizes[DEV:] / np.maximum(found.held[DEV:LEFT_OUT], 1e-9)
            stress[DEV:LEFT_OUT] = np.clip(stress[DEV:LEFT_OUT] * np.clip(lacking, 0.25, 4.0) ** 0.5, 0.05, 20.0)
    return best


def _refilled(problem: Problem, sides: list[Sides], key: int, *, prices: Floats, stress: Floats) -> Sides:
    """New sides of the groups of one key, the others fixed; updates the prices of dev and test."""
    cells, pinned = problem.cells, problem.pinned[key]
    num_groups = cells.sizes[key]
    others = [index for index in range(len(sides)) if index != key]
    side = sides[others[0]][cells.groups[others[0]]]
    for index in others[1:]:
        side = np.where(sides[index][cells.groups[index]] == side, side, np.int8(LEFT_OUT))
    code = cells.groups[key] * (LEFT_OUT + 1) + side
    brings = np.bincount(code, cells.weights, num_groups * 4).reshape(num_groups, 4)
    counts = brings
    if cells.num_strata > 1:
        counts = np.bincount(code, cells.weights * stress[side, cells.strata], num_groups * 4).reshape(num_groups, 4)
    wanted = problem.goal.sizes.sum(axis=1)
    new = np.where(pinned == FREE, np.int8(TRAIN), pinned)
    is_open = pinned == FREE
    for target, rival in ((TEST, DEV), (DEV, TEST)):
        missing = wanted[target] - brings[new == target, target].sum()
        if wanted[target] <= 0 or missing <= 0:
            continue
        ours = np.flatnonzero(is_open & (brings[:, target] > 0))
        worth = counts[ours, TRAIN]
        if wanted[rival] > 0:
            worth = np.maximum(worth, prices[rival] * counts[ours, rival])
        ratio = counts[ours, target] / (counts[ours, target] + worth)
        order = np.lexsort((problem.priorities[key][ours], -ratio))
        number = _nearest(np.cumsum(brings[ours[order], target]), missing)
        new[ours[order[:number]]] = target
        is_open[ours[order[:number]]] = False
        if 0 < number < len(order):
            border = ratio[order[number - 1]]
            prices[target] = min(max((1.0 - border) / max(border, 1e-6), 1e-3), 1e3)
    return new


def _nearest(filled: npt.NDArray[np.float64], missing: float) -> int:
    """How many of the groups, in order, come nearest to what is missing."""
    number = int(np.searchsorted(filled, missing))
    if number < len(filled) and (number == 0 or filled[number] - missing < missing - filled[number - 1]):
        number += 1
    return number
