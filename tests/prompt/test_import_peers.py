"""Random models of the package transformers: their files, imported, give their logits."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from speechkit.errors import SpeechkitError
from speechkit.models.ulm import UnitLm, load_ulm, padded
from speechkit.models.ulm_folder import read_about
from speechkit.prompt.config_import import UlmImportConfig
from speechkit.prompt.import_ulm import run

K, OFFSET = 9, 3
UNITS = [4, 0, 8, 8, 2]
OPT = {
    "vocab_size": K + OFFSET, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "ffn_dim": 24,
    "max_position_embeddings": 20, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 2,
}  # fmt: skip
LLAMA = {
    "vocab_size": K + OFFSET, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 24, "max_position_embeddings": 20, "bos_token_id": 1,
    "eos_token_id": 2, "pad_token_id": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def peers() -> Any:
    """The package, without its notices."""
    transformers = pytest.importorskip("transformers", reason="pip install -e '.[hf]'")
    transformers.logging.set_verbosity_error()
    return transformers


def randomised(model: Any) -> Any:
    torch.manual_seed(3)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.25)
    return model.eval()


def write(folder: Path, model: Any, *, is_safe: bool = True, prefix: str = "", **fields: Any) -> Path:
    """What save_pretrained leaves behind, with the offset of the units as TWIST has it."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**model.config.to_dict(), "offset": OFFSET, **fields}, default=str))
    tensors = {prefix + name: tensor.clone() for name, tensor in model.state_dict().items()}
    if is_safe:
        save_file(tensors, folder / "model.safetensors")
    else:
        torch.save(tensors, folder / "pytorch_model.bin")
    return folder


def imported(source: Path, out: Path, **options: Any) -> UnitLm:
    run(UlmImportConfig(kind="hf", **options), source, out=out)
    return load_ulm(out)[0]


def our_logits(lm: UnitLm, units: list[int] = UNITS) -> Tensor:
    with torch.no_grad():
        return lm.logits(lm.lm_states(*padded([units])))[0, :, : K + 1]


def their_logits(model: Any, *, end: int, units: list[int] = UNITS) -> Tensor:
    with torch.no_grad():
        logits = model(torch.tensor([[end, *(OFFSET + unit for unit in units)]])).logits[0]
    return logits[:, [*range(OFFSET, OFFSET + K), end]]  # type: ignore[no-any-return]


OPT_KINDS: dict[str, dict[str, Any]] = {
    "125m": {},
    "350m": {"do_layer_norm_before": False, "word_embed_proj_dim": 8},
    "gelu, untied": {"activation_function": "gelu", "tie_word_embeddings": False},
    "no biases": {"enable_bias": False},
}


@pytest.mark.parametrize("kind", OPT_KINDS)
def test_opt(peers: Any, tmp_path: Path, kind: str) -> None:
    model = randomised(peers.OPTForCausalLM(peers.OPTConfig(**{**OPT, "word_embed_proj_dim": 16, **OPT_KINDS[kind]})))
    lm = imported(write(tmp_path / "twist", model), tmp_path / "lm")
    assert torch.allclose(our_logits(lm), their_logits(model, end=2), atol=1e-4)


def test_weights_of_torch_are_read_without_running_them(peers: Any, tmp_path: Path) -> None:
    model = randomised(peers.OPTForCausalLM(peers.OPTConfig(**OPT, word_embed_proj_dim=16)))
    lm = imported(write(tmp_path / "twist", model, is_safe=False), tmp_path / "lm")
    assert torch.allclose(our_logits(lm), their_logits(model, end=2), atol=1e-4)


