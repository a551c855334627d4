"""What the trainer works on when it trains a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from speechkit.models.ulm import UnitLm
from speechkit.prompt.config import MethodConfig, PredictConfig
from speechkit.prompt.examples import Example, Row
from speechkit.prompt.methods import initial_tensors
from speechkit.prompt.model import PromptBatch, PromptedLm, collate
from speechkit.prompt.predict import predict
from speechkit.prompt.score import Scores, score
from speechkit.prompt.tasks import Task
from speechkit.prompt.verbalizer import LabelMap
from speechkit.rng import rng

_NUM_REAL = 16  # utterances whose keys and values prompts start from


@dataclass
class PromptMaterial:
    """A task for a language model: training examples, and utterances to look at on the way."""

    lm: UnitLm
    task: Task
    method: MethodConfig
    label_map: LabelMap
    train: list[Example]
    dev: list[Row] = field(default_factory=list)
    noise: float = field(default=0.0, kw_only=True)
    seed: int = field(default=0, kw_only=True)

    def make_model(self) -> nn.Module:
        """The prompt before training; torch's generator is seeded."""
        chosen = torch.randperm(len(self.train))[:_NUM_REAL].tolist()
        tensors = initial_tensors(self.method, self.lm, [self.train[number].units for number in chosen])
        return PromptedLm(self.lm, self.task, self.method, self.label_map, tensors)

    def epoch(self, epoch: int) -> Sequence[Any]:
        """All examples."""
        return self.train

    def sizes(self, utterances: Sequence[Any], epoch: int) -> np.ndarray:
        """Units and labels, the separator and the end."""
        return np.array([len(example.units) + len(example.labels) + 2 for example in utterances], np.float64)

    def largest(self) -> np.ndarray:
        """The same: nothing grows."""
        return self.sizes(self.train, 0)

    def make_batch(self, utterances: Sequence[Any], epoch: int) -> PromptBatch:
        """Padded examples, with the noise of this epoch."""
        return collate([self._disturbed(example, epoch) for example in utterances] if self.noise else utterances)

    def _disturbed(self, example: Example, epoch: int) -> Example:
        """Some units left out and as many others replaced by any; drawn from (seed, epoch, utterance)."""
        gen = rng(self.seed, "units", epoch, example.utt_id)
        units = np.array(example.units)
        draw = gen.random(len(units))
        others = gen.integers(self.lm.num_units, size=len(units))
        units = np.where(draw < self.noise / 2, others, units)[draw < 1 - self.noise / 2]
        return replace(example, units=tuple(units.tolist()) or example.units)

    def describe(self) -> str:
        """Units and labels."""
        return f"{sum(len(example.units) for example in self.train)} units, {len(self.task.labels)} labels"

    def look(self, model: nn.Module, device: torch.device) -> tuple[str, dict[str, Any]] | None:
        """The score on the dev set."""
        if not self.dev:
            return None
        scores = self._score(model)
        return scores.line(), scores.as_json()

    def verdict(self, model: nn.Module, device: torch.device) -> dict[str, Any]:
        """How many numbers were trained, and how many the language model has."""
        return {"lm_parameters": sum(p.numel() for p in self.lm.parameters())}

    def _score(self, model: nn.Module) -> Scores:
        assert isinstance(model, PromptedLm)
        predictions = predict(model, [Example(row.utt_id, row.units) for row in self.dev], PredictConfig())
        values = [self.task.values(prediction.labels) for prediction in predictions]
        return score(self.task.config, [row.values for row in self.dev], values)
