"""Decode utterances in batches, results in the order given.

A model says in `heads` which of its outputs can be decoded, the main one first; SEARCHES says how.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from speechkit.data.batch import Batch, BatchMaker, Utterance
from speechkit.data.plan import pack
from speechkit.decode.beam import Found, beam_search, normalised
from speechkit.decode.config import BeamConfig, DecodeConfig
from speechkit.decode.greedy import greedy_search
from speechkit.errors import ConfigError
from speechkit.jobs.shard import Shard
from speechkit.kernels.ctc import ctc_loss
from speechkit.models.aed import AedModel
from speechkit.models.ctc import CtcModel

Search = Callable[[Any, Batch, DecodeConfig], tuple[list[Found], Tensor]]


@dataclass(frozen=True)
class Hypothesis:
    """What the decoder heard; `log_prob` is the natural log-prob of the best path."""

    utt_id: str
    text: str
    log_prob: float
    num_frames: int
    is_cut: bool = False


def search_ctc_greedy(model: CtcModel, batch: Batch, config: DecodeConfig) -> tuple[list[Found], Tensor]:
    """Best CTC path of each utterance, and encoder frames (B,)."""
    log_probs_BTV, encoder_frames_B = model(batch.features_BTF, batch.num_frames_B)
    found = greedy_search(log_probs_BTV, encoder_frames_B)
    return [Found(tuple(tokens), log_prob) for tokens, log_prob in found], encoder_frames_B


def search_attention(model: AedModel, batch: Batch, config: DecodeConfig) -> tuple[list[Found], Tensor]:
    """Best sequence of the decoder for each utterance, and encoder frames (B,); greedy is a beam of one."""
    x_BTD, encoder_frames_B = model.encoder(batch.features_BTF, batch.num_frames_B)
    lists = beam_search(
        model.decoder,
        model.decoder.attention.memory(x_BTD, encoder_frames_B),
        (config.max_tokens_per_frame * encoder_frames_B).ceil().long().clamp(min=1),
        size=config.beam.size if config.method == "beam" else 1,
        length_norm=config.beam.length_norm,
        loop_guard=config.loop_guard,
    )
    if config.beam.ctc_weight > 0:
        log_probs_BTV = model.log_probs(x_BTD).cpu()
        pairs = zip(log_probs_BTV, encoder_frames_B.tolist(), strict=True)
        ctc = [log_probs_TV[:frames] for log_probs_TV, frames in pairs]
        lists = [rescore(found, log_probs_TV, config.beam) for found, log_probs_TV in zip(lists, ctc, strict=True)]
    return [found[0] for found in lists], encoder_frames_B


def rescore(found: Sequence[Found], log_probs_TV: Tensor, config: BeamConfig) -> list[Found]:
    """Ended hypotheses of one utterance with joint log-probs, best first (Watanabe et al. 2017, section 4.1).

    One that CTC cannot produce is last, with -inf; where it can produce none, the list stays as it is.
    """
    num_tokens_N = torch.tensor([len(one.tokens) for one in found])
    tokens_NU = torch.zeros(len(found), max(1, int(num_tokens_N.max())), dtype=torch.int64)
    for row, one in zip(tokens_NU, found, strict=True):
        row[: len(one.tokens)] = torch.tensor(one.tokens, dtype=torch.int64)
    log_probs_NTV = log_probs_TV.expand(len(found), -1, -1)
    frames_N = torch.full((len(found),), len(log_probs_TV))
    losses_N = ctc_loss(log_probs_NTV, frames_N, tokens_NU, num_tokens_N)
    weight = config.ctc_weight
    joint = [
        one._replace(log_prob=(1.0 - weight) * one.log_prob - weight * ctc)
        for one, ctc in zip(found, losses_N.tolist(), strict=True)
    ]
    joint.sort(key=lambda one: -normalised(one, config.length_norm))
    return joint if math.isfinite(joint[0].log_prob) else list(found)


SEARCHES: dict[tuple[str, str], Search] = {
    ("ctc", "greedy"): search_ctc_greedy,
    ("attention", "greedy"): search_attention,
    ("attention", "beam"): search_attention,
}


def choose_search(model: nn.Module, config: DecodeConfig) -> Search:
    """How this model is decoded.

    Raises:
        ConfigError: the model has no such output, or there is no such method for it.
    """
    heads: tuple[str, ...] = model.heads  # type: ignore[assignment]
    head = config.head or heads[0]
    if head not in heads:
        raise ConfigError(f"the model has no output `{head}`", expected=f"head: {' or '.join(heads)}")
    if (head, config.method) not in SEARCHES:
        methods = [method for known, method in SEARCHES if known == head]
        raise ConfigError(
            f"there is no method `{config.method}` for the output `{head}`", expected=f"method: {' or '.join(methods)}"
        )
    return SEARCHES[head, config.method]


@torch.inference_mode()
def decode_utterances(
    model: nn.Module,
    utterances: Sequence[Utterance],
    maker: BatchMaker,
    config: DecodeConfig,
    device: torch.device,
    *,
    shard: Shard | None = None,
) -> list[Hypothesis]:
    """Hypotheses of a model in eval mode; with a shard those of its batches, which are the same for any number."""
    search = choose_search(model, config)
    durations = np.array([utt.duration_seconds for utt in utterances])
    results: dict[int, Hypothesis] = {}
    batches = pack(np.argsort(durations, kind="stable"), durations, config.batch)
    for indices in batches if shard is None else shard.take(batches):
        batch = maker([utterances[i] for i in indices]).to(device)
        found, encoder_frames_B = search(model, batch, config)
        for index, one, frames in zip(indices, found, encoder_frames_B.tolist(), strict=True):
            text = maker.tokenizer.decode(one.tokens)
            results[int(index)] = Hypothesis(utterances[index].utt_id, text, one.log_prob, frames, one.is_cut)
    return [results[index] for index in sorted(results)]
