"""Settings of discrete units; imports nothing heavier than pydantic."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from speechkit.audio.config import FeatureConfig
from speechkit.config import NEUTRAL, Config

Normalize = Literal["utterance", "global", "none"]


class SpectralConfig(Config):
    """What log-mel features and cepstra share."""

    sampling_rate: int = Field(
        16000, ge=4000, description="Hz; faster recordings are down-sampled, slower ones refused"
    )
    num_mels: int = Field(40, ge=8, le=256, description="mel bands")
    frame_ms: float = Field(25.0, gt=0, description="length of the Hann window")
    hop_ms: float = Field(10.0, gt=0, description="time between frames")
    low_hz: float = Field(60.0, ge=0, description="lower edge of the lowest band")
    high_hz: float | None = Field(None, description="upper edge; none: 95 % of half the sampling rate")
    deltas: int = Field(2, ge=0, le=2, description="0: none, 1: slopes, 2: slopes of slopes, too")
    normalize: Normalize = Field(
        "global",
        description="mean and variance over all that was trained on, over the utterance (which takes the content of "
        "single words away), or as it is",
    )

    def mel(self) -> FeatureConfig:
        """The log-mel features below, not normalised."""
        return FeatureConfig(
            sampling_rate=self.sampling_rate,
            num_mels=self.num_mels,
            frame_ms=self.frame_ms,
            hop_ms=self.hop_ms,
            low_hz=self.low_hz,
            high_hz=self.high_hz,
            normalize="none",
        )

    @model_validator(mode="after")
    def _check(self) -> SpectralConfig:
        self.mel()
        return self


class LogMelConfig(SpectralConfig):
    """Log-mel bands."""

    kind: Literal["logmel"] = "logmel"


class MfccConfig(SpectralConfig):
    """Mel-frequency cepstral coefficients: the cosine transform of log-mel bands."""

    kind: Literal["mfcc"] = "mfcc"
    num_cepstra: int = Field(13, ge=2, le=80, description="coefficients, the level of the frame included")

    @model_validator(mode="after")
    def _check_cepstra(self) -> MfccConfig:
        if self.num_cepstra > self.num_mels:
            raise ValueError(f"num_cepstra {self.num_cepstra} is above num_mels {self.num_mels}")
        return self


class NeuralConfig(Config):
    """What features of self-supervised models share."""

    layer: int = Field(6, ge=1, description="transformer layer whose output is taken, from 1")
    normalize: Normalize = Field("none", description="as for spectral features")
    upsample: bool = Field(False, description="take slower recordings, too, though their upper band is empty")
    chunk_seconds: float = Field(60.0, ge=1, description="longer audio is encoded in chunks without shared context")
    device: Literal["cpu", "cuda"] = Field(
        "cpu", json_schema_extra=NEUTRAL, description="where the model runs; the last bits of features depend on it"
    )


class SslConfig(NeuralConfig):
    """A self-supervised model of torchaudio: a pipeline and the file of its weights."""

    kind: Literal["ssl"] = "ssl"
    pipeline: str = Field("HUBERT_BASE", description="name in torchaudio.pipelines")
    checkpoint: str | None = Field(None, description="file of its weights; nothing is downloaded")


class HfConfig(NeuralConfig):
    """A self-supervised model in a local folder in the layout of Hugging Face (extra `hf`)."""

    kind: Literal["hf"] = "hf"
    folder: str | None = Field(None, description="holds config.json, model.safetensors, preprocessor_config.json")


Features = Annotated[LogMelConfig | MfccConfig | SslConfig | HfConfig, Field(discriminator="kind")]


class KmeansConfig(Config):
    """Everything that decides a codebook besides the audio."""

    features: Features = Field(MfccConfig(), description="what is clustered")
    k: int = Field(100, ge=2, le=65000, description="centres")
    init: Literal["kmeans++", "sample"] = Field("kmeans++", description="first centres: spread out, or drawn evenly")
    init_frames: int = Field(20_000, ge=100, description="frames that the first centres are chosen from")
    max_frames: int = Field(5_000_000, ge=100, description="frames kept on disk and trained on; drawn evenly")
    batch_frames: int = Field(4096, ge=64, description="frames between two moves of the centres")
    max_passes: int = Field(10, ge=0, description="passes of mini-batches over the frames")
    final_passes: int = Field(10, ge=1, description="at most so many passes of all frames at once (Lloyd) at the end")
    tolerance: float = Field(
        3e-3, ge=0, lt=1, description="passes of a kind end when inertia falls by less than this share"
    )
    min_share: float = Field(
        0.01, ge=0, lt=1, description="centres with less than this share of the mean count move to far frames"
    )
    seed: int = Field(0, description="randomness comes from this seed and the utterance id only")


class QuantizeConfig(Config):
    """How a manifest becomes units; the features come from the codebook."""

    dedup: bool = Field(True, description="runs of equal units become one unit with its length")
    bpe_size: int | None = Field(None, ge=3, description="train unit BPE with so many tokens; none: no BPE")
    model: str | None = Field(
        None,
        json_schema_extra=NEUTRAL,
        description="file or folder of a neural model, if no longer where it lay; it must be the same",
    )
    device: Literal["cpu", "cuda"] = Field("cpu", json_schema_extra=NEUTRAL, description="where a neural model runs")


class ImportConfig(Config):
    """What the features of a codebook made elsewhere are."""

    features: Features = Field(SslConfig(), description="what its centres are centres of")
    name: str | None = Field(None, description="array to read, where a file holds several")


class InvarianceConfig(Config):
    """Changes of the audio that should not change the units."""

    num_utterances: int = Field(100, ge=1, description="utterances that are changed, drawn evenly")
    noise_snr_db: tuple[float, ...] = Field((20.0, 10.0), description="pink noise at these ratios")
    speeds: tuple[float, ...] = Field((0.9, 1.1), description="speed factors; pitch moves along")
    gains_db: tuple[float, ...] = Field((-6.0, 6.0), description="level changes")
    seed: int = Field(0, description="of the noise and the draw")
