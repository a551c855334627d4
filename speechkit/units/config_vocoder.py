"""Settings of vocoders; imports nothing heavier than pydantic."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from speechkit.config import NEUTRAL, Config


class VocoderConfig(Config):
    """A small vocoder: units to log-mel bands by convolutions, bands to audio by Griffin-Lim."""

    dim: int = Field(128, ge=8, description="channels of the network")
    num_blocks: int = Field(4, ge=1, description="residual blocks; their reach doubles from one to the next, up to 8")
    kernel: int = Field(5, ge=3, le=15, description="frames that a convolution sees")
    dropout: float = Field(0.05, ge=0, lt=1, description="dropout of every block")
    num_mels: int = Field(64, ge=8, le=256, description="mel bands")
    frame_ms: float = Field(32.0, gt=0, description="length of the Hann window; at least twice the hop")
    max_hop_ms: float = Field(10.0, gt=0, description="units that last longer get more than one frame each")
    num_steps: int = Field(360, ge=1, description="updates")
    batch_frames: int = Field(3000, ge=1, description="frames in a batch, padding included")
    segment_frames: int = Field(400, ge=20, description="longer utterances are learned in pieces of this length")
    lr: float = Field(
        3e-3, gt=0, description="highest learning rate; 5 % of the steps rise to it, a cosine falls from it"
    )
    any_speaker: float = Field(
        0.3, ge=0, le=1, description="share of training pieces whose speaker is hidden, for a voice without a name"
    )
    held_out: float = Field(0.05, gt=0, lt=1, description="share of the utterances that only measure the result")
    seed: int = Field(0, description="initial weights, batches, held-out utterances")


class HifiganImportConfig(Config):
    """A unit HiFi-GAN made elsewhere."""

    kind: Literal["hifigan"] = "hifigan"


class ResynthConfig(Config):
    """Units to audio."""

    speaker: str | None = Field(
        None, description="voice: a name or number that the vocoder knows; none: no certain one"
    )
    durations: Literal["given", "predicted"] = Field(
        "given",
        description="run lengths of the units, or those that the vocoder predicts; units without any need these",
    )
    iterations: Annotated[int, Field(ge=1)] = Field(32, description="of Griffin-Lim")
    seed: int = Field(0, description="the phases that Griffin-Lim starts from")
    device: Literal["cpu", "cuda"] = Field("cpu", description="where the network runs", json_schema_extra=NEUTRAL)
