"""Batches of an epoch as a pure function of (sizes, seed, epoch): nothing to save, nothing to replay.

Random pools are sorted by duration, packed greedily up to a cap on padded seconds, and the batches shuffled.
A pool of 10,000 wastes 0.5-1.5 % in padding; see `tools/bench/plan.py` for the peers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from speechkit.data.config_batch import PackingConfig
from speechkit.errors import SpeechkitError
from speechkit.rng import rng

_MIN_POOLS = 4  # a small corpus sorted whole would give the same batches in every epoch


@dataclass(frozen=True)
class PlanStats:
    """How well an epoch is packed."""

    num_batches: int
    mean_size: float
    padding_waste: float  # share of padded seconds that carry no audio
    fill: float  # mean padded seconds of a batch, as a share of the cap


def plan_epoch(durations: np.ndarray, config: PackingConfig, *, seed: int, epoch: int) -> list[np.ndarray]:
    """Indices of each batch of an epoch, every utterance once.

    Args:
        durations: what the cap bounds, (N,): seconds, or tokens.
    Raises:
        SpeechkitError: an utterance alone is longer than the cap.
    """
    check_longest(durations, config)
    gen = rng(seed, "plan", epoch)
    order = gen.permutation(len(durations))
    pool_size = min(config.pool_size, -(-len(order) // _MIN_POOLS))
    batches: list[np.ndarray] = []
    for start in range(0, len(order), max(1, pool_size)):
        pool = order[start : start + pool_size]
        batches += pack(pool[np.argsort(durations[pool], kind="stable")], durations, config)
    return [batches[i] for i in gen.permutation(len(batches))]


def check_longest(durations: np.ndarray, config: PackingConfig) -> None:
    """Raise SpeechkitError when an utterance alone is larger than the cap; durations as in `plan_epoch`."""
    longest = float(durations.max(initial=0.0))
    if longest > config.cap:
        count = int((durations > config.cap).sum())
        raise SpeechkitError(
            f"{count} utterances are longer than batch.{config.cap_name}={config.cap:g} (longest: {longest:.1f})",
            hint=f"--set batch.{config.cap_name}={math.ceil(longest)} or more, or leave them out",
        )


def pack(sorted_indices: np.ndarray, durations: np.ndarray, config: PackingConfig) -> list[np.ndarray]:
    """Cut indices sorted by rising duration into batches of at most the cap, greedily."""
    costs = durations[sorted_indices]
    batches, start = [], 0
    while start < len(costs):
        ends = costs[start : start + config.max_utterances]
        # padded seconds of a batch that ends here rise with its size, so a binary search finds the cap
        sizes = np.arange(1, len(ends) + 1)
        size = max(1, int(np.searchsorted(ends * sizes, config.cap, side="right")))
        batches.append(sorted_indices[start : start + size])
        start += size
    return batches


def plan_stats(batches: list[np.ndarray], durations: np.ndarray, config: PackingConfig) -> PlanStats:
    """Padding and fill of a planned epoch."""
    padded = np.array([len(batch) * durations[batch].max() for batch in batches])
    used = float(sum(durations[batch].sum() for batch in batches))
    return PlanStats(
        num_batches=len(batches),
        mean_size=float(np.mean([len(batch) for batch in batches])),
        padding_waste=1.0 - used / float(padded.sum()),
        fill=float(padded.mean()) / config.cap,
    )
