"""Our CTC loss, gradient and alignment against the real k2 (and torch's loss in the same process)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from speechkit.kernels.ctc import ctc_loss, forced_align

k2 = pytest.importorskip("k2")
pytestmark = pytest.mark.k2

Measure = Callable[[str, float], float]
# k2 drops what is this far (natural log) below the best path; wide enough to be exact in float32
EXACT_BEAM = 100.0


def make_batch(seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logits, frames (falling, as k2 wants them), tokens with many repeats, token counts."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(5, 80, 9, generator=generator) * 2
    num_frames = torch.randint(50, 81, (5,), generator=generator).sort(descending=True).values
    tokens = torch.randint(1, 9, (5, 20), generator=generator)
    tokens[:, 1::3] = tokens[:, 0:-1:3]
    return logits, num_frames, tokens, torch.randint(1, 21, (5,), generator=generator)


def dense(log_probs_BTV: Tensor, num_frames: Tensor) -> Any:
    rows = [[b, 0, int(frames)] for b, frames in enumerate(num_frames)]
    return k2.DenseFsaVec(log_probs_BTV, torch.tensor(rows, dtype=torch.int32))


def transcripts(tokens: Tensor, num_tokens: Tensor) -> list[list[int]]:
    return [row[:count].tolist() for row, count in zip(tokens, num_tokens.tolist(), strict=True)]


@pytest.mark.parametrize("seed", range(5))
def test_loss_and_gradient_equal_k2_and_torch(seed: int, measure: Measure) -> None:
    logits, num_frames, tokens, num_tokens = make_batch(seed)
    values = logits.log_softmax(-1).requires_grad_()
    ours = ctc_loss(values, num_frames, tokens, num_tokens)
    (our_grad,) = torch.autograd.grad(ours.sum(), values)
    graph = k2.ctc_graph(transcripts(tokens, num_tokens), modified=False)
    theirs = k2.ctc_loss(
        graph, dense(values, num_frames), output_beam=EXACT_BEAM, reduction="none", use_double_scores=True
    )
    (their_grad,) = torch.autograd.grad(theirs.sum(), values)
    by_torch = F.ctc_loss(values.transpose(0, 1), tokens, num_frames, num_tokens, reduction="none")
    assert measure("CTC loss from k2, relative", float(((ours - theirs) / theirs).abs().max())) < 1e-4
    assert measure("CTC loss from torch, relative", float(((ours - by_torch) / by_torch).abs().max())) < 1e-4
    assert measure("CTC gradient from k2", float((our_grad - their_grad).abs().max())) < 1e-4


def test_gradient_at_the_logits_equals_torch_in_float64(measure: Measure) -> None:
    logits, num_frames, tokens, num_tokens = make_batch(99)
    logits = logits.double().requires_grad_()
    ours = ctc_loss(logits.log_softmax(-1), num_frames, tokens, num_tokens).sum()
    log_probs_TBV = logits.log_softmax(-1).transpose(0, 1)
    theirs = F.ctc_loss(log_probs_TBV, tokens, num_frames, num_tokens, reduction="sum")
    differences = torch.autograd.grad(ours, logits)[0] - torch.autograd.grad(theirs, logits)[0]
    assert measure("CTC gradient from torch, float64", float(differences.abs().max())) < 1e-9


def test_both_are_infinite_where_frames_are_too_few() -> None:
    values = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    num_frames, tokens = torch.tensor([6, 4]), torch.tensor([[1, 2, 3], [1, 1, 1]])
    ours = ctc_loss(values, num_frames, tokens, torch.tensor([3, 3]))
    graph = k2.ctc_graph(tokens.tolist(), modified=False)
    theirs = k2.ctc_loss(graph, dense(values, num_frames), output_beam=EXACT_BEAM, reduction="none")
    assert torch.isposinf(ours).tolist() == torch.isposinf(theirs).tolist() == [False, True]


@pytest.mark.parametrize("seed", range(5))
def test_alignment_equals_the_best_path_of_the_k2_graph(seed: int, measure: Measure) -> None:
    logits, num_frames, tokens, num_tokens = make_batch(seed)
    values = logits.log_softmax(-1)
    ours = forced_align(values, num_frames, tokens, num_tokens)
    for b, transcript in enumerate(transcripts(tokens, num_tokens)):
        used = values[b : b + 1, : num_frames[b]]
        graph = k2.ctc_graph([transcript], modified=False)
        lattice = k2.intersect_dense(graph, dense(used, num_frames[b : b + 1]), EXACT_BEAM)
        score = float(lattice.get_tot_scores(use_double_scores=True, log_semiring=False)[0])
        best = k2.shortest_path(lattice, use_double_scores=True)
        labels = [0] * int(num_frames[b])
        for u, token in enumerate(transcript):
            start, end = int(ours.start_frames[b, u]), int(ours.end_frames[b, u])
            labels[start:end] = [token] * (end - start)
        assert best.labels.tolist() == [*labels, -1]
        assert measure("alignment log-prob from k2", abs(score - float(ours.log_prob[b]))) < 1e-3
