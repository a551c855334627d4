"""Labels of utterances under a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from speechkit.prompt.config import PredictConfig
from speechkit.prompt.examples import Example
from speechkit.prompt.model import PromptBatch, PromptedLm, collate
from speechkit.prompt.search import Found, search_labels


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
        if model.task.config.kind == "classification":
            found_rows = _classes(model, batch)
        else:
            found_rows = search_labels(model, batch, beam_size=config.beam_size, max_labels=config.max_labels)
        for number, own in zip(numbers, found_rows, strict=True):
            found[number] = Prediction(examples[number].utt_id, own.labels, own.log_prob)
    return [prediction for prediction in found if prediction is not None]


def _device_of(model: PromptedLm) -> torch.device:
    return model.lm.embedding.weight.device


def _classes(model: PromptedLm, batch: PromptBatch) -> list[Found]:
    log_probs_B, labels_B = model.log_probs(batch)[:, 0].max(-1)
    return [Found((label,), log_prob) for label, log_prob in zip(labels_B.tolist(), log_probs_B.tolist(), strict=True)]
