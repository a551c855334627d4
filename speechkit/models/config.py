"""The models to choose from, by `kind`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from speechkit.config import Config
from speechkit.nn.config import DsConvConfig, EncoderConfig


class FrameLossConfig(Config):
    """Cross-entropy on the frames of known word times: it breaks the blank plateau of CTC on small corpora."""

    weight: float = Field(1.0, ge=0, description="weight at the start; 0 switches it off")
    end_share: float = Field(0.6, ge=0, le=1, description="share of training after which the weight has fallen to 0")


class CtcConfig(Config):
    """Connectionist temporal classification (Graves et al. 2006) on an encoder."""

    kind: Literal["ctc"] = "ctc"
    encoder: EncoderConfig = Field(DsConvConfig(), description="kind: ds_conv, conv_blstm or fastconformer")
    frame_loss: FrameLossConfig = Field(
        FrameLossConfig(), description="auxiliary loss, used where word times are known"
    )


ModelConfig = CtcConfig
