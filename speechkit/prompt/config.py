"""Settings of prompts: methods, tasks, training; imports nothing heavier than pydantic."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from speechkit.config import NEUTRAL, Config
from speechkit.data.config_batch import TokenBatchConfig
from speechkit.prompt.config_kinds import VerbalizerKind
from speechkit.train.config import LoopConfig, OptimConfig

TaskKind = Literal["classification", "slots", "sequence"]
Projection = Literal["query", "key", "value", "output"]


class PromptConfig(Config):
    """Trained vectors before the tokens, and trained attention columns in every layer."""

    kind: Literal["prompt"] = "prompt"
    default_lr: ClassVar[float] = 2e-2
    where: Literal["input", "deep", "both"] = Field(
        "deep", description="before the embedded tokens, as attention columns of every layer, or both"
    )
    length: int = Field(5, ge=1, le=1000, description="vectors, and columns of each layer")
    projection: Literal["post", "pre"] = Field(
        "post", description="columns are keys and values (post), or go through the frozen projections first (pre)"
    )
    init: Literal["real", "noise"] = Field(
        "real",
        description="start from keys, values and embeddings of training units, or from nothing; both with some noise",
    )
    init_noise: float = Field(0.02, ge=0, description="standard deviation of the noise at the start")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout of prompt entries in training")


class LoraConfig(Config):
    """Low-rank updates beside frozen projections of the self-attention."""

    kind: Literal["lora"] = "lora"
    default_lr: ClassVar[float] = 1e-2
    rank: int = Field(4, ge=1, le=1024, description="rank of an update")
    alpha: float = Field(8.0, gt=0, description="updates are scaled by alpha / rank")
    targets: tuple[Projection, ...] = Field(("query", "value"), min_length=1, description="projections that get one")

    @model_validator(mode="after")
    def _check(self) -> LoraConfig:
        if len(set(self.targets)) < len(self.targets):
            raise ValueError(f"targets {', '.join(self.targets)} name a projection twice")
        return self


class HeadConfig(Config):
    """Separator and verbalizer only: what the others have to beat."""

    kind: Literal["head"] = "head"
    default_lr: ClassVar[float] = 2e-2


class FullConfig(Config):
    """A copy of the whole language model is trained."""

    kind: Literal["full"] = "full"
    default_lr: ClassVar[float] = 1e-3


MethodConfig = Annotated[PromptConfig | LoraConfig | HeadConfig | FullConfig, Field(discriminator="kind")]
_METHODS: dict[str, type[PromptConfig | LoraConfig | HeadConfig | FullConfig]] = {
    "prompt": PromptConfig,
    "lora": LoraConfig,
    "head": HeadConfig,
    "full": FullConfig,
}


class TaskConfig(Config):
    """A task: which field of a manifest is to be read from the units."""

    name: str = Field(min_length=1, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="name of the task")
    kind: TaskKind = Field("classification", description="one label, one of each slot, or a sequence of labels")
    label: tuple[str, ...] = Field(
        min_length=1, description="field of the manifest: text, speaker, gender or a custom one; of slots several"
    )
    token: Literal["word", "char"] = Field("word", description="what a label of a sequence is")
    labels: tuple[str, ...] | None = Field(
        None, min_length=1, description="the labels; none: those of the training data. Not for slots"
    )
    absent: str | None = Field(
        None, min_length=1, description="label of a slot that an utterance lacks, such as none; without it those with "
        "a slot missing are left out",
    )  # fmt: skip
    verbalizer: VerbalizerKind = Field(
        "linear", description="trained on logits (linear) or states (hidden); a fixed unit per label (freq, random, mi)"
    )

    @model_validator(mode="before")
    @classmethod
    def _listed(cls, tree: Any) -> Any:
        if isinstance(tree, dict) and isinstance(tree.get("label"), str):
            return {**tree, "label": [tree["label"]]}
        return tree

    @model_validator(mode="after")
    def _check(self) -> TaskConfig:
        if self.kind != "slots" and len(self.label) > 1:
            raise ValueError(f"a task of kind {self.kind} has one `label`, not {len(self.label)}; see `kind: slots`")
        if self.kind == "slots" and self.labels is not None:
            raise ValueError("the labels of slots are those of the training data: leave `labels` out")
        if self.kind != "slots" and self.absent is not None:
            raise ValueError("`absent` is a label of slots")
        if self.labels is not None and (len(set(self.labels)) < len(self.labels) or not all(self.labels)):
            raise ValueError("`labels` holds a label twice, or an empty one")
        return self


class PromptOptimConfig(OptimConfig):
    """AdamW without decay, a short warm-up, then a cosine."""

    num_steps: int = Field(400, ge=1, description="optimiser updates")
    lr: float = Field(2e-2, gt=0, description="peak learning rate; without it the method decides")
    warmup_steps: int = Field(20, ge=0, description="linear rise of the learning rate")
    flat_share: float = Field(0.0, ge=0, le=1, description="share of training before the learning rate falls")
    weight_decay: float = Field(0.0, ge=0, description="decay of weight matrices")
    clip_norm: float = Field(1.0, gt=0, description="largest gradient norm")


class PromptTrainConfig(LoopConfig):
    """Everything that decides a trained prompt besides the language model and the data."""

    task: TaskConfig = Field(TaskConfig(name="task", label=("text",)), description="the task, from its own file")
    method: MethodConfig = Field(PromptConfig(), description="what is trained")
    shots: int | None = Field(None, ge=1, description="training utterances of each class, drawn; none: all")
    num_seeds: int = Field(3, ge=1, le=100, description="runs with the seeds seed, seed + 1, ...")
    unit_noise: float = Field(
        0.0, ge=0, lt=1, description="share of the units of training utterances that are left out, or replaced by any"
    )
    random_lm: bool = Field(False, description="train on an untrained language model of the same shape: a control")
    allow_overlap: bool = Field(False, description="train although the dev set overlaps with the training data")
    batch: TokenBatchConfig = Field(TokenBatchConfig(max_tokens=8192, pool_size=512), description="batches")
    optim: PromptOptimConfig = Field(PromptOptimConfig(), description="optimiser")
    dev_every_steps: int = Field(
        100, ge=0, description="steps between looks at the dev set; 0: at the end only", json_schema_extra=NEUTRAL
    )

    @model_validator(mode="before")
    @classmethod
    def _default_lr(cls, tree: Any) -> Any:
        """The learning rate of the method where none is given, so that `config.yaml` says which it was."""
        if not isinstance(tree, dict):
            return tree
        method, optim = tree.get("method", {}), tree.get("optim", {})
        kind = method.get("kind", "prompt") if isinstance(method, dict) else getattr(method, "kind", "")
        if kind not in _METHODS or not isinstance(optim, dict):
            return tree
        tree = {**tree, "optim": {"lr": _METHODS[kind].default_lr, **optim}}
        if isinstance(method, dict):
            tree["method"] = {"kind": kind, **method}
        return tree


class PredictConfig(Config):
    """How labels are predicted."""

    batch_size: int = Field(64, ge=1, description="utterances in a batch", json_schema_extra=NEUTRAL)
    beam_size: int = Field(1, ge=1, description="hypotheses kept for sequences and slots; 1: greedy")
    max_labels: int = Field(200, ge=1, description="longest label sequence")
    threads: int = Field(1, ge=1, description="CPU threads of torch")
    device: Literal["cpu", "cuda"] = Field("cpu", description="where the model runs")


Baseline = Literal["bow", "pool", "head", "lora", "full", "random"]
BASELINES: tuple[Baseline, ...] = ("bow", "pool", "head", "lora", "full", "random")


class EvalConfig(Config):
    """What stands beside trained prompts."""

    predict: PredictConfig = Field(PredictConfig(), description="how labels are predicted")
    baselines: tuple[Baseline, ...] = Field(
        BASELINES,
        description="bag of units with a linear SVM, pooled states with logistic regression; head only, low-rank "
        "updates, full fine-tuning, and the first method on an untrained language model",
    )
    allow_overlap: bool = Field(False, description="go on when the test set overlaps with training data")
