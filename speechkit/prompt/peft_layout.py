"""Prompts in the layout of peft's adapters, and back.

`adapter_config.json` and `adapter_model.safetensors` are as peft 0.21 writes and reads them: prefix tuning
(`prompt_embeddings`, virtual tokens x layers * 2 * width: key and value of each layer in turn), prompt tuning
(`prompt_embeddings`, virtual tokens x width), or LoRA (`lora_A` R x I, `lora_B` R x O). peft has no place for a
separator, for labels, or for vectors besides columns: those are in `speechkit.safetensors` and `prompt.json` beside it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from speechkit.artifact import make_artifact, write_json
from speechkit.config import Config
from speechkit.errors import SpeechkitError
from speechkit.models.table import WEIGHTS_FILE
from speechkit.models.ulm import load_ulm
from speechkit.prompt.config import LoraConfig, PromptConfig
from speechkit.prompt.methods import METHOD_PREFIX, behind_projections
from speechkit.prompt.model import PromptedLm
from speechkit.prompt.trained import PROMPT_FILE, TrainedPrompt, load_prompt, read_about, read_tensors, restore
from speechkit.train.checkpoint import save_tensors

ADAPTER_CONFIG, ADAPTER_FILE, REST_FILE = "adapter_config.json", "adapter_model.safetensors", "speechkit.safetensors"
_EMBEDDINGS = "prompt_embeddings"
_MODULES = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "o_proj"}


class ExportConfig(Config):
    """The direction."""

    to: Literal["peft", "speechkit"] = "peft"


def run(source: Path, *, lm: Path, out: Path, to: Literal["peft", "speechkit"], force: bool = False) -> bool:
    """Write a trained prompt as an adapter, or make a prompt of such a folder; False when it was up to date.

    Raises:
        SpeechkitError: peft has no form for the method, or the folder was not made by this command.
    """

    def build(folder: Path) -> None:
        model = load_ulm(lm)[0]
        if to == "peft":
            write_adapter(load_prompt(source, model), folder)
        else:
            about, tensors = read_adapter(source)
            restore(about, tensors, model, source=str(source))
            save_tensors(tensors, folder / WEIGHTS_FILE)
            write_json(folder / PROMPT_FILE, about)

    inputs = {"source": source, "lm": lm}
    config = ExportConfig(to=to)
    return make_artifact(out, command="prompt export", config=config, inputs=inputs, build=build, force=force)


def write_adapter(trained: TrainedPrompt, folder: Path) -> None:
    """Write the four files of an adapter.

    Raises:
        SpeechkitError: peft has no form for the method.
    """
    model, method = trained.model, trained.model.method.config
    rest = dict(model.state_dict())
    if isinstance(method, LoraConfig):
        about, adapter = _lora(model, method, rest)
    elif isinstance(method, PromptConfig):
        about, adapter = _prompt(model, method, rest)
    else:
        raise SpeechkitError(
            f"peft has no adapter for what `method.kind: {method.kind}` trains",
            expected="a method of kind prompt or lora",
        )
    save_tensors(adapter, folder / ADAPTER_FILE)
    save_tensors(rest, folder / REST_FILE)
    common = {"base_model_name_or_path": None, "inference_mode": True, "task_type": _task_type(model)}
    write_json(folder / ADAPTER_CONFIG, {**about, **common})
    write_json(folder / PROMPT_FILE, trained.about)


def _task_type(model: PromptedLm) -> str:
    return "CAUSAL_LM" if model.lm.encoder is None else "SEQ_2_SEQ_LM"


def _lora(model: PromptedLm, method: LoraConfig, rest: dict[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Config and tensors; they are taken out of `rest`."""
    adapter = {}
    for stack in model.method.stacks:
        for target in method.targets:
            a_LIR, b_LRO = (rest.pop(f"{METHOD_PREFIX}{stack}_{target}_{part}") for part in "ab")
            for layer, (a_IR, b_RO) in enumerate(zip(a_LIR, b_LRO, strict=True)):
                name = _module(model, stack, layer, target)
                adapter[f"{name}.lora_A.weight"], adapter[f"{name}.lora_B.weight"] = a_IR.T, b_RO.T
    about = {
        "peft_type": "LORA",
        "r": method.rank,
        "lora_alpha": method.alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": [_MODULES[target] for target in method.targets],
    }
    return about, adapter


