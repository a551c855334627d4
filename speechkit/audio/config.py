"""Settings of features and perturbation; imports nothing heavier than pydantic."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from speechkit.config import Config

Range = tuple[float, float]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]


class FeatureConfig(Config):
    """Log-mel features, computed on the fly."""

    sampling_rate: int = Field(
        16000, ge=4000, description="Hz; faster recordings are down-sampled, slower ones refused"
    )
    num_mels: int = Field(80, ge=8, le=256, description="mel bands; 40 suffices at 8 kHz")
    frame_ms: float = Field(25.0, gt=0, description="length of the Hann window")
    hop_ms: float = Field(10.0, gt=0, description="time between frames")
    low_hz: float = Field(60.0, ge=0, description="lower edge of the lowest band")
    high_hz: float | None = Field(
        None, description="upper edge of the highest band; none: 95 % of half the sampling rate"
    )
    normalize: Literal["utterance", "none"] = Field(
        "utterance",
        description="mean and variance per band over the utterance, so that speaker levels do not matter",
    )

    @property
    def hop_samples(self) -> int:
        """Samples between frames."""
        return round(self.sampling_rate * self.hop_ms / 1000)

    @property
    def frame_samples(self) -> int:
        """Samples in a window."""
        return round(self.sampling_rate * self.frame_ms / 1000)

    @model_validator(mode="after")
    def _check_lengths(self) -> FeatureConfig:
        high = self.high_hz or 0.475 * self.sampling_rate
        if not self.low_hz < high <= self.sampling_rate / 2:
            raise ValueError(f"low_hz {self.low_hz} < high_hz {high} <= half of sampling_rate must hold")
        if not 1 <= self.hop_samples <= self.frame_samples:
            raise ValueError(f"hop_ms {self.hop_ms} must be at least one sample and at most frame_ms {self.frame_ms}")
        return self


class AugmentConfig(Config):
    """Perturbations, each drawn from (seed, epoch, utterance id); 0 or an empty range switches one off."""

    speed: Range = Field((1.0, 1.0), description="speed factor, drawn uniformly in steps of 0.025; changes pitch, too")
    level_db: Range = Field((0.0, 0.0), description="gain in dB")
    click_prob: Probability = Field(0.0, description="share of utterances with one to three short bursts of noise")
    noise_prob: Probability = Field(0.0, description="share of utterances with added coloured noise")
    noise_dir: str | None = Field(None, description="folder of recorded noises to draw from; none: 1/f^a noise is made")
    noise_snr_db: Range = Field((8.0, 40.0), description="speech-to-noise ratio in dB")
    noise_exponent: Range = Field((0.0, 2.0), description="power density 1/f^a: 0 white, 1 pink, 2 brown")
    rir_prob: Probability = Field(0.0, description="share of utterances in a synthetic room")
    rir_dir: str | None = Field(None, description="folder of room responses to draw from; none: they are made")
    rir_rt60_seconds: Range = Field((0.1, 0.6), description="reverberation time of the room")
    rir_direct_db: Range = Field((0.0, 12.0), description="direct-to-reverberant ratio in dB")
    mel_warp: Range = Field(
        (1.0, 1.0), description="factor on the mel band centres: vocal tract length (0.74-1.2: children)"
    )
    tilt: float = Field(0.0, ge=0, description="standard deviation of a linear slope over the normalised bands")
    freq_masks: int = Field(0, ge=0, description="SpecAugment: number of masked bands")
    freq_mask_bands: int = Field(8, ge=0, description="largest width of a masked band")
    time_masks: int = Field(0, ge=0, description="SpecAugment: number of masked stretches")
    time_mask_frames: int = Field(13, ge=0, description="largest length of a masked stretch")

    @model_validator(mode="after")
    def _check_ranges(self) -> AugmentConfig:
        for name in (
            "speed",
            "level_db",
            "noise_snr_db",
            "noise_exponent",
            "rir_rt60_seconds",
            "rir_direct_db",
            "mel_warp",
        ):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name}: the lower end {low} is above the upper end {high}")
        for name in ("speed", "mel_warp"):
            low, high = getattr(self, name)
            if not 0.5 <= low <= high <= 2.0:
                raise ValueError(f"{name}: {low}..{high} leaves 0.5..2")
        if self.rir_rt60_seconds[0] <= 0:
            raise ValueError("rir_rt60_seconds must be above 0")
        return self
