"""Options of `audit logprobs` and `audit score`; imports nothing heavy."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from speechkit.config import Config


class LogProbsConfig(Config):
    """Everything that decides what `audit logprobs` writes, besides manifest and model."""

    max_bad: str = Field("0", description="utterances whose audio can not be used and are left out: a count or a share")
    chunk_seconds: float = Field(30.0, gt=0, description="audio that the encoder sees at once, besides its context")
    context_seconds: float = Field(4.0, ge=0, description="context on either side of a chunk")
    device: Literal["cpu", "cuda"] = Field("cpu", description="where the model runs")


class ScoreConfig(Config):
    """Everything that decides what `audit score` writes, besides its inputs."""

    lexicon: str = Field(
        "auto", description="words that may replace or be inserted: auto, none, or a file; auto: those of few texts"
    )
    max_auto_words: int = Field(200, ge=1, description="auto takes the words of the corpus if at most so many differ")
    star_penalty: float = Field(6.0, ge=0, description="nats that a star, which fits any speech, costs")
    speaker_distance: bool = Field(False, description="compare the spectrum with that of the speaker; reads all audio")
    k2: bool = Field(False, description="also posteriors of words and gaps when several are wrong, through k2")
