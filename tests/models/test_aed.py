"""The attention encoder-decoder: its loss against the plain definition, padding, learning by heart, its outputs."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from speechkit.config import build_config
from speechkit.data.batch import Batch
from speechkit.errors import ConfigError
from speechkit.models.aed import AedModel
from speechkit.models.config import AedConfig, CtcConfig, FrameLossConfig
from speechkit.models.ctc import CtcModel
from speechkit.models.table import make_model
from speechkit.nn.config import AttentionDecoderConfig, ConvBlstmConfig
from speechkit.train.config import TrainConfig


def _model(**changes: object) -> AedModel:
    torch.manual_seed(0)
    fields: dict[str, object] = {
        "encoder": ConvBlstmConfig(dim=16, dropout=0.0),
        "frame_loss": FrameLossConfig(weight=0.0),
        "decoder": AttentionDecoderConfig(dim=16, embedding_dim=8, attention_dim=16, dropout=0.0),
        "ctc_weight": 0.0,
        "label_smoothing": 0.0,
    }
    model = make_model(AedConfig.model_validate(fields | changes), num_mels=20, num_tokens=5)
    assert isinstance(model, AedModel)
    return model


def _batch(rows: slice = slice(None), labels: Tensor | None = None) -> Batch:
    features = torch.randn(2, 80, 20, generator=torch.Generator().manual_seed(0))
    frames = torch.tensor([80, 62])
    features[1, 62:] = 0.0
    tokens, num_tokens = torch.tensor([[1, 2, 2], [3, 0, 0]]), torch.tensor([3, 1])
    longest_T, longest_U = int(frames[rows].max()), int(num_tokens[rows].max())
    return Batch(
        utt_ids=["a", "b"][rows],
        features_BTF=features[rows, :longest_T],
        num_frames_B=frames[rows],
        tokens_BU=tokens[rows, :longest_U],
        num_tokens_B=num_tokens[rows],
        frame_labels_BT=labels,
        audio_seconds=1.0,
    )


def _log_prob(model: AedModel, batch: Batch, *, row: int, smoothing: float = 0.0) -> float:
    """Log-prob of the right tokens and the end, one step at a time; the smoothed one for label smoothing."""
    x, frames = model.encoder(batch.features_BTF, batch.num_frames_B)
    memory = model.decoder.attention.memory(x[row : row + 1, : int(frames[row])], frames[row : row + 1])
    state, before, total = model.decoder.start(memory), torch.tensor([0]), 0.0
    for token in [*batch.tokens_BU[row, : int(batch.num_tokens_B[row])].tolist(), 0]:
        log_probs, state = model.decoder.step(before, state, memory)
        total += (1 - smoothing) * float(log_probs[0, token]) + smoothing * float(log_probs[0].mean())
        before = torch.tensor([token])
    return total


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_loss_is_the_sum_over_tokens_and_ends_divided_by_their_number(smoothing: float) -> None:
    model, batch = _model(label_smoothing=smoothing), _batch()
    total = model.loss(batch, progress=0.0).total
    with torch.no_grad():
        expected = -sum(_log_prob(model, batch, row=row, smoothing=smoothing) for row in (0, 1)) / 6
    assert float(total.detach()) == pytest.approx(expected, rel=1e-5)


def test_the_share_of_ctc_is_its_weight() -> None:
    batch = _batch()
    attention = float(_model().loss(batch, progress=0.0).total.detach())
    loss = _model(ctc_weight=0.4).loss(batch, progress=0.0)
    assert float(loss.parts["attention"]) == pytest.approx(attention, rel=1e-6)
    expected = 0.6 * attention + 0.4 * float(loss.parts["ctc"])
    assert float(loss.total.detach()) == pytest.approx(expected, rel=1e-6)
    assert "ctc" not in _model().loss(batch, progress=0.0).parts


def test_the_ctc_part_is_the_loss_of_a_ctc_model() -> None:
    model, batch = _model(ctc_weight=0.4), _batch()
    ctc = make_model(CtcConfig(encoder=ConvBlstmConfig(dim=16, dropout=0.0)), num_mels=20, num_tokens=5)
    assert isinstance(ctc, CtcModel)
    ctc.load_state_dict({name: value for name, value in model.state_dict().items() if not name.startswith("decoder")})
    expected = ctc.loss(batch, progress=1.0).total.detach()
    torch.testing.assert_close(model.loss(batch, progress=1.0).parts["ctc"], expected)


def test_the_frame_loss_comes_on_top() -> None:
    labels = torch.ones(2, 80, dtype=torch.int64)
    plain = float(_model().loss(_batch(labels=labels), progress=0.0).total.detach())
    loss = _model(frame_loss=FrameLossConfig(weight=2.0, end_share=0.5)).loss(_batch(labels=labels), progress=0.25)
    assert float(loss.total.detach()) == pytest.approx(plain + float(loss.parts["frame"]), rel=1e-5)


def test_padding_changes_no_loss() -> None:
    model = _model(ctc_weight=0.3)
    together = model.loss(_batch(), progress=0.0)
    first, second = (model.loss(_batch(slice(row, row + 1)), progress=0.0) for row in (0, 1))
    for part, shares in (("attention", (4 / 6, 2 / 6)), ("ctc", (3 / 4, 1 / 4))):
        mean = shares[0] * first.parts[part] + shares[1] * second.parts[part]
        torch.testing.assert_close(together.parts[part], mean, atol=1e-5, rtol=1e-5)


def test_one_batch_can_be_learned_by_heart() -> None:
    model, batch = _model(ctc_weight=0.3), _batch()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    first = model.loss(batch, progress=1.0)
    for _ in range(50):
        optimizer.zero_grad()
        loss = model.loss(batch, progress=1.0)
        loss.total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert float(loss.parts["attention"]) < 0.05 and loss.parts["ctc"] < 0.3 * first.parts["ctc"]
    with torch.no_grad():
        assert _log_prob(model, batch, row=0) > math.log(0.8)


def test_sampling_rises_with_progress() -> None:
    model, batch = _model(sampling=1.0), _batch()

    def losses(progress: float) -> set[float]:
        found = set()
        for seed in range(3):
            torch.manual_seed(seed)
            found.add(float(model.loss(batch, progress=progress).total.detach()))
        return found

    assert len(losses(0.0)) == 1 and len(losses(1.0)) > 1
    model.eval()
    assert len(losses(1.0)) == 1  # what is compared between models or utterances is not drawn


def test_forward_gives_the_log_probs_of_the_ctc_output() -> None:
    model = _model().eval()
    log_probs, frames = model(_batch().features_BTF, _batch().num_frames_B)
    assert log_probs.shape == (2, 14, 5) and frames.tolist() == [14, 11]
    torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(2, 14))
    assert model.heads == ("attention", "ctc") and CtcModel.heads == ("ctc",)


def test_the_kind_of_a_model_is_ctc_unless_said_otherwise() -> None:
    assert build_config(TrainConfig, {"model": {"encoder": {"kind": "ds_conv"}}}).model.kind == "ctc"
    assert build_config(TrainConfig, {"model": {"kind": "aed", "ctc_weight": 0.5}}).model.kind == "aed"
    with pytest.raises(ConfigError, match="expected one of `ctc`, `aed`"):
        build_config(TrainConfig, {"model": {"kind": "aedd"}})
    with pytest.raises(ConfigError, match="did you mean `ctc_weight`"):
        build_config(TrainConfig, {"model": {"kind": "aed", "ctc_weigth": 0.5}})
    with pytest.raises(ConfigError, match=r"unknown key `model\.ctc_weight`"):
        build_config(TrainConfig, {"model": {"ctc_weight": 0.5}})
