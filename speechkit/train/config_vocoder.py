"""The configuration of `speechkit units vocoder-train`."""

from __future__ import annotations

from pydantic import Field

from speechkit.data.config_batch import TokenBatchConfig
from speechkit.train.config import LoopConfig, OptimConfig


class VocoderConfig(LoopConfig):
    """A small vocoder: units to log-mel bands by convolutions, bands to audio by Griffin-Lim."""

    dim: int = Field(128, ge=8, description="channels of the network")
    num_blocks: int = Field(4, ge=1, description="residual blocks; their reach doubles from one to the next, up to 8")
    kernel: int = Field(5, ge=3, le=15, description="frames that a convolution sees")
    dropout: float = Field(0.05, ge=0, lt=1, description="dropout of every block")
    num_mels: int = Field(64, ge=8, le=256, description="mel bands")
    frame_ms: float = Field(32.0, gt=0, description="length of the Hann window; at least twice the hop")
    max_hop_ms: float = Field(10.0, gt=0, description="units that last longer get more than one frame each")
    segment_frames: int = Field(400, ge=20, description="longer utterances are learned in pieces of this length")
    any_speaker: float = Field(
        0.3, ge=0, le=1, description="share of training pieces whose speaker is hidden, for a voice without a name"
    )
    held_out: float = Field(0.05, gt=0, lt=1, description="share of the utterances that only measure the result")
    batch: TokenBatchConfig = Field(TokenBatchConfig(max_tokens=3000), description="batches; a token is a frame")
    optim: OptimConfig = Field(
        OptimConfig(num_steps=360, warmup_steps=18, flat_share=0.0, weight_decay=0.01, clip_norm=1.0),
        description="optimiser",
    )
