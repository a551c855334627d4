"""Decode utterances in batches, results in the order given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from speechkit.data.batch import BatchMaker, Utterance
from speechkit.data.config_batch import BatchConfig
from speechkit.data.plan import pack
from speechkit.decode.greedy import greedy_search


@dataclass(frozen=True)
class Hypothesis:
    """What the decoder heard; `log_prob` is the natural log-prob of the best path."""

    utt_id: str
    text: str
    log_prob: float
    num_frames: int


@torch.inference_mode()
def decode_utterances(
    model: nn.Module,
    utterances: Sequence[Utterance],
    maker: BatchMaker,
    config: BatchConfig,
    device: torch.device,
) -> list[Hypothesis]:
    """Greedy hypotheses of a model in eval mode."""
    durations = np.array([utt.duration_seconds for utt in utterances])
    results: dict[int, Hypothesis] = {}
    for indices in pack(np.argsort(durations, kind="stable"), durations, config):
        batch = maker([utterances[i] for i in indices]).to(device)
        log_probs_BTV, encoder_frames_B = model(batch.features_BTF, batch.num_frames_B)
        found = greedy_search(log_probs_BTV, encoder_frames_B)
        for index, (tokens, log_prob), frames in zip(indices, found, encoder_frames_B.tolist(), strict=True):
            text = maker.tokenizer.decode(tokens)
            results[int(index)] = Hypothesis(utterances[index].utt_id, text, log_prob, frames)
    return [results[index] for index in range(len(utterances))]
