"""Options of `audit curve`; imports nothing heavy."""

from __future__ import annotations

import re

import pydantic
from pydantic import Field

from speechkit.config import Config


class CurveConfig(Config):
    """How measurements of many noise rates become curves."""

    group: str = Field("", description="regular expression; what its one group captures of a path names the curve")
    score: str = Field("doubt", min_length=1, description="score of the words that is followed")
    title: str = Field("Label noise: curves and break points", description="heading of the page")
    num_replicates: int = Field(200, ge=0, le=10_000, description="bootstrap draws of cells; 0: no intervals")
    ci_level: float = Field(0.95, gt=0, lt=1, description="level of the intervals")
    seed: int = Field(0, ge=0, description="of the bootstrap")

    @pydantic.field_validator("group")
    @classmethod
    def _check_group(cls, value: str) -> str:
        try:
            groups = re.compile(value).groups
        except re.error as error:
            raise ValueError(f"`{value}` is not a regular expression: {error}") from None
        if value and groups != 1:
            raise ValueError(f"`{value}` has {groups} capture groups; expected one, as in 'cells/([^/]+)/'")
        return value
