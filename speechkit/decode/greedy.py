"""Greedy CTC decoding: best token per frame, repeats merged, blanks dropped (Graves et al. 2006, section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor


def greedy_search(
    log_probs_BTV: Tensor, encoder_frames_B: Tensor, *, blank_id: int = 0
) -> list[tuple[list[int], float]]:
    """Tokens and log-prob of the best path of each utterance.

    Args:
        log_probs_BTV: float32 natural log; frames at or after encoder_frames_B are ignored.
    """
    best_log_prob_BT, best_BT = log_probs_BTV.max(-1)
    results = []
    for path_T, log_prob_T, size in zip(best_BT, best_log_prob_BT, encoder_frames_B.tolist(), strict=True):
        merged = torch.unique_consecutive(path_T[:size]).tolist()
        results.append(([token for token in merged if token != blank_id], float(log_prob_T[:size].sum())))
    return results
