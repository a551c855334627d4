"""The table of models, and loading one from the folder that `speechkit train` made."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pydantic
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from speechkit.artifact import CONFIG_FILE
from speechkit.audio.config import FeatureConfig
from speechkit.config import Config, build_config, parse_yaml
from speechkit.errors import ConfigError, SpeechkitError
from speechkit.models.config import ModelConfig
from speechkit.text.tokenizer import Tokenizer, load_tokenizer

MODELS = {"ctc": "speechkit.models.ctc:CtcModel", "aed": "speechkit.models.aed:AedModel"}
WEIGHTS_FILE = "model.safetensors"
TOKENIZER_FOLDER = "tokenizer"


@dataclass
class Trained:
    """A model in eval mode with what it needs to be used."""

    model: nn.Module
    features: FeatureConfig
    tokenizer: Tokenizer


class _Sections(Config):
    model_config = pydantic.ConfigDict(extra="ignore", frozen=True, protected_namespaces=())
    model: ModelConfig
    features: FeatureConfig


def check_device(name: str) -> None:
    """Raise ConfigError when torch cannot use the device."""
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device=cuda, but torch finds no GPU that it can use", hint="--set device=cpu")


def make_model(config: ModelConfig, *, num_mels: int, num_tokens: int) -> nn.Module:
    """An untrained model."""
    module, name = MODELS[config.kind].split(":")
    return getattr(import_module(module), name)(config, num_mels=num_mels, num_tokens=num_tokens)  # type: ignore[no-any-return]


def load_trained(exp: Path) -> Trained:
    """The model of a finished `speechkit train`.

    Raises:
        SpeechkitError: the folder is not there, unfinished or damaged.
    """
    weights = exp / WEIGHTS_FILE
    if not weights.is_file():
        unfinished = exp.with_name(f"{exp.name}.partial").is_dir()
        raise SpeechkitError(
            f"`{exp}` holds no trained model" + (": its training has not finished" if unfinished else ""),
            expected=f"`{weights}`, made by `speechkit train`",
            hint="run the same `speechkit train` command again; it goes on from its last checkpoint"
            if unfinished
            else "",
        )
    source = exp / CONFIG_FILE
    tree, _ = parse_yaml(source.read_text(encoding="utf-8"), str(source))
    sections = build_config(_Sections, tree)
    tokenizer = load_tokenizer(exp / TOKENIZER_FOLDER)
    model = make_model(sections.model, num_mels=sections.features.num_mels, num_tokens=tokenizer.num_tokens)
    try:
        model.load_state_dict(load_file(str(weights)))
    except (SafetensorError, RuntimeError) as error:
        raise SpeechkitError(f"`{weights}` does not fit its config", where=str(error).splitlines()[0]) from None
    return Trained(model.eval(), sections.features, tokenizer)