@pytest.mark.parametrize("fields", [{}, {"tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True}])
def test_llama(peers: Any, tmp_path: Path, fields: dict[str, Any]) -> None:
    config = peers.LlamaConfig(**LLAMA, **fields, rope_parameters={"rope_type": "default", "rope_theta": 700.0})
    model = randomised(peers.LlamaForCausalLM(config))
    lm = imported(write(tmp_path / "twist", model), tmp_path / "lm")
    assert torch.allclose(our_logits(lm), their_logits(model, end=2), atol=1e-4)
    assert lm.config.rotary_base == 700.0


def slam(peers: Any, folder: Path) -> tuple[Any, Path]:
    """Qwen2 in the folder of slamkit: its config inside another, `lm.` before each name, no tied copy."""
    settings = {**LLAMA, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1, "vocab_size": K + 2}
    model = randomised(peers.Qwen2ForCausalLM(peers.Qwen2Config(**settings, tie_word_embeddings=True)))
    folder.mkdir()
    config = {"model_type": "speech_language_model", "vocab_size": K + 2, "base_config": model.config.to_dict()}
    (folder / "config.json").write_text(json.dumps(config, default=str))
    (folder / "tokeniser_config.json").write_text(json.dumps({"dedup": True, "num_units": K}))
    tensors = {f"lm.{name}": tensor.clone() for name, tensor in model.state_dict().items() if "lm_head" not in name}
    save_file(tensors, folder / "model.safetensors")
    return model, folder


def test_slam(peers: Any, tmp_path: Path) -> None:
    model, folder = slam(peers, tmp_path / "slam")
    lm = imported(folder, tmp_path / "lm")
    with torch.no_grad():
        theirs = model(torch.tensor([[1, *(2 + unit for unit in UNITS)]])).logits[0]
    assert torch.allclose(our_logits(lm), theirs[:, [*range(2, K + 2), 1]], atol=1e-4)
    config, about = read_about(tmp_path / "lm")
    assert about["dedup"] is True and about["num_units"] == K
    assert config.has_qkv_bias and not config.has_bias


def test_parts_with_an_index_are_put_together(peers: Any, tmp_path: Path) -> None:
    _, folder = slam(peers, tmp_path / "slam")
    whole = imported(folder, tmp_path / "whole")
    from safetensors.torch import load_file

    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    files = {name: f"model-{n % 2}.safetensors" for n, name in enumerate(tensors)}
    for file in set(files.values()):
        save_file({name: tensor for name, tensor in tensors.items() if files[name] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": files}))
    assert torch.equal(our_logits(imported(folder, tmp_path / "parts")), our_logits(whole))
    (folder / "model-1.safetensors").unlink()
    with pytest.raises(SpeechkitError, match=r"model-1\.safetensors` can not be read"):
        imported(folder, tmp_path / "again")


def test_a_tokenizer_that_names_units_decides_their_rows(peers: Any, tmp_path: Path) -> None:
    model, folder = slam(peers, tmp_path / "slam")
    order = [5, 2, 0, 8, 1, 7, 3, 6, 4]
    vocab = {"<PAD>": 0, "<S>": 1, **{f"<Un{unit}>": 2 + place for place, unit in enumerate(order)}}
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": vocab}}))
    lm = imported(folder, tmp_path / "lm", end="<S>")
    rows = [vocab[f"<Un{unit}>"] for unit in range(K)]
    assert torch.equal(lm.embedding.weight[:K], model.model.embed_tokens.weight[rows])


@pytest.mark.parametrize(
    "options, fields, complaint",
    [
        ({}, {"offset": None}, "does not say which token is unit 0"),
        ({"num_units": K + 1}, {}, "10 units from token 3 on do not fit into 12 rows"),
        ({"unit_offset": 40}, {}, "do not fit into 12 rows"),
        ({"end": "99"}, {}, "no token `99` for the end"),
        ({}, {"model_type": "bloom"}, "of a model of type 'bloom'"),
        ({}, {"activation_function": "silu"}, "the activation 'silu' is not read"),
        ({}, {"layer_norm_elementwise_affine": False}, "layer_norm_elementwise_affine=False is not read"),
        ({}, {"num_hidden_layers": 3}, r"model\.decoder\.layers\.2\.fc1\.weight  missing"),
        ({}, {"num_hidden_layers": 1}, r"model\.decoder\.layers\.1\.fc1\.weight  24x16, not known"),
        ({}, {"ffn_dim": 23}, r"model\.decoder\.layers\.0\.fc1\.weight  24x16, expected 23x16"),
        ({}, {"num_attention_heads": 3}, "not a multiple of num_heads 3"),
        ({}, {"hidden_size": "x"}, "hidden_size|dim"),
    ],
)
def test_misfits_are_told(
    peers: Any, tmp_path: Path, options: dict[str, Any], fields: dict[str, Any], complaint: str
) -> None:
    model = randomised(peers.OPTForCausalLM(peers.OPTConfig(**OPT, word_embed_proj_dim=16)))
    with pytest.raises(SpeechkitError, match=complaint):
        imported(write(tmp_path / "twist", model, **fields), tmp_path / "lm", **options)


@pytest.mark.parametrize(
    "fields, complaint",
    [
        ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 1e4}}, "rope_type='llama3' is not read"),
        ({"layer_types": ["sliding_attention", "full_attention"]}, "sliding window is not read"),
        ({"attention_bias": True}, "biases in attention or feed-forward only"),
        ({"hidden_act": "gelu"}, "hidden_act='gelu' is not read"),
    ],
)
def test_other_kinds_of_llama_are_refused(peers: Any, tmp_path: Path, fields: dict[str, Any], complaint: str) -> None:
    model = randomised(peers.LlamaForCausalLM(peers.LlamaConfig(**LLAMA)))
    with pytest.raises(SpeechkitError, match=complaint):
        imported(write(tmp_path / "llama", model, **fields), tmp_path / "lm")


MBART_SYMBOLS = [3, 1, 0, 2, 4, 8, 6, 7, 5]


def fairseq_of(model: Any) -> dict[str, Tensor]:
    """The tensors of transformers' MBart under the names of fairseq's."""
    tensors: dict[str, Tensor] = {}
    for name, tensor in model.state_dict().items():
        if name.startswith(("model.encoder.", "model.decoder.")):
            tensors[name.removeprefix("model.")] = tensor.clone()
    tensors["decoder.output_projection.weight"] = model.model.shared.weight.clone()
    tensors |= {"encoder.version": torch.tensor([3.0]), "decoder.version": torch.tensor([3.0])}
    return tensors


@pytest.fixture
def mbart(peers: Any) -> Any:
    config = peers.MBartConfig(
        vocab_size=4 + K + 3, d_model=16, encoder_layers=2, decoder_layers=3, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=24, decoder_ffn_dim=24, max_position_embeddings=30,
        scale_embedding=True, activation_function="gelu",
    )  # fmt: skip
    return randomised(peers.MBartForConditionalGeneration(config))


def write_mbart(folder: Path, tensors: Mapping[str, Tensor]) -> Path:
    folder.mkdir(exist_ok=True)
    settings = argparse.Namespace(
        encoder_attention_heads=2, decoder_attention_heads=2, activation_fn="gelu", dropout=0.1,
        decoder_normalize_before=True, no_scale_embedding=False, langs="en,es", add_lang_token=True,
    )  # fmt: skip
    torch.save({"args": settings, "model": dict(tensors)}, folder / "checkpoint.pt")
    (folder / "dict.txt").write_text("".join(f"{unit} 1\n" for unit in MBART_SYMBOLS))
    return folder


def test_unit_mbart(mbart: Any, tmp_path: Path) -> None:
    source = write_mbart(tmp_path / "mbart", fairseq_of(mbart))
    run(UlmImportConfig(kind="unit-mbart"), source, out=tmp_path / "lm")
    lm, about = load_ulm(tmp_path / "lm")
    rows = [*(4 + MBART_SYMBOLS.index(unit) for unit in range(K)), 2, 4 + K + 2]  # units, </s>, <mask>
    given, asked = [4, 1, 1, 7], [0, 8]
    with torch.no_grad():
        found = lm.logits(lm.states(padded([given, [3]]), padded([asked, [2]])))
        theirs = mbart(
            input_ids=torch.tensor([[2, *(rows[unit] for unit in given), 2]]),
            decoder_input_ids=torch.tensor([[rows[K + 1], *(rows[unit] for unit in asked)]]),
        ).logits[0]
    assert torch.allclose(found[0], theirs[:, rows], atol=1e-4)
    assert lm.config.num_layers == 3 and lm.config.num_encoder_layers == 2
    assert about["num_units"] == K and about["dedup"] is True


def test_a_language_can_be_the_separator(mbart: Any, tmp_path: Path) -> None:
    source = write_mbart(tmp_path / "mbart", fairseq_of(mbart))
    run(UlmImportConfig(kind="unit-mbart", separator="[es]"), source, out=tmp_path / "lm")
    assert torch.equal(load_ulm(tmp_path / "lm")[0].embedding.weight[K + 1], mbart.model.shared.weight[4 + K + 1])


@pytest.mark.parametrize(
    "change, complaint",
    [
        (lambda m: m["encoder.embed_tokens.weight"].add_(1), r"`encoder\.embed_tokens\.weight`.* differs"),
        (
            lambda m: m.pop("decoder.layers.2.encoder_attn.k_proj.bias"),
            r"decoder\.layers\.2\.encoder_attn\.k_proj\.bias  missing",
        ),
        (lambda m: m.pop("encoder.layer_norm.weight"), r"encoder\.layer_norm\.weight  missing"),
    ],
)
def test_an_mbart_that_does_not_fit_is_told(
    mbart: Any, tmp_path: Path, change: Callable[[dict[str, Tensor]], object], complaint: str
) -> None:
    tensors = fairseq_of(mbart)
    change(tensors)
    with pytest.raises(SpeechkitError, match=complaint):
        run(UlmImportConfig(kind="unit-mbart"), write_mbart(tmp_path / "mbart", tensors), out=tmp_path / "lm")


def test_our_own_model_is_gpt_neox_with_tied_embeddings(peers: Any) -> None:
    from speechkit.models.config import UlmConfig

    lm = randomised(UnitLm(UlmConfig(dim=16, num_heads=2, num_layers=2, ff_dim=24), num_units=K))
    config = peers.GPTNeoXConfig(
        vocab_size=K + 2, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
        use_parallel_residual=False, tie_word_embeddings=True, bos_token_id=K, eos_token_id=K,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0, "partial_rotary_factor": 1.0},
    )  # fmt: skip
    model = peers.GPTNeoXForCausalLM(config).eval()
    ours, theirs = lm.state_dict(), model.state_dict()
    tables = [name for name in theirs if name in ("gpt_neox.embed_in.weight", "embed_out.weight", "lm_head.weight")]
    theirs |= dict.fromkeys(tables, ours["embedding.weight"])
    for kind in ("weight", "bias"):
        theirs[f"gpt_neox.final_layer_norm.{kind}"] = ours[f"decoder.final_norm.{kind}"]
        for n in range(2):
            base, own = f"gpt_neox.layers.{n}", f"decoder.layers.{n}"
            parts = [ours[f"{own}.attention.{name}.{kind}"].unflatten(0, (2, 8)) for name in ("query", "key", "value")]
            theirs[f"{base}.attention.query_key_value.{kind}"] = torch.cat(parts, 1).flatten(0, 1)
            names = {
                "attention.dense": "attention.output", "mlp.dense_h_to_4h": "feed_forward.inner",
                "mlp.dense_4h_to_h": "feed_forward.output", "input_layernorm": "attention_norm",
                "post_attention_layernorm": "feed_forward_norm",
            }  # fmt: skip
            theirs |= {f"{base}.{name}.{kind}": ours[f"{own}.{part}.{kind}"] for name, part in names.items()}
    model.load_state_dict(theirs)
    with torch.no_grad():
        expected = model(torch.tensor([[K, *UNITS]])).logits[0]
        found = lm.logits(lm.lm_states(*padded([UNITS])))[0]
    assert torch.allclose(found, expected, atol=1e-4)
