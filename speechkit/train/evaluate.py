"""A look at the dev set during training: greedy WER."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from speechkit.data.batch import BatchMaker, Utterance
from speechkit.data.config_batch import BatchConfig
from speechkit.decode.config import DecodeConfig
from speechkit.decode.search import decode_utterances
from speechkit.kernels.edit import align_words


def evaluate(
    model: nn.Module,
    utterances: Sequence[Utterance],
    maker: BatchMaker,
    config: BatchConfig,
    device: torch.device,
) -> dict[str, float]:
    """WER in percent of greedy decoding, with the number of reference words."""
    hypotheses = decode_utterances(model, utterances, maker, DecodeConfig(batch=config), device)
    references = [utt.text.split() for utt in utterances]
    errors = align_words(references, [hyp.text.split() for hyp in hypotheses]).counts.sum()
    num_words = sum(map(len, references))
    return {"wer": 100.0 * float(errors) / max(1, num_words), "num_ref_words": float(num_words)}
