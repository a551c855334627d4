"""GSLM's layout: random files of it give the logits of a plain reference; every misfit is named."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from speechkit.errors import ConfigError, SpeechkitError
from speechkit.models.config import UlmConfig
from speechkit.models.ulm import load_ulm, padded
from speechkit.prompt.config_import import UlmImportConfig
from speechkit.prompt.import_ulm import run
from speechkit.units.codebook import codebook_of, load_codebook
from speechkit.units.config import LogMelConfig
from speechkit.units.features import make_extractor

K, DIM, HEADS, LAYERS, FF = 7, 16, 2, 2, 24
ORDER = [3, 0, 6, 5, 1, 2, 4]  # of the units in dict.txt
SETTINGS = {
    "arch": "transformer_lm_big", "decoder_attention_heads": HEADS, "activation_fn": "relu", "dropout": 0.1,
    "decoder_normalize_before": True, "no_scale_embedding": False, "encoder_attention_heads": 16,
    "no_token_positional_embeddings": False, "share_decoder_input_output_embed": True,
}  # fmt: skip


def random_model() -> dict[str, Tensor]:
    torch.manual_seed(4)
    shapes: dict[str, tuple[int, ...]] = {"decoder.embed_tokens.weight": (K + 4, DIM)}
    for n in range(LAYERS):
        base = f"decoder.layers.{n}"
        linear = {f"self_attn.{part}_proj": (DIM, DIM) for part in ("k", "v", "q", "out")}
        for name, size in {**linear, "fc1": (FF, DIM), "fc2": (DIM, FF)}.items():
            shapes |= {f"{base}.{name}.weight": size, f"{base}.{name}.bias": size[:1]}
        for name in ("self_attn_layer_norm", "final_layer_norm"):
            shapes |= {f"{base}.{name}.weight": (DIM,), f"{base}.{name}.bias": (DIM,)}
    shapes |= {"decoder.layer_norm.weight": (DIM,), "decoder.layer_norm.bias": (DIM,)}
    tensors = {name: 0.3 * torch.randn(shape) for name, shape in shapes.items()}
    tensors["decoder.output_projection.weight"] = tensors["decoder.embed_tokens.weight"]
    return {"decoder.version": torch.tensor([3.0]), "decoder.embed_positions._float_tensor": torch.ones(1), **tensors}


def reference(model: dict[str, Tensor], tokens: list[int]) -> Tensor:
    """Logits (T, rows) of fairseq's transformer_lm: pre-norm, sinusoids from position 2 on, tied output."""
    table = model["decoder.embed_tokens.weight"]
    x = table[tokens] * math.sqrt(DIM)
    half = DIM // 2
    for t in range(len(tokens)):
        for i in range(half):
            angle = (t + 2) * math.exp(-i * math.log(10_000) / (half - 1))
            x[t, i] += math.sin(angle)
            x[t, half + i] += math.cos(angle)

    def part(base: str, y: Tensor) -> Tensor:
        return y @ model[f"{base}.weight"].T + model[f"{base}.bias"]

    def norm(base: str, y: Tensor) -> Tensor:
        centred = y - y.mean(-1, keepdim=True)
        scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        return scaled * model[f"{base}.weight"] + model[f"{base}.bias"]

    width = DIM // HEADS
    for n in range(LAYERS):
        base = f"decoder.layers.{n}"
        y = norm(f"{base}.self_attn_layer_norm", x)
        q, k, v = (part(f"{base}.self_attn.{name}_proj", y) for name in ("q", "k", "v"))
        outs = []
        for head in range(HEADS):
            own = slice(head * width, (head + 1) * width)
            scores = (q[:, own] / math.sqrt(width)) @ k[:, own].T
            later = torch.ones(len(tokens), len(tokens)).triu(1).bool()
            outs.append(scores.masked_fill(later, -math.inf).softmax(-1) @ v[:, own])
        x = x + part(f"{base}.self_attn.out_proj", torch.cat(outs, -1))
        y = part(f"{base}.fc1", norm(f"{base}.final_layer_norm", x)).relu()
        x = x + part(f"{base}.fc2", y)
    return norm("decoder.layer_norm", x) @ table.T


