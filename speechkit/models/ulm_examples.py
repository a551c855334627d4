"""What a unit language model is trained on: next units, units to be named behind the separator, masked units restored.

A read-out, [END units SEP some of the units END], teaches the model to sum up what it has read at the separator, where
prompts will ask: distinct units in random order are a bag, every n-th unit as spoken is a transcript without labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from speechkit.models.config import UlmConfig
from speechkit.rng import rng

IGNORED = -100  # a place where nothing is to be predicted, as torch's cross-entropy expects it


class Pair(NamedTuple):
    """An example: what the decoder reads, what it is to say at each place, what the encoder reads between its ends."""

    read: list[int]
    goal: list[int]
    source: list[int]
    is_readout: bool


def draw_pairs(
    rows: Sequence[Sequence[int]], utt_ids: Sequence[str], *, config: UlmConfig, num_units: int, seed: int
) -> list[Pair]:
    """One example of each utterance; it depends on the seed and its id, not on the others."""
    pairs = []
    for units, utt_id in zip(rows, utt_ids, strict=True):
        gen = rng(seed, "ulm", utt_id)
        if gen.random() < config.readout_share:
            pairs.append(_readout(units, gen, config, num_units))
        else:
            pairs.append(_plain(units, gen, config, num_units))
    return pairs


def _readout(units: Sequence[int], gen: np.random.Generator, config: UlmConfig, num_units: int) -> Pair:
    end, sep = num_units, num_units + 1
    told = _told(units, gen, config)
    if config.architecture == "encoder_decoder":
        return Pair([sep, *told], [*told, end], list(units), True)
    # the separator itself is given, not predicted
    return Pair([end, *units, sep, *told], [*units, IGNORED, *told, end], [], True)


def _told(units: Sequence[int], gen: np.random.Generator, config: UlmConfig) -> list[int]:
    """What a read-out names."""
    is_spoken = config.readout_order == "spoken" or (config.readout_order == "both" and gen.random() < 0.5)
    if not is_spoken:
        return gen.permutation(sorted(set(units)))[: config.readout_units].tolist()  # type: ignore[no-any-return]
    every = -(-len(units) // config.readout_units)
    return list(units[int(gen.integers(every)) :: every])


def _plain(units: Sequence[int], gen: np.random.Generator, config: UlmConfig, num_units: int) -> Pair:
    end, sep = num_units, num_units + 1
    if config.architecture == "encoder_decoder":
        return Pair([sep, *units], [*units, end], masked(units, gen, config, sep), False)
    return Pair([end, *units], [*units, end], [], False)


def masked(units: Sequence[int], gen: np.random.Generator, config: UlmConfig, mask: int) -> list[int]:
    """A copy with spans replaced by one mask each (Lewis et al. 2020), or with all units behind a place masked."""
    if gen.random() < config.suffix_share:
        return [*units[: int(gen.integers(len(units) + 1))], mask]
    hidden = np.zeros(len(units), bool)
    goal = max(1, round(config.mask_share * len(units))) if len(units) else 0
    while hidden.sum() < goal:
        size = min(int(gen.geometric(1 / config.mask_span)), goal - int(hidden.sum()))
        begin = int(gen.integers(len(units) - size + 1))
        hidden[begin : begin + size] = True
    kept: list[int] = []
    for unit, is_hidden in zip(units, hidden, strict=True):
        if not is_hidden:
            kept.append(unit)
        elif not kept or kept[-1] != mask:
            kept.append(mask)
    return kept
