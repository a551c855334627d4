"""What a prompt adds to a transformer: vectors, attention columns and low-rank updates, a row for each example.

Shape letters besides those of nn: P prompt positions, R rank. Every tensor has B rows, or one row that serves all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor


class LowRank(NamedTuple):
    """x -> x + (x a) b beside a frozen projection (LoRA, Hu et al. 2021); the scale is part of b."""

    a_BIR: Tensor
    b_BRO: Tensor


class Columns(NamedTuple):
    """Keys and values (B, P, D) that every position of a self-attention sees besides its own sequence."""

    keys_BPD: Tensor
    values_BPD: Tensor


@dataclass(frozen=True)
class LayerInjection:
    """What one layer gets.

    Attributes:
        columns: None: no deep prompt.
        low_rank: by the projection of the self-attention: `query`, `key`, `value`, `output`.
    """

    columns: Columns | None = None
    low_rank: Mapping[str, LowRank] = field(default_factory=dict)


@dataclass(frozen=True)
class Injection:
    """What one stack of layers gets.

    Attributes:
        input_BPD: vectors in front of the embedded tokens, which keep their positions: a prompt has none.
        layers: one per layer, or empty.
        is_projected: the columns are keys and values (prefix tuning, Li and Liang 2021), with the heads side by side;
            else they go through the frozen projections of keys and values first (SpeechPrompt).
        separator_BD: stands for the embedding of the separator.
    """

    input_BPD: Tensor | None = None
    layers: tuple[LayerInjection, ...] = ()
    is_projected: bool = True
    separator_BD: Tensor | None = None


@dataclass(frozen=True)
class Prompt:
    """Injections of a model; a decoder-only model has no encoder."""

    decoder: Injection = Injection()
    encoder: Injection | None = None
