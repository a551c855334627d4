"""Exponential average of weights (and of normalisation statistics)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """`mean <- decay * mean + (1 - decay) * weights` after each update, with a short memory in the first steps."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {name: value.clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the weights after update number `step`, counted from 0."""
        # without the ramp the random start would weigh decay^step
        decay = min(self.decay, (1.0 + step) / (10.0 + step))
        current = model.state_dict()
        floating = [name for name, value in self.state.items() if value.is_floating_point()]
        torch._foreach_lerp_([self.state[n] for n in floating], [current[n] for n in floating], 1.0 - decay)
        for name in self.state.keys() - set(floating):
            self.state[name].copy_(current[name])

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """The model has the averaged weights, and is in eval mode, inside the block."""
        own = {name: value.clone() for name, value in model.state_dict().items()}
        model.load_state_dict(self.state)
        model.eval()
        try:
            yield
        finally:
            model.load_state_dict(own)
            model.train()

    def load(self, state: dict[str, Tensor]) -> None:
        """Go on from a stored average."""
        for name, value in state.items():
            self.state[name].copy_(value)
