"""CTC loss, posteriors and alignment against enumeration of all paths, torch and torchaudio."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from speechkit.errors import SpeechkitError
from speechkit.kernels import ctc, ctc_align, ctc_lattice, ctc_viterbi

NUM_LABELS = 4


def collapse(path: tuple[int, ...], blank_id: int) -> list[int]:
    """Labels of a path without repeats and blanks."""
    return [label for label, _ in itertools.groupby(path) if label != blank_id]


def all_paths(log_probs_TV: Tensor, tokens: list[int], blank_id: int) -> dict[tuple[int, ...], float]:
    """Every path that spells the tokens, with its log-prob."""
    num_frames, vocab_size = log_probs_TV.shape
    rows = log_probs_TV.tolist()
    return {
        path: sum(row[label] for row, label in zip(rows, path, strict=True))
        for path in itertools.product(range(vocab_size), repeat=num_frames)
        if collapse(path, blank_id) == tokens
    }


def random_log_probs(*shape: int, seed: int = 0, scale: float = 2.0, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(*shape, generator=generator) * scale).to(dtype).log_softmax(-1)


def one(log_probs_TV: Tensor, tokens: list[int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A batch of one utterance."""
    num_frames, num_tokens = torch.tensor([len(log_probs_TV)]), torch.tensor([len(tokens)])
    return log_probs_TV[None], num_frames, torch.tensor([tokens], dtype=torch.int64), num_tokens


def spans_to_path(alignment: ctc.Alignment, tokens: list[int], num_frames: int, blank_id: int) -> list[int]:
    path = [blank_id] * num_frames
    for u, token in enumerate(tokens):
        start, end = int(alignment.start_frames[0, u]), int(alignment.end_frames[0, u])
        path[start:end] = [token] * (end - start)
    return path


@st.composite
def small_cases(draw: st.DrawFn) -> tuple[Tensor, list[int], int]:
    """Log-probs (T, V) float64, tokens and blank with T, U <= 4; some with probability zero."""
    num_frames, blank_id = draw(st.integers(1, 4)), draw(st.integers(0, NUM_LABELS - 1))
    others = [label for label in range(NUM_LABELS) if label != blank_id]
    tokens = draw(st.lists(st.sampled_from(others), max_size=4))
    values = random_log_probs(num_frames, NUM_LABELS, seed=draw(st.integers(0, 10**6)), dtype=torch.float64)
    if draw(st.booleans()):
        values[draw(st.integers(0, num_frames - 1)), draw(st.integers(0, NUM_LABELS - 1))] = -math.inf
    return values, tokens, blank_id


