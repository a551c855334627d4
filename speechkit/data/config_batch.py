"""How batches are planned."""

from __future__ import annotations

from pydantic import Field

from speechkit.config import Config


class BatchConfig(Config):
    """Size of a batch and freedom of its composition."""

    max_seconds: float = Field(120.0, gt=0, description="cap on padded seconds of audio in a batch")
    max_utterances: int = Field(64, ge=1, description="cap on utterances in a batch")
    pool_size: int = Field(
        10_000,
        ge=1,
        description="utterances sorted together: larger wastes less padding, smaller mixes better",
    )
