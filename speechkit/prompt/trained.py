"""A trained prompt as a folder: `model.safetensors` holds what was trained, `prompt.json` what it belongs to.

`prompt.json`: `task` with its labels, `method`, `verbalizer` with the token of each label, the fingerprint of the
language model, codebook and frame rate of its units, whether they were merged, and how it was trained.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pydantic
import torch
from pydantic import Field, ValidationInfo, field_validator
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from speechkit.artifact import write_json
from speechkit.config import Config, build_config
from speechkit.errors import ConfigError, SpeechkitError
from speechkit.fingerprint import hash_of
from speechkit.models.table import WEIGHTS_FILE
from speechkit.models.ulm import UnitLm
from speechkit.models.ulm_folder import check_tensors
from speechkit.prompt.config import FullConfig, MethodConfig, TaskConfig
from speechkit.prompt.config_kinds import VerbalizerKind
from speechkit.prompt.methods import METHOD_PREFIX
from speechkit.prompt.model import PromptedLm
from speechkit.prompt.tasks import Task, task_of_json
from speechkit.prompt.verbalizer import LabelMap
from speechkit.rng import derive_seed
from speechkit.units.unit_file import UnitSet

PROMPT_FILE = "prompt.json"
_FORMAT = 1
_METHODS: pydantic.TypeAdapter[MethodConfig] = pydantic.TypeAdapter(MethodConfig)


class _StoredTask(TaskConfig):
    slots: tuple[tuple[str, ...], ...] = Field(min_length=1)

    @field_validator("slots")
    @classmethod
    def _check_slots(cls, slots: tuple[tuple[str, ...], ...], info: ValidationInfo) -> tuple[tuple[str, ...], ...]:
        if len(slots) != len(info.data.get("label", slots)):
            raise ValueError("not as many slots as fields in `label`")
        for slot in slots:
            if len(set(slot)) < len(slot) or not all(slot):
                raise ValueError("a label stands there twice, or is empty")
        return slots


class _StoredLabelMap(Config):
    kind: VerbalizerKind
    tokens: tuple[int, ...]


class _About(Config):
    format: Literal[1]
    task: _StoredTask
    method: MethodConfig
    verbalizer: _StoredLabelMap
    lm: str
    random_lm: int | None
    codebook: str | None
    frames_per_second: float | None = Field(gt=0)
    dedup: bool | None = None
    seed: int | None = None
    shots: int | None = None
    num_training_utterances: int | None = None
    num_parameters: int = Field(ge=0)
    num_lm_parameters: int = Field(ge=1)
    cpu_seconds: float = Field(ge=0)


@dataclass(frozen=True)
class TrainedPrompt:
    """A prompt in eval mode on its language model, and the content of its `prompt.json`."""

    model: PromptedLm
    about: dict[str, Any]

    @property
    def task(self) -> Task:
        """What it was trained for."""
        return self.model.task


def lm_fingerprint(lm: UnitLm) -> str:
    """SHA-256 of the shape and the weights of a language model."""
    digest = hashlib.sha256(hash_of(lm.config.model_dump(mode="json")).encode())
    for name, value in sorted(lm.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def untrained_like(lm: UnitLm, *, seed: int) -> UnitLm:
    """A language model of the same shape with random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(seed, "untrained language model", bits=63))
        return UnitLm(lm.config, num_units=lm.num_units).eval().requires_grad_(False)


def write_about(folder: Path, model: PromptedLm, belongs: dict[str, Any]) -> None:
    """Write `prompt.json` beside the trained tensors.

    Args:
        belongs: language model, codebook, rate and training.
    """
    about = {
        "format": _FORMAT,
        "task": model.task.as_json(),
        "method": model.method.config.model_dump(mode="json"),
        "verbalizer": model.verbalizer.label_map.as_json(),
        **belongs,
    }
    write_json(folder / PROMPT_FILE, about)


