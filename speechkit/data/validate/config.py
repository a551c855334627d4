"""Options of `speechkit data validate`."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic
from pydantic import Field

from speechkit.config import NEUTRAL, Config
from speechkit.data.config import Text

Group = Literal["text", "audio", "timing", "duplicates", "speakers", "leaks"]
Shareable = Literal["speaker", "text"]


def _split_names(value: object) -> object:
    return tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value


Groups = Annotated[tuple[Group, ...], pydantic.BeforeValidator(_split_names)]
Shareables = Annotated[tuple[Shareable, ...], pydantic.BeforeValidator(_split_names)]


class ValidateConfig(Config):
    """What counts as a fault; everything here decides the answer except `cache`."""

    skip: Groups = Field((), description="groups of checks left out: text, audio, timing, duplicates, speakers, leaks")
    may_share: Shareables = Field((), description="what sets may share without a fault: speaker, text")
    format: Literal["auto", "cuts", "kaldi", "tsv"] = Field("auto", description="of the manifests")
    text_column: Text = Field("text", description="column of a table that holds the transcript")
    rate: int | None = Field(None, gt=0, description="Hz every file must have; null: that of nearly all files")
    channels: int | None = Field(
        None, gt=0, description="channels every file must have; null: those of nearly all files"
    )
    majority: float = Field(
        0.9, gt=0.5, le=1, description="from this share on, what most utterances do is the rule and the rest are faults"
    )
    min_for_majority: int = Field(10, ge=2, description="utterances below which there is no majority")
    min_seconds: float = Field(0.05, ge=0, description="shorter audio is a fault")
    max_seconds: float | None = Field(
        None, gt=0, description="longer audio is a fault; null: rare outliers above 30 s and 20 times the median"
    )
    silent_db: float = Field(
        -60.0, le=0, description="audio whose swing stays below this level of full scale is silent"
    )
    quiet_db: float = Field(-40.0, le=0, description="audio with a peak below this level is noted")
    max_clipped_percent: float = Field(0.5, ge=0, le=100, description="share of samples in flat tops")
    max_dc_percent: float = Field(5.0, gt=0, le=100, description="mean of the samples, of full scale")
    min_gap_seconds: float = Field(1.0, gt=0, description="runs of digital zeros from this length on are noted")
    max_symbols_per_second: float = Field(
        35.0, gt=0, description="letters that fit into a second; an ideograph is four"
    )
    tokens: Literal["word", "char"] = Field("word", description="what CTC is checked for when no tokenizer is given")
    tokenizer: Text = Field("", description="folder of `text tokenizer`: CTC is checked for its tokens")
    subsampling: int = Field(4, ge=1, description="feature frames per encoder frame in the CTC check")
    frame_shift_ms: float = Field(10.0, gt=0, description="of the features")
    cache: bool = Field(True, description="remember what was measured in audio files", json_schema_extra=NEUTRAL)
