"""Connectionist temporal classification: loss with gradient, state posteriors, exact forced alignment.

Graves et al. 2006, "Connectionist Temporal Classification". The inner loops are in
`kernels/ctc_lattice.py`, alignment in `kernels/ctc_align.py`. Needs only numpy, torch (1.13 or newer) and numba.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from speechkit.errors import SpeechkitError
from speechkit.kernels import ctc_align, ctc_lattice


class Alignment(NamedTuple):
    """Best paths of a batch.

    start_frames, end_frames: (B, U) int64, end exclusive, -1 in the padding; log_prob: (B,) float64.
    """

    start_frames: Tensor
    end_frames: Tensor
    log_prob: Tensor


class _KnownGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, log_probs_BTV: Tensor, *known: Any) -> Tensor:
        loss_B, grad_BTV = (torch.from_numpy(array) for array in known)
        ctx.save_for_backward(grad_BTV.to(log_probs_BTV), loss_B.to(log_probs_BTV.device))
        return loss_B.to(log_probs_BTV.device)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Any) -> Any:
        grad_BTV, loss_B = ctx.saved_tensors
        # a mean over infinite losses hands infinities and NaN down, and 0 * NaN is NaN
        weight_B = torch.where(torch.isposinf(loss_B), torch.zeros_like(loss_B), grads[0])
        return grad_BTV * weight_B[:, None, None].to(grad_BTV.dtype), None, None


def attach_gradient(log_probs_BTV: Tensor, losses_B: NDArray[Any], grad_BTV: NDArray[Any]) -> Tensor:
    """Losses (B,) that a kernel computed, differentiable in the log-probs by the gradient it computed with them."""
    loss: Tensor = _KnownGradient.apply(log_probs_BTV, losses_B, grad_BTV)  # type: ignore[no-untyped-call]
    return loss


def ctc_loss(
    log_probs_BTV: Tensor,
    num_frames_B: Tensor,
    tokens_BU: Tensor,
    num_tokens_B: Tensor,
    *,
    blank_id: int = 0,
) -> Tensor:
    """Negative natural log probability of the tokens, per utterance, differentiable in the log-probs.

    Args:
        log_probs_BTV: floating, natural log; the gradient is that of the loss in the log-probs themselves
            (minus the posterior), so log_softmax must be part of the autograd graph.
        num_frames_B: int64; frames at or after it are ignored and get gradient zero.
        tokens_BU: int64 without blanks; padding after num_tokens_B is ignored.
    Returns:
        (B,) float32 (float64 for float64 log-probs); infinite with gradient zero where frames are fewer
        than `required_frames`, or no path has a probability above zero.
    Raises:
        SpeechkitError: a length beyond the tensor, or a token that is the blank or outside the vocabulary.
    Cost: O(T U) time, 16 T U bytes per utterance at a time.  Source: Graves et al. 2006.
    Test: brute force, torch and k2.
    """
    frames, tokens = _checked_batch(log_probs_BTV, num_frames_B, tokens_BU, num_tokens_B, blank_id)
    values = as_numpy(log_probs_BTV)
    grad = np.zeros_like(values) if torch.is_grad_enabled() and log_probs_BTV.requires_grad else None
    losses = np.zeros(len(tokens), dtype=values.dtype)
    for b, (num_frames, tokens_U) in enumerate(zip(frames, tokens, strict=True)):
        losses[b] = _one_loss(values[b, :num_frames], tokens_U, blank_id, None if grad is None else grad[b])
    if grad is None:
        return torch.from_numpy(losses).to(log_probs_BTV.device)
    return attach_gradient(log_probs_BTV, losses, grad)


def occupation(log_probs_TV: Tensor, tokens: Sequence[int], *, blank_id: int = 0) -> NDArray[np.float64]:
    """Posterior of each state in each frame given the tokens.

    Returns:
        (T, 2 U + 1) float64, rows sum to one: column 2 u + 1 is token u, even columns are blanks.
    Raises:
        SpeechkitError: no path with a probability above zero fits the tokens.
    """
    values = as_numpy(log_probs_TV)
    labels_S = _state_labels(np.asarray(tokens, dtype=np.int64), blank_id)
    alpha_TS = np.empty((len(values), len(labels_S)))
    total = ctc_lattice.forward(values, labels_S, alpha_TS) if len(values) else -math.inf
    if not math.isfinite(total):
        raise SpeechkitError(
            f"no CTC path through {len(tokens)} tokens in {len(values)} frames",
            expected=f"at least {required_frames(tokens)} frames of finite log-probs",
        )
    ctc_lattice.occupation(values, labels_S, alpha_TS, total)
    return alpha_TS


def forced_align(
    log_probs_BTV: Tensor,
    num_frames_B: Tensor,
    tokens_BU: Tensor,
    num_tokens_B: Tensor,
    *,
    blank_id: int = 0,
) -> Alignment:
    """Best CTC path through the given tokens, one utterance per row; provably the best, also for hours.

    Args:
        log_probs_BTV: natural log, read as float32; frames at or after num_frames_B are ignored.
        tokens_BU: int64 without blanks; padding after num_tokens_B is ignored.
    Returns:
        Alignment: start and end frames of each token, end exclusive, and the log-prob of the path.
            Ties: stay in a token, then go on; at the end the last blank.
    Raises:
        SpeechkitError: an utterance has fewer frames than tokens plus repeats, or no path with a finite
            log-prob; the message lists positions in the batch.
    Cost: O(T U) time and T U bytes for short utterances; see `ctc_align.align_tokens` for long ones.
    Source: Graves et al. 2006, section 4.1.  Test: brute force for T, U <= 4, torchaudio, k2.
    """
    frames, tokens = _checked_batch(log_probs_BTV, num_frames_B, tokens_BU, num_tokens_B, blank_id)
    _check_feasible(frames, tokens)
    values = as_numpy(log_probs_BTV.float())
    start_frames = np.full(tuple(tokens_BU.shape), -1, dtype=np.int64)
    end_frames = np.full_like(start_frames, -1)
    scores = np.zeros(len(tokens))
    for b, tokens_U in enumerate(tokens):
        path = ctc_align.align_tokens(values[b, : frames[b]], tokens_U, blank_id=blank_id)
        start_frames[b, : len(tokens_U)] = path.start_frames_U
        end_frames[b, : len(tokens_U)] = path.end_frames_U
        scores[b] = path.log_prob
    lost = np.flatnonzero(~np.isfinite(scores))
    if len(lost):
        raise SpeechkitError(
            f"{len(lost)} of {len(tokens)} utterances have no CTC path with a finite log-prob",
            where=[f"position {b} of the batch: path log-prob {scores[b]}" for b in lost],
            hint="the model gave probability 0 or NaN to a token of the transcript",
        )
    return Alignment(torch.from_numpy(start_frames), torch.from_numpy(end_frames), torch.from_numpy(scores))


def required_frames(tokens: Sequence[int] | Tensor | NDArray[np.int64]) -> int:
    """Fewest frames that CTC needs for the tokens: one each, and a blank between equal neighbours."""
    items: Sequence[int] = tokens.tolist() if isinstance(tokens, Tensor | np.ndarray) else tokens
    return len(items) + sum(left == right for left, right in pairwise(items))


def warm() -> None:
    """Compile every kernel for the types in use (float32 log-probs), or load it from the cache."""
    values = torch.full((1, 2, 2), math.log(0.5), requires_grad=True)
    batch = torch.tensor([2]), torch.tensor([[1]]), torch.tensor([1])
    ctc_loss(values, *batch).sum().backward()  # type: ignore[no-untyped-call]
    forced_align(values, *batch)


def as_numpy(values: Tensor) -> NDArray[Any]:
    """Contiguous float32, or float64 when that is what came in: the only two types the kernels see."""
    wanted = torch.float64 if values.dtype == torch.float64 else torch.float32
    array: NDArray[Any] = values.detach().to("cpu", wanted).contiguous().numpy()
    return array


def _state_labels(tokens_U: NDArray[np.int64], blank_id: int) -> NDArray[np.int64]:
    labels_S = np.full(2 * len(tokens_U) + 1, blank_id, dtype=np.int64)
    labels_S[1::2] = tokens_U
    return labels_S


def _one_loss(
    values_TV: NDArray[Any], tokens_U: NDArray[np.int64], blank_id: int, grad_TV: NDArray[Any] | None
) -> float:
    """Loss of one utterance; adds its gradient to grad_TV (which may have more frames) when given."""
    num_frames = len(values_TV)
    if num_frames < max(1, required_frames(tokens_U)):
        return 0.0 if num_frames == len(tokens_U) == 0 else math.inf
    labels_S = _state_labels(tokens_U, blank_id)
    gamma_TS = np.empty((num_frames, len(labels_S)))
    total = float(ctc_lattice.forward(values_TV, labels_S, gamma_TS))
    if grad_TV is not None and total != -math.inf:
        ctc_lattice.occupation(values_TV, labels_S, gamma_TS, total)
        grad_TV[:num_frames, blank_id] = -gamma_TS[:, 0::2].sum(axis=1)
        target = torch.from_numpy(grad_TV)[:num_frames]
        target.index_add_(1, torch.from_numpy(tokens_U), torch.from_numpy(-gamma_TS[:, 1::2]).to(target.dtype))
    return -total


def _checked_batch(
    log_probs_BTV: Tensor, num_frames_B: Tensor, tokens_BU: Tensor, num_tokens_B: Tensor, blank_id: int
) -> tuple[list[int], list[NDArray[np.int64]]]:
    """Frame counts and token arrays of the utterances.  Raises: SpeechkitError with every misfit."""
    num_utterances, max_frames, vocab_size = log_probs_BTV.shape
    frames, lengths = num_frames_B.tolist(), num_tokens_B.tolist()
    rows = tokens_BU.detach().to("cpu", torch.int64).contiguous().numpy()
    if not len(frames) == len(lengths) == len(rows) == num_utterances:
        raise SpeechkitError(
            f"log-probs of {num_utterances} utterances, {len(frames)} frame counts, {len(rows)} token rows, "
            f"{len(lengths)} token counts",
            expected="one of each per utterance",
        )
    faults, tokens = [], []
    for b, (num_frames, num_tokens) in enumerate(zip(frames, lengths, strict=True)):
        tokens_U = rows[b, : max(0, num_tokens)]
        if not (0 <= num_frames <= max_frames and 0 <= num_tokens <= rows.shape[1]):
            faults.append(f"position {b}: {num_frames} frames of {max_frames}, {num_tokens} tokens of {rows.shape[1]}")
        bad = tokens_U[(tokens_U < 0) | (tokens_U >= vocab_size) | (tokens_U == blank_id)]
        if len(bad):
            faults.append(f"position {b}: token {bad[0]}")
        tokens.append(tokens_U)
    if faults:
        raise SpeechkitError(
            "tokens or lengths do not fit the log-probs",
            where=faults,
            expected=f"lengths within the tensors, tokens in [0, {vocab_size}) and not the blank {blank_id}",
        )
    return frames, tokens


def _check_feasible(frames: list[int], tokens: list[NDArray[np.int64]]) -> None:
    needed = [required_frames(tokens_U) for tokens_U in tokens]
    short = [b for b, num_frames in enumerate(frames) if num_frames < needed[b]]
    if short:
        raise SpeechkitError(
            f"{len(short)} of {len(frames)} utterances are too short for CTC: frames < tokens + repeats",
            where=[f"position {b} of the batch: {frames[b]} frames, {needed[b]} needed" for b in short],
            hint="drop them, or use less subsampling or longer tokens",
        )