def write(folder: Path, model: dict[str, Tensor], *, is_zip: bool = True, **fields: Any) -> Path:
    folder.mkdir(exist_ok=True)
    content = {
        "args": argparse.Namespace(**SETTINGS),
        "model": model,
        "extra_state": {"epoch": 7},
        "last_optimizer_state": {"state": {0: {"exp_avg": torch.zeros(50)}}},
        **fields,
    }
    torch.save(content, folder / "checkpoint_best.pt", _use_new_zipfile_serialization=is_zip)
    (folder / "dict.txt").write_text("".join(f"{unit} {100 - n}\n" for n, unit in enumerate(ORDER)))
    return folder


ROWS = {unit: 4 + place for place, unit in enumerate(ORDER)}


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "older"])
@pytest.mark.parametrize("settings", ["args", "cfg"])
def test_logits_equal_those_of_a_plain_reference(tmp_path: Path, is_zip: bool, settings: str) -> None:
    model = random_model()
    fields = {"args": None, "cfg": {"model": argparse.Namespace(**SETTINGS), "task": {}}} if settings == "cfg" else {}
    source = write(tmp_path / "gslm", model, is_zip=is_zip, **fields)
    run(UlmImportConfig(kind="gslm"), source, out=tmp_path / "lm")
    lm, about = load_ulm(tmp_path / "lm")
    units = [5, 0, 3, 3, 6, 1]
    with torch.no_grad():
        found = lm.logits(lm.lm_states(*padded([units])))[0]
    expected = reference(model, [2, *(ROWS[unit] for unit in units)])
    ours = [*(ROWS[unit] for unit in range(K)), 2, 0]  # units, </s>, <s> as separator
    assert torch.allclose(found, expected[:, ours], atol=1e-4)
    assert about["num_units"] == K and about["dedup"] is True and about["codebook"] is None
    assert lm.config.num_heads == HEADS and lm.config.positions == "sinusoidal"


def test_end_and_separator_can_be_chosen(tmp_path: Path) -> None:
    model = random_model()
    config = UlmImportConfig(kind="gslm", end="<pad>", separator="mean")
    run(config, write(tmp_path / "gslm", model), out=tmp_path / "lm")
    table, theirs = load_ulm(tmp_path / "lm")[0].embedding.weight, model["decoder.embed_tokens.weight"]
    assert torch.equal(table[K], theirs[1])
    assert torch.allclose(table[K + 1], theirs[4:].mean(0))
    assert torch.equal(table[0], theirs[ROWS[0]])


def drop(model: dict[str, Tensor], name: str) -> None:
    del model[name]


def put(model: dict[str, Tensor], name: str, *shape: int) -> None:
    model[name] = torch.randn(*shape)


