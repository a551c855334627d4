"""Options of `speechkit score`; imports nothing heavy."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from speechkit.config import Config


class WerConfig(Config):
    """What `score wer` counts and reports."""

    ties: Literal["kaldi", "rapidfuzz", "sclite"] = Field(
        "kaldi", description="which of the equally good alignments is reported"
    )
    missing: Literal["error", "delete", "skip"] = Field("error", description="a reference without hypothesis")
    by: tuple[str, ...] = Field((), description="fields to group by, such as speaker")
    ci_level: float = Field(0.95, gt=0, lt=1, description="level of the printed intervals")
    num_replicates: int = Field(1000, ge=100, description="bootstrap samples")
    seed: int = Field(0, description="seed of the bootstrap")
    ref_format: str = Field("auto", description="format of REF")
    hyp_format: str = Field("auto", description="format of HYP")
    train_text: Path | None = Field(None, description="texts the model was trained on")
