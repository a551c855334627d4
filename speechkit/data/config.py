"""Options of `speechkit data prepare`, one model per corpus; `--set KEY=VALUE` changes them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field

from speechkit.config import Config


def _as_text(value: object) -> object:
    """`--set takes=5` arrives as a number; the field wants the text."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Text = Annotated[str, pydantic.BeforeValidator(_as_text)]
Case = Literal["keep", "lower", "upper"]
_MAX_RANGE_DIGITS = 5  # so that a range is never too long a list
_WHERE = "keep rows with COLUMN:VALUE; values joined by |, filters by comma; empty keeps all"


class TsvConfig(Config):
    """A table with the columns path, id, speaker, text and any others."""

    text_column: Text = Field("text", description="column that holds the transcript")
    case: Case = Field("keep", description="change the case of the transcripts: keep, lower or upper")
    where: Text = Field("", description=_WHERE)
    check_audio: bool = Field(True, description="compare declared sr, samples and dur with the file, read its end")
    may_be_empty: Text = Field("", description="columns that may hold nothing, of text and speaker, joined by comma")


class CorpusConfig(Config):
    """A corpus that is told by its folders and file names."""

    case: Case = Field("keep", description="change the case of the transcripts: keep, lower or upper")
    punctuation: Literal["keep", "drop"] = Field("keep", description="drop: only letters, digits and inner apostrophes")
    where: Text = Field("", description=_WHERE)
    check_audio: bool = Field(True, description="read the last sample of each file, so that truncated ones show")


class CapitalsConfig(CorpusConfig):
    """A corpus whose transcripts are in capitals."""

    case: Case = Field("lower", description="change the case of the transcripts: keep, lower or upper")


class TimitConfig(CorpusConfig):
    """TIMIT: sentences with word and phone times."""

    case: Case = Field("lower", description="change the case of the transcripts: keep, lower or upper")
    punctuation: Literal["keep", "drop"] = Field("drop", description="drop: only letters, digits and inner apostrophes")


class TorgoConfig(CorpusConfig):
    """TORGO: two microphones recorded each utterance."""

    mic: Literal["head", "array", "both"] = Field("head", description="microphone; both gives each utterance twice")


class UaSpeechConfig(CapitalsConfig):
    """UASpeech: up to eight microphones recorded each word."""

    variant: Text = Field("original", description="folder below audio/: original, noisereduce or normalized")


class CommonVoiceConfig(CorpusConfig):
    """Common Voice: the tables to read."""

    splits: Text = Field("train,dev,test", description="tables joined by comma; of a clip in several the first counts")


class SapConfig(CorpusConfig):
    """Speech Accessibility Project."""

    text: Literal["transcript", "prompt"] = Field("transcript", description="what was said, or what was to be read")


class FsddConfig(Config):
    """Free spoken digits: isolated words, six speakers."""

    where: Text = Field("", description=_WHERE)
    check_audio: bool = Field(True, description="compare declared sr, samples and dur with the file, read its end")


class So762Config(Config):
    """Read English by non-native children and adults."""

    kind: Literal["all", "digits", "sentence"] = Field("all", description="digit strings, sentences, or all")
    case: Case = Field("lower", description="change the case of the transcripts: keep, lower or upper")
    where: Text = Field("", description=_WHERE)
    check_audio: bool = Field(True, description="compare declared sr, samples and dur with the file, read its end")


