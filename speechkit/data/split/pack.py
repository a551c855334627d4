"""Whole groups to sides: nothing is left out, every group keeps its side when others come or go, as far as sizes allow.

Groups come in the order of their priorities, which are hashes of their names; each goes to test while that brings
test nearer to its sizes, else to dev, else to train. What is still missing is mended by single groups.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Sides = npt.NDArray[np.int8]

TRAIN, DEV, TEST = 0, 1, 2
SIDES = ("train", "dev", "test")
FREE = -1
LEFT_OUT = 3
_OVERSHOOT = 0.005  # of the size asked for
_EXCESS = 0.2  # of a group, beyond what its strata lack
_GOOD = 0.01
_MAX_COMPARED = 4_000_000
_MAX_MOVES = 200
_MAX_RETRIED = 2000
_NUM_RETRIES = 20
_ODD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Goal:
    """How much of each stratum dev and test should hold: sizes (3, R), the row of train unused."""

    sizes: Floats

    def miss(self, held: Floats) -> float:
        """How far sizes (3, R) are off: the error of each side, and half the error of its strata."""
        gap = self.sizes[DEV:] - held[DEV:]
        return float(np.abs(gap.sum(axis=1)).sum() + 0.5 * np.abs(gap).sum())


def pack(weights: Floats, priorities: Floats, goal: Goal, pinned: Sides) -> Sides:
    """A side for each group.

    Args:
        weights: (G, R) size of each group by stratum.
        priorities: (G,) groups with low ones go to test first.
        pinned: (G,) the side a group has already, or `FREE`.
    """
    sides, miss = _packed(weights, priorities, goal, pinned)
    if len(weights) > _MAX_RETRIED:
        return sides
    for salt in range(1, _NUM_RETRIES + 1):  # few and coarse groups: other orders may fit better
        if miss <= _GOOD * goal.sizes.sum():
            break
        other, other_miss = _packed(weights, rehashed(priorities, salt), goal, pinned)
        if other_miss < miss:
            sides, miss = other, other_miss
    return sides


def rehashed(priorities: Floats, salt: int) -> Floats:
    """Another number in [0, 1) from each number in [0, 1); salt 0 gives the same."""
    if not salt:
        return priorities
    bits = (priorities * 2.0**53).astype(np.uint64) + _ODD * np.full(1, salt, np.uint64)
    bits = (bits ^ (bits >> np.uint64(31))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(29))) * np.uint64(0x94D049BB133111EB)
    return np.asarray((bits >> np.uint64(11)) / 2.0**53)


def _packed(weights: Floats, priorities: Floats, goal: Goal, pinned: Sides) -> tuple[Sides, float]:
    sides = pinned.copy()
    gaps = goal.sizes.copy()
    for side in (DEV, TEST):
        gaps[side] -= weights[sides == side].sum(axis=0)
    order = np.argsort(priorities, kind="stable")
    order = order[sides[order] == FREE]
    sides[sides == FREE] = TRAIN
    for side in (TEST, DEV):
        room = goal.sizes[side].sum() * _OVERSHOOT
        taken = _fill(weights, order, gaps[side], room)
        sides[order[taken]] = side
        gaps[side] -= weights[order[taken]].sum(axis=0)
        order = order[~taken]
    for side in (TEST, DEV):
        _mend(weights, sides, gaps[side], side, movable=pinned == FREE, good=goal.sizes[side].sum() * _GOOD)
        if goal.sizes[side].sum() > 0 and not (sides == side).any():
            _give_one(weights, sides, goal.sizes[side], side)
    held = np.stack([weights[sides == side].sum(axis=0) for side in range(LEFT_OUT)])
    return sides, goal.miss(held)


def _give_one(weights: Floats, sides: Sides, wanted: Floats, side: int) -> None:
    """A side that was asked for holds one group at least, unless that would be the last one of train."""
    others = np.flatnonzero(sides == TRAIN)
    if len(others) > 1:
        sides[others[np.argmin(_cost(wanted - weights[others]))]] = side


def _fill(weights: Floats, order: npt.NDArray[np.int64], gap: Floats, room: float) -> npt.NDArray[np.bool_]:
    """Which groups go to a side that lacks `gap`, one after the other."""
    taken = np.zeros(len(order), np.bool_)
    if not len(order):
        return taken
    totals = weights[order].sum(axis=1)
    smallest = np.minimum.accumulate(totals[::-1])[::-1].tolist()  # of the groups still to come
    missing, left = float(gap.sum()), gap.copy()
    for place, total in enumerate(totals.tolist()):
        if missing + room < smallest[place]:
            break
        if total > missing + room:
            continue
        own = weights[order[place]]
        if len(own) == 1 or np.maximum(own - np.maximum(left, 0.0), 0.0).sum() <= room + _EXCESS * total:
            taken[place] = True
            left -= own
            missing -= total
    return taken


def _mend(
    weights: Floats, sides: Sides, gap: Floats, side: int, *, movable: npt.NDArray[np.bool_], good: float
) -> None:
    """Bring groups from train, or exchange one, while that brings a side nearer to what it should hold."""
    own = np.flatnonzero(movable & (sides == side))
    others = np.flatnonzero(movable & (sides == TRAIN))
    for _ in range(_MAX_MOVES):
        now = _cost(gap[None])[0]
        if now <= good or not len(others):
            return
        givers = [None, *own.tolist()] if (len(own) + 1) * len(others) <= _MAX_COMPARED // weights.shape[1] else [None]
        best = (now - 1e-9, FREE, FREE)
        for giver in givers:
            lacking = gap if giver is None else gap + weights[giver]
            costs = np.append(_cost(lacking - weights[others]), _cost(lacking[None])[0])
            place = int(np.argmin(costs))
            if costs[place] < best[0]:
                taker = int(others[place]) if place < len(others) else FREE
                best = (float(costs[place]), FREE if giver is None else giver, taker)
        _, giver_number, taker_number = best
        if giver_number == taker_number:  # nothing is better
            return
        if giver_number != FREE:
            sides[giver_number] = TRAIN
            gap += weights[giver_number]
        if taker_number != FREE:
            sides[taker_number] = side
            gap -= weights[taker_number]
        own = np.flatnonzero(movable & (sides == side))
        others = np.flatnonzero(movable & (sides == TRAIN))


def _cost(gaps: Floats) -> Floats:
    return np.asarray(np.abs(gaps.sum(axis=1)) + 0.5 * np.abs(gaps).sum(axis=1))
