"""How batches are planned."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from speechkit.config import Config


class PackingConfig(Config):
    """Freedom of the composition of batches; `cap_name` is the field that bounds their padded size."""

    cap_name: ClassVar[str]
    max_utterances: int = Field(64, ge=1, description="cap on utterances in a batch")
    pool_size: int = Field(
        10_000,
        ge=1,
        description="utterances sorted together: larger wastes less padding, smaller mixes better",
    )

    @property
    def cap(self) -> float:
        """Largest padded size of a batch."""
        return float(getattr(self, self.cap_name))


class BatchConfig(PackingConfig):
    """Batches of audio."""

    cap_name: ClassVar[str] = "max_seconds"
    max_seconds: float = Field(120.0, gt=0, description="cap on padded seconds of audio in a batch")


class TokenBatchConfig(PackingConfig):
    """Batches of token sequences."""

    cap_name: ClassVar[str] = "max_tokens"
    max_tokens: int = Field(4096, ge=1, description="cap on padded tokens in a batch")
