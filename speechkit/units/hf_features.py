"""Layers of self-supervised models in Hugging Face's layout, through the optional package transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from speechkit.errors import ConfigError, SpeechkitError, missing_package
from speechkit.fingerprint import fingerprint
from speechkit.units.config import HfConfig
from speechkit.units.extractor import Extractor
from speechkit.units.ssl_features import neural_extractor

_WEIGHTS = "model.safetensors"


def hf_extractor(config: HfConfig) -> Extractor:
    """Output of a transformer layer of a HuBERT, wav2vec 2.0 or WavLM in a local folder.

    Raises:
        ConfigError: transformers is missing, or no folder or layer; SpeechkitError: the folder lacks a file.
    """
    try:
        import transformers
    except ImportError:
        raise missing_package("transformers", "hf", "features of kind `hf`") from None
    if config.folder is None:
        raise ConfigError("features of kind `hf` need a folder", hint="--set features.folder=DIR")
    folder = Path(config.folder)
    settings = _read(folder / "config.json")
    audio = _read(folder / "preprocessor_config.json")
    if not (folder / _WEIGHTS).is_file():
        raise SpeechkitError(f"`{folder / _WEIGHTS}` is missing", expected="weights as safetensors, never pickled")
    missing = [name for name in ("conv_kernel", "conv_stride", "hidden_size") if name not in settings]
    if missing or not isinstance(audio.get("sampling_rate"), int):
        raise SpeechkitError(
            f"`{folder}` is no speech model of the kind read here", where=[f"lacks `{name}`" for name in missing]
        )
    if config.layer > int(settings.get("num_hidden_layers", 0)):
        raise ConfigError(f"`{folder}` has {settings.get('num_hidden_layers')} layers, not {config.layer}")
    try:
        model = transformers.AutoModel.from_pretrained(
            str(folder), local_files_only=True, use_safetensors=True, trust_remote_code=False
        )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise SpeechkitError(f"transformers can not load `{folder}`", where=str(error).splitlines()[:1]) from None
    model = model.eval().to(config.device)

    def encode(samples_1S: Tensor) -> Tensor:
        # state 0 is the input of the first layer
        states = model(samples_1S, output_hidden_states=True).hidden_states
        return states[config.layer][0]  # type: ignore[no-any-return]

    return neural_extractor(
        config,
        encode,
        sampling_rate=audio["sampling_rate"],
        dim=int(settings["hidden_size"]),
        convolutions=list(zip(settings["conv_kernel"], settings["conv_stride"], strict=True)),
        levels_samples=bool(audio.get("do_normalize", True)),
        model_print=fingerprint(folder / _WEIGHTS),
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise SpeechkitError(f"`{path}` is missing", expected="a model folder in the layout of transformers") from None
    except ValueError:
        raise SpeechkitError(f"`{path}` is not JSON") from None
    if not isinstance(value, dict):
        raise SpeechkitError(f"`{path}` is no JSON object")
    return value
