"""A look at the dev set during training: greedy WER."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from speechkit.data.batch import BatchMaker, Utterance
from speechkit.data.config_batch import BatchConfig
from speechkit.decode.search import decode_utterances
from speechkit.score.wer import count_errors


def evaluate(
    model: nn.Module,
    utterances: Sequence[Utterance],
    maker: BatchMaker,
    config: BatchConfig,
    device: torch.device,
) -> dict[str, float]:
    """WER in percent of greedy decoding, with the number of reference words."""
    hypotheses = decode_utterances(model, utterances, maker, config, device)
    errors = words = 0
    for utt, hyp in zip(utterances, hypotheses, strict=True):
        reference = utt.text.split()
        errors += count_errors(reference, hyp.text.split())
        words += len(reference)
    return {"wer": 100.0 * errors / max(1, words), "num_ref_words": float(words)}
