"""Optimiser, learning rate and gradient clipping."""

from __future__ import annotations

import math

import torch
from torch import nn

from speechkit.train.config import OptimConfig


def make_optimizer(model: nn.Module, config: OptimConfig) -> torch.optim.AdamW:
    """AdamW; matrices decay, biases and normalisation weights do not."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.lr, betas=(config.beta1, config.beta2), fused=True)


def learning_rate(step: int, config: OptimConfig) -> float:
    """Learning rate of the update with this number, counted from 0."""
    warm = min(1.0, (step + 1) / max(1, config.warmup_steps))
    progress = step / config.num_steps
    if progress <= config.flat_share:
        return config.lr * warm
    fall = (progress - config.flat_share) / (1.0 - config.flat_share)
    return config.lr * warm * max(0.01, 0.5 * (1.0 + math.cos(math.pi * fall)))


def update(model: nn.Module, optimizer: torch.optim.AdamW, *, lr: float, clip_norm: float) -> float:
    """Clip, step and clear the gradients; returns the norm before clipping, and does nothing if it is not finite."""
    norm = float(nn.utils.clip_grad_norm_(model.parameters(), clip_norm))
    if math.isfinite(norm):
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return norm
