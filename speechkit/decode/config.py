"""The configuration of `speechkit decode`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from speechkit.config import Config
from speechkit.data.config_batch import BatchConfig


class DecodeConfig(Config):
    """How log-probs become texts; model and features come from the trained model."""

    method: Literal["greedy"] = Field("greedy", description="greedy: best token per frame, repeats merged")
    batch: BatchConfig = Field(BatchConfig(max_seconds=300.0), description="utterances decoded together")
    threads: int = Field(1, ge=1, description="CPU threads")
    device: Literal["cpu", "cuda"] = Field("cpu", description="where the model runs")