def _module(model: PromptedLm, stack: str, layer: int, target: str) -> str:
    """The name of a projection in models of Hugging Face: those of LLaMA, and with an encoder those of BART."""
    inner = "layers" if model.lm.encoder is None else f"{stack}.layers"
    own = "out_proj" if target == "output" and model.lm.encoder is not None else _MODULES[target]
    return f"base_model.model.model.{inner}.{layer}.self_attn.{own}"


def _prompt(
    model: PromptedLm, method: PromptConfig, rest: dict[str, Tensor]
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Config and tensors; what has been stored as it is, is taken out of `rest`."""
    config, shape = model.lm.config, model.method.stacks["decoder"]
    if method.where == "input":
        vectors_PD = rest.pop(f"{METHOD_PREFIX}decoder_input")
        kind, embeddings, width = "PROMPT_TUNING", vectors_PD, shape.dim
    else:
        names = [f"{METHOD_PREFIX}decoder_{kind}" for kind in ("keys", "values")]
        rows, _ = behind_projections(model.method.rows(), method, model.lm)
        pairs_PL2D = torch.stack([rows[f"decoder_{kind}"][0] for kind in ("keys", "values")], 1).permute(2, 0, 1, 3)
        if method.projection == "post":  # else the columns before the projections are wanted back, too
            for name in names:
                del rest[name]
        kind, embeddings, width = "PREFIX_TUNING", pairs_PL2D.flatten(1), shape.key_dim
    about = {
        "peft_type": kind,
        "num_virtual_tokens": method.length,
        "token_dim": width,
        "num_layers": shape.num_layers,
        "num_attention_heads": config.kv_heads if kind == "PREFIX_TUNING" else config.num_heads,
        "num_transformer_submodules": 1,
    }
    about |= {"prefix_projection": False} if kind == "PREFIX_TUNING" else {"prompt_tuning_init": "RANDOM"}
    return about, {_EMBEDDINGS: embeddings.contiguous()}


def read_adapter(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """`prompt.json` and the tensors of the prompt that an adapter was made from.

    Raises:
        SpeechkitError: a file is missing or damaged, or peft's own command made the folder.
    """
    try:
        adapter_config = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))
        kind = adapter_config["peft_type"]
    except (OSError, ValueError, KeyError, TypeError):
        raise SpeechkitError(f"`{folder}` holds no adapter", expected=f"`{ADAPTER_CONFIG}` with `peft_type`") from None
    if not (folder / REST_FILE).is_file() or not (folder / PROMPT_FILE).is_file():
        raise SpeechkitError(
            f"the adapter `{folder}` comes without separator, labels and language model",
            expected=f"`{REST_FILE}` and `{PROMPT_FILE}` beside it, as `speechkit prompt export` writes them",
        )
    about, adapter = read_about(folder), read_tensors(folder / ADAPTER_FILE)
    tensors = read_tensors(folder / REST_FILE)
    try:
        if kind == "LORA":
            tensors |= _read_lora(adapter, about["method"]["targets"])
        elif kind == "PROMPT_TUNING":
            tensors[f"{METHOD_PREFIX}decoder_input"] = adapter[_EMBEDDINGS]
        elif about["method"]["projection"] == "post":
            embeddings = adapter[_EMBEDDINGS]
            pairs_PLKD = embeddings.view(len(embeddings), int(adapter_config["num_layers"]), 2, -1)
            for number, name in enumerate(("keys", "values")):
                tensors[f"{METHOD_PREFIX}decoder_{name}"] = pairs_PLKD[:, :, number].transpose(0, 1).contiguous()
    except (KeyError, TypeError, ValueError, RuntimeError, StopIteration) as error:
        raise SpeechkitError(f"the files of the adapter `{folder}` do not agree", where=str(error)) from None
    return about, tensors


def _read_lora(adapter: dict[str, Tensor], targets: list[str]) -> dict[str, Tensor]:
    found: dict[str, dict[int, Tensor]] = {}
    for name, tensor in adapter.items():
        *path, module, part, _ = name.split(".")
        layer = next(int(step) for step in path if step.isdigit())
        stack = "encoder" if "encoder" in path else "decoder"
        target = next(own for own in targets if module in (_MODULES[own], "out_proj" if own == "output" else ""))
        key = f"{METHOD_PREFIX}{stack}_{target}_{'a' if part == 'lora_A' else 'b'}"
        found.setdefault(key, {})[layer] = tensor.T
    return {key: torch.stack([layers[k] for k in range(len(layers))]) for key, layers in found.items()}
