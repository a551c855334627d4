"""Whether a trained model can be compared with others: one that sits on the blank plateau says nothing."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from speechkit import log
from speechkit.data.batch import BatchMaker, Utterance
from speechkit.rng import rng
from speechkit.train.config import TrainConfig
from speechkit.train.evaluate import evaluate


def measure_convergence(
    model: nn.Module, utterances: Sequence[Utterance], maker: BatchMaker, config: TrainConfig, device: torch.device
) -> dict[str, object]:
    """`converged`, the `rule`, and what it looks at: the greedy WER on some of the training utterances.

    Args:
        model: in eval mode.
        maker: without perturbation.
    """
    size = min(config.convergence.num_utterances, len(utterances))
    if size == 0:
        return {}
    chosen = sorted(rng(config.seed, "convergence").choice(len(utterances), size, replace=False).tolist())
    wer = evaluate(model, [utterances[i] for i in chosen], maker, config.batch, device)["wer"]
    max_wer = config.convergence.max_wer
    is_converged = wer <= max_wer
    if not is_converged:
        log.warn(
            f"not converged: greedy WER {wer:.1f} % on {size} of its own training utterances, above {max_wer:g} %; "
            f"give it more optim.num_steps, a higher optim.lr, or word times for the frame loss"
        )
    rule = f"greedy WER on {size} training utterances <= {max_wer:g} %"
    return {"converged": is_converged, "rule": rule, "train_wer": round(wer, 2)}
