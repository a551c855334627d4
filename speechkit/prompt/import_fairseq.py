"""Unit language models of fairseq: GSLM's (Lakhotia et al. 2021) and Unit mBART (Popuri et al. 2022).

A checkpoint of torch.save with `model` and `cfg` or `args`, and `dict.txt` beside it: `symbol count` a line. Rows of
the embeddings are <s>, <pad>, </s>, <unk>, the symbols of dict.txt in its order, and of mBART the languages and <mask>.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from speechkit import log
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
    count_layers,
    is_copy,
    layer_names,
    special_row,
)
from speechkit.units.checkpoint_reader import read_checkpoint

_CHECKPOINT, _DICT = "checkpoint_best.pt", "dict.txt"
_SPECIALS = ("<s>", "<pad>", "</s>", "<unk>")
_OFFSET = 2  # positions count from the row of <pad> on
_ACTIVATIONS = {"relu": "relu", "gelu": "gelu", "gelu_fast": "gelu_tanh", "gelu_accurate": "gelu_tanh"}
_CROSS = {
    "cross.query": "encoder_attn.q_proj",
    "cross.key": "encoder_attn.k_proj",
    "cross.value": "encoder_attn.v_proj",
    "cross.output": "encoder_attn.out_proj",
    "cross_norm": "encoder_attn_layer_norm",
}
_KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("decoder_attention_heads", "encoder_attention_heads"), (int,)),
    **dict.fromkeys(("decoder_normalize_before", "no_scale_embedding", "add_lang_token"), (bool, int)),
    "no_token_positional_embeddings": (bool, int),
    "activation_fn": (str,),
    "dropout": (float, int),
    "langs": (str,),
}
_MAX_DIGITS = 9  # of a unit
_IGNORED = ("encoder.version", "decoder.version", "embed_positions._float_tensor")


def files_of(source: Path) -> tuple[Path, Path]:
    """Checkpoint and dict.txt of a folder, or of a checkpoint.

    Raises:
        SpeechkitError: one is missing, or it is an archive.
    """
    checkpoint = source
    if source.is_dir():
        others = sorted(source.glob("*.pt"))
        checkpoint = others[0] if len(others) == 1 else source / _CHECKPOINT
    if source.name.endswith((".tgz", ".tar.gz", ".zip")):
        raise SpeechkitError(f"`{source}` is an archive", hint="unpack it, and give the folder")
    for path in (checkpoint, checkpoint.parent / _DICT):
        if not path.is_file():
            raise SpeechkitError(f"`{path}` is missing", expected=f"a folder with {_CHECKPOINT} and {_DICT}")
    return checkpoint, checkpoint.parent / _DICT


def read_gslm(source: Path, options: UlmImportConfig) -> Found:
    """A decoder with sinusoidal positions, fairseq's `transformer_lm`."""
    return _read(source, options, has_encoder=False)


def read_unit_mbart(source: Path, options: UlmImportConfig) -> Found:
    """An encoder-decoder with learned positions, fairseq's `mbart`."""
    return _read(source, options, has_encoder=True)


def _read(source: Path, options: UlmImportConfig, *, has_encoder: bool) -> Found:
    checkpoint, listing = files_of(source)
    stored = read_checkpoint(checkpoint)
    tree = stored.tree if isinstance(stored.tree, dict) else {}
    tensors = stored.tensors(tree.get("model"))
    settings = _settings(tree)
    table = tensors.get("decoder.embed_tokens.weight")
    if table is None or ("encoder.embed_tokens.weight" in tensors) != has_encoder:
        raise SpeechkitError(
            f"`{checkpoint}` holds no {'encoder-decoder' if has_encoder else 'decoder-only model'} of fairseq",
            where=sorted(tensors)[:3],
            hint="--from gslm is for the language models of GSLM, --from unit-mbart for those with an encoder",
        )
    check_table(table, "decoder.embed_tokens.weight", checkpoint)
    check_settings(settings, _KINDS, checkpoint)
    config = build_config(UlmConfig, _config(tensors, settings, options, has_encoder=has_encoder))
    symbols = _symbols(listing, settings, num_rows=len(table), has_encoder=has_encoder)
    places = {symbol: row for row, symbol in enumerate(symbols)}
    end = special_row(options.end, "</s>", places.get, role="end")
    usual = "<mask>" if has_encoder else "<s>"
    separator = special_row(options.separator, usual, places.get, role="separator")
    units = _unit_rows(symbols, options.num_units, listing)
    names = _names(config, tied=config.is_tied)
    found = Found(config, tensors, names, [*units, end, separator], str(checkpoint), _IGNORED)
    found.settings = {
        "num_heads": config.num_heads,
        "end": MEAN if end is None else symbols[end],
        "separator": MEAN if separator is None else symbols[separator],
        "num_units": len(units),
    }
    return _without_copies(found)


