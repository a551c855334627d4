"""The encoders to choose from, by `kind`, and the attention decoder."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from speechkit.config import Config

Dropout = Annotated[float, Field(ge=0.0, lt=1.0)]


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError(f"{value} is even; an odd width keeps the number of frames")
    return value


Kernel = Annotated[int, Field(ge=1), AfterValidator(_odd)]
Factor = Literal[2, 4, 8]


class DsConvConfig(Config):
    """Depthwise-separable residual convolutions: fast on a CPU, no recurrence."""

    kind: Literal["ds_conv"] = "ds_conv"
    dim: int = Field(160, ge=8, description="width of the encoder")
    num_blocks: int = Field(6, ge=1, description="residual blocks")
    kernel: Kernel = Field(9, description="width of the depthwise convolution in encoder frames, odd")
    gated: bool = Field(True, description="gated blocks as in the Conformer; plain ones cost a third per block")
    subsampling: Factor = Field(4, description="feature frames per encoder frame")
    subsampling_channels: int = Field(32, ge=1, description="channels of the 2-D convolutions in front")
    dropout: Dropout = Field(0.1, description="dropout in each block")


class ConvBlstmConfig(Config):
    """Strided convolutions, then a bidirectional LSTM."""

    kind: Literal["conv_blstm"] = "conv_blstm"
    dim: int = Field(192, ge=8, description="width of the convolutions; the LSTM has half of it in each direction")
    num_layers: int = Field(1, ge=1, description="LSTM layers; one leaves the blank plateau sooner on small corpora")
    stack: int = Field(3, ge=1, description="feature frames stacked before the first convolution")
    stride: Literal[1, 2] = Field(2, description="stride of the second convolution")
    dropout: Dropout = Field(0.15, description="dropout before and after the LSTM")


class FastConformerConfig(Config):
    """Conformer with 4x or 8x depthwise subsampling and rotary positions (Rekesh et al. 2023)."""

    kind: Literal["fastconformer"] = "fastconformer"
    dim: int = Field(144, ge=8, description="width of the encoder; a multiple of num_heads")
    num_blocks: int = Field(6, ge=1, description="conformer blocks")
    num_heads: int = Field(4, ge=1, description="attention heads")
    ff_factor: int = Field(4, ge=1, description="width of the feed-forward layers, in multiples of dim")
    kernel: Kernel = Field(9, description="width of the depthwise convolution in encoder frames, odd")
    subsampling: Literal[4, 8] = Field(8, description="feature frames per encoder frame")
    subsampling_channels: int = Field(32, ge=1, description="channels of the 2-D convolutions in front")
    dropout: Dropout = Field(0.1, description="dropout in each block")

    @model_validator(mode="after")
    def _check_heads(self) -> FastConformerConfig:
        if self.dim % (2 * self.num_heads):
            raise ValueError(f"dim {self.dim} is not a multiple of 2 * num_heads = {2 * self.num_heads}")
        return self


EncoderConfig = Annotated[DsConvConfig | ConvBlstmConfig | FastConformerConfig, Field(discriminator="kind")]


class AttentionDecoderConfig(Config):
    """An LSTM over the tokens that reads the encoder through location-aware attention."""

    dim: int = Field(96, ge=8, description="cells of the LSTM")
    embedding_dim: int = Field(64, ge=1, description="width of the vectors that stand for the token before")
    attention_dim: int = Field(96, ge=1, description="width in which frames and the decoder's state are compared")
    location_channels: int = Field(10, ge=1, description="filters over the attention of the steps before")
    location_kernel: Kernel = Field(
        61, description="width of these filters in encoder frames, odd; they have to reach the next token"
    )
    dropout: Dropout = Field(0.15, description="dropout of the token vectors and before the output")