class FsddStringsConfig(Config):
    """Digit strings joined from recordings of one speaker: from list files, or drawn."""

    list: Text = Field("", description="list files to render, joined by comma; empty draws num_strings new ones")
    num_strings: int = Field(1000, ge=1, description="drawn strings")
    speakers: Text = Field("jackson,nicolas,yweweler,lucas", description="speakers to draw, joined by comma")
    min_words: int = Field(1, ge=1, le=1000, description="fewest words of a drawn string")
    max_words: int = Field(7, ge=1, le=1000, description="most words of a drawn string")
    min_gap_ms: int = Field(0, ge=0, le=60_000, description="shortest gap between drawn words")
    max_gap_ms: int = Field(300, ge=0, le=60_000, description="longest gap between drawn words")
    takes: Text = Field("0-49", description="takes to draw from: ranges joined by comma")
    take_blocks: int = Field(
        1, ge=1, le=100, description="deal the takes out to so many blocks; a drawn string has takes of one `block`"
    )
    tight_share: float = Field(0.3, ge=0, le=1, description="share of drawn strings whose gaps are 0-20 ms")
    snr_db: Text = Field(
        "20:40", description="white noise: one level, LOW:HIGH drawn per string, or none (easier than fair)"
    )
    seed: int = Field(1, ge=0, description="of the drawn strings and of the noise")

    @pydantic.model_validator(mode="after")
    def _check_order(self) -> FsddStringsConfig:
        if self.min_words > self.max_words:
            raise ValueError(f"min_words {self.min_words} is above max_words {self.max_words}")
        if self.min_gap_ms > self.max_gap_ms:
            raise ValueError(f"min_gap_ms {self.min_gap_ms} is above max_gap_ms {self.max_gap_ms}")
        return self

    @pydantic.field_validator("snr_db")
    @classmethod
    def _check_snr(cls, value: str) -> str:
        parse_snr(value)
        return value

    @pydantic.field_validator("takes")
    @classmethod
    def _check_takes(cls, value: str) -> str:
        parse_ranges(value)
        return value


class KaldiConfig(Config):
    """A Kaldi data directory."""

    check_audio: bool = Field(True, description="read the last sample of each file, so that truncated ones show")


class LhotseConfig(Config):
    """Any recipe of lhotse's own."""

    args: dict[str, Any] = Field(default_factory=dict, description="further arguments of the recipe: --set args.KEY=V")


class PrepareConfig(Config):
    """Everything that decides what `data prepare` writes."""

    corpus: str = Field(description="name of the corpus")
    source: str = Field(description="folder or file it was read from")
    max_bad: str = Field("0", description="tolerated unusable items: a count or a share such as 1%")
    options: pydantic.SerializeAsAny[Config] = Field(description="options of this corpus")


CORPUS_CONFIGS: dict[str, type[Config]] = {
    "an4": CapitalsConfig,
    "barista": CorpusConfig,
    "cmu_arctic": CorpusConfig,
    "commonvoice": CommonVoiceConfig,
    "dspspeech20": CorpusConfig,
    "fluent_speech_commands": CorpusConfig,
    "fsdd": FsddConfig,
    "fsdd-strings": FsddStringsConfig,
    "kaldi": KaldiConfig,
    "l2_arctic": CorpusConfig,
    "lhotse": LhotseConfig,
    "librispeech": CapitalsConfig,
    "mini_librispeech": CapitalsConfig,
    "sap": SapConfig,
    "so762": So762Config,
    "speech_commands": CorpusConfig,
    "timit": TimitConfig,
    "torgo": TorgoConfig,
    "tsv": TsvConfig,
    "uaspeech": UaSpeechConfig,
    "yesno": CorpusConfig,
}


def parse_snr(text: str) -> tuple[float, float] | None:
    """The range of noise levels in dB: `20:40`, `30`, or None for `none`.

    Raises:
        ValueError: anything else.
    """
    if text == "none":
        return None
    low, _, high = text.partition(":")
    try:
        bounds = float(low), float(high or low)
    except ValueError:
        raise ValueError("expected a number, LOW:HIGH or none") from None
    if not -100 <= bounds[0] <= bounds[1] <= 200:
        raise ValueError("expected -100 <= LOW <= HIGH <= 200 dB")
    return bounds


def parse_ranges(text: str) -> list[int]:
    """The numbers of `0-4,7`, ends included.

    Raises:
        ValueError: anything else, or a range that runs backwards.
    """
    numbers: list[int] = []
    for part in text.split(","):
        low, dash, high = part.strip().partition("-")
        ends = [low, high] if dash else [low, low]
        if not all(end.isdecimal() and len(end) <= _MAX_RANGE_DIGITS for end in ends) or int(ends[1]) < int(ends[0]):
            raise ValueError(f"expected numbers and ranges such as 0-4,7, of up to {_MAX_RANGE_DIGITS} digits")
        numbers += range(int(ends[0]), int(ends[1]) + 1)
    return numbers
