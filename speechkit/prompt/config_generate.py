"""Settings of generation; imports nothing heavier than pydantic."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from speechkit.config import Config


class GenerateConfig(Config):
    """What a unit language model makes of the units of utterances."""

    kind: Literal["continue", "inpaint"] = Field(
        "continue", description="go on after the first units, or fill a gap between units"
    )
    keep: float = Field(0.5, ge=0, le=1, description="continue: share of an utterance's units that is given")
    gap_start: float = Field(0.4, ge=0, lt=1, description="inpaint: where the gap begins, as share of the utterance")
    gap_len: float = Field(0.2, gt=0, le=1, description="inpaint: its length, as share of the utterance")
    temperature: float = Field(
        1.0, ge=0, description="logits are divided by it before a unit is drawn; 0: the likeliest unit"
    )
    top_k: int = Field(0, ge=0, description="draw from so many of the likeliest units; 0: from all")
    candidates: int = Field(
        8, ge=1, description="inpaint: fillings drawn from what stands before; what comes after them decides"
    )
    max_units: int = Field(200, ge=1, description="continue: most units to add")
    batch_size: int = Field(64, ge=1, description="utterances in a batch")
    seed: int = Field(0, description="with the utterance id it decides what is drawn")
    threads: int = Field(1, ge=1, description="CPU threads of torch")
    device: Literal["cpu", "cuda"] = Field("cpu", description="where the model runs")
