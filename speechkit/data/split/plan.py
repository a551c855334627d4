"""The side of every utterance: whole groups where that gives the sizes asked for, else the search for a cheap cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from speechkit.data.config_split import SplitConfig, parse_amount
from speechkit.data.split.cells import Cells, group_sides, make_cells, needed_keys
from speechkit.data.split.keys import Groups, Ints
from speechkit.data.split.pack import DEV, FREE, LEFT_OUT, SIDES, TEST, Floats, Goal, Sides, pack
from speechkit.data.split.search import Found, Problem, search
from speechkit.errors import SpeechkitError, counted

MIN_STARTS, MAX_STARTS = 6, 60
_CELLS_PER_START = 300_000  # small problems can afford more starts
MAX_STRATA = 30
_WHOLE_SLACK = 0.05  # sizes so near to those asked for are good enough to leave nothing out


@dataclass(frozen=True)
class Plan:
    """A split before it is written.

    sides: (N,) of each utterance, `LEFT_OUT` for those that no side can have.
    needed: the keys that decide (others lie inside them); problem.pinned and found.sides are in their order.
    """

    needed: list[Groups]
    problem: Problem
    found: Found
    sides: Sides
    num_components: int

    @property
    def lost_share(self) -> float:
        """Share of the weight that is left out."""
        return self.found.left_out / self.problem.cells.total


def make_plan(
    keys: Sequence[Groups], weights: Floats, strata: Ints, config: SplitConfig, *, pinned: Sequence[Sides]
) -> Plan:
    """Sides for all utterances.

    Args:
        weights: (N,) utterances (ones) or hours.
        strata: (N,) number of the stratum of each utterance.
        pinned: per key the side each group has to have, or `FREE`.
    Raises:
        SpeechkitError: the groups are too few or too large for a side that was asked for.
    """
    needed = needed_keys(keys)
    cells = make_cells(needed, weights, strata)
    pins = [next(p for key, p in zip(keys, pinned, strict=True) if key is one) for one in needed]
    priorities = [key.priorities(config.seed) for key in needed]
    problem = Problem(cells, make_goal(config, cells), priorities, pins)
    components = cells.components()
    whole = _whole(problem, components)
    found = problem.judge(whole)
    if len(needed) > 1 and not _is_good(problem, found):
        found = search(problem, num_starts=num_starts(len(cells.weights)), given=[whole])
    cell_sides = cells.sides_of(found.sides)
    _refuse_empty_sides(problem, found, needed)
    return Plan(needed, problem, found, cell_sides[cells.of_utterance], int(components.max()) + 1)


def num_starts(num_cells: int) -> int:
    """How many starts the search makes: many where each costs little."""
    return max(MIN_STARTS, min(MAX_STARTS, _CELLS_PER_START // num_cells))


def make_goal(config: SplitConfig, cells: Cells) -> Goal:
    """The sizes asked for, in the measure, with the strata of all the data.

    Raises:
        SpeechkitError: more was asked for than there is.
    """
    sizes = np.zeros((LEFT_OUT, cells.num_strata))
    shares = np.bincount(cells.strata, cells.weights, cells.num_strata) / cells.total
    for side, text in ((DEV, config.dev), (TEST, config.test)):
        amount = parse_amount(text)
        sizes[side] = (amount.value * cells.total if amount.unit == "share" else amount.value) * shares
    if sizes.sum() >= cells.total:
        unit = "h" if config.counts_hours else "utterances"
        raise SpeechkitError(
            f"dev and test of {config.dev} and {config.test} leave nothing for train",
            where=f"the manifest holds {cells.total:.6g} {unit}",
        )
    return Goal(sizes)


def _whole(problem: Problem, components: Ints) -> list[Sides]:
    """Sides of the groups when components stay whole, so that nothing is left out (unless given sides forbid it)."""
    cells = problem.cells
    count = int(components.max()) + 1
    weights = np.bincount(components * cells.num_strata + cells.strata, cells.weights, count * cells.num_strata)
    priorities = np.ones(count)
    votes = np.zeros((count, LEFT_OUT))
    for groups, own, pins in zip(cells.groups, problem.priorities, problem.pinned, strict=True):
        np.minimum.at(priorities, components, own[groups])
        given = pins[groups] != FREE
        np.add.at(votes, (components[given], pins[groups][given]), cells.weights[given])
    pinned = np.where(votes.any(axis=1), votes.argmax(axis=1), FREE).astype(np.int8)
    strata = np.asarray(weights, np.float64).reshape(count, cells.num_strata)
    sides = pack(strata, priorities, problem.goal, pinned)
    whole = [
        group_sides(g, sides[components], cells.weights, n) for g, n in zip(cells.groups, cells.sizes, strict=True)
    ]
    return [np.where(pins == FREE, side, pins) for side, pins in zip(whole, problem.pinned, strict=True)]


def _is_good(problem: Problem, found: Found) -> bool:
    wanted = problem.goal.sizes[DEV:].sum(axis=1)
    near = np.abs(found.held[DEV:LEFT_OUT].sum(axis=1) - wanted) <= _WHOLE_SLACK * wanted
    return bool(near.all()) and found.left_out <= 0


def _refuse_empty_sides(problem: Problem, found: Found, needed: Sequence[Groups]) -> None:
    held = found.held.sum(axis=1)
    is_asked = problem.goal.sizes.sum(axis=1) > 0
    empty = [SIDES[side] for side in range(LEFT_OUT) if held[side] <= 0 and (is_asked[side] or not side)]
    if empty:
        raise SpeechkitError(
            f"no utterance is left for {' and '.join(empty)}",
            where=[f"{key.key}: {counted(len(key.names), 'group')}" for key in needed],
            expected="several groups of each key for each side",
            hint="ask for other sizes, or split by fewer keys",
        )


def number_strata(values: Sequence[str], name: str) -> tuple[Ints, list[str]]:
    """The number of each utterance's stratum, and the values in order.

    Raises:
        SpeechkitError: more than 30 values.
    """
    found = sorted(set(values))
    if len(found) > MAX_STRATA:
        raise SpeechkitError(
            f"the field `{name}` has {len(found)} values", expected=f"--stratify with at most {MAX_STRATA} values"
        )
    numbers = {value: number for number, value in enumerate(found)}
    return np.fromiter((numbers[value] for value in values), np.int64, len(values)), found


def pins_of(groups: Groups, values: Sequence[str], before: dict[str, list[int]]) -> Sides:
    """The side on which each group was before: where most of the utterances of its values were.

    Args:
        values: (N,) the values that `groups` was made of.
        before: utterances on train, dev and test by value, in the earlier split.
    """
    votes = np.zeros((len(groups.names), LEFT_OUT), np.int64)
    group_of = dict(zip(values, groups.codes.tolist(), strict=True))
    for value, counts in before.items():
        if value in group_of:
            votes[group_of[value]] += counts
    return np.where(votes.any(axis=1), votes.argmax(axis=1), FREE).astype(np.int8)
