"""Unit language models in the layout of Hugging Face: OPT, LLaMA or Qwen2 over units, as TWIST and Slam are.

A folder with config.json and model.safetensors or pytorch_model.bin, whole or in parts with an index. Unit 0 is the
token `offset` of TWIST's config.json, the first after the special tokens in Slam's; a tokenizer.json that names
tokens <Un0>, <Un1> ... says it itself.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from speechkit.config import build_config
from speechkit.errors import SpeechkitError
from speechkit.models.config import UlmConfig
from speechkit.prompt.config_import import UlmImportConfig
from speechkit.prompt.import_tensors import (
    FAIRSEQ_PARTS,
    MEAN,
    Found,
    both,
    check_settings,
    check_table,
    is_copy,
    layer_names,
    special_row,
)
from speechkit.units.checkpoint_reader import read_checkpoint

CONFIG_JSON, TOKENIZER_JSON, SLAM_JSON = "config.json", "tokenizer.json", "tokeniser_config.json"
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
_SLAM = "speech_language_model"
_UNIT = re.compile(r"<Un([0-9]{1,9})>")
_LLAMA_PARTS = {
    "attention.query": "self_attn.q_proj",
    "attention.key": "self_attn.k_proj",
    "attention.value": "self_attn.v_proj",
    "attention.output": "self_attn.o_proj",
    "attention_norm": "input_layernorm",
    "feed_forward.inner": "mlp.up_proj",
    "feed_forward.gate": "mlp.gate_proj",
    "feed_forward.output": "mlp.down_proj",
    "feed_forward_norm": "post_attention_layernorm",
}
_KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads"), (int,)),
    **dict.fromkeys(("ffn_dim", "intermediate_size", "head_dim", "word_embed_proj_dim", "offset"), (int,)),
    "max_position_embeddings": (int,),
    **dict.fromkeys(("dropout", "attention_dropout", "rms_norm_eps", "rope_theta"), (float, int)),
    **dict.fromkeys(("do_layer_norm_before", "_remove_final_layer_norm", "enable_bias", "attention_bias"), (bool,)),
    **dict.fromkeys(("mlp_bias", "tie_word_embeddings", "use_sliding_window"), (bool,)),
    **dict.fromkeys(("activation_function", "hidden_act"), (str,)),
    **dict.fromkeys(("rope_parameters", "rope_scaling"), (dict,)),
    "layer_types": (list,),
}
_IGNORED = ("rotary_emb.inv_freq",)


def read_hf(source: Path, options: UlmImportConfig) -> Found:
    """A decoder-only model.

    Raises:
        SpeechkitError: a file is missing or damaged, or the model has parts that are not read.
    """
    path = source / CONFIG_JSON
    outer = _read_json(path)
    is_slam = outer.get("model_type") == _SLAM
    settings = outer.get("base_config") if is_slam else outer
    kind = settings.get("model_type") if isinstance(settings, dict) else None
    if not isinstance(settings, dict) or kind not in ("opt", "llama", "qwen2"):
        raise SpeechkitError(
            f"`{path}` is of a model of type {kind!r}, which is not read",
            expected="opt, llama or qwen2",
        )
    check_settings({**outer, **settings}, _KINDS, path)
    tensors = _read_weights(source)
    if is_slam:
        tensors = {name.removeprefix("lm."): tensor for name, tensor in tensors.items()}
    if (settings.get("num_hidden_layers") or 0) > len(tensors):
        raise SpeechkitError(f"`{path}` has no sound value of num_hidden_layers: there are {len(tensors)} tensors")
    try:
        tree, names = _opt(settings) if kind == "opt" else _llama(settings, kind)
    except KeyError as error:
        raise SpeechkitError(f"`{path}` has no sound value of {error}") from None
    config = build_config(UlmConfig, tree)
    table = names["embedding.weight"]
    if table not in tensors:
        raise SpeechkitError(f"`{source}` has no tensor {table}", where=sorted(tensors)[:3])
    check_table(tensors[table], table, source)
    if config.is_tied:
        head = tensors.pop("lm_head.weight", None)
        if head is not None and not is_copy(head, tensors[table]):
            raise SpeechkitError(
                f"`lm_head.weight` of `{source}` differs from {table}, though they are said to be tied",
                hint=f'"tie_word_embeddings": false in {CONFIG_JSON} keeps both',
            )
    found = Found(config, tensors, names, (), str(source), _IGNORED)
    _find_rows(found, source, options, settings={**outer, **settings}, num_rows=len(tensors[table]))
    return found


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise SpeechkitError(f"`{path}` is missing", expected="a folder of Hugging Face's transformers")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise SpeechkitError(f"`{path}` is no sound JSON: {error}") from None
    if not isinstance(found, dict):
        raise SpeechkitError(f"`{path}` holds no settings")
    return found


def _read_weights(source: Path) -> dict[str, Tensor]:
    path = next((source / name for name in _WEIGHTS if (source / name).is_file()), None)
    if path is None:
        raise SpeechkitError(f"`{source}` holds no weights", expected=", ".join(_WEIGHTS))
    files = [path]
    if path.suffix == ".json":
        listed = _read_json(path).get("weight_map")
        names = list(listed.values()) if isinstance(listed, dict) else []
        if not names or not all(isinstance(name, str) for name in names):
            raise SpeechkitError(f"`{path}` has no sound value of weight_map")
        files = [source / Path(name).name for name in sorted(set(names))]  # the name only: they lie beside the index
    tensors: dict[str, Tensor] = {}
    for file in files:
        if not file.is_file():
            raise SpeechkitError(f"`{file}` can not be read: there is no such file")
        try:
            is_safe = file.suffix == ".safetensors"
            tensors |= load_file(str(file)) if is_safe else _of_torch(file)
        except (SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
            raise SpeechkitError(f"`{file}` can not be read: {type(error).__name__} {error}") from None
    return tensors


def _of_torch(file: Path) -> dict[str, Tensor]:
    stored = read_checkpoint(file)
    return stored.tensors(stored.tree)


def _opt(settings: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    dim, width = settings["hidden_size"], settings.get("word_embed_proj_dim") or settings["hidden_size"]
    is_pre = settings.get("do_layer_norm_before", True)
    _require(settings, {"layer_norm_elementwise_affine": [True, None]})
    bias = settings.get("enable_bias", True)
    tree = {
        "dim": dim,
        "num_layers": settings["num_hidden_layers"],
        "num_heads": settings["num_attention_heads"],
        "ff_dim": settings["ffn_dim"],
        "activation": _activation(settings.get("activation_function", "relu")),
        "is_pre_norm": is_pre,
        "has_final_norm": is_pre and not settings.get("_remove_final_layer_norm", False),
        "has_qkv_bias": bias,
        "has_bias": bias,
        "positions": "learned",
        "position_offset": 2,
        "max_positions": settings["max_position_embeddings"],
        "embedding_dim": None if width == dim else width,
        "is_tied": settings.get("tie_word_embeddings", True),
        "dropout": settings.get("dropout", 0.1),
    }
    base = "model.decoder"
    names = {
        "embedding.weight": f"{base}.embed_tokens.weight",
        "output.weight": "lm_head.weight",
        "project_in.weight": f"{base}.project_in.weight",
        "project_out.weight": f"{base}.project_out.weight",
        "decoder.position_embedding.weight": f"{base}.embed_positions.weight",
        **both("decoder.final_norm", f"{base}.final_layer_norm"),
        **layer_names("decoder", base, FAIRSEQ_PARTS, num_layers=settings["num_hidden_layers"]),
    }
    return tree, names


def _llama(settings: dict[str, Any], kind: str) -> tuple[dict[str, Any], dict[str, str]]:
    rope = settings.get("rope_parameters") or settings.get("rope_scaling") or {}
    _require(rope, {"rope_type": [None, "default"], "type": [None, "default"]})
    _require(settings, {"use_sliding_window": [None, False], "hidden_act": [None, "silu"]})
    if any(layer != "full_attention" for layer in settings.get("layer_types") or []):
        raise SpeechkitError("a model with a sliding window is not read")
    bias = bool(settings.get("attention_bias")) if kind == "llama" else False
    if bias != bool(settings.get("mlp_bias")):
        raise SpeechkitError("a model with biases in attention or feed-forward only is not read")
    tree = {
        "dim": settings["hidden_size"],
        "num_layers": settings["num_hidden_layers"],
        "num_heads": settings["num_attention_heads"],
        "num_kv_heads": settings.get("num_key_value_heads"),
        "head_dim": settings.get("head_dim"),
        "ff_dim": settings["intermediate_size"],
        "activation": "swiglu",
        "norm": "rms",
        "norm_eps": settings.get("rms_norm_eps", 1e-6),
        "has_qkv_bias": bias or kind == "qwen2",
        "has_bias": bias,
        "rotary_base": rope.get("rope_theta") or settings.get("rope_theta") or 10_000.0,
        "is_tied": settings.get("tie_word_embeddings", False),
        "dropout": settings.get("attention_dropout") or 0.0,
    }
    names = {
        "embedding.weight": "model.embed_tokens.weight",
        "output.weight": "lm_head.weight",
        **both("decoder.final_norm", "model.norm"),
        **layer_names("decoder", "model", _LLAMA_PARTS, num_layers=settings["num_hidden_layers"]),
    }
    return tree, names


def _activation(name: str) -> str:
    known = {"relu": "relu", "gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh"}
    if name not in known:
        raise SpeechkitError(f"a model with the activation {name!r} is not read", expected=", ".join(known))
    return known[name]


def _require(settings: dict[str, Any], allowed: dict[str, list[Any]]) -> None:
    for name, values in allowed.items():
        if settings.get(name) not in values:
            raise SpeechkitError(f"a model with {name}={settings[name]!r} is not read", expected=repr(values[-1]))


def _find_rows(
    found: Found, source: Path, options: UlmImportConfig, *, settings: dict[str, Any], num_rows: int
) -> None:
    """Fill in which tokens are units, end and separator."""
    vocabulary = _vocabulary(source / TOKENIZER_JSON)
    named = {int(match[1]): row for name, row in vocabulary.items() if (match := _UNIT.fullmatch(name))}
    offset = options.unit_offset
    if offset is None and not named:
        offset = _offset(settings)
    units = [named[unit] for unit in sorted(named)] if offset is None else list(range(offset, num_rows))
    size = options.num_units or len(units)
    if (
        not 0 < size <= len(units)
        or max(units) >= num_rows
        or min(units) < 0
        or (offset is None and sorted(named)[:size] != [*range(size)])
    ):
        raise SpeechkitError(
            f"{size} units from token {units[0] if units else offset} on do not fit into {num_rows} rows of embeddings",
            hint="--set unit_offset=TOKEN, --set num_units=N",
        )
    taken = set(units[:size])

    def find(token: str) -> int | None:
        is_number = token.isascii() and token.isdecimal() and len(token) <= 9
        row = int(token) if is_number else vocabulary.get(token, num_rows)
        return row if 0 <= row < num_rows and row not in taken else None

    usual = settings.get("eos_token_id", settings.get("bos_token_id"))
    end = special_row(options.end, MEAN if not isinstance(usual, int) else str(usual), find, role="end")
    separator = special_row(options.separator, MEAN, find, role="separator")
    found.rows = [*units[:size], end, separator]
    found.settings = {
        "num_units": size,
        "unit_offset": offset,
        "end": MEAN if end is None else str(end),
        "separator": MEAN if separator is None else str(separator),
    }
    slam = source / SLAM_JSON
    if options.dedup is None and slam.is_file() and isinstance(dedup := _read_json(slam).get("dedup"), bool):
        found.settings["dedup"] = dedup


def _offset(settings: dict[str, Any]) -> int:
    if isinstance(settings.get("offset"), int):
        return int(settings["offset"])
    specials = [settings.get(f"{name}_token_id") for name in ("pad", "bos", "eos")]
    if "base_config" in settings:  # Slam: units follow the special tokens
        return max((row for row in specials if isinstance(row, int)), default=1) + 1
    raise SpeechkitError(
        "config.json does not say which token is unit 0",
        expected="`offset`, as in TWIST's, or a tokenizer.json with <Un0>",
        hint="--set unit_offset=TOKEN",
    )


def _vocabulary(path: Path) -> dict[str, int]:
    if not path.is_file():
        return {}
    model = _read_json(path).get("model")
    found = model.get("vocab") if isinstance(model, dict) else None
    return {name: row for name, row in found.items() if isinstance(row, int)} if isinstance(found, dict) else {}
