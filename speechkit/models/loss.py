"""What a model hands to the trainer."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass
class Loss:
    """`total` is a scalar to minimise, per token; `parts` are its detached pieces for the log."""

    total: Tensor
    parts: dict[str, Tensor]
