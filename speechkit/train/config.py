"""The configuration of `speechkit train`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field

from speechkit.audio.config import AugmentConfig, FeatureConfig
from speechkit.config import LATER, NEUTRAL, Config, load_config
from speechkit.cutpaste.config import OnTheFlyConfig
from speechkit.data.config_batch import BatchConfig, PackingConfig, TokenBatchConfig
from speechkit.models.config import CtcConfig, ModelConfig, UlmConfig


class TokenizerConfig(Config):
    """Model symbols, learned from the training texts."""

    kind: Literal["char", "word", "bpe", "unigram"] = Field("char", description="what a token is")
    size: int | None = Field(None, ge=2, description="number of pieces for bpe and unigram")


class OptimConfig(Config):
    """AdamW with warm-up, a flat part and a cosine to 1 % of the peak."""

    num_steps: int = Field(1000, ge=1, description="optimiser updates")
    batches_per_step: int = Field(
        1,
        ge=1,
        description="batches whose mean gradient makes an update; processes that train together share them",
        json_schema_extra=LATER,
    )
    lr: float = Field(3e-3, gt=0, description="peak learning rate")
    warmup_steps: int = Field(50, ge=0, description="linear rise of the learning rate")
    flat_share: float = Field(0.4, ge=0, le=1, description="share of training before the learning rate falls")
    beta1: float = Field(0.9, ge=0, lt=1, description="decay of the gradient mean")
    beta2: float = Field(0.98, ge=0, lt=1, description="decay of the squared gradient mean")
    weight_decay: float = Field(0.02, ge=0, description="decay of weight matrices; vectors are spared")
    clip_norm: float = Field(2.0, gt=0, description="largest gradient norm")


class CheckpointConfig(Config):
    """When training is written down."""

    every_steps: int = Field(200, ge=1, description="steps between checkpoints", json_schema_extra=NEUTRAL)
    keep: int = Field(
        2,
        ge=1,
        description="newest checkpoints kept; the older ones serve if the newest is damaged",
        json_schema_extra=NEUTRAL,
    )


class ConvergenceConfig(Config):
    """When a finished model counts as converged; others are not to be compared."""

    num_utterances: int = Field(100, ge=0, description="training utterances decoded at the end; 0: nobody looks")
    max_wer: float = Field(30.0, ge=0, description="highest greedy WER on them in percent")


class LoopConfig(Config):
    """What every training run decides, whatever it trains."""

    batch: PackingConfig
    optim: OptimConfig = Field(OptimConfig(), description="optimiser")
    checkpoint: CheckpointConfig = Field(CheckpointConfig(), description="checkpoints")
    average_decay: float = Field(
        0.99,
        ge=0,
        lt=1,
        description="exponential average of the weights, used for decoding; 0: the last weights",
    )
    dev_every_steps: int = Field(
        500, ge=0, description="steps between looks at the dev set; 0: at the end only", json_schema_extra=NEUTRAL
    )
    log_every_steps: int = Field(
        50, ge=1, description="steps between log lines; train.jsonl has every step", json_schema_extra=NEUTRAL
    )
    seed: int = Field(0, ge=0, description="decides initial weights, batches, dropout and perturbation")
    threads: int = Field(1, ge=1, description="CPU threads of torch; more change the last bits of the result")
    device: Literal["cpu", "cuda"] = Field("cpu", description="where the model runs")
    num_workers: int = Field(
        0, ge=0, description="processes that make batches; the result does not depend on it", json_schema_extra=NEUTRAL
    )


class TrainConfig(LoopConfig):
    """Everything that decides the training of a recogniser besides the manifests."""

    batch: BatchConfig = Field(BatchConfig(), description="batches")
    model: ModelConfig = Field(CtcConfig(), description="what is trained")
    tokenizer: TokenizerConfig = Field(TokenizerConfig(), description="model symbols")
    features: FeatureConfig = Field(FeatureConfig(), description="log-mel features")
    augment: AugmentConfig = Field(AugmentConfig(), description="perturbation of the training audio")
    cutpaste: OnTheFlyConfig = Field(OnTheFlyConfig(), description="utterances pasted while training")
    convergence: ConvergenceConfig = Field(ConvergenceConfig(), description="verdict on the finished model")
    allow_overlap: bool = Field(False, description="train although the dev set overlaps with the training data")


class UnitTrainConfig(LoopConfig):
    """Everything that decides the training of a unit language model besides the units."""

    batch: TokenBatchConfig = Field(TokenBatchConfig(), description="batches")
    model: UlmConfig = Field(UlmConfig(), description="what is trained")
    max_units: int = Field(512, ge=2, description="longer utterances are cut into pieces of at most so many units")


class _Kind(Config):
    """The one key that decides which other keys there are."""

    model_config = ConfigDict(extra="ignore", frozen=True, protected_namespaces=())
    model: dict[str, Any] = Field({})


def config_class(path: Path, overrides: Sequence[str]) -> type[TrainConfig] | type[UnitTrainConfig]:
    """The configuration that fits `model.kind` of a file and its overrides."""
    return UnitTrainConfig if load_config(_Kind, path, overrides).model.get("kind") == "ulm" else TrainConfig
