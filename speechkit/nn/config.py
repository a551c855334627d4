"""The encoders to choose from, by `kind`, the attention decoder, and the transformer of unit language models."""

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


class TransformerConfig(Config):
    """A transformer over tokens; the defaults are GPT-NeoX with tied embeddings, the rest describes imported ones."""

    dim: int = Field(128, ge=2, description="width of the model")
    num_layers: int = Field(4, ge=1, description="layers; of a model with an encoder, those of its decoder")
    num_heads: int = Field(4, ge=1, description="attention heads")
    num_kv_heads: int | None = Field(None, ge=1, description="heads of keys and values; null: one for each query head")
    head_dim: int | None = Field(None, ge=2, description="width of a head; null: dim / num_heads")
    ff_dim: int = Field(512, ge=1, description="width of the feed-forward layers")
    activation: Literal["gelu", "gelu_tanh", "relu", "swiglu"] = Field("gelu", description="of the feed-forward layers")
    norm: Literal["layer", "rms"] = Field("layer", description="layer norm, or root mean square norm without bias")
    norm_eps: float = Field(1e-5, gt=0, description="added to the variance")
    is_pre_norm: bool = Field(
        True, description="norms stand in front of attention and feed-forward, else behind the sum"
    )
    has_final_norm: bool = Field(True, description="a norm after the last layer")
    has_qkv_bias: bool = Field(True, description="queries, keys and values have a bias")
    has_bias: bool = Field(True, description="the other linear layers have a bias")
    positions: Literal["rotary", "sinusoidal", "learned"] = Field("rotary", description="how positions are told")
    rotary_base: float = Field(10_000.0, gt=1, description="longest wavelength of rotary positions, over 2 pi")
    max_positions: int = Field(1024, ge=1, description="longest sequence with learned positions; others have no limit")
    position_offset: int = Field(0, ge=0, description="number of the first position: 2 in fairseq, OPT and mBART")
    embedding_dim: int | None = Field(None, ge=1, description="width of embeddings that are projected; null: dim")
    embedding_scale: float = Field(1.0, gt=0, description="factor of the embeddings")
    has_embedding_norm: bool = Field(False, description="a norm of the embeddings with their positions")
    is_tied: bool = Field(True, description="the output layer shares the embeddings")
    dropout: Dropout = Field(0.1, description="dropout of the embeddings and in front of each sum")

    @model_validator(mode="after")
    def _check_widths(self) -> TransformerConfig:
        if self.head_dim is None and self.dim % self.num_heads:
            raise ValueError(f"dim {self.dim} is not a multiple of num_heads {self.num_heads}")
        if self.num_heads % self.kv_heads:
            raise ValueError(f"num_heads {self.num_heads} is not a multiple of num_kv_heads {self.kv_heads}")
        if self.positions == "rotary" and self.head_width % 2:
            raise ValueError(f"heads of {self.head_width} values can not be rotated: an even width is needed")
        return self

    @property
    def kv_heads(self) -> int:
        """Heads of keys and values."""
        return self.num_kv_heads or self.num_heads

    @property
    def head_width(self) -> int:
        """Values in a head."""
        return self.head_dim or self.dim // self.num_heads

    @property
    def query_dim(self) -> int:
        """Values of all query heads."""
        return self.num_heads * self.head_width

    @property
    def key_dim(self) -> int:
        """Values of all heads of keys, and of values."""
        return self.kv_heads * self.head_width
