"""Configuration of what an audit concludes: calibration, noise rate, page, cleaned manifest."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from speechkit.config import Config

Policy = Literal["drop", "weight", "correct", "trim"]


class CalibrateConfig(Config):
    """Settings of `audit calibrate`."""

    indicators: int = Field(500, ge=40, description="transcripts made wrong on purpose, evenly of all kinds")
    seed: int = Field(0, description="of the draw of the indicators")
    max_edits: int = Field(3, ge=1, le=20, description="edits that a suggested correction may have")


class DrawConfig(Config):
    """Settings of a draw of `audit estimate`."""

    draw: int = Field(100, ge=3, description="utterances to inspect: 40 % top, 30 % middle, 30 % rest of the ranking")
    seed: int = Field(0, description="of the draw")


class EstimateConfig(Config):
    """Settings of `audit estimate --decisions`."""

    ci: float = Field(0.95, ge=0.5, le=0.9999, description="level of the interval")
    seed: int = Field(0, description="of the draws from the posterior")


class ReportConfig(Config):
    """Settings of `audit report`."""

    top: int = Field(500, ge=1, description="so many utterances, the most suspicious ones")
    audio: Literal["embedded", "relative"] = Field("embedded", description="inside the page, or beside it by path")


class ApplyConfig(Config):
    """Settings of `audit apply`."""

    policy: Policy = Field(description="what happens to transcripts that are suspicious or decided wrong")
    threshold: float | None = Field(None, ge=0, le=1, description="P(error) that counts; None: that of the audit")
    accept_above: float | None = Field(None, description="take suggestions with such log-odds; None: only decisions")
    min_kept: float = Field(0.5, gt=0, le=1, description="trim: share of the words that must stay, else removed")
    margin_ms: float = Field(100.0, ge=0, description="trim: audio kept before and after the words that stay")
