"""Last-layer gradients per utterance: what each utterance would teach a model, in closed form.

The gradient of a linear output layer is sum_t (dL/dz_t) [h_t, 1]^T with its inputs h and logits z, so one forward
pass and one backward pass down to the logits give the gradients of a whole batch (PGM, Mittal et al. 2022).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

from speechkit.data.batch import Batch
from speechkit.rng import rng

EXACT_SIZE = 20_000  # values; a larger gradient is projected
PROJECTED_SIDE = 128  # inputs and tokens after the projection


def gradient_features(
    model: nn.Module, layer: nn.Linear, batches: Iterable[Batch], *, device: torch.device, seed: int = 0
) -> np.ndarray:
    """Gradient of the loss per label with respect to `layer`, one row per utterance, float32 (N, D).

    D is V * (inputs + 1). Above 20,000 both sides are projected to at most 128 by a seeded Gaussian matrix, which
    keeps inner products on average. The model is run in eval mode, so that rows do not depend on the batch.

    Args:
        layer: the linear layer of `model` that gives the logits of the tokens, and of the end of the sentence when it
            is the decoder's; used once per forward pass, or once per label position.
    """
    was_training = model.training
    model.eval()
    project_h, project_z = _projections(layer, seed, device)
    rows = []
    try:
        for batch in batches:
            rows.append(_batch_gradients(model, layer, batch.to(device), project_h, project_z))
    finally:
        model.train(was_training)
    return np.concatenate(rows) if rows else np.zeros((0, 0), np.float32)


def _batch_gradients(
    model: nn.Module, layer: nn.Linear, batch: Batch, project_h: Tensor | None, project_z: Tensor | None
) -> np.ndarray:
    seen: list[tuple[Tensor, Tensor]] = []

    def keep(_: nn.Module, inputs: tuple[Tensor, ...], logits: Tensor) -> None:
        if logits.requires_grad:  # a decoder may also draw tokens with it
            seen.append((inputs[0].detach(), logits))

    handle = layer.register_forward_hook(keep)
    try:
        with torch.enable_grad():
            loss = model.loss(batch, progress=1.0).total  # type: ignore[operator]
            slopes = torch.autograd.grad(loss, [logits for _, logits in seen])
    finally:
        handle.remove()
    total = torch.zeros(())
    for (inputs, _), slope in zip(seen, slopes, strict=True):
        h_BTD, z_BTV = (x.float().reshape(len(batch), -1, x.shape[-1]) for x in (inputs, slope))
        h_BTD = nn.functional.pad(h_BTD, (0, 1), value=1.0)  # the bias
        if project_h is not None and project_z is not None:
            h_BTD, z_BTV = h_BTD @ project_h, z_BTV @ project_z
        total = torch.einsum("btv,btd->bvd", z_BTV, h_BTD).flatten(1) + total.to(h_BTD.device)
    # the loss is per label of the batch; a row is per label of its own utterance
    is_ctc = layer is getattr(model, "output", None)
    labels_B = batch.num_tokens_B.clamp(min=1) if is_ctc else batch.num_tokens_B + 1  # with the end of the sentence
    share_B = labels_B.sum() / labels_B
    return (total * share_B[:, None]).cpu().numpy()


def _projections(layer: nn.Linear, seed: int, device: torch.device) -> tuple[Tensor | None, Tensor | None]:
    inputs, outputs = layer.in_features + 1, layer.out_features
    if inputs * outputs <= EXACT_SIZE:
        return None, None
    return _gaussian(inputs, seed, "inputs", device), _gaussian(outputs, seed, "tokens", device)


def _gaussian(size: int, seed: int, name: str, device: torch.device) -> Tensor:
    if size <= PROJECTED_SIDE:
        return torch.eye(size, device=device)
    matrix = rng(seed, "gradients", name).normal(size=(size, PROJECTED_SIDE)) / np.sqrt(PROJECTED_SIDE)
    return torch.from_numpy(matrix.astype(np.float32)).to(device)
