"""Options of `speechkit data synth`; imports nothing heavier than pydantic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import pydantic
from pydantic import Field

from speechkit.config import Config, build_config
from speechkit.errors import ConfigError

Accent = Literal[
    "en", "en-us", "en-us-nyc", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029"
]
VoiceSet = Literal["train", "dev", "test", "all"]
Range = tuple[float, float]

_LIMITS: dict[str, Range] = {
    "digits": (1, 20),
    "rate": (80, 400),
    "pitch": (0, 99),
    "pitch_range": (0, 99),
    "formant": (0.7, 1.4),
    "level_db": (-60, -10),
    "pad_seconds": (0, 5),
    "snr_db": (-20, 80),
    "rt60_seconds": (0.05, 3),
}


class SynthConfig(Config):
    """What decides the content of a synthetic corpus besides the text files."""

    speakers: int = Field(ge=1, le=9999, description="number of speakers, each with a voice of their own")
    sentences: int | None = Field(None, ge=1, description="sentences from the closed-vocabulary grammar")
    digits: tuple[int, int] | None = Field(None, description="random digit strings of MIN to MAX digits as texts")
    digit_strings: int = Field(200, ge=1, description="number of different digit strings")
    sentences_per_speaker: int | None = Field(None, ge=1, description="each speaker says a draw of so many texts")
    repeat: int = Field(1, ge=1, description="times a speaker says each text, each time a little differently")
    seed: int = Field(0, ge=0, description="all randomness comes from it and from names")
    sampling_rate: int = Field(16000, ge=8000, le=48000, description="Hz of the audio written")
    voice_set: VoiceSet = Field("all", description="train, dev and test share no voice variant")
    accents: tuple[Accent, ...] = Field(
        ("en", "en-us", "en-us-nyc", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029"),
        min_length=1,
        description="base voices",
    )
    prefix: str = Field("spk", pattern=r"^[A-Za-z][A-Za-z0-9_]*$", description="speaker ids are PREFIX0000, ...")
    rate: Range = Field((120, 220), description="words per minute, one draw per speaker")
    pitch: Range = Field((20, 80), description="espeak pitch 0-99, one draw per speaker; children 70 to 99")
    pitch_range: Range = Field((30, 70), description="espeak pitch range 0-99, one draw per speaker")
    formant: Range = Field((1.0, 1.0), description="all frequencies times this factor: shorter vocal tracts above 1")
    word_gap_ms: int = Field(0, ge=0, le=1000, description="pause between words; 0 is fluent speech")
    level_db: Range = Field((-28, -20), description="RMS level of a speaker, dB below full scale")
    pad_seconds: Range = Field((0.05, 0.2), description="silence before and after each utterance")
    noise: bool = Field(False, description="add 1/f^a noise, a between 0 and 2")
    snr_db: Range = Field((15, 30), description="signal-to-noise ratio of the added noise")
    reverb: bool = Field(False, description="convolve with a synthetic room")
    rt60_seconds: Range = Field((0.1, 0.5), description="reverberation time of the rooms")

    @pydantic.field_validator(*_LIMITS)
    @classmethod
    def _is_ordered_and_within_limits(cls, value: Range | None, info: pydantic.ValidationInfo) -> Range | None:
        if value is None or info.field_name is None:
            return value
        low, high = _LIMITS[info.field_name]
        if not low <= value[0] <= value[1] <= high:
            raise ValueError(f"expected MIN:MAX with {low:g} <= MIN <= MAX <= {high:g}")
        return value

    @pydantic.field_validator("accents")
    @classmethod
    def _is_without_repetition(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError("an accent is named twice")
        return value


def synth_config(options: Mapping[str, object]) -> SynthConfig:
    """The config from command-line options: ranges as `MIN:MAX`, accents with commas, None where not given.

    Raises:
        ConfigError: with every wrong option at once.
    """
    tree = {key: value for key, value in options.items() if value is not None}
    for key in _LIMITS:
        if isinstance(value := tree.get(key), str):
            tree[key] = _parse_range(value)
    if isinstance(accents := tree.get("accents"), str):
        tree["accents"] = tuple(name.strip() for name in accents.split(","))
    try:
        return build_config(SynthConfig, tree, {(key,): _option(key) for key in tree})
    except ConfigError as error:
        raise ConfigError(error.what, where=error.where, hint="see `speechkit data synth --help`") from None


def _parse_range(text: str) -> Range | str:
    """The two numbers of `MIN:MAX`, of which one alone is both; other text stays for the config to refuse."""
    low, colon, high = text.partition(":")
    try:
        return float(low), float(high if colon else low)
    except ValueError:
        return text


def _option(key: str) -> str:
    names = {"snr_db": "snr", "rt60_seconds": "rt60"}
    return "--" + names.get(key, key).replace("_", "-")
