"""New units from a language model: continuations of utterances, and fillings of gaps.

What is drawn for an utterance depends on the seed and its id; a number of its own for every unit picks the unit from
the cumulative distribution. A gap is filled with as many units as were taken out: candidates are drawn from left to
right, and the one is kept that is likeliest together with what stands behind the gap. An encoder-decoder also sees
what is behind while it draws, as in its training: the gap is one mask in what the encoder reads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from speechkit.models.ulm import Padded, State, UnitLm, padded
from speechkit.prompt.config_generate import GenerateConfig
from speechkit.rng import rng

Units = list[int]
Draws = Callable[[int], np.ndarray]


@dataclass(frozen=True)
class Generated:
    """Units of an utterance, in part given and in part new.

    Attributes:
        start, end: the new units are units[start:end].
        real: the units that stood there.
    """

    utt_id: str
    units: Units
    start: int
    end: int
    real: Units

    @property
    def original(self) -> Units:
        """The utterance as it was."""
        return [*self.units[: self.start], *self.real, *self.units[self.end :]]


def pick(logits_BV: Tensor, numbers_B: Tensor, config: GenerateConfig) -> Tensor:
    """A token of each row: the first at which the cumulative probability passes the number, in [0, 1).

    With temperature 0 the likeliest; of equal ones the first.
    """
    if config.temperature == 0:
        return logits_BV.argmax(-1)
    # double: the last bits of a float sum must not decide between units
    order_BV = logits_BV.double().sort(dim=-1, descending=True, stable=True)
    scaled_BV = order_BV.values / config.temperature
    if config.top_k:
        scaled_BV[:, config.top_k :] = -math.inf
    total_BV = scaled_BV.softmax(-1).cumsum(-1)
    place_B = (total_BV <= numbers_B[:, None] * total_BV[:, -1:]).sum(-1).clamp(max=logits_BV.shape[1] - 1)
    return order_BV.indices.gather(1, place_B[:, None])[:, 0]


@torch.no_grad()
def continuations(lm: UnitLm, prefixes: Sequence[Units], draws: Sequence[Draws], config: GenerateConfig) -> list[Units]:
    """Units after each prefix, up to the end that the model says or `max_units`.

    Args:
        draws: for each row, what gives so many numbers in [0, 1).
    """
    device = lm.embedding.weight.device
    numbers_BT = _numbers(draws, config.max_units, device)
    states_BD, state = lm.start(padded(prefixes, device), room=config.max_units, separator=False)
    found: list[Units] = [[] for _ in prefixes]
    open_B = torch.ones(len(prefixes), dtype=torch.bool, device=device)
    for place in range(config.max_units):
        tokens_B = pick(lm.logits(states_BD)[:, : lm.sep_id], numbers_BT[:, place], config)
        open_B = open_B & (tokens_B != lm.end_id)
        for row in open_B.nonzero()[:, 0].tolist():
            found[row].append(int(tokens_B[row]))
        if not open_B.any() or place + 1 == config.max_units:
            break
        states_BD, state = lm.step(tokens_B, state)
    return found


def _numbers(draws: Sequence[Draws], size: int, device: torch.device) -> Tensor:
    return torch.from_numpy(np.stack([draw(size) for draw in draws])).to(device)


@torch.no_grad()
def fill(lm: UnitLm, left: Units, right: Units, size: int, *, draw: Draws, config: GenerateConfig) -> Units:
    """The best of some candidates of `size` units between `left` and `right`; of several the first is greedy.

    Nothing but units may stand in a gap.
    """
    device = lm.embedding.weight.device
    if not size:
        return []
    num = config.candidates if config.temperature else 1
    numbers_CT = torch.from_numpy(draw(num * size).reshape(num, size)).to(device)
    states_1D, state = _before_gap(lm, left, right, room=size)
    rows_C = torch.zeros(num, dtype=torch.int64, device=device)
    states_CD, state = states_1D[rows_C], state.select(rows_C)
    greedy = config.model_copy(update={"temperature": 0.0})
    made: list[Tensor] = []
    for place in range(size):
        logits_CV = lm.logits(states_CD)[:, : lm.num_units]
        tokens_C = pick(logits_CV, numbers_CT[:, place], config)
        if num > 1:
            tokens_C[:1] = pick(logits_CV[:1], numbers_CT[:1, place], greedy)
        made.append(tokens_C)
        if place + 1 < size:
            states_CD, state = lm.step(tokens_C, state)
    gaps = torch.stack(made, dim=1).tolist()
    nats = [float(own.sum()) for own in gap_nats(lm, [(left, gap, right) for gap in gaps])]
    best: Units = gaps[int(np.argmin(nats))]
    return best


def _before_gap(lm: UnitLm, left: Units, right: Units, *, room: int) -> tuple[Tensor, State]:
    device = lm.embedding.weight.device
    if lm.encoder is None:
        return lm.start(padded([left], device), room=room, separator=False)
    states_1D, state = lm.start(padded([[*left, lm.sep_id, *right]], device), room=len(left) + room)
    for unit in left:
        states_1D, state = lm.step(torch.tensor([unit], device=device), state)
    return states_1D, state


@torch.no_grad()
def gap_nats(lm: UnitLm, rows: Sequence[tuple[Units, Units, Units]]) -> list[np.ndarray]:
    """Negative log-probs of what fills each gap and of all that follows, the end included; natural logarithm.

    Args:
        rows: what stands before, in and behind each gap.
    """
    device = lm.embedding.weight.device
    whole = padded([[*left, *gap, *right] for left, gap, right in rows], device)
    if lm.encoder is None:
        nats_BT = lm.nats(*whole)
    else:
        source = padded([[*left, lm.sep_id, *right] for left, _, right in rows], device)
        nats_BT = _target_nats(lm, source, whole)
    return [
        nats_T[len(left) : size + 1].double().cpu().numpy()
        for nats_T, (left, _, _), size in zip(nats_BT, rows, whole.lengths_B.tolist(), strict=True)
    ]


def _target_nats(lm: UnitLm, source: Padded, target: Padded) -> Tensor:
    """Of each unit and of the end behind the separator (B, U + 1)."""
    log_probs_BUV = lm.logits(lm.states(source, target))[..., : lm.sep_id].float().log_softmax(-1)
    goal_BU = torch.nn.functional.pad(target.tokens_BT, (0, 1))
    goal_BU = goal_BU.scatter(1, target.lengths_B[:, None], lm.end_id)
    return -log_probs_BUV.gather(2, goal_BU[..., None])[..., 0]


def generate(lm: UnitLm, ids: Sequence[str], rows: Sequence[Units], config: GenerateConfig) -> list[Generated]:
    """What the settings ask for, for each utterance."""
    draws = [rng(config.seed, "generate", utt_id).random for utt_id in ids]
    if config.kind == "inpaint":
        return [_inpaint(lm, utt_id, units, draw, config) for utt_id, units, draw in zip(ids, rows, draws, strict=True)]
    found: list[Generated] = []
    for first in range(0, len(rows), config.batch_size):
        part = slice(first, first + config.batch_size)
        prefixes = [units[: round(config.keep * len(units))] for units in rows[part]]
        added = continuations(lm, prefixes, draws[part], config)
        for utt_id, units, prefix, own in zip(ids[part], rows[part], prefixes, added, strict=True):
            start = len(prefix)
            found.append(Generated(utt_id, [*prefix, *own], start, start + len(own), list(units[start:])))
    return found


def _inpaint(lm: UnitLm, utt_id: str, units: Units, draw: Draws, config: GenerateConfig) -> Generated:
    start = min(round(config.gap_start * len(units)), len(units) - 1)
    end = min(len(units), start + max(1, round(config.gap_len * len(units))))
    gap = fill(lm, units[:start], units[end:], end - start, draw=draw, config=config)
    return Generated(utt_id, [*units[:start], *gap, *units[end:]], start, end, units[start:end])
