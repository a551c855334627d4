"""Hugging Face's layout, as far as it is told apart without their package: settings and heads that do not fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from speechkit.errors import SpeechkitError
from speechkit.prompt.config_import import UlmImportConfig
from speechkit.prompt.import_hf import read_hf

LLAMA = {
    "model_type": "llama", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "offset": 2,
    "intermediate_size": 16, "tie_word_embeddings": True,
}  # fmt: skip
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"


def write(folder: Path, *, tensors: dict[str, torch.Tensor] | None = None, **fields: Any) -> Path:
    (folder / "config.json").write_text(json.dumps({**LLAMA, **fields}))
    save_file(tensors or {EMBEDDING: torch.ones(6, 8)}, folder / "model.safetensors")
    return folder


@pytest.mark.parametrize(
    "key, value, shown",
    [
        ("rope_scaling", "linear", "'linear'"),
        ("rope_parameters", [1], "a list"),
        ("hidden_size", "x", "'x'"),
        ("attention_dropout", {}, "a dict"),
        ("layer_types", 3, "3"),
        ("offset", "2", "'2'"),
        ("num_hidden_layers", 10**9, "there are 1 tensors"),
    ],
)
def test_a_setting_of_another_kind_is_named(tmp_path: Path, key: str, value: object, shown: str) -> None:
    with pytest.raises(SpeechkitError, match=rf"config\.json` has no sound value of {key}: {shown}"):
        read_hf(write(tmp_path, **{key: value}), UlmImportConfig(kind="hf"))


def test_a_tied_head_must_be_a_copy(tmp_path: Path) -> None:
    table = torch.randn(6, 8)
    source = write(tmp_path, tensors={EMBEDDING: table, HEAD: table.clone()})
    assert HEAD not in read_hf(source, UlmImportConfig(kind="hf")).tensors
    write(tmp_path, tensors={EMBEDDING: table, HEAD: table + 1})
    with pytest.raises(SpeechkitError, match=r"`lm_head\.weight` of .* differs from model\.embed_tokens\.weight"):
        read_hf(source, UlmImportConfig(kind="hf"))
    write(tmp_path, tensors={EMBEDDING: table, HEAD: table + 1}, tie_word_embeddings=False)
    assert torch.equal(read_hf(source, UlmImportConfig(kind="hf")).tensors[HEAD], table + 1)


def test_rows_before_the_first_and_embeddings_of_no_rows_are_told(tmp_path: Path) -> None:
    with pytest.raises(SpeechkitError, match="from token -3 on do not fit"):
        read_hf(write(tmp_path, offset=-3), UlmImportConfig(kind="hf"))
    with pytest.raises(SpeechkitError, match=r"`model\.embed_tokens\.weight` of .* is no table: 6"):
        read_hf(write(tmp_path, tensors={EMBEDDING: torch.ones(6)}), UlmImportConfig(kind="hf"))


def test_an_index_that_names_no_files_is_told(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": ["b"]}}))
    with pytest.raises(SpeechkitError, match="no sound value of weight_map"):
        read_hf(tmp_path, UlmImportConfig(kind="hf"))
    (tmp_path / "config.json").write_text("[" * 100_000)
    with pytest.raises(SpeechkitError, match="no sound JSON"):
        read_hf(tmp_path, UlmImportConfig(kind="hf"))
