"""The CTC model: its loss against the plain definition, the frame loss and its schedule."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from speechkit.data.batch import IGNORED_LABEL, Batch
from speechkit.models.config import CtcConfig, FrameLossConfig
from speechkit.models.ctc import CtcModel
from speechkit.models.table import make_model
from speechkit.nn.config import ConvBlstmConfig, DsConvConfig, EncoderConfig


def _model(weight: float = 0.0, end_share: float = 0.5) -> CtcModel:
    torch.manual_seed(0)
    encoder = DsConvConfig(dim=16, num_blocks=1, subsampling=4, subsampling_channels=4, dropout=0.0)
    config = CtcConfig(encoder=encoder, frame_loss=FrameLossConfig(weight=weight, end_share=end_share))
    model = make_model(config, num_mels=20, num_tokens=5)
    assert isinstance(model, CtcModel)
    return model


def _batch(labels: Tensor | None = None) -> Batch:
    generator = torch.Generator().manual_seed(0)
    return Batch(
        utt_ids=["a", "b"],
        features_BTF=torch.randn(2, 40, 20, generator=generator),
        num_frames_B=torch.tensor([40, 40]),
        tokens_BU=torch.tensor([[1, 2, 2], [3, 0, 0]]),
        num_tokens_B=torch.tensor([3, 1]),
        frame_labels_BT=labels,
        audio_seconds=0.8,
    )


def test_loss_is_the_sum_over_utterances_divided_by_tokens() -> None:
    from speechkit.kernels.ctc import ctc_loss

    model, batch = _model(), _batch()
    total = model.loss(batch, progress=0.0).total.detach()
    with torch.no_grad():
        log_probs, frames = model(batch.features_BTF, batch.num_frames_B)
        ours = ctc_loss(log_probs, frames, batch.tokens_BU, batch.num_tokens_B).sum() / 4
    assert float(total) == pytest.approx(float(ours), rel=1e-4)


def test_log_probs_are_normalised() -> None:
    log_probs, _ = _model().eval()(_batch().features_BTF, _batch().num_frames_B)
    torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(log_probs.shape[:2]))


def test_frame_loss_falls_linearly_to_zero() -> None:
    model = _model(weight=2.0, end_share=0.5)
    batch = _batch(torch.ones(2, 40, dtype=torch.int64))
    plain = float(_model(weight=0.0).loss(batch, progress=0.0).total.detach())
    extra = [float(model.loss(batch, progress=p).total.detach()) - plain for p in (0.0, 0.25, 0.5, 1.0)]
    assert extra[0] > 0.1 and extra[1] == pytest.approx(extra[0] / 2, rel=1e-4)
    assert extra[2] == pytest.approx(0.0, abs=1e-6) and extra[3] == pytest.approx(0.0, abs=1e-6)


def test_frames_without_known_words_do_not_count() -> None:
    model = _model(weight=1.0)
    known = torch.ones(2, 40, dtype=torch.int64)
    half = known.clone()
    half[1] = IGNORED_LABEL
    parts = model.loss(_batch(half), progress=0.0).parts
    only_first = model.loss(_batch(known), progress=0.0)
    assert float(parts["frame"]) != pytest.approx(float(only_first.parts["frame"]), rel=1e-6)
    nothing = torch.full((2, 40), IGNORED_LABEL)
    assert float(model.loss(_batch(nothing), progress=0.0).parts["frame"]) == 0.0
    assert "frame" not in model.loss(_batch(None), progress=0.0).parts


def test_one_batch_can_be_learned_by_heart() -> None:
    model, batch = _model(), _batch()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        loss = model.loss(batch, progress=1.0).total
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert float(loss.detach()) < 0.1


def _seen_by_label(model: CtcModel, frame: int, num_frames: int = 67) -> list[int]:
    """Feature frames that the frame loss of one label depends on; its place is known from the gradient alone."""
    features = torch.rand(1, num_frames, 20, generator=torch.Generator().manual_seed(0)).requires_grad_()
    labels = torch.full((1, num_frames), IGNORED_LABEL)
    labels[0, frame] = 1
    frames, one = torch.tensor([num_frames]), torch.tensor([1])
    model.loss(Batch(["a"], features, frames, one[None], one, labels, 0.6), progress=0.0).total.backward()  # type: ignore[no-untyped-call]
    assert features.grad is not None
    return features.grad[0].abs().sum(-1).nonzero().flatten().tolist()  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "encoder",
    [
        DsConvConfig(dim=8, num_blocks=1, kernel=3, subsampling=4, subsampling_channels=4),
        DsConvConfig(dim=8, num_blocks=1, kernel=3, subsampling=8, subsampling_channels=4),
        ConvBlstmConfig(dim=8, stack=3, stride=2),
        ConvBlstmConfig(dim=8, stack=3, stride=1),
        ConvBlstmConfig(dim=8, stack=1, stride=2),
    ],
    ids=["4x", "8x", "3x2", "3x1", "1x2"],
)
def test_a_frame_label_teaches_the_encoder_frame_that_is_centred_on_it(encoder: EncoderConfig) -> None:
    torch.manual_seed(0)
    model = make_model(CtcConfig(encoder=encoder), num_mels=20, num_tokens=5).eval()
    assert isinstance(model, CtcModel)
    for name, parameter in model.encoder.named_parameters():
        parameter.data.abs_().mul_(0.2)  # no rectifier and no saturation may hide what is seen
        if "weight_hh" in name:
            parameter.data.zero_()
        elif "lstm.bias" in name:
            parameter.data[4:8] = -1e9  # the forget gate: no memory of other frames
    model.output.weight.data.zero_()  # the CTC loss takes no part
    seen = {frame: _seen_by_label(model, frame) for frame in range(26, 26 + int(model.encoder.factor))}  # type: ignore[arg-type]
    [(label, frames)] = [(label, frames) for label, frames in seen.items() if frames]
    assert len(frames) > 2 and (frames[0] + frames[-1]) / 2 == label
