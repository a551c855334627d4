"""Every encoder: padding cannot leak, frames are counted right, gradients reach every weight."""

from __future__ import annotations

import pytest
import torch

from speechkit.nn.config import ConvBlstmConfig, DsConvConfig, EncoderConfig, FastConformerConfig
from speechkit.nn.encoder import encoder_frames, make_encoder

ENCODERS: dict[str, EncoderConfig] = {
    "ds_conv 4x": DsConvConfig(dim=16, num_blocks=2, subsampling=4, subsampling_channels=4),
    "ds_conv 2x plain": DsConvConfig(dim=16, num_blocks=1, gated=False, subsampling=2, subsampling_channels=4),
    "conv_blstm 6x": ConvBlstmConfig(dim=16),
    "conv_blstm 2x": ConvBlstmConfig(dim=16, stack=2, stride=1, num_layers=2),
    "fastconformer 8x": FastConformerConfig(dim=16, num_blocks=2, num_heads=2, subsampling=8, subsampling_channels=4),
    "fastconformer 4x": FastConformerConfig(dim=16, num_blocks=1, num_heads=4, subsampling=4, subsampling_channels=4),
}
each_encoder = pytest.mark.parametrize("config", ENCODERS.values(), ids=ENCODERS)


@each_encoder
def test_a_padded_utterance_is_encoded_as_it_is_alone(config: EncoderConfig) -> None:
    torch.manual_seed(0)
    encoder = make_encoder(20, config).eval()
    sizes = torch.tensor([57, 96, 33])
    x_BTF = torch.randn(3, 96, 20)
    for row, size in zip(x_BTF, sizes.tolist(), strict=True):
        row[size:] = 0.0
    together, frames = encoder(x_BTF, sizes)
    for index, size in enumerate(sizes.tolist()):
        alone, count = encoder(x_BTF[index : index + 1, :size], sizes[index : index + 1])
        assert int(count) == int(frames[index])
        torch.testing.assert_close(together[index, : int(count)], alone[0, : int(count)], atol=1e-5, rtol=1e-4)


@each_encoder
@pytest.mark.parametrize("size", [1, 7, 8, 9, 50, 51, 52, 53])
def test_frames_after_subsampling_are_foretold(config: EncoderConfig, size: int) -> None:
    encoder = make_encoder(20, config).eval()
    out_BTD, frames = encoder(torch.randn(1, size, 20), torch.tensor([size]))
    assert int(frames) == out_BTD.shape[1] == encoder_frames(size, config)
    assert out_BTD.shape[2] == encoder.dim
    assert 0 <= encoder.factor * out_BTD.shape[1] - size < encoder.factor  # type: ignore[operator]


@each_encoder
def test_gradients_reach_every_weight(config: EncoderConfig) -> None:
    torch.manual_seed(0)
    encoder = make_encoder(20, config)
    encoder(torch.randn(2, 40, 20), torch.tensor([40, 31]))[0].square().sum().backward()
    silent = [name for name, p in encoder.named_parameters() if p.grad is None or not p.grad.any()]
    # a bias right before a normalisation has no effect by construction
    assert [name for name in silent if not name.endswith("bias")] == []


def test_attention_sees_order_but_not_absolute_place() -> None:
    from speechkit.nn.conformer import RotaryAttention

    torch.manual_seed(0)
    attention = RotaryAttention(16, 2, 0.0).eval()
    x_BTD = torch.randn(1, 6, 16)
    mask = torch.ones(1, 6, dtype=torch.bool)
    shifted = torch.cat([torch.zeros(1, 3, 16), x_BTD], dim=1)
    shifted_mask = torch.cat([torch.zeros(1, 3, dtype=torch.bool), mask], dim=1)
    torch.testing.assert_close(attention(x_BTD, mask), attention(shifted, shifted_mask)[:, 3:], atol=1e-5, rtol=1e-4)
    swapped = attention(x_BTD[:, [1, 0, 2, 3, 4, 5]], mask)
    assert not torch.allclose(attention(x_BTD, mask)[:, 2], swapped[:, 2], atol=1e-4)
