"""Adapters in peft's layout: what peft reads, and the same prompt when they come back."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import torch
from prompt_corpus import random_lm, some_task, trained
from safetensors.torch import load_file

from speechkit.errors import SpeechkitError
from speechkit.models.config import UlmConfig
from speechkit.models.ulm import UnitLm
from speechkit.prompt.config import FullConfig, HeadConfig, LoraConfig, MethodConfig, PromptConfig
from speechkit.prompt.peft_layout import ADAPTER_CONFIG, ADAPTER_FILE, REST_FILE, read_adapter, write_adapter
from speechkit.prompt.trained import PROMPT_FILE, TrainedPrompt, restore

METHODS: list[MethodConfig] = [
    *(
        PromptConfig(length=3, where=where, projection=how)
        for where in ("input", "deep", "both")
        for how in ("post", "pre")
    ),  # type: ignore[arg-type]
    LoraConfig(rank=2, targets=("query", "key", "value", "output")),
]


def export(folder: Path, method: MethodConfig, architecture: str = "decoder") -> TrainedPrompt:
    prompt = trained(random_lm(architecture), some_task(), method)
    write_adapter(prompt, folder)
    return prompt


@pytest.mark.parametrize("architecture", ["decoder", "encoder_decoder"])
@pytest.mark.parametrize("method", METHODS, ids=lambda m: "-".join(str(v) for v in m.model_dump().values()))
def test_what_is_exported_comes_back_bit_for_bit(tmp_path: Path, method: MethodConfig, architecture: str) -> None:
    prompt = export(tmp_path, method, architecture)
    about, tensors = read_adapter(tmp_path)
    again = restore(about, tensors, random_lm(architecture), source="x")
    own, new = prompt.model.state_dict(), again.model.state_dict()
    assert own.keys() == new.keys() and all(torch.equal(own[name], new[name]) for name in own)
    assert about == prompt.about


def test_columns_are_laid_out_as_prefix_tuning_wants_them(tmp_path: Path) -> None:
    prompt = export(tmp_path, PromptConfig(length=3, where="deep"))
    about = json.loads((tmp_path / ADAPTER_CONFIG).read_text())
    assert about["peft_type"] == "PREFIX_TUNING" and about["task_type"] == "CAUSAL_LM"
    assert (about["num_virtual_tokens"], about["num_layers"], about["token_dim"]) == (3, 2, 16)
    stored = load_file(tmp_path / ADAPTER_FILE)
    assert list(stored) == ["prompt_embeddings"] and stored["prompt_embeddings"].shape == (3, 2 * 2 * 16)
    # what peft does with it: (B, P, 2 L, H, E) -> for each layer keys and values (B, H, P, E)
    heads = about["num_attention_heads"]
    past = stored["prompt_embeddings"].view(1, 3, 4, heads, 16 // heads).permute(2, 0, 3, 1, 4).split(2)
    for number, (key_BHPE, value_BHPE) in enumerate(past):
        columns = prompt.model.prompt().decoder.layers[number].columns
        assert columns is not None
        assert torch.equal(key_BHPE.transpose(1, 2).flatten(2), columns.keys_BPD)
        assert torch.equal(value_BHPE.transpose(1, 2).flatten(2), columns.values_BPD)


def test_columns_before_the_projections_are_exported_behind_them(tmp_path: Path) -> None:
    prompt = export(tmp_path, PromptConfig(length=3, where="deep", projection="pre"))
    stored = load_file(tmp_path / ADAPTER_FILE)["prompt_embeddings"].view(3, 2, 2, 16)
    values_PD = prompt.model.method.rows()["decoder_values"][0, 1]
    attention = prompt.model.lm.decoder.layers[1].attention
    torch.testing.assert_close(stored[:, 1, 1], attention.value(values_PD))  # type: ignore[union-attr,operator]
    columns = prompt.model.prompt().decoder.layers[1].columns
    assert columns is not None and torch.equal(columns.values_BPD[0], stored[:, 1, 1])


def test_low_rank_updates_do_what_peft_does_with_them(tmp_path: Path) -> None:
    method = LoraConfig(rank=2, alpha=6.0, targets=("query", "output"))
    prompt = export(tmp_path, method)
    about = json.loads((tmp_path / ADAPTER_CONFIG).read_text())
    assert about["target_modules"] == ["q_proj", "o_proj"] and about["r"] == 2 and about["lora_alpha"] == 6.0
    stored = load_file(tmp_path / ADAPTER_FILE)
    assert len(stored) == 8
    own = prompt.model.prompt().decoder.layers[1].low_rank["output"]
    name = "base_model.model.model.layers.1.self_attn.o_proj"
    a_RI, b_OR = stored[f"{name}.lora_A.weight"], stored[f"{name}.lora_B.weight"]
    assert a_RI.shape == (2, 16) and b_OR.shape == (16, 2)
    x_TI = torch.randn(4, 16)
    torch.testing.assert_close(x_TI @ a_RI.T @ b_OR.T * (6.0 / 2), (x_TI @ own.a_BIR[0]) @ own.b_BRO[0])


@pytest.mark.parametrize("method", [HeadConfig(), FullConfig()], ids=lambda m: m.kind)
def test_what_peft_has_no_form_for_is_told(tmp_path: Path, method: MethodConfig) -> None:
    with pytest.raises(SpeechkitError, match=f"peft has no adapter for what `method.kind: {method.kind}` trains"):
        export(tmp_path, method)


def test_folders_that_are_no_export_are_told(tmp_path: Path) -> None:
    with pytest.raises(SpeechkitError, match="holds no adapter"):
        read_adapter(tmp_path)
    export(tmp_path, LoraConfig())
    (tmp_path / REST_FILE).rename(tmp_path / "rest")
    with pytest.raises(SpeechkitError, match="comes without separator, labels and language model"):
        read_adapter(tmp_path)
    (tmp_path / "rest").rename(tmp_path / REST_FILE)
    (tmp_path / ADAPTER_FILE).write_bytes(b"nothing")
    with pytest.raises(SpeechkitError, match="cannot be read"):
        read_adapter(tmp_path)
    export(tmp_path, PromptConfig(length=3, where="deep"))
    (tmp_path / ADAPTER_CONFIG).write_text('{"peft_type": "PREFIX_TUNING", "num_layers": 5}')
    with pytest.raises(SpeechkitError, match="do not agree"):
        read_adapter(tmp_path)


@pytest.mark.skipif(importlib.util.find_spec("peft") is None, reason="peft is not installed")
def test_peft_reads_the_configs(tmp_path: Path) -> None:
    from peft import PeftConfig

    for number, method in enumerate(METHODS):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        export(folder, method)
        config = PeftConfig.from_pretrained(str(folder))
        assert config.inference_mode
        expected = {
            "lora": "LORA",
            "prompt": "PROMPT_TUNING" if getattr(method, "where", "") == "input" else "PREFIX_TUNING",
        }
        assert str(config.peft_type).endswith(expected[method.kind])


def test_the_prompt_belongs_to_its_language_model(tmp_path: Path) -> None:
    export(tmp_path, LoraConfig())
    about, tensors = read_adapter(tmp_path)
    torch.manual_seed(99)
    other = UnitLm(UlmConfig(**random_lm().config.model_dump()), num_units=8).eval()
    with pytest.raises(SpeechkitError, match="was trained on another language model"):
        restore(about, tensors, other, source=str(tmp_path / PROMPT_FILE))