@pytest.mark.parametrize(
    "change, complaint",
    [
        (lambda m: drop(m, "decoder.layers.1.fc2.bias"), r"decoder\.layers\.1\.fc2\.bias  missing"),
        (lambda m: put(m, "decoder.adaptive_softmax.head", 3, 2), r"decoder\.adaptive_softmax\.head  3x2, not known"),
        (lambda m: put(m, "decoder.layers.0.fc1.bias", 5), r"decoder\.layers\.0\.fc1\.bias  5, expected 24"),
        (lambda m: m["decoder.layer_norm.weight"].fill_(math.nan), r"decoder\.layer_norm\.weight  holds numbers"),
        (lambda m: put(m, "decoder.embed_tokens.weight", K + 5, DIM), r"12 rows, .*dict.txt.* give 11"),
        (lambda m: put(m, "encoder.embed_tokens.weight", K + 4, DIM), "holds no decoder-only model"),
        (lambda m: put(m, "decoder.embed_tokens.weight", K + 4), r"`decoder\.embed_tokens\.weight` of .* no table: 11"),
        (
            lambda m: put(m, "decoder.layers.999999999.fc1.bias", 5),
            r"decoder\.layers\.999999999\.fc1\.bias  5, not known",
        ),
        (lambda m: drop(m, "decoder.embed_tokens.weight"), "holds no decoder-only model"),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(
    tmp_path: Path, change: Callable[[dict[str, Tensor]], object], complaint: str
) -> None:
    model = random_model()
    change(model)
    source = write(tmp_path / "gslm", model)
    with pytest.raises(SpeechkitError, match=complaint):
        run(UlmImportConfig(kind="gslm"), source, out=tmp_path / "lm")
    assert not (tmp_path / "lm").exists()


@pytest.mark.parametrize(
    "text, complaint",
    [
        ("0 3\n1 2\n2\n3 1\n4 1\n5 1\n6 1\n", r"no symbol with its count\n.*dict.txt:3  2"),
        ("0 3\n1 2\n2 1\n2 1\n4 1\n5 1\n6 1\n", "lists a symbol twice"),
        ("0 3\n1 2\n2 1\n<unk> 1\n4 1\n5 1\n6 1\n", "lists a symbol twice"),
        ("0 3\n1 2\n2 1\n3 1\n4 1\n5 1\n8 1\n", r"does not list the units 0 to 6\n  unit 6"),
        ("0 3\n1 2\n", "11 rows, .* give 6"),
        ("0 3\n" + "9" * 6000 + " 2\n2 1\n3 1\n4 1\n5 1\n6 1\n", r"a unit of 6000 digits\n.*dict.txt:2  999"),
    ],
)
def test_a_dictionary_that_does_not_fit_is_told(tmp_path: Path, text: str, complaint: str) -> None:
    source = write(tmp_path / "gslm", random_model())
    (source / "dict.txt").write_text(text)
    with pytest.raises(SpeechkitError, match=complaint):
        run(UlmImportConfig(kind="gslm"), source, out=tmp_path / "lm")


def test_a_dictionary_that_is_no_text_is_told(tmp_path: Path) -> None:
    source = write(tmp_path / "gslm", random_model())
    (source / "dict.txt").write_bytes(b"0 3\n\xff\xfe 1\n")
    with pytest.raises(SpeechkitError, match=r"dict\.txt` is no text in UTF-8: .* at byte 4"):
        run(UlmImportConfig(kind="gslm"), source, out=tmp_path / "lm")


def test_symbols_that_are_no_units_are_left_out(tmp_path: Path) -> None:
    source = write(tmp_path / "gslm", random_model())
    (source / "dict.txt").write_text("2 9\n1 9\nmadeupword0000 0\n0 9\n3 3\n4 1\n5 1\n")
    run(UlmImportConfig(kind="gslm", num_units=4), source, out=tmp_path / "lm")
    lm, about = load_ulm(tmp_path / "lm")
    assert about["num_units"] == 4
    assert torch.equal(lm.embedding.weight[:4], random_model()["decoder.embed_tokens.weight"][[7, 5, 4, 8]])


@pytest.mark.parametrize(
    "change, complaint",
    [
        ({"decoder_attention_heads": None}, "does not say how many attention heads"),
        ({"activation_fn": "swish"}, "activation_fn='swish' is not read"),
        ({"activation_fn": ["relu"]}, r"checkpoint_best\.pt` has no sound value of activation_fn: a list"),
        ({"dropout": "much"}, r"no sound value of dropout: 'much'"),
        ({"decoder_attention_heads": "2"}, r"no sound value of decoder_attention_heads: '2'"),
        ({"no_token_positional_embeddings": True}, "no_token_positional_embeddings=True is not read"),
    ],
)
def test_settings_that_are_not_read_are_told(tmp_path: Path, change: dict[str, Any], complaint: str) -> None:
    source = write(tmp_path / "gslm", random_model(), args=argparse.Namespace(**{**SETTINGS, **change}))
    with pytest.raises(SpeechkitError, match=complaint):
        run(UlmImportConfig(kind="gslm"), source, out=tmp_path / "lm")


def test_missing_files_archives_and_misuse_are_told(tmp_path: Path) -> None:
    source = write(tmp_path / "gslm", random_model())
    with pytest.raises(SpeechkitError, match=r"no token `<lang>` for the end"):
        run(UlmImportConfig(end="<lang>"), source, out=tmp_path / "lm")
    with pytest.raises(SpeechkitError, match="no encoder-decoder of fairseq"):
        run(UlmImportConfig(kind="unit-mbart"), source, out=tmp_path / "lm")
    (tmp_path / "a.tgz").write_bytes(b"")
    with pytest.raises(SpeechkitError, match="is an archive"):
        run(UlmImportConfig(), tmp_path / "a.tgz", out=tmp_path / "lm")
    with pytest.raises(SpeechkitError, match="does not exist"):
        run(UlmImportConfig(), tmp_path / "nothing", out=tmp_path / "lm")
    (source / "dict.txt").unlink()
    with pytest.raises(SpeechkitError, match=r"dict\.txt` is missing"):
        run(UlmImportConfig(), source, out=tmp_path / "lm")


def test_a_model_can_not_be_given(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is read from the files"):
        run(UlmImportConfig(model=UlmConfig()), tmp_path, out=tmp_path / "lm")


def test_a_codebook_says_what_the_units_are_of(tmp_path: Path) -> None:
    features = LogMelConfig(sampling_rate=8000, num_mels=8)
    extractor = make_extractor(features)
    for k in (K, K + 1):
        centres = np.arange(extractor.dim * k, dtype=np.float32).reshape(k, -1)
        (tmp_path / str(k)).mkdir()
        codebook_of(centres, features, extractor, scale=None, notes={}).save(tmp_path / str(k))
    source = write(tmp_path / "gslm", random_model())
    run(UlmImportConfig(), source, out=tmp_path / "lm", codebook=tmp_path / str(K))
    about = load_ulm(tmp_path / "lm")[1]
    assert about["codebook"] == load_codebook(tmp_path / str(K)).fingerprint
    assert (about["frames_per_second"], about["sampling_rate"]) == (100.0, 8000)
    with pytest.raises(SpeechkitError, match=r"the model has 7 units, the codebook .* 8"):
        run(UlmImportConfig(), source, out=tmp_path / "other", codebook=tmp_path / str(K + 1))


def test_the_command_notes_what_it_found(tmp_path: Path, run_speechkit: Callable[..., Any]) -> None:
    source = write(tmp_path / "gslm", random_model())
    again = ["prompt", "import", source, "--from", "gslm", "--out", tmp_path / "lm"]
    first = run_speechkit(*again)
    assert first.exit_code == 0, first.stderr
    assert f"{K} units" in first.stdout and "2 layers of 16" in first.stdout
    assert "up to date" in run_speechkit(*again).stdout
    config = (tmp_path / "lm" / "config.yaml").read_text()
    assert "separator: <s>" in config and f"num_units: {K}" in config
    assert json.loads((tmp_path / "lm" / "ulm.json").read_text())["frames_per_second"] is None
    shown = run_speechkit("prompt", "import", source, "--from", "gslm", "--out", tmp_path / "x", "--show-config")
    assert "separator: null" in shown.stdout and not (tmp_path / "x").exists()
    wrong = run_speechkit("prompt", "import", tmp_path, "--from", "hf", "--out", tmp_path / "x")
    assert wrong.exit_code == 1 and "config.json` is missing" in wrong.stderr