@settings(max_examples=60, deadline=None)
@given(small_cases())
def test_loss_equals_the_sum_over_all_paths(case: tuple[Tensor, list[int], int]) -> None:
    values, tokens, blank_id = case
    paths = all_paths(values, tokens, blank_id)
    total = torch.logsumexp(torch.tensor([*paths.values(), -math.inf], dtype=torch.float64), 0)
    loss = ctc.ctc_loss(*one(values, tokens), blank_id=blank_id)
    assert loss.item() == pytest.approx(-total.item(), rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(small_cases())
def test_occupation_and_gradient_equal_the_posteriors_of_all_paths(case: tuple[Tensor, list[int], int]) -> None:
    values, tokens, blank_id = case
    paths = {path: score for path, score in all_paths(values, tokens, blank_id).items() if score > -math.inf}
    values.requires_grad_()
    ctc.ctc_loss(*one(values, tokens), blank_id=blank_id).sum().backward()
    expected = np.zeros(values.shape)
    total = sum(math.exp(score) for score in paths.values())
    for path, score in paths.items():
        expected[np.arange(len(path)), path] += math.exp(score) / total
    assert values.grad is not None
    np.testing.assert_allclose(values.grad.numpy(), -expected, atol=1e-9)
    if paths:
        gamma_TS = ctc.occupation(values.detach(), tokens, blank_id=blank_id)
        np.testing.assert_allclose(gamma_TS.sum(axis=1), 1.0, atol=1e-9)
        np.testing.assert_allclose(gamma_TS[:, 0::2].sum(axis=1), expected[:, blank_id], atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(small_cases())
def test_alignment_is_the_best_of_all_paths(case: tuple[Tensor, list[int], int]) -> None:
    values, tokens, blank_id = case
    values = values.float().double()  # the aligner reads float32
    best = max(all_paths(values, tokens, blank_id).values(), default=-math.inf)
    if best == -math.inf:
        with pytest.raises(SpeechkitError):
            ctc.forced_align(*one(values, tokens), blank_id=blank_id)
        return
    alignment = ctc.forced_align(*one(values, tokens), blank_id=blank_id)
    path = spans_to_path(alignment, tokens, len(values), blank_id)
    assert collapse(tuple(path), blank_id) == tokens
    assert float(alignment.log_prob[0]) == pytest.approx(best, abs=1e-9)
    assert sum(values[t, label].item() for t, label in enumerate(path)) == pytest.approx(best, abs=1e-9)


def batch(num_utterances: int = 6, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Padded logits with many repeated tokens, frame counts, tokens, token counts."""
    generator = torch.Generator().manual_seed(5)
    logits = torch.randn(num_utterances, 60, 7, generator=generator).to(dtype)
    tokens = torch.randint(1, 7, (num_utterances, 14), generator=generator)
    num_frames = torch.randint(40, 61, (num_utterances,), generator=generator)
    num_tokens = torch.randint(0, 15, (num_utterances,), generator=generator)
    return logits, num_frames, tokens, num_tokens


@pytest.mark.parametrize(
    ("dtype", "loss_tolerance", "grad_tolerance"), [(torch.float32, 1e-4, 1e-4), (torch.float64, 1e-9, 1e-9)]
)
def test_loss_and_gradient_equal_torch(dtype: torch.dtype, loss_tolerance: float, grad_tolerance: float) -> None:
    logits, num_frames, tokens, num_tokens = batch(dtype=dtype)
    weights = torch.linspace(0.5, 2.0, len(logits), dtype=dtype)
    logits.requires_grad_()
    ours = ctc.ctc_loss(logits.log_softmax(-1), num_frames, tokens, num_tokens)
    (our_grad,) = torch.autograd.grad((ours * weights).sum(), logits)
    log_probs_TBV = logits.log_softmax(-1).transpose(0, 1)
    theirs = F.ctc_loss(log_probs_TBV, tokens, num_frames, num_tokens, reduction="none")
    (their_grad,) = torch.autograd.grad((theirs * weights).sum(), logits)
    torch.testing.assert_close(ours, theirs, rtol=loss_tolerance, atol=0.0)
    torch.testing.assert_close(our_grad, their_grad, rtol=0.0, atol=grad_tolerance)


def test_gradient_passes_gradcheck() -> None:
    values = random_log_probs(2, 5, 4, dtype=torch.float64).requires_grad_()
    rest = torch.tensor([5, 4]), torch.tensor([[1, 1], [2, 3]]), torch.tensor([2, 1])
    assert torch.autograd.gradcheck(lambda x: ctc.ctc_loss(x, *rest), (values,))


def test_loss_is_infinite_with_zero_gradient_when_frames_are_fewer_than_required() -> None:
    values = random_log_probs(3, 4, 3).requires_grad_()
    loss = ctc.ctc_loss(
        values, torch.tensor([4, 2, 0]), torch.tensor([[1, 1, 2], [1, 1, 0], [0, 0, 0]]), torch.tensor([3, 2, 0])
    )
    assert torch.isfinite(loss).tolist() == [True, False, True]
    loss.mean().backward()
    assert values.grad is not None
    assert torch.isfinite(values.grad).all()
    assert values.grad[1:].abs().sum() == 0
    assert values.grad[0].abs().sum() > 0


def test_frames_and_tokens_in_the_padding_change_nothing() -> None:
    logits, num_frames, tokens, num_tokens = batch()
    values = logits.log_softmax(-1)
    padded, longer = values.clone(), tokens.clone()
    for b in range(len(values)):
        padded[b, num_frames[b] :] = float("nan")
        longer[b, num_tokens[b] :] = -1
    before = ctc.ctc_loss(values, num_frames, tokens, num_tokens)
    torch.testing.assert_close(ctc.ctc_loss(padded, num_frames, longer, num_tokens), before, rtol=0.0, atol=0.0)
    a = ctc.forced_align(values, num_frames, tokens, num_tokens)
    b = ctc.forced_align(padded, num_frames, longer, num_tokens)
    assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_nan_log_probs_give_a_nan_loss_not_an_infinite_one() -> None:
    values = random_log_probs(5, 4)
    values[2] = float("nan")
    assert torch.isnan(ctc.ctc_loss(*one(values, [1, 2]))).all()
    with pytest.raises(SpeechkitError, match="position 0 of the batch"):
        ctc.forced_align(*one(values, [1, 2]))


def test_scores_equal_torchaudio_forced_align() -> None:
    functional = pytest.importorskip("torchaudio.functional")
    logits, num_frames, tokens, num_tokens = batch()
    num_tokens = num_tokens.clamp(min=1)
    values = logits.log_softmax(-1)
    ours = ctc.forced_align(values, num_frames, tokens, num_tokens)
    for b in range(len(values)):
        labels = tokens[b : b + 1, : num_tokens[b]]
        path, scores = functional.forced_align(values[b : b + 1, : num_frames[b]], labels.int())
        mine = ctc.Alignment(ours.start_frames[b : b + 1], ours.end_frames[b : b + 1], ours.log_prob[b : b + 1])
        assert float(mine.log_prob[0]) == pytest.approx(scores.sum().item(), abs=1e-3)
        assert spans_to_path(mine, labels[0].tolist(), int(num_frames[b]), 0) == path[0].tolist()


@pytest.mark.parametrize("scale", [0.3, 6.0])
def test_pruned_alignment_of_long_audio_is_the_full_one(scale: float, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(8):
        values = random_log_probs(80, 6, seed=seed, scale=scale)
        tokens = torch.randint(1, 6, (25,), generator=torch.Generator().manual_seed(seed)).tolist()
        full = ctc.forced_align(*one(values, tokens))
        with monkeypatch.context() as patch:
            patch.setattr(ctc_align, "MAX_FULL_CELLS", 0)
            patch.setattr(ctc_align, "FIRST_BEAM", 0.5)  # too narrow for some: the beam must grow
            pruned = ctc.forced_align(*one(values, tokens))
        assert all(torch.equal(x, y) for x, y in zip(full, pruned, strict=True))


def test_ties_stay_in_the_token_and_end_in_the_last_blank() -> None:
    values = torch.full((4, 2), math.log(0.5))
    alignment = ctc.forced_align(*one(values, [1]))
    assert alignment.start_frames.tolist() == [[0]]
    assert alignment.end_frames.tolist() == [[1]]


def test_alignment_lists_the_utterances_that_are_too_short() -> None:
    values = random_log_probs(3, 4, 3)
    with pytest.raises(SpeechkitError) as caught:
        ctc.forced_align(
            values, torch.tensor([4, 2, 1]), torch.tensor([[1, 2], [1, 1], [1, 2]]), torch.tensor([2, 2, 2])
        )
    assert caught.value.where == [
        "position 1 of the batch: 2 frames, 3 needed",
        "position 2 of the batch: 1 frames, 2 needed",
    ]


@pytest.mark.parametrize("tokens", [[0], [3], [-1]])
def test_tokens_outside_the_vocabulary_or_blank_are_refused(tokens: list[int]) -> None:
    with pytest.raises(SpeechkitError, match=r"expected: lengths within the tensors, tokens in \[0, 3\)"):
        ctc.ctc_loss(*one(random_log_probs(4, 3), tokens))


def test_lengths_beyond_the_tensors_and_missing_rows_are_refused() -> None:
    values = random_log_probs(1, 4, 3)
    with pytest.raises(SpeechkitError, match="5 frames of 4, 2 tokens of 1"):
        ctc.ctc_loss(values, torch.tensor([5]), torch.tensor([[1]]), torch.tensor([2]))
    with pytest.raises(SpeechkitError, match="expected: one of each per utterance"):
        ctc.ctc_loss(values, torch.tensor([4, 4]), torch.tensor([[1]]), torch.tensor([1]))


def test_occupation_refuses_tokens_that_do_not_fit() -> None:
    with pytest.raises(SpeechkitError, match="at least 3 frames"):
        ctc.occupation(random_log_probs(2, 3), [1, 1])


@given(st.lists(st.integers(1, 3), max_size=8))
def test_required_frames_is_the_least_that_gives_a_finite_loss(tokens: list[int]) -> None:
    needed = ctc.required_frames(tokens)
    assert needed == ctc.required_frames(torch.tensor(tokens)) == ctc.required_frames(np.array(tokens))
    values = random_log_probs(max(1, needed), 4)
    assert torch.isfinite(ctc.ctc_loss(*one(values, tokens))).all()
    if needed > 0:
        assert torch.isposinf(ctc.ctc_loss(*one(values[:-1], tokens))).all()


def test_warm_compiles_the_types_that_training_and_alignment_use() -> None:
    ctc.warm()
    kernels = (ctc_lattice.forward, ctc_lattice.occupation, ctc_viterbi.best_path)
    compiled = [len(kernel.signatures) for kernel in kernels]  # type: ignore[attr-defined]
    values = random_log_probs(6, 4).requires_grad_()
    ctc.ctc_loss(*one(values, [1, 2])).sum().backward()
    ctc.forced_align(*one(values, [1, 2]))
    assert [len(kernel.signatures) for kernel in kernels] == compiled  # type: ignore[attr-defined]
