"""The table of encoders: `kind` in the config -> class."""

from __future__ import annotations

from typing import Any

from torch import nn

from speechkit.nn.config import EncoderConfig
from speechkit.nn.conformer import FastConformerEncoder
from speechkit.nn.conv import DsConvEncoder
from speechkit.nn.recurrent import ConvBlstmEncoder

ENCODERS: dict[str, Any] = {
    "ds_conv": DsConvEncoder,
    "conv_blstm": ConvBlstmEncoder,
    "fastconformer": FastConformerEncoder,
}


def make_encoder(num_mels: int, config: EncoderConfig) -> nn.Module:
    """An encoder with `dim`, `factor` and `centre`: its frame t stands for feature frame factor * t + centre.

    `forward(features_BTF, num_frames_B)` gives the output (B, T', D) and the encoder frames (B,) int64.
    """
    return ENCODERS[config.kind](num_mels, config)  # type: ignore[no-any-return]


def encoder_frames(num_frames: int, config: EncoderConfig) -> int:
    """Frames left of `num_frames` after subsampling; what CTC feasibility is checked against."""
    if config.kind == "conv_blstm":
        stacked = -(-num_frames // config.stack)
        return (stacked + config.stride - 1) // config.stride
    for _ in range(config.subsampling.bit_length() - 1):
        num_frames = (num_frames + 1) // 2
    return num_frames