def _settings(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of model and task, of old and new checkpoints."""
    cfg = tree.get("cfg") if isinstance(tree.get("cfg"), dict) else {}
    sections = [tree.get("args"), *(cfg.get(name) for name in ("task", "model"))]  # type: ignore[union-attr]
    return {str(key): value for part in sections if isinstance(part, dict) for key, value in part.items()}


def _config(
    tensors: Mapping[str, Tensor], settings: dict[str, Any], options: UlmImportConfig, *, has_encoder: bool
) -> dict[str, Any]:
    def sizes(name: str) -> tuple[int, ...]:
        return tuple(tensors[name].shape) if name in tensors else ()

    heads = options.num_heads or settings.get("decoder_attention_heads")
    if not isinstance(heads, int):
        raise SpeechkitError("the checkpoint does not say how many attention heads there are", hint="--set num_heads=N")
    needed = {"no_token_positional_embeddings": False, **({"encoder_attention_heads": heads} if has_encoder else {})}
    for name, value in needed.items():
        if settings.get(name, value) != value:
            raise SpeechkitError(f"a model with {name}={settings[name]!r} is not read", expected=repr(value))
    activation = settings.get("activation_fn") or ("gelu" if has_encoder else "relu")
    if activation not in _ACTIVATIONS:
        raise SpeechkitError(f"a model with activation_fn={activation!r} is not read", expected=", ".join(_ACTIVATIONS))
    dim, width = sizes("decoder.layers.0.self_attn.q_proj.weight")[-1:], sizes("decoder.embed_tokens.weight")[1]
    learned = sizes("decoder.embed_positions.weight")
    found: dict[str, Any] = {
        "architecture": "encoder_decoder" if has_encoder else "decoder",
        "dim": (dim or (width,))[0],
        "num_layers": max(1, count_layers(tensors, "decoder")),
        "num_heads": heads,
        "ff_dim": (sizes("decoder.layers.0.fc1.weight") or (1,))[0],
        "activation": _ACTIVATIONS[activation],
        "is_pre_norm": bool(settings.get("decoder_normalize_before", True)),
        "has_final_norm": "decoder.layer_norm.weight" in tensors,
        "positions": "learned" if learned else "sinusoidal",
        "position_offset": _OFFSET,
        "max_positions": max(1, learned[0] - _OFFSET) if learned else 1024,
        "embedding_scale": 1.0 if settings.get("no_scale_embedding") else math.sqrt((dim or (width,))[0]),
        "has_embedding_norm": "decoder.layernorm_embedding.weight" in tensors,
        "is_tied": _is_tied(tensors),
        "dropout": float(settings.get("dropout") or 0.0),
    }
    if "decoder.project_in_dim.weight" in tensors:
        found["embedding_dim"] = width
    if has_encoder:
        found["num_encoder_layers"] = max(1, count_layers(tensors, "encoder"))
    return found


def _is_tied(tensors: Mapping[str, Tensor]) -> bool:
    output = tensors.get("decoder.output_projection.weight")
    return output is None or is_copy(output, tensors["decoder.embed_tokens.weight"])


def _symbols(listing: Path, settings: dict[str, Any], *, num_rows: int, has_encoder: bool) -> list[str]:
    """The symbol of each row."""
    listed = []
    try:
        text = listing.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SpeechkitError(f"`{listing}` is no text in UTF-8: {error.reason} at byte {error.start}") from None
    for number, line in enumerate(text.splitlines(), start=1):
        symbol, blank, count = line.rpartition(" ")
        if not blank or not count.isdigit():
            raise SpeechkitError("no symbol with its count", where=f"{listing}:{number}  {line:.40}")
        if len(symbol) > _MAX_DIGITS and symbol.isdecimal():
            raise SpeechkitError(f"a unit of {len(symbol)} digits", where=f"{listing}:{number}  {line:.40}")
        listed.append(symbol)
    if len(set(listed) | set(_SPECIALS)) < len(listed) + len(_SPECIALS):
        raise SpeechkitError(f"`{listing}` lists a symbol twice, or one of {' '.join(_SPECIALS)}")
    symbols = [*_SPECIALS, *listed]
    if has_encoder and len(symbols) < num_rows:
        languages = str(settings.get("langs") or "").split(",") if settings.get("add_lang_token") else []
        later = [f"[{name}]" for name in languages if name] + ["<mask>"]
        symbols += [symbol for symbol in later if symbol not in symbols]
    if len(symbols) != num_rows:
        raise SpeechkitError(
            f"the embeddings have {num_rows} rows, `{listing}` and the special symbols give {len(symbols)}",
            hint="the dict.txt of another model?",
        )
    return symbols


def _unit_rows(symbols: list[str], num_units: int | None, listing: Path) -> list[int]:
    rows = {int(symbol): row for row, symbol in enumerate(symbols) if symbol.isascii() and symbol.isdigit()}
    size = num_units or len(rows)
    missing = [f"unit {unit}" for unit in range(size) if unit not in rows]
    if missing or not size:
        raise SpeechkitError(
            f"`{listing}` does not list the units 0 to {size - 1}",
            where=missing,
            hint="" if num_units else "--set num_units=N",
        )
    if len(rows) > size:
        log.info(f"{len(rows) - size} more units of the model are left out")
    return [rows[unit] for unit in range(size)]


def _names(config: UlmConfig, *, tied: bool) -> dict[str, str]:
    names = {"embedding.weight": "decoder.embed_tokens.weight"}
    if not tied:
        names["output.weight"] = "decoder.output_projection.weight"
    if config.embedding_dim is not None:
        names |= {
            "project_in.weight": "decoder.project_in_dim.weight",
            "project_out.weight": "decoder.project_out_dim.weight",
        }
    stacks = {"decoder": config.num_layers}
    if config.architecture == "encoder_decoder":
        stacks["encoder"] = config.num_encoder_layers
    for stack, num_layers in stacks.items():
        parts = {**FAIRSEQ_PARTS, **(_CROSS if len(stacks) == 2 and stack == "decoder" else {})}
        names |= layer_names(stack, stack, parts, num_layers=num_layers)
        names |= {f"{stack}.position_embedding.weight": f"{stack}.embed_positions.weight"}
        names |= both(f"{stack}.embedding_norm", f"{stack}.layernorm_embedding")
        names |= both(f"{stack}.final_norm", f"{stack}.layer_norm")
    return names


def _without_copies(found: Found) -> Found:
    """Drop tensors that are stored twice.

    Raises:
        SpeechkitError: those that should be copies differ.
    """
    table = found.tensors["decoder.embed_tokens.weight"]
    for name in ("encoder.embed_tokens.weight", *(["decoder.output_projection.weight"] * found.config.is_tied)):
        copy = found.tensors.pop(name, None)
        if copy is not None and not is_copy(copy, table):
            raise SpeechkitError(
                f"`{name}` of `{found.source}` differs from decoder.embed_tokens.weight",
                expected="a model whose encoder and decoder share their embeddings",
            )
    return found
