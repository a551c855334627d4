"""Options of `audit inject`, `audit folds`, `audit eval` and `audit labelers`; imports nothing heavy."""

from __future__ import annotations

import math
from typing import Literal

import pydantic
from pydantic import Field

from speechkit.config import Config

DEFAULT_MIX = ("swap", "sub", "del", "ins", "transpose", "truncate", "silence")
DEFAULT_WORD_MIX = ("sub", "ins", "del")
WORD_TYPES = ("sub", "confusable", "pairflip", "ins", "del")
TYPES = (
    "swap", "swap-speaker", "swap-length", "sub", "confusable", "pairflip", "ins", "del", "del-frequent", "transpose",
    "misread", "form", "language", "truncate", "silence", "duplicate", "wrong-speaker",
)  # fmt: skip
AUDIO_TYPES = ("truncate", "silence", "misread")  # that may write audio


def parse_mix(text: str, level: str = "utterance") -> dict[str, float]:
    """`swap:2,sub` as weights that add up to 1; `default` are the types that the level has by default.

    Raises:
        ValueError: an unknown type, a type twice, or a weight that is no number above 0.
    """
    known = WORD_TYPES if level == "word" else TYPES
    if text.strip() == "default":
        text = ",".join(DEFAULT_WORD_MIX if level == "word" else DEFAULT_MIX)
    weights: dict[str, float] = {}
    for part in text.split(","):
        name, colon, given = (piece.strip() for piece in part.partition(":"))
        if name not in known:
            raise ValueError(f"there is no type `{name}`{' of words' * (level == 'word')}, only {', '.join(known)}")
        if name in weights:
            raise ValueError(f"the type `{name}` is given twice")
        weights[name] = _weight(given) if colon else 1.0
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = 0.0
    if not 0 < weight < math.inf:
        raise ValueError(f"the weight `{text}` is no number above 0")
    return weight


class InjectConfig(Config):
    """What decides injected faults besides the manifest and the lists of words."""

    mix: str = Field("default", description="types of faults with their weights: TYPE[:WEIGHT],...")
    rate: float = Field(0.1, ge=0, le=1, description="share of faulty utterances, or of wrong words")
    level: Literal["utterance", "word"] = Field(
        "utterance", description="utterance: one fault each in an exact number; word: each word by itself"
    )
    seed: int = Field(0, ge=0, description="all randomness comes from it and from the utterance id")
    labelers: int = Field(0, ge=0, le=9999, description="assign so many labelers; 0: none")
    bad_labelers: int = Field(0, ge=0, description="so many of them make most of the faults")
    bad_share: float = Field(0.8, gt=0, le=1, description="share of the faults that bad labelers make")

    @pydantic.model_validator(mode="after")
    def _check(self) -> InjectConfig:
        parse_mix(self.mix, self.level)
        if self.bad_labelers and self.bad_labelers >= self.labelers:
            raise ValueError(f"{self.bad_labelers} bad labelers of {self.labelers}; expected fewer bad ones than all")
        return self

    @property
    def weights(self) -> dict[str, float]:
        """The mix as shares."""
        return parse_mix(self.mix, self.level)


class FoldsConfig(Config):
    """What decides folds besides the manifest."""

    folds: int = Field(5, ge=2, le=100, description="number of folds; each is the test set once")
    by: tuple[str, ...] = Field(
        ("text", "duplicate"), min_length=1, description="keys whose equal values stay in one fold"
    )
    seed: int = Field(0, ge=0, description="decides which groups go where")

    @pydantic.field_validator("by")
    @classmethod
    def _check_by(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(value) or len(set(value)) != len(value):
            raise ValueError("expected different field names separated by commas, such as text,duplicate")
        return value


class EvalConfig(Config):
    """How scores are measured against known truth."""

    num_replicates: int = Field(500, ge=0, le=100_000, description="bootstrap draws of utterances; 0: no intervals")
    ci_level: float = Field(0.95, gt=0, lt=1, description="level of the intervals")
    seed: int = Field(0, ge=0, description="of the bootstrap")
    baseline: str = Field("", description="score from which differences of AP are taken; empty: the best of CER, WER")
    star_penalty: float = Field(6.0, ge=0, description="nats that a star costs in the log-odds of a word")
    budget: float = Field(0.1, gt=0, le=1, description="share of the utterances that is inspected, for the recall")


class LabelersConfig(Config):
    """How labelers are compared."""

    field: str = Field("labeler", min_length=1, description="field of the supervision that names the labeler")
    ci_level: float = Field(0.95, gt=0, lt=1, description="level of the intervals")
    num_replicates: int = Field(200, ge=0, le=100_000, description="bootstrap draws of utterances; 0: no intervals")
    seed: int = Field(0, ge=0, description="of the bootstrap")
