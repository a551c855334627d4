"""Labels by greedy or beam search over a prompted language model, in batches and with a KV cache.

One search serves all: a beam of 1 is greedy. Hypotheses that end leave the beam, and the best of the others take
their place; an utterance is done when as many have ended as the beam is wide, or none goes on. Ended ones are ranked
by their log-prob divided by the number of labels, the end included, to the power of `length_power`. What may stand at
a place (labels of a slot, no end before the last place) is a mask; a label may be repeated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from speechkit.models.ulm import Padded, UnitLm
from speechkit.nn.injection import Prompt
from speechkit.prompt.model import PromptBatch, PromptedLm
from speechkit.prompt.tasks import Task


class Found(NamedTuple):
    """The best hypothesis of an utterance; labels without the end, the log-prob with it."""

    labels: tuple[int, ...]
    log_prob: float


@dataclass(frozen=True)
class Outputs:
    """What the states of a language model mean. N hypotheses belong to B utterances; owner_N says which to which.

    Attributes:
        log_probs: (states_ND, owner_N) to log-probs of L labels (N, L).
        tokens: (labels_N, owner_N) to the tokens (N,) that the language model reads after them.
        end_label: the label that ends a sequence; none: num_places labels, no end.
        num_places: labels of each utterance, or of the longest sequence, the end not counted.
        masks: for each place (L,) or (B, L), 0 where a label may stand and -inf elsewhere, or None; what may stand is
            normalised to 1. Places behind the last mask take the last one.
    """

    log_probs: Callable[[Tensor, Tensor], Tensor]
    tokens: Callable[[Tensor, Tensor], Tensor]
    end_label: int | None
    num_places: int
    masks: tuple[Tensor | None, ...] = (None,)

    def at(self, place: int, states_ND: Tensor, owner_N: Tensor) -> Tensor:
        """Log-probs (N, L) of the labels at a place."""
        log_probs_NL = self.log_probs(states_ND, owner_N)
        mask = self.masks[min(place, len(self.masks) - 1)]
        if mask is not None:
            mask_NL = mask if mask.ndim == 1 else mask[owner_N]
            log_probs_NL = (log_probs_NL + mask_NL).log_softmax(-1)
        if self.end_label is not None and place == self.num_places:
            only = torch.full_like(log_probs_NL, -math.inf)
            only[:, self.end_label] = log_probs_NL[:, self.end_label]
            log_probs_NL = only
        return log_probs_NL


@dataclass
class _Beam:
    """Hypotheses that go on, those of an utterance next to each other, and those that have ended."""

    owner_N: Tensor
    log_probs_N: Tensor
    labels_NU: Tensor
    ended: list[list[Found]] = field(default_factory=list)


def outputs_of(model: PromptedLm, *, max_labels: int) -> Outputs:
    """The labels of one task; `max_labels` bounds sequences only."""
    task = model.task

    def log_probs(states_ND: Tensor, _owner_N: Tensor) -> Tensor:
        found: Tensor = model.verbalizer(states_ND, model.lm)
        return found

    return Outputs(
        log_probs,
        lambda labels_N, _owner_N: model.verbalizer.token_of(labels_N),
        end_label=task.end_label if task.is_sequence else None,
        num_places=max_labels if task.num_slots is None else task.num_slots,
        masks=slot_masks(task, model.lm.embedding.weight.device),
    )


def slot_masks(task: Task, device: torch.device) -> tuple[Tensor | None, ...]:
    """What may stand at each place of a task of slots; nothing is ruled out in other tasks."""
    if task.config.kind != "slots":
        return (None,)
    masks_UL = torch.full((len(task.slots), task.num_outputs), -math.inf, device=device)
    for place in range(len(task.slots)):
        masks_UL[place, list(task.allowed(place))] = 0.0
    return tuple(masks_UL)


def search_labels(
    model: PromptedLm, batch: PromptBatch, *, beam_size: int = 1, max_labels: int = 200, length_power: float = 1.0
) -> list[Found]:
    """The best labels of each utterance of a batch; the labels in it are not looked at."""
    outputs = outputs_of(model, max_labels=max_labels)
    prompt = model.prompt()
    return search(model.lm, batch.source, prompt, outputs, beam_size=beam_size, length_power=length_power)


@torch.no_grad()
def search(
    lm: UnitLm,
    source: Padded,
    prompt: Prompt | None,
    outputs: Outputs,
    *,
    beam_size: int = 1,
    length_power: float = 1.0,
) -> list[Found]:
    """The best hypothesis of each row of `source`, in order.

    Args:
        source: units, the separator not included.
        prompt: a row for each utterance, or one for all.
    Cost: a step of the language model for each place, for at most B x beam_size rows.
    Test: equal to whole prefixes read again by one utterance at a time; a wide beam against all label sequences.
    """
    size_B, device = len(source.lengths_B), source.tokens_BT.device
    states_ND, state = lm.start(source, prompt, room=outputs.num_places)
    nothing = torch.zeros(size_B, 0, dtype=torch.int64, device=device)
    beam = _Beam(torch.arange(size_B, device=device), torch.zeros(size_B, device=device), nothing)
    beam.ended = [[] for _ in range(size_B)]
    is_sequence = outputs.end_label is not None
    for place in range(outputs.num_places + is_sequence):
        parents_N = _extend(beam, outputs.at(place, states_ND, beam.owner_N), outputs, beam_size)
        if not len(parents_N) or place + 1 == outputs.num_places + is_sequence:
            break
        if len(parents_N) != len(states_ND) or not torch.equal(parents_N, torch.arange(len(parents_N), device=device)):
            state = state.select(parents_N)
        tokens_N = outputs.tokens(beam.labels_NU[:, -1], beam.owner_N)
        states_ND, state = lm.step(tokens_N, state)
    for owner, found in _hypotheses(beam.owner_N, beam.labels_NU, beam.log_probs_N):  # slots have no end
        beam.ended[owner].append(found)

    def rank(found: Found) -> float:
        return found.log_prob / math.pow(len(found.labels) + is_sequence, length_power)

    return [max(ended, key=rank) for ended in beam.ended]


def _extend(beam: _Beam, log_probs_NL: Tensor, outputs: Outputs, beam_size: int) -> Tensor:
    """Put the best continuations into the beam; which hypothesis each comes from (N,). Equal ones: the first wins."""
    size_N, size_L = log_probs_NL.shape
    size_B, owner_N = len(beam.ended), beam.owner_N
    rows_N = torch.arange(size_N, device=owner_N.device)
    counts_B = torch.bincount(owner_N, minlength=size_B)
    slot_N = rows_N - (counts_B.cumsum(0) - counts_B)[owner_N]
    most = int(counts_B.max())
    grid_BKL = log_probs_NL.new_full((size_B, most, size_L), -math.inf)
    grid_BKL[owner_N, slot_N] = beam.log_probs_N[:, None] + log_probs_NL
    totals_BC, order_BC = grid_BKL.flatten(1).sort(dim=1, descending=True, stable=True)
    totals_BC, order_BC = totals_BC[:, :beam_size], order_BC[:, :beam_size]
    row_BK = rows_N.new_zeros(size_B, most)
    row_BK[owner_N, slot_N] = rows_N
    parents_BC, labels_BC = row_BK.gather(1, order_BC // size_L), order_BC % size_L
    is_open_BC = totals_BC > -math.inf
    if outputs.end_label is not None:
        is_end_BC = is_open_BC & (labels_BC == outputs.end_label)
        owners, places = is_end_BC.nonzero(as_tuple=True)
        ended = _hypotheses(owners, beam.labels_NU[parents_BC[owners, places]], totals_BC[owners, places])
        for owner, found in ended:
            beam.ended[owner].append(found)
        num_ended_B = torch.tensor([len(own) for own in beam.ended], device=owner_N.device)
        is_open_BC = is_open_BC & ~is_end_BC & (num_ended_B < beam_size)[:, None]
    owners, places = is_open_BC.nonzero(as_tuple=True)
    parents_N = parents_BC[owners, places]
    new_N1 = labels_BC[owners, places][:, None]
    beam.owner_N, beam.log_probs_N = owners, totals_BC[owners, places]
    beam.labels_NU = torch.cat([beam.labels_NU[parents_N], new_N1], dim=1)
    return parents_N


def _hypotheses(owner_N: Tensor, labels_NU: Tensor, log_probs_N: Tensor) -> Iterator[tuple[int, Found]]:
    for owner, labels, log_prob in zip(owner_N.tolist(), labels_NU.tolist(), log_probs_N.tolist(), strict=True):
        yield owner, Found(tuple(labels), log_prob)
