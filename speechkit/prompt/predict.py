"""Labels of utterances under a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from speechkit.prompt.config import PredictConfig
from speechkit.prompt.examples import Example
from speechkit.prompt.model import PromptBatch, PromptedLm, collate


@dataclass(frozen=True)
class Prediction:
    """What was predicted for an utterance; labels without the end of a sequence, log-prob of them all."""

    utt_id: str
    labels: tuple[int, ...]
    log_prob: float


def by_length(examples: Sequence[Example], batch_size: int) -> list[list[int]]:
    """Positions of the examples of each batch; those of like length come together."""
    order = sorted(range(len(examples)), key=lambda number: (len(examples[number].units), number))
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


@torch.no_grad()
def predict(model: PromptedLm, examples: Sequence[Example], config: PredictConfig) -> list[Prediction]:
    """The likeliest labels of each example, in the order given; the model is in eval mode."""
    found: list[Prediction | None] = [None] * len(examples)
    for numbers in by_length(examples, config.batch_size):
        batch = collate([replace(examples[number], labels=()) for number in numbers]).to(_device_of(model))
        labels, log_probs = (
            _classes(model, batch) if model.task.config.kind == "classification" else _search(model, batch, config)
        )
        for number, own, log_prob in zip(numbers, labels, log_probs, strict=True):
            found[number] = Prediction(examples[number].utt_id, tuple(own), log_prob)
    return [prediction for prediction in found if prediction is not None]


def _device_of(model: PromptedLm) -> torch.device:
    return model.lm.embedding.weight.device


def _classes(model: PromptedLm, batch: PromptBatch) -> tuple[list[list[int]], list[float]]:
    log_probs_B, labels_B = model.log_probs(batch)[:, 0].max(-1)
    return [[label] for label in labels_B.tolist()], log_probs_B.tolist()


def _search(model: PromptedLm, batch: PromptBatch, config: PredictConfig) -> tuple[list[list[int]], list[float]]:
    raise NotImplementedError
