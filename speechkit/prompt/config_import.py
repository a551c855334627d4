"""How unit language models of others are read."""

from __future__ import annotations

from pydantic import Field

from speechkit.config import Config
from speechkit.models.config import UlmConfig
from speechkit.prompt.config_kinds import UlmSource


class UlmImportConfig(Config):
    """What the files of a model do not say themselves; what is found there is written back."""

    kind: UlmSource = Field("gslm", description="whose files they are: fairseq's of GSLM or Unit mBART, Hugging Face's")
    num_units: int | None = Field(None, ge=1, description="units; null: as many as there are rows")
    unit_offset: int | None = Field(
        None, ge=0, description="hf: token of unit 0; null: as the config of the model says"
    )
    num_heads: int | None = Field(None, ge=1, description="fairseq: attention heads; null: as the settings inside say")
    end: str | None = Field(
        None, description="symbol (hf: number) of the token that starts and ends, or `mean` of the units; null: </s>"
    )
    separator: str | None = Field(
        None, description="the same of the separator; null: <s> of GSLM, <mask> of Unit mBART, else `mean`"
    )
    dedup: bool | None = Field(None, description="the model has learned units without repetition; null: not known")
    model: UlmConfig | None = Field(None, description="what was found; can not be set")
