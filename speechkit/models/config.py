"""The models to choose from, by `kind`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from speechkit.config import LATER, Config
from speechkit.nn.config import AttentionDecoderConfig, DsConvConfig, EncoderConfig, TransformerConfig


class FrameLossConfig(Config):
    """Cross-entropy on the frames of known word times: it breaks the blank plateau of CTC on small corpora."""

    weight: float = Field(1.0, ge=0, description="weight at the start; 0 switches it off")
    end_share: float = Field(0.6, ge=0, le=1, description="share of training after which the weight has fallen to 0")


class StarConfig(Config):
    """CTC that may put a star in place of a word, or into a gap (`kernels/ctc_star.py`): for transcripts with faults.

    The log weights of the stars go from their first to their last value in equal steps.
    """

    word_weight: float = Field(
        -12.0, le=20, description="star in place of a word, at the start: none of the text is doubted"
    )
    word_weight_end: float = Field(-2.0, le=20, description="the same from `end_share` on")
    gap_weight: float = Field(-12.0, le=20, description="star in a gap, at the start")
    gap_weight_end: float = Field(-2.0, le=20, description="the same from `end_share` on")
    end_share: float = Field(0.5, gt=0, le=1, description="share of training after which the last weights hold")


class _EncoderModelConfig(Config):
    encoder: EncoderConfig = Field(DsConvConfig(), description="kind: ds_conv, conv_blstm or fastconformer")
    frame_loss: FrameLossConfig = Field(
        FrameLossConfig(), description="auxiliary loss, used where word times are known"
    )
    star: StarConfig | None = Field(
        None, description="doubt the transcripts; `word_weights` of a manifest say which words", json_schema_extra=LATER
    )


class CtcConfig(_EncoderModelConfig):
    """Connectionist temporal classification (Graves et al. 2006) on an encoder."""

    kind: Literal["ctc"] = "ctc"


class AedConfig(_EncoderModelConfig):
    """Attention encoder-decoder (Chan et al. 2016) with an auxiliary CTC output (Watanabe et al. 2017)."""

    kind: Literal["aed"] = "aed"
    decoder: AttentionDecoderConfig = Field(AttentionDecoderConfig(), description="LSTM with location-aware attention")
    ctc_weight: float = Field(0.3, ge=0, lt=1, description="share of the CTC loss; the rest is the decoder's")
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="share of the decoder's target spread over all tokens")
    sampling: float = Field(
        0.0, ge=0, le=1, description="share of the decoder's inputs drawn from itself at the end; rises from 0"
    )


class UlmConfig(TransformerConfig):
    """A language model of units (Lakhotia et al. 2021)."""

    kind: Literal["ulm"] = "ulm"
    architecture: Literal["decoder", "encoder_decoder"] = Field(
        "decoder", description="next units from those before, or units restored from a masked copy"
    )
    num_encoder_layers: int = Field(4, ge=1, description="layers of the encoder, where there is one")
    readout_share: float = Field(
        0.0, ge=0, le=1, description="share of training examples whose units are to be named behind the separator"
    )
    readout_units: int = Field(8, ge=1, description="units to name, at most")
    readout_order: Literal["random", "spoken", "both"] = Field(
        "random", description="distinct units in random order, every n-th unit as spoken, or one or the other by chance"
    )
    mask_share: float = Field(0.3, gt=0, lt=1, description="share of the units masked for an encoder-decoder")
    mask_span: float = Field(3.5, gt=1, description="mean units in a masked span")
    suffix_share: float = Field(
        0.1, ge=0, le=1, description="share of an encoder-decoder's examples with all units behind a place masked"
    )


def _kind(value: Any) -> str:
    return str(value.get("kind", "ctc") if isinstance(value, dict) else getattr(value, "kind", "ctc"))


# not a plain discriminator: a config without `kind` means CTC
ModelConfig = Annotated[Annotated[CtcConfig, Tag("ctc")] | Annotated[AedConfig, Tag("aed")], Discriminator(_kind)]
