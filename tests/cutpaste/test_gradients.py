"""Gradients per utterance against autograd on one utterance at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from speechkit.cutpaste import gradients
from speechkit.cutpaste.choose import output_layer
from speechkit.cutpaste.gradients import gradient_features
from speechkit.data.batch import Batch
from speechkit.models.aed import AedModel
from speechkit.models.config import AedConfig, CtcConfig
from speechkit.models.ctc import CtcModel
from speechkit.nn.config import AttentionDecoderConfig, ConvBlstmConfig

CPU = torch.device("cpu")


def _model(num_tokens: int = 6) -> CtcModel:
    torch.manual_seed(0)
    return CtcModel(CtcConfig(encoder=ConvBlstmConfig(dim=8, num_layers=1)), num_mels=10, num_tokens=num_tokens)


def _batch(sizes: list[int], texts: list[list[int]], seed: int = 0) -> Batch:
    torch.manual_seed(seed)
    features = torch.zeros(len(sizes), max(sizes), 10)
    tokens = torch.zeros(len(sizes), max(map(len, texts)), dtype=torch.int64)
    for row, size, text in zip(range(len(sizes)), sizes, texts, strict=True):
        features[row, :size] = torch.randn(size, 10)
        tokens[row, : len(text)] = torch.tensor(text)
    num_tokens = torch.tensor([len(text) for text in texts])
    return Batch([str(size) for size in sizes], features, torch.tensor(sizes), tokens, num_tokens, None, 1.0)


def _alone(batch: Batch, row: int) -> Batch:
    size, length = int(batch.num_frames_B[row]), int(batch.num_tokens_B[row])
    return Batch(
        [batch.utt_ids[row]],
        batch.features_BTF[row : row + 1, :size],
        batch.num_frames_B[row : row + 1],
        batch.tokens_BU[row : row + 1, :length],
        batch.num_tokens_B[row : row + 1],
        None,
        1.0,
    )


def _attention_model(sampling: float) -> AedModel:
    torch.manual_seed(0)
    decoder = AttentionDecoderConfig(dim=8, embedding_dim=4, attention_dim=8)
    config = AedConfig(encoder=ConvBlstmConfig(dim=8, num_layers=1), decoder=decoder, sampling=sampling)
    return AedModel(config, num_mels=10, num_tokens=6)


@pytest.mark.parametrize("kind", ["ctc", "attention", "attention that samples"])
def test_rows_are_the_gradients_of_single_utterances(kind: str) -> None:
    model = _model() if kind == "ctc" else _attention_model(0.5 if kind.endswith("samples") else 0.0)
    layer = output_layer(model)
    batch = _batch([90, 60, 75], [[1, 2, 3], [4, 4], [5]])
    found = gradient_features(model, layer, [batch], device=CPU)
    model.eval()
    for row in range(3):
        loss = model.loss(_alone(batch, row), progress=1.0).total
        weight, bias = torch.autograd.grad(loss, [layer.weight, layer.bias])
        expected = torch.cat([weight, bias[:, None]], 1).flatten().numpy()
        np.testing.assert_allclose(found[row], expected, atol=2e-6)
        assert np.abs(expected).max() > 1e-3


def test_rows_do_not_depend_on_the_batches_and_the_mode_comes_back() -> None:
    model, batch = _model(), _batch([90, 60], [[1, 2, 3], [4, 4]])
    model.train()
    together = gradient_features(model, model.output, [batch], device=CPU)
    apart = gradient_features(model, model.output, [_alone(batch, 0), _alone(batch, 1)], device=CPU)
    np.testing.assert_allclose(together, apart, atol=2e-6)
    assert model.training


def test_a_large_gradient_is_projected_and_keeps_inner_products(monkeypatch: pytest.MonkeyPatch) -> None:
    model = _model(num_tokens=300)
    batch = _batch([90, 60, 75, 80], [[1, 2, 3], [1, 2, 3], [250, 251], [40]], seed=3)
    exact = gradient_features(model, model.output, [batch], device=CPU)
    monkeypatch.setattr(gradients, "EXACT_SIZE", 1000)
    short = gradient_features(model, model.output, [batch], device=CPU)
    assert short.shape[1] < exact.shape[1]
    both = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (exact, short)]
    np.testing.assert_allclose(both[0] @ both[0].T, both[1] @ both[1].T, atol=0.15)
    assert np.array_equal(short, gradient_features(model, model.output, [batch], device=CPU))
