"""Options of `audit run`; imports nothing heavy."""

from __future__ import annotations

from pydantic import Field

from speechkit.config import Config


class RunConfig(Config):
    """What decides a whole audit, besides the manifest and the configuration of its models."""

    folds: int = Field(3, ge=2, le=100, description="models; each is trained without the part that it judges")
    by: tuple[str, ...] = Field(("text", "duplicate"), description="keys whose equal values stay in one part")
    align: bool = Field(True, description="find word times first, for the frame loss of the models")
    lexicon: str = Field("auto", description="as in `audit score`")
    indicators: int = Field(500, ge=40, description="as in `audit calibrate`")
    top: int = Field(500, ge=1, description="utterances on the page, the most suspicious ones")
    seed: int = Field(0, ge=0, description="of folds, models and indicators")


class RelabelConfig(Config):
    """What decides new transcripts, besides manifest and hypotheses."""

    max_cer: float = Field(
        100.0, ge=0, description="percent of characters by which a hypothesis may differ from the text it replaces"
    )
