"""Verbalizers: what the language model says after the separator, read as labels.

Fixed ones give each label a unit of its own: drawn (random), by rank of frequency (freq, as in SpeechPrompt), or the
unit that tells most about the label (mi). Trained ones are linear on the logits (SpeechPrompt v2) or on the states.
Every kind also says which unit stands for a label when it is read back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from speechkit.errors import SpeechkitError, counted
from speechkit.prompt.config_kinds import VerbalizerKind
from speechkit.prompt.examples import Example
from speechkit.prompt.tasks import Task
from speechkit.rng import rng

if TYPE_CHECKING:
    from speechkit.models.ulm import UnitLm

FIXED: tuple[VerbalizerKind, ...] = ("freq", "random", "mi")
_ROWS = 16
_WIDTH = 16  # label columns come in such groups: a sum over them has the same bits however many are padding


class Readout(NamedTuple):
    """scores = logits x logit_weight + states x state_weight + bias; a row for each example, or one for all.

    The bias of labels that are padding is -inf.
    """

    logit_weight_BVL: Tensor | None
    state_weight_BDL: Tensor | None
    bias_BL: Tensor


@dataclass(frozen=True)
class LabelMap:
    """The stored part of a verbalizer.

    Attributes:
        tokens: the token that stands for each label, all different unless there are more labels than units; of a
            sequence the end of the language model comes last.
    """

    kind: VerbalizerKind
    tokens: tuple[int, ...]

    def as_json(self) -> dict[str, Any]:
        """What a trained prompt stores."""
        return {"kind": self.kind, "tokens": list(self.tokens)}


def make_label_map(task: Task, examples: Sequence[Example], *, num_units: int, seed: int) -> LabelMap:
    """The token of each label, found in the training data.

    Raises:
        SpeechkitError: more labels than units, and the verbalizer gives each a unit of its own.
    """
    kind, num_labels = task.config.verbalizer, len(task.labels)
    if num_labels > num_units and kind in FIXED:
        raise SpeechkitError(
            f"task `{task.config.name}`: {num_labels} labels do not fit {counted(num_units, 'unit')} of their own",
            hint="use `verbalizer: linear` or `hidden`",
        )
    if kind == "random":
        tokens = rng(seed, "verbalizer", task.config.name).permutation(num_units)[:num_labels]
    elif kind == "mi":
        tokens = linear_sum_assignment(_information(task, examples, num_units), maximize=True)[1]
    else:
        tokens = _by_frequency(task, examples, num_units)
    end = (num_units,) * task.is_sequence
    return LabelMap(kind, (*map(int, tokens), *end))


def _by_frequency(task: Task, examples: Sequence[Example], num_units: int) -> np.ndarray:
    """The i-th most frequent label gets the i-th most frequent unit; equal counts go by number."""
    num_labels = len(task.labels)
    label_counts = Counter(label for example in examples for label in example.labels)
    unit_counts = Counter(unit for example in examples for unit in example.units)
    labels = sorted(range(num_labels), key=lambda label: (-label_counts[label], label))
    units = sorted(range(num_units), key=lambda unit: (-unit_counts[unit], unit))
    tokens = np.zeros(num_labels, np.int64)
    tokens[labels] = np.array(units)[np.arange(num_labels) % num_units]
    return tokens


def _information(task: Task, examples: Sequence[Example], num_units: int) -> np.ndarray:
    """Nats that the presence of a unit tells of that of a label (L, K); negative where it speaks against it."""
    labels = np.zeros((len(examples), len(task.labels)))
    units = np.zeros((len(examples), num_units))
    for number, example in enumerate(examples):
        labels[number, list(example.labels)] = 1
        units[number, list(example.units)] = 1
    both = labels.T @ units / len(examples)
    p_label, p_unit = labels.mean(0)[:, None], units.mean(0)[None, :]
    total = np.zeros_like(both)
    for joint, first, second in (
        (both, p_label, p_unit),
        (p_label - both, p_label, 1 - p_unit),
        (p_unit - both, 1 - p_label, p_unit),
        (1 - p_label - p_unit + both, 1 - p_label, 1 - p_unit),
    ):
        chance = first * second
        is_possible = (joint > 1e-12) & (chance > 0)
        total += np.where(is_possible, joint * np.log(np.where(is_possible, joint / np.maximum(chance, 1e-30), 1)), 0)
    return np.where(both >= p_label * p_unit, total, -total)


class Verbalizer(nn.Module):
    """Log-probs of labels from states of the language model."""

    def __init__(self, label_map: LabelMap, *, num_tokens: int, dim: int) -> None:
        super().__init__()
        self.label_map = label_map
        self.num_labels = len(label_map.tokens)
        self.width = -(-self.num_labels // _WIDTH) * _WIDTH
        self.register_buffer("tokens_L", torch.tensor(label_map.tokens), persistent=False)
        self.tokens_L: Tensor
        if label_map.kind in FIXED:
            one_hot_VL = torch.zeros(num_tokens, self.num_labels)
            one_hot_VL[list(label_map.tokens), list(range(self.num_labels))] = 1
            self.register_buffer("weight", one_hot_VL, persistent=False)
            self.register_buffer("bias", torch.zeros(self.num_labels), persistent=False)
        else:
            size = dim if label_map.kind == "hidden" else num_tokens
            self.weight = nn.Parameter(torch.randn(size, self.num_labels) * size**-0.5)
            self.bias = nn.Parameter(torch.zeros(self.num_labels))

    @property
    def is_on_states(self) -> bool:
        """True when states are read, not logits."""
        return self.label_map.kind == "hidden"

    def readout(self) -> Readout:
        """One row that serves all examples."""
        padding = self.width - self.num_labels
        weight_1IL = nn.functional.pad(self.weight, (0, padding))[None]
        bias_1L = nn.functional.pad(self.bias, (0, padding), value=-torch.inf)[None]
        return Readout(None, weight_1IL, bias_1L) if self.is_on_states else Readout(weight_1IL, None, bias_1L)

    def forward(self, states_BD: Tensor, lm: UnitLm) -> Tensor:
        """Log-probs over the labels, the end of a sequence last.

        Args:
            states_BD: states of the language model, (B, D) or (B, U, D).
        """
        return label_log_probs(states_BD, lm, self.readout())[..., : self.num_labels]

    def token_of(self, labels_B: Tensor) -> Tensor:
        """The tokens that the language model reads after these labels."""
        return self.tokens_L[labels_B]


def label_log_probs(states_BD: Tensor, lm: UnitLm, readout: Readout) -> Tensor:
    """Log-probs of a readout, padding included; states (B, D) or (B, U, D)."""
    states_BUD = states_BD if states_BD.ndim == 3 else states_BD[:, None]
    scores_BUL = readout.bias_BL[:, None]
    if readout.logit_weight_BVL is not None:
        scores_BUL = scores_BUL + _times(_logits(states_BUD, lm), readout.logit_weight_BVL)
    if readout.state_weight_BDL is not None:
        scores_BUL = scores_BUL + _times(states_BUD, readout.state_weight_BDL)
    log_probs_BUL = scores_BUL.log_softmax(-1)
    return log_probs_BUL if states_BD.ndim == 3 else log_probs_BUL[:, 0]


def _times(x_BUI: Tensor, weight_BIL: Tensor) -> Tensor:
    if torch.is_grad_enabled():
        return x_BUI @ weight_BIL
    # a product for each example, so that the bits do not depend on how many there are
    return torch.bmm(x_BUI, weight_BIL.expand(len(x_BUI), -1, -1))


def _logits(states_BUD: Tensor, lm: UnitLm) -> Tensor:
    """Logits that do not depend on how many rows there are: products of few rows are rounded in another way."""
    flat_ND = states_BUD.flatten(0, 1)
    padded_ND = nn.functional.pad(flat_ND, (0, 0, 0, -len(flat_ND) % _ROWS))
    return lm.logits(padded_ND)[: len(flat_ND)].view(*states_BUD.shape[:2], -1)
