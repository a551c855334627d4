"""The configuration of `speechkit decode`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from speechkit.config import Config
from speechkit.data.config_batch import BatchConfig


class BeamConfig(Config):
    """Beam search through a decoder; the greedy method is a beam of one."""

    size: int = Field(8, ge=1, description="hypotheses kept in each step, and ended ones that end the search")
    length_norm: float = Field(
        0.6, ge=0, description="ended hypotheses compete by log_prob / tokens ** length_norm; the end is a token"
    )
    ctc_weight: float = Field(
        0.0, ge=0, le=1, description="share of the CTC output's log-prob when ended hypotheses compete"
    )


class DecodeConfig(Config):
    """How log-probs become texts; model and features come from the trained model."""

    method: Literal["greedy", "beam"] = Field("greedy", description="greedy: the best token each time")
    head: Literal["ctc", "attention"] | None = Field(
        None, description="output of the model that is decoded; none: its main one"
    )
    beam: BeamConfig = Field(BeamConfig(), description="method beam")
    max_tokens_per_frame: float = Field(
        1.0, gt=0, description="attention: a hypothesis ends after so many tokens per encoder frame"
    )
    loop_guard: bool = Field(
        True, description="attention: end a hypothesis that repeats itself on frames it has read already"
    )
    batch: BatchConfig = Field(BatchConfig(max_seconds=300.0), description="utterances decoded together")
    threads: int = Field(1, ge=1, description="CPU threads")
    device: Literal["cpu", "cuda"] = Field("cpu", description="where the model runs")

    @model_validator(mode="after")
    def _check_weight(self) -> DecodeConfig:
        if self.beam.ctc_weight > 0 and self.method != "beam":
            raise ValueError(f"beam.ctc_weight {self.beam.ctc_weight} needs method beam")
        return self
