"""Settings of in-context learning; imports nothing heavier than pydantic."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from speechkit.config import NEUTRAL, Config
from speechkit.data.config_batch import TokenBatchConfig
from speechkit.prompt.config import MethodConfig, PromptConfig, PromptOptimConfig, TaskConfig
from speechkit.train.config import LoopConfig


class IclTaskConfig(Config):
    """Utterances with one label each."""

    name: str = Field(min_length=1, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="name of the task")
    label: str = Field(description="field of the manifest: text, speaker, gender or a custom one")
    units: str = Field(description="folder made by `units quantize`")
    cuts: str = Field(description="the manifest that was encoded")

    def task(self) -> TaskConfig:
        """The same as a task of prompts."""
        return TaskConfig(name=self.name, label=(self.label,))


class IclConfig(LoopConfig):
    """Everything that decides warm-up and evaluation besides the language model and the data."""

    warmup: tuple[IclTaskConfig, ...] = Field(min_length=1, description="tasks of the warm-up")
    evaluation: tuple[IclTaskConfig, ...] = Field(
        min_length=1,
        description="tasks to measure on; unseen if neither utterances nor labels are in "
        "`warmup`, and the language model was not trained on them",
    )
    num_classes: int = Field(2, ge=2, description="classes of an episode, drawn from those of the task")
    num_demos: int = Field(4, ge=2, description="demonstrations of an episode, as many of each class")
    unit_len: int = Field(
        50, ge=0, description="units of every utterance: cut, or repeated from the start; 0: as it is"
    )
    target: Literal["copy", "new", "both"] = Field(
        "copy", description="what the warm-up asks for: a demonstration again, a new utterance, or both in turn"
    )
    method: MethodConfig = Field(PromptConfig(), description="what the warm-up trains")
    num_episodes: int = Field(10_000, ge=1, description="different warm-up episodes of each task")
    num_warmups: int = Field(1, ge=1, description="warm-ups with the seeds seed, seed + 1, ...; repeats take turns")
    eval_episodes: int = Field(200, ge=1, description="episodes of a repeat")
    repeats: int = Field(5, ge=1, description="repeats with other episodes, for mean and standard deviation")
    batch: TokenBatchConfig = Field(TokenBatchConfig(max_tokens=8192, pool_size=512), description="batches")
    optim: PromptOptimConfig = Field(PromptOptimConfig(), description="optimiser of the warm-up")
    dev_every_steps: int = Field(
        100, ge=0, description="steps between looks at warm-up tasks", json_schema_extra=NEUTRAL
    )

    @model_validator(mode="after")
    def _check(self) -> IclConfig:
        if self.num_demos % self.num_classes:
            raise ValueError(f"num_demos {self.num_demos} is no multiple of num_classes {self.num_classes}")
        names = [task.name for task in (*self.warmup, *self.evaluation)]
        double = sorted({name for name in names if names.count(name) > 1})
        if double:
            raise ValueError(f"two tasks are called {', '.join(double)}")
        return self

    @property
    def demos_per_class(self) -> int:
        """Demonstrations of each class."""
        return self.num_demos // self.num_classes