def load_prompt(folder: Path, lm: UnitLm) -> TrainedPrompt:
    """A prompt made by `speechkit prompt train`, in eval mode.

    Raises:
        SpeechkitError: the folder holds none, is damaged, or was trained on another language model.
    """
    about = read_about(folder)
    return restore(about, read_tensors(folder / WEIGHTS_FILE), lm, source=str(folder))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file.

    Raises:
        SpeechkitError: missing or damaged.
    """
    try:
        return load_file(str(path))
    except (OSError, SafetensorError) as error:
        raise SpeechkitError(f"`{path}` cannot be read: {str(error).splitlines()[0]}") from None


def restore(about: dict[str, Any], tensors: dict[str, Tensor], lm: UnitLm, *, source: str) -> TrainedPrompt:
    """A prompt of its two files; `source` is for messages. Raises as `load_prompt`."""
    found = lm_fingerprint(lm)
    if found != about["lm"]:
        raise SpeechkitError(
            f"`{source}` was trained on another language model",
            where=f"on {about['lm'][:12]}, this one is {found[:12]}",
            hint="give the language model of `prompt train`, or train again",
        )
    if about["random_lm"] is not None:
        lm = untrained_like(lm, seed=about["random_lm"])
    try:
        task, method = task_of_json(about["task"]), _METHODS.validate_python(about["method"])
        label_map = LabelMap(about["verbalizer"]["kind"], tuple(about["verbalizer"]["tokens"]))
        own = {} if isinstance(method, FullConfig) else method_tensors(tensors)
        _check_labels(task, label_map, lm, source)
        model = PromptedLm(lm, task, method, label_map, own)
        check_tensors(tensors, model, source)
        model.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, IndexError, RuntimeError) as error:
        raise SpeechkitError(
            f"tensors and {PROMPT_FILE} of `{source}` do not agree", where=str(error).splitlines()[0]
        ) from None
    return TrainedPrompt(model.eval().requires_grad_(False), about)


def method_tensors(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Those of the method, without the verbalizer."""
    return {name.removeprefix(METHOD_PREFIX): own for name, own in tensors.items() if name.startswith(METHOD_PREFIX)}


def _check_labels(task: Task, label_map: LabelMap, lm: UnitLm, source: str) -> None:
    is_known = all(isinstance(token, int) and 0 <= token <= lm.end_id for token in label_map.tokens)
    if len(label_map.tokens) != task.num_outputs or not is_known:
        raise SpeechkitError(
            f"`{source}`: the task has {task.num_outputs} labels, the verbalizer tokens for {len(label_map.tokens)}",
            hint="labels can not be added to a trained prompt: train it again",
        )


def read_about(folder: Path) -> dict[str, Any]:
    """The content of `prompt.json`.

    Raises:
        SpeechkitError: missing, or of another kind.
    """
    path = folder / PROMPT_FILE
    try:
        return check_about(json.loads(path.read_text(encoding="utf-8")), path)
    except (OSError, ValueError, RecursionError):
        seeds = sorted(child.name for child in folder.glob("seed-*")) if folder.is_dir() else []
        raise SpeechkitError(
            f"`{folder}` holds no trained prompt",
            expected=f"`{path}`, made by `speechkit prompt train`",
            hint=f"it holds the runs {', '.join(seeds)}: give one of them" if seeds else "",
        ) from None


def check_about(about: Any, path: Path) -> dict[str, Any]:
    """The same, when it is what `write_about` writes.

    Raises:
        SpeechkitError: it is of another version, or something else.
    """
    try:
        return build_config(_About, about).model_dump(mode="json", exclude_unset=True)
    except ConfigError as error:
        raise SpeechkitError(
            f"`{path}` does not describe a trained prompt of format {_FORMAT}", where=error.where
        ) from None


def check_units(about: dict[str, Any], units: UnitSet) -> None:
    """Refuse units that a trained prompt can not read.

    Raises:
        SpeechkitError: of another codebook, at another rate, or merged and the others not.
    """
    codebook, rate = about["codebook"], about["frames_per_second"]
    name = about["task"]["name"]
    if codebook is not None and codebook != units.about["codebook"]:
        raise SpeechkitError(
            f"the prompt of task `{name}` was trained on units of another codebook",
            where=f"on {codebook[:12]}, these are of {units.about['codebook'][:12]}",
            hint="quantize with the codebook that the prompt was trained with",
        )
    if rate is not None and abs(rate - units.times.frames_per_second) > 1e-6 * rate:
        raise SpeechkitError(
            f"the prompt of task `{name}` was trained on {rate:g} frames per second, not "
            f"{units.times.frames_per_second:g}"
        )
    dedup, found = about.get("dedup"), units.about.get("dedup")
    if dedup is not None and found is not None and dedup != found:
        forms = {True: "units without repetition", False: "a unit for each frame"}
        raise SpeechkitError(
            f"the prompt of task `{name}` was trained on {forms[dedup]}, these are {forms[found]}",
            hint="quantize with the same --dedup, or train the prompt again with this language model",
        )
