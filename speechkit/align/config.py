"""Settings of forced alignment; imports nothing heavier than pydantic."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from speechkit.config import Config


class HmmConfig(Config):
    """Gaussian hidden Markov models of letters and frequent words, trained on the corpus that is aligned."""

    max_sampling_rate: int = Field(16000, ge=4000, description="Hz; slower corpora are taken as they are")
    hop_ms: float = Field(5.0, ge=1, le=100, description="time between frames: the resolution of the word times")
    frame_ms: float = Field(15.0, ge=1, le=1000, description="length of the window; longer ones smear boundaries")
    num_mels: int = Field(26, ge=8, le=128, description="mel bands")
    num_cepstra: int = Field(13, ge=4, le=40, description="cepstral coefficients, their slopes are added")
    state_ms: float = Field(25.0, gt=0, description="a letter or word gets one state per so much of its mean duration")
    min_word_tokens: int = Field(8, ge=2, description="rarer words are spelled with the states of their letters")
    max_word_models: int = Field(2000, ge=0, description="so many of the most frequent words get states of their own")
    coarse_passes: int = Field(4, ge=0, description="passes over every second frame, letters")
    letter_passes: int = Field(4, ge=1, description="passes over all frames, letters")
    word_passes: int = Field(4, ge=0, description="passes over all frames, words")
    speaker_passes: int = Field(2, ge=0, description="passes that adapt the models to each speaker; 0 does not adapt")
    speaker_weight: float = Field(20.0, gt=0, description="frames that the general model counts for in adaptation")
    speaker_minutes: float = Field(10.0, gt=0, description="longest audio of a speaker looked at for adaptation")
    train_minutes: float = Field(120.0, gt=0, description="longest audio trained on; all of the corpus is aligned")
    variance_floor: float = Field(0.05, gt=0, le=1, description="least variance, as a share of that of all frames")
    loud_share: float = Field(
        0.25, gt=0, lt=1, description="flat start: speech lies so far up between the quiet and the loud frames"
    )
    pause_ms: float = Field(150.0, gt=0, description="flat start: longer quiet stretches are pauses; closures are not")
    keep_pause: float = Field(
        0.09, ge=0, le=0.5, description="share of a pause that stays with each word beside it: weak onsets and decays"
    )
    max_keep_ms: float = Field(30.0, ge=0, description="longest pause that stays with a word on either side")

    @model_validator(mode="after")
    def _check_lengths(self) -> HmmConfig:
        if self.hop_ms > self.frame_ms:
            raise ValueError(f"hop_ms {self.hop_ms:g} must be at most frame_ms {self.frame_ms:g}")
        return self


class CtcConfig(Config):
    """A trained CTC model finds the words; Gaussian models trained on what it found find their boundaries."""

    beam: float | None = Field(
        None, gt=0, description="nats below the best that are kept; none: the path is proven best"
    )
    star_penalty: float | None = Field(
        None,
        ge=0,
        description="speech that the text lacks may be passed over at so many nats a frame; none: it may not",
    )
    skip_penalty: float | None = Field(
        None, ge=0, description="words that the audio lacks may be left out at so many nats each; none: they may not"
    )
    min_extra_seconds: float = Field(0.3, gt=0, description="longer stretches of passed-over speech belong to no word")
    chunk_seconds: float = Field(30.0, gt=0, description="audio that the encoder sees at once, besides its context")
    context_seconds: float = Field(4.0, ge=0, description="context on either side of a chunk")
    piece_seconds: float = Field(30.0, gt=1, description="longest stretch in which boundaries are searched at once")
    device: Literal["cpu", "cuda"] = Field("cpu", description="where the CTC model runs")


class AlignConfig(Config):
    """Everything that decides what `align forced` writes."""

    formats: str = Field("", description="also written: ctm, textgrid, joined by comma")
    max_bad: str = Field("0", description="utterances that can not be aligned and are skipped: a count or a share (1%)")
    min_confidence: float = Field(0.5, ge=0, le=1, description="words below it are listed as suspicious")
    hmm: HmmConfig = Field(HmmConfig(), description="Gaussian models, trained on the corpus itself")
    ctc: CtcConfig = Field(CtcConfig(), description="used when EXP is a model trained with `speechkit train`")
