"""Labels of utterances under a prompt, or under many of a bank in mixed batches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from speechkit.models.ulm import Padded
from speechkit.prompt.bank import Bank
from speechkit.prompt.config import PredictConfig
from speechkit.prompt.examples import Example
from speechkit.prompt.model import PromptBatch, PromptedLm, collate
from speechkit.prompt.search import Found, search, search_labels

_BUCKET = 16  # units


@dataclass(frozen=True)
class Prediction:
    """What was predicted for an utterance; labels without the end of a sequence, log-prob of them all."""

    utt_id: str
    labels: tuple[int, ...]
    log_prob: float


def by_length(examples: Sequence[Example], batch_size: int) -> list[list[int]]:
    """Positions of the examples of each batch; those of a bucket of lengths come together."""
    buckets: dict[int, list[int]] = defaultdict(list)
    for number, example in enumerate(examples):
        buckets[-(-len(example.units) // _BUCKET)].append(number)
    rows = [sorted(members, key=lambda number: len(examples[number].units)) for _, members in sorted(buckets.items())]
    return [own[start : start + batch_size] for own in rows for start in range(0, len(own), batch_size)]


@torch.no_grad()
def predict(model: PromptedLm, examples: Sequence[Example], config: PredictConfig) -> list[Prediction]:
    """The likeliest labels of each example, in the order given; the model is in eval mode."""
    found: dict[int, Prediction] = {}
    for numbers in by_length(examples, config.batch_size):
        batch = _batch(examples, numbers).to(model.lm.embedding.weight.device)
        if model.task.config.kind == "classification":
            rows = _best(model.first_log_probs(batch.source))
        else:
            rows = search_labels(model, batch, beam_size=config.beam_size, max_labels=config.max_labels)
        found |= {k: Prediction(examples[k].utt_id, *row) for k, row in zip(numbers, rows, strict=True)}
    return [found[number] for number in range(len(examples))]


@torch.no_grad()
def predict_bank(
    bank: Bank, examples: Sequence[Example], tasks: Sequence[int], config: PredictConfig
) -> list[Prediction]:
    """The likeliest labels of each example under the task of its own, whose number stands in `tasks`."""
    groups: dict[tuple[str, int | None], list[int]] = defaultdict(list)
    for number, task in enumerate(tasks):
        groups[(bank.tasks[task].config.kind, bank.tasks[task].num_slots)].append(number)
    found: dict[int, Prediction] = {}
    for (kind, _), members in groups.items():
        own = [examples[number] for number in members]
        for places in by_length(own, config.batch_size):
            numbers = [members[place] for place in places]
            batch, tasks_B = _batch(examples, numbers), torch.tensor([tasks[number] for number in numbers])
            if kind == "classification":
                rows = _best(bank.log_probs(batch.source, tasks_B))
            else:
                outputs = bank.outputs(tasks_B, max_labels=config.max_labels)
                rows = search(bank.lm, batch.source, bank.prompt(tasks_B), outputs, beam_size=config.beam_size)
            found |= {k: Prediction(examples[k].utt_id, *row) for k, row in zip(numbers, rows, strict=True)}
    return [found[number] for number in range(len(examples))]


def _batch(examples: Sequence[Example], numbers: Sequence[int]) -> PromptBatch:
    """Padded to the end of the bucket: sums over padding round alike whoever else is in the batch."""
    batch = collate([replace(examples[number], labels=()) for number in numbers])
    tokens_BT = batch.source.tokens_BT
    batch.source = Padded(nn.functional.pad(tokens_BT, (0, -tokens_BT.shape[1] % _BUCKET)), batch.source.lengths_B)
    return batch


def _best(log_probs_BL: torch.Tensor) -> list[Found]:
    log_probs_B, labels_B = log_probs_BL.max(-1)
    return [Found((label,), log_prob) for label, log_prob in zip(labels_B.tolist(), log_probs_B.tolist(), strict=True)]
