"""Settings of cut-and-paste: inventory, plan, rendering and use while training; nothing heavier than pydantic."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from speechkit.config import Config
from speechkit.cutpaste.config_kinds import Mode, SelectMethod, Speakers

_MAX_PAUSE_MS = 10_000


def _check_range(range_ms: tuple[float, float]) -> tuple[float, float]:
    low, high = range_ms
    if not 0 <= low <= high <= _MAX_PAUSE_MS:
        raise ValueError(f"0 <= shortest <= longest <= {_MAX_PAUSE_MS} must hold, not {low:g} and {high:g}")
    return range_ms


RangeMs = Annotated[tuple[float, float], AfterValidator(_check_range)]


class InventoryConfig(Config):
    """Which words of a corpus may be pasted, and where they are cut."""

    min_confidence: float = Field(
        0.5, ge=0, le=1, description="words aligned with less are left out; no score counts as 1"
    )
    min_word_seconds: float = Field(0.06, gt=0, description="shorter words are left out")
    max_word_seconds: float = Field(1.5, gt=0, description="longer words are left out")
    max_words: int = Field(3, ge=1, le=3, description="longest run of neighbouring words stored as one snippet")
    max_margin_ms: float = Field(
        150, ge=0, description="silence that stays with a word on either side; a gap of up to twice that is cut midway"
    )
    snap_ms: float = Field(15, ge=0, description="how far a cut may move to reach the least energy")
    room_tone_ms: float = Field(100, gt=10, description="length of the quiet stretch that fills pauses")
    max_bad: str = Field("0", description="unusable utterances that are skipped: a count or a share (1%)")


class JoinConfig(Config):
    """Weights of the costs by which snippets are chosen, and how many are looked at."""

    mfcc: float = Field(1.0, ge=0, description="join: distance of the spectral envelopes at the two edges")
    f0: float = Field(1.0, ge=0, description="join: difference of the pitch, natural logarithm")
    power: float = Field(0.5, ge=0, description="join: difference of the energy")
    source: float = Field(0.1, ge=0, description="join: the two snippets are from different recordings")
    position: float = Field(0.5, ge=0, description="target: first, inner or last word of its sentence, then and now")
    context: float = Field(1.0, ge=0, description="target: letters on either side, then and now")
    duration: float = Field(0.2, ge=0, description="target: deviation of the duration from the word's mean")
    confidence: float = Field(1.0, ge=0, description="target: lack of confidence of the alignment")
    reuse: float = Field(0.2, ge=0, description="target: times ln(1 + uses of the snippet so far)")
    temperature: float = Field(0.3, ge=0, description="scale of the random numbers added to the target costs")
    candidates: int = Field(20, ge=1, le=256, description="snippets looked at per word, and a third as many per chunk")


class TextConfig(Config):
    """Which texts are made."""

    mode: Mode = Field("uniform", description="perm, uniform, ngram, target-lm, swap or cover")
    min_words: int | None = Field(None, ge=1, le=1000, description="fewest words of a text; none: as in the recordings")
    max_words: int | None = Field(None, ge=1, le=1000, description="most words of a text; none: as in the recordings")
    order: int = Field(3, ge=1, le=5, description="words that the language model of ngram and target-lm looks at")
    unigram_mix: float = Field(0.3, ge=0, le=1, description="ngram: share of words drawn whatever comes before")
    verbatim: float = Field(
        0.5, ge=0, le=1, description="target-lm: share of texts that are target sentences as they are"
    )
    max_swaps: int = Field(3, ge=1, description="swap: most words that are replaced")
    allow_repeats: bool = Field(False, description="the same word twice in a row")

    @model_validator(mode="after")
    def _check_lengths(self) -> TextConfig:
        if (self.min_words is None) != (self.max_words is None):
            raise ValueError("min_words and max_words must be given together")
        if self.min_words is not None and self.max_words is not None and self.min_words > self.max_words:
            raise ValueError(f"min_words {self.min_words} is above max_words {self.max_words}")
        return self


class PasteConfig(Config):
    """How snippets are joined; stored in the plan, so that it renders to the same bytes anywhere."""

    fade_ms: float = Field(4, ge=0, le=40, description="length of the equal-power crossfade where words touch")
    quiet_fade_ms: float = Field(
        40, ge=0, le=100, description="longest crossfade, between words with quiet beside them; at least fade_ms"
    )
    max_gain_db: float = Field(6, ge=0, le=60, description="limit of the loudness matching between recordings")
    pause_prob: float = Field(0.1, ge=0, le=1, description="share of joins with a pause of recorded room tone")
    pause_ms: RangeMs = Field((50, 200), description="length of such a pause")
    lead_ms: RangeMs = Field((30, 150), description="room tone before the first and after the last word")

    @model_validator(mode="after")
    def _check_fades(self) -> PasteConfig:
        if self.quiet_fade_ms < self.fade_ms:
            raise ValueError(f"quiet_fade_ms {self.quiet_fade_ms:g} is below fade_ms {self.fade_ms:g}")
        return self


class PlanConfig(Config):
    """Everything that decides a plan besides the inventory and the text files."""

    text: TextConfig = Field(TextConfig(), description="texts")
    join: JoinConfig = Field(JoinConfig(), description="choice of snippets")
    paste: PasteConfig = Field(PasteConfig(), description="joining")
    speakers: Speakers = Field("same", description="snippets of one utterance: of one speaker, or of any")
    balance: Literal["natural", "equal"] = Field(
        "natural", description="utterances of each speaker: in proportion to the recordings, or equally many"
    )
    num: int | None = Field(None, ge=1, le=10_000_000, description="utterances to plan")
    hours: float | None = Field(None, gt=0, le=10_000, description="hours of audio to plan")
    ratio: float | None = Field(None, gt=0, le=10_000, description="hours to plan as a multiple of the recorded hours")
    prefix: str = Field("", description="ids are PREFIX-000000, ...; empty: cp-MODE-SEED")
    seed: int = Field(0, ge=0, description="decides texts, snippets and pauses")

    @model_validator(mode="after")
    def _check_amount(self) -> PlanConfig:
        if sum(amount is not None for amount in (self.num, self.hours, self.ratio)) != 1:
            raise ValueError("exactly one of num, hours and ratio must be given")
        return self


class RenderConfig(Config):
    """What may go wrong while a plan is rendered; how it sounds stands in the plan."""

    max_bad: str = Field("0", description="utterances with unusable audio that are skipped: a count or a share (1%)")


class OnTheFlyConfig(Config):
    """Pasted utterances in the place of natural ones while training."""

    plan: str | None = Field(
        None, description="folder made by `speechkit cutpaste plan`; none: natural utterances only"
    )
    prob: float = Field(0.5, ge=0, le=1, description="share of utterances replaced, drawn anew in each epoch")


class SelectConfig(Config):
    """Which utterances of plans are kept."""

    method: SelectMethod = Field(
        "gradmatch",
        description="gradient matching pursuit, facility location on gradients, largest influence, or by chance",
    )
    num: int = Field(ge=1, description="utterances to choose")
    partitions: int = Field(1, ge=1, description="gradmatch: groups of the target that are matched one by one")
    ridge: float = Field(0.5, ge=0, description="gradmatch: damping of the weights")
    join_weight: float = Field(0.0, ge=0, description="gradmatch: weight of the mean cost of an utterance's snippets")
    seed: int = Field(0, ge=0, description="decides random choices and the projection of large gradients")
    device: Literal["cpu", "cuda"] = Field("cpu", description="where the model runs")
