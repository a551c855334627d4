"""Options of `speechkit data split`; imports nothing heavy."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import pydantic
from pydantic import Field

from speechkit.config import Config

_AMOUNT = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,12})?|\.[0-9]{1,12})(%|h|min|s)?")
_HOURS = {"h": 1.0, "min": 1 / 60, "s": 1 / 3600}


@dataclass(frozen=True)
class Amount:
    """How much was asked for: a share of everything, a number of utterances, or hours."""

    value: float
    unit: Literal["share", "utterances", "hours"]


def parse_amount(text: str) -> Amount:
    """`0.1` and `10%` are shares, `500` are utterances, `2h`, `30min` and `90s` are times.

    Raises:
        ValueError: anything else.
    """
    match = _AMOUNT.fullmatch(text.strip())
    if match is None:
        raise ValueError("expected a share (0.1, 10%), a number of utterances (500) or a time (2h, 30min, 90s)")
    value, suffix = float(match[1]), match[2]
    if suffix in _HOURS:
        return Amount(value * _HOURS[suffix], "hours")
    if suffix == "%" or "." in match[1]:
        share = value / 100 if suffix else value
        if share >= 1:
            raise ValueError(f"{text} is not a share below 1 of the data; `500` asks for utterances, `2h` for time")
        return Amount(share, "share")
    return Amount(value, "utterances" if value else "share")


def parse_share(text: str) -> float:
    """`0.2` and `20%` as a number from 0 to 1.

    Raises:
        ValueError: anything else.
    """
    match = _AMOUNT.fullmatch(text.strip())
    share = float(match[1]) / (100 if match[2] == "%" else 1) if match and match[2] in (None, "%") else 2.0
    if share > 1:
        raise ValueError("expected a share such as 20% or 0.2")
    return share


class SplitConfig(Config):
    """What decides a split besides the manifest."""

    by: tuple[str, ...] = Field(min_length=1, description="keys that no two sides share")
    dev: str = Field("10%", description="size of dev")
    test: str = Field("10%", description="size of test")
    seed: int = Field(0, ge=0, description="decides which groups go where")
    stratify: str = Field("", description="field whose values every side holds in the same shares; empty: none")
    near_words: int = Field(
        0, ge=0, description="texts of so many words or more that differ in one word count as one; 0: only equal ones"
    )
    measure: Literal["utterances", "hours"] = Field("utterances", description="what shares and losses count")
    max_lost: str = Field("20%", description="largest share of the data that may be left out")
    curve: bool = Field(False, description="also find out what other sizes would cost")

    @pydantic.field_validator("by")
    @classmethod
    def _check_by(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(value) or len(set(value)) != len(value):
            raise ValueError("expected different field names separated by commas, such as speaker,text")
        return value

    @pydantic.field_validator("dev", "test")
    @classmethod
    def _check_amount(cls, value: str) -> str:
        parse_amount(value)
        return value

    @pydantic.field_validator("max_lost")
    @classmethod
    def _check_share(cls, value: str) -> str:
        parse_share(value)
        return value

    @pydantic.model_validator(mode="after")
    def _check_units(self) -> SplitConfig:
        dev, test = parse_amount(self.dev), parse_amount(self.test)
        if not dev.value and not test.value:
            raise ValueError("dev and test are both empty, so there is nothing to split")
        if {"utterances", "hours"} <= {dev.unit, test.unit}:
            raise ValueError("dev and test are asked for in utterances and in time; use one of them")
        if dev.unit == test.unit == "share" and dev.value + test.value >= 1:
            raise ValueError("dev and test together leave nothing for train")
        if "text" not in self.by and self.near_words:
            raise ValueError("near_words belongs to `text` in by")
        return self

    @property
    def lost_share(self) -> float:
        """`max_lost` as a share."""
        return parse_share(self.max_lost)

    @property
    def counts_hours(self) -> bool:
        """Whether sizes are counted in hours, not in utterances."""
        units = {parse_amount(self.dev).unit, parse_amount(self.test).unit}
        return "hours" in units or ("utterances" not in units and self.measure == "hours")
