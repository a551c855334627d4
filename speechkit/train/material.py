"""What a training run works on: the trainer knows nothing of audio, units or prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from speechkit.data.batch import Load


class TrainBatch(Protocol):
    """A padded group of utterances that the model's `loss(batch, progress=)` takes."""

    utt_ids: list[str]

    @property
    def load(self) -> Load:
        """What it holds, for the log."""
        ...

    def to(self, device: torch.device) -> Any:
        """The same batch on another device."""
        ...


class Material(Protocol):
    """A model to train, and utterances to train it on; everything a pure function of (seed, epoch, utterance)."""

    def make_model(self) -> nn.Module:
        """The untrained model; torch's generator is seeded."""
        ...

    def epoch(self, epoch: int) -> Sequence[Any]:
        """The utterances of an epoch."""
        ...

    def sizes(self, utterances: Sequence[Any], epoch: int) -> np.ndarray:
        """What the cap of a batch bounds, of each utterance (N,) in this epoch."""
        ...

    def largest(self) -> np.ndarray:
        """Sizes of all utterances that an epoch may hold, each as large as it may become."""
        ...

    def make_batch(self, utterances: Sequence[Any], epoch: int) -> TrainBatch:
        """One batch; may run in another process."""
        ...

    def describe(self) -> str:
        """How much there is, for the log: `0.42 h`."""
        ...

    def look(self, model: nn.Module, device: torch.device) -> tuple[str, dict[str, Any]] | None:
        """A line for the log and numbers on held-out utterances; the model is in eval mode. None: there are none."""
        ...

    def verdict(self, model: nn.Module, device: torch.device) -> dict[str, Any]:
        """What else the summary of the finished model says; the model is in eval mode."""
        ...
