"""Settings of vocoders; imports nothing heavier than pydantic."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from speechkit.config import NEUTRAL, Config


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
