"""A language model under a prompt, with a verbalizer: what is trained, and what labels are predicted with."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from speechkit.audio.features import padding_mask
from speechkit.data.batch import IGNORED_LABEL, Load
from speechkit.models.loss import Loss
from speechkit.models.ulm import Padded, UnitLm, padded
from speechkit.nn.injection import Prompt
from speechkit.prompt.config import FullConfig, MethodConfig
from speechkit.prompt.examples import Example
from speechkit.prompt.methods import Method, Tensors
from speechkit.prompt.tasks import Task
from speechkit.prompt.verbalizer import LabelMap, Verbalizer

_ROWS = 16


@dataclass
class PromptBatch:
    """Padded examples.

    Attributes:
        source: units, without the separator.
        labels_BU: int64, IGNORED_LABEL behind the labels; without the end of a sequence.
    """

    utt_ids: list[str]
    source: Padded
    labels_BU: Tensor
    num_labels_B: Tensor

    @property
    def load(self) -> Load:
        """Units, for the log."""
        used = int(self.source.lengths_B.sum())
        return Load("units", float(used), used, self.source.tokens_BT.numel())

    def to(self, device: torch.device) -> PromptBatch:
        """The same batch on another device."""
        return replace(
            self,
            source=Padded(self.source.tokens_BT.to(device), self.source.lengths_B.to(device)),
            labels_BU=self.labels_BU.to(device),
            num_labels_B=self.num_labels_B.to(device),
        )


def collate(examples: Sequence[Example]) -> PromptBatch:
    """A batch of examples in the order given."""
    labels_BU, num_labels_B = padded([example.labels for example in examples])
    labels_BU = labels_BU.masked_fill(~padding_mask(num_labels_B, labels_BU.shape[1]), IGNORED_LABEL)
    source = padded([example.units for example in examples])
    return PromptBatch([example.utt_id for example in examples], source, labels_BU, num_labels_B)


class PromptedLm(nn.Module):
    """A frozen language model, a method and a verbalizer; only what is trained is a parameter.

    Args:
        tensors: of the method, as `initial_tensors` makes them.
    """

    def __init__(self, lm: UnitLm, task: Task, method: MethodConfig, label_map: LabelMap, tensors: Tensors) -> None:
        super().__init__()
        self.task = task
        self.tuned = copy.deepcopy(lm).requires_grad_(True) if isinstance(method, FullConfig) else None
        self._frozen = (lm.requires_grad_(False).eval(),)  # in a tuple: no part of state_dict and parameters
        self.method = Method(method, lm, tensors)
        self.verbalizer = Verbalizer(label_map, num_tokens=lm.num_tokens, dim=lm.config.dim)

    @property
    def lm(self) -> UnitLm:
        """The language model that reads: the frozen one, or the tuned copy."""
        return self._frozen[0] if self.tuned is None else self.tuned

    def to(self, *args: Any, **kwargs: Any) -> PromptedLm:
        """Move to another device, the frozen language model, too."""
        self._frozen[0].to(*args, **kwargs)
        return super().to(*args, **kwargs)

    def prompt(self) -> Prompt:
        """The prompt, one row for all examples."""
        return self.method.prompt(self.lm)

    def log_probs(self, batch: PromptBatch) -> Tensor:
        """Log-probs of the labels at each place (B, U, L), the labels before it given.

        U is the number of slots; of sequences one more than the longest, for the end.
        """
        task = self.task
        num_read = max(0, batch.labels_BU.shape[1] - (not task.is_sequence))
        target_BU = self.verbalizer.token_of(batch.labels_BU[:, :num_read].clamp(min=0))
        target = Padded(target_BU, batch.num_labels_B.clamp(max=num_read))
        states_BUD = self.lm.states(batch.source, target, self.prompt())
        return constrained(self.verbalizer(states_BUD, self.lm), task)

    def first_log_probs(self, source: Padded) -> Tensor:
        """Log-probs (B, L) of the first label; their bits do not depend on how many rows there are."""
        rows = whole_rows(source, self.lm)
        nothing = Padded(rows.tokens_BT[:, :0], torch.zeros_like(rows.lengths_B))
        states_BUD = self.lm.states(rows, nothing, self.prompt())
        found_BUL: Tensor = self.verbalizer(states_BUD, self.lm)
        return constrained(found_BUL, self.task)[: len(source.lengths_B), 0]

    def loss(self, batch: PromptBatch, *, progress: float) -> Loss:
        """Cross-entropy per label, the end of a sequence counted; `progress` does not matter."""
        log_probs_BUL = self.log_probs(batch)
        labels_BU = batch.labels_BU
        if self.task.is_sequence:
            labels_BU = nn.functional.pad(labels_BU, (0, 1), value=IGNORED_LABEL)
            labels_BU = labels_BU.scatter(1, batch.num_labels_B[:, None], self.task.end_label)
        loss = nn.functional.nll_loss(log_probs_BUL.flatten(0, 1), labels_BU.flatten(), ignore_index=IGNORED_LABEL)
        return Loss(loss, {})


def whole_rows(source: Padded, lm: UnitLm) -> Padded:
    """With rows added up to a multiple, where a decoder reads a single token of each: few are rounded differently."""
    missing = 0 if lm.encoder is None else -len(source.lengths_B) % _ROWS
    tokens_BT = nn.functional.pad(source.tokens_BT, (0, 0, 0, missing))
    return Padded(tokens_BT, nn.functional.pad(source.lengths_B, (0, missing), value=1))


def constrained(log_probs_BUL: Tensor, task: Task) -> Tensor:
    """Log-probs normalised over the labels that each slot allows; those of other tasks as they are."""
    if task.config.kind != "slots":
        return log_probs_BUL
    mask_UL = torch.full(log_probs_BUL.shape[1:], -torch.inf, device=log_probs_BUL.device)
    for place in range(mask_UL.shape[0]):
        mask_UL[place, list(task.allowed(place))] = 0
    return (log_probs_BUL + mask_UL).log_softmax(-1)
