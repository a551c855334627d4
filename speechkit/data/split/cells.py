"""Utterances as cells of a table speakers x texts (x ...): what can be kept or left out is a cell.

Keys whose groups lie inside groups of another key (a session of one speaker) ask for nothing more and drop out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from speechkit.data.split.keys import Groups, Ints
from speechkit.data.split.pack import FREE, LEFT_OUT, Floats, Sides


@dataclass(frozen=True)
class Cells:
    """The cells that hold utterances.

    groups: per key (C,) the group of each cell.  sizes: per key the number of groups.  weights: (C,) in the measure.
    strata: (C,).  num_strata: R.  of_utterance: (N,) cell of each utterance.
    """

    groups: list[Ints]
    sizes: list[int]
    weights: Floats
    strata: Ints
    num_strata: int
    of_utterance: Ints

    @property
    def total(self) -> float:
        """Weight of everything."""
        return float(self.weights.sum())

    def sides_of(self, sides: Sequence[Sides]) -> Sides:
        """(C,) the side of each cell under the sides of the groups, `LEFT_OUT` where they differ."""
        first = sides[0][self.groups[0]]
        agree = np.ones(len(first), np.bool_)
        for side, groups in zip(sides[1:], self.groups[1:], strict=True):
            agree &= side[groups] == first
        return np.where(agree, first, np.int8(LEFT_OUT))

    def held(self, cell_sides: Sides) -> Floats:
        """(4, R) weight of train, dev, test and what is left out, by stratum."""
        code = cell_sides.astype(np.int64) * self.num_strata + self.strata
        held = np.bincount(code, self.weights, 4 * self.num_strata)
        return np.asarray(held, np.float64).reshape(4, self.num_strata)

    def components(self) -> Ints:
        """(C,) connected component of each cell: cells of different components share no group."""
        if len(self.groups) == 1:
            return self.groups[0]
        offsets = np.cumsum([0, *self.sizes])
        rows = np.concatenate([self.groups[0]] * (len(self.groups) - 1))
        columns = np.concatenate([g + o for g, o in zip(self.groups[1:], offsets[1:], strict=False)])
        graph = coo_matrix((np.ones(len(rows), np.int8), (rows, columns)), shape=(offsets[-1], offsets[-1]))
        labels = connected_components(graph.tocsr(), directed=False)[1]
        return np.unique(labels[self.groups[0]], return_inverse=True)[1].astype(np.int64)


def make_cells(keys: Sequence[Groups], weights: Floats, strata: Ints) -> Cells:
    """Utterances of equal groups and stratum become one cell."""
    code = strata
    for key in keys:
        code = np.unique(code, return_inverse=True)[1] * len(key.names) + key.codes
    _, first, of_utterance = np.unique(code, return_index=True, return_inverse=True)
    return Cells(
        groups=[key.codes[first] for key in keys],
        sizes=[len(key.names) for key in keys],
        weights=np.asarray(np.bincount(of_utterance, weights, len(first)), np.float64),
        strata=strata[first],
        num_strata=int(strata.max()) + 1,
        of_utterance=of_utterance.astype(np.int64),
    )


def needed_keys(keys: Sequence[Groups]) -> list[Groups]:
    """The keys without those whose groups lie inside groups of another, and without doubles."""
    kept = list(keys)
    for key in sorted(keys, key=lambda key: -len(key.names)):  # the finest first
        others = [other for other in kept if other is not key]
        if any(_lies_inside(key, other) for other in others):
            kept = others
    return kept


def _lies_inside(fine: Groups, coarse: Groups) -> bool:
    home = np.zeros(len(fine.names), np.int64)
    home[fine.codes] = coarse.codes
    return bool((home[fine.codes] == coarse.codes).all())


def group_sides(groups: Ints, cell_sides: Sides, weights: Floats, num_groups: int) -> Sides:
    """The side that holds most of each group, `FREE` for groups of which nothing is kept."""
    kept = cell_sides < LEFT_OUT
    code = groups[kept] * LEFT_OUT + cell_sides[kept]
    held = np.bincount(code, weights[kept], num_groups * LEFT_OUT).reshape(num_groups, LEFT_OUT)
    return np.where(held.any(axis=1), held.argmax(axis=1), FREE).astype(np.int8)
