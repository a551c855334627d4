"""Unit HiFi-GAN: checkpoints in the layout of others, against a reference written from the layer list."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv1d, conv_transpose1d, layer_norm, leaky_relu, linear

from speechkit.errors import SpeechkitError
from speechkit.units.config_vocoder import ResynthConfig
from speechkit.units.hifigan import read_hifigan, shape_of
from speechkit.units.resynth import import_hifigan
from speechkit.units.vocoder import load_vocoder

CONFIG: dict[str, Any] = {
    "resblock": "1", "num_embeddings": 12, "embedding_dim": 8, "model_in_dim": 8, "upsample_rates": [5, 4],
    "upsample_kernel_sizes": [11, 8], "upsample_initial_channel": 16, "resblock_kernel_sizes": [3, 7],
    "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5]], "sampling_rate": 16000, "code_hop_size": 320, "f0": None,
    "dur_predictor_params": {
        "encoder_embed_dim": 8, "var_pred_hidden_dim": 6, "var_pred_kernel_size": 3, "var_pred_dropout": 0.5
    },
}  # fmt: skip


def random_state(config: dict[str, Any]) -> dict[str, Tensor]:
    """Tensors by the names and shapes of a checkpoint."""
    gen = torch.Generator().manual_seed(1)

    def draw(*shape: int) -> Tensor:
        return 0.4 * torch.randn(shape, generator=gen)

    state = {"dict.weight": draw(config["num_embeddings"], config["embedding_dim"])}

    def normed(name: str, out: int, into: int, kernel: int, *, bias: int | None = None) -> None:
        state[f"{name}.weight_g"], state[f"{name}.weight_v"] = draw(out, 1, 1).abs() + 0.3, draw(out, into, kernel)
        state[f"{name}.bias"] = draw(out if bias is None else bias)

    if config.get("multispkr"):
        state["spkr.weight"] = draw(config["num_speakers"], config["embedding_dim"])
    size = config["upsample_initial_channel"]
    normed("conv_pre", size, config["model_in_dim"], 7)
    number = 0
    for index, kernel in enumerate(config["upsample_kernel_sizes"]):
        normed(f"ups.{index}", size, size // 2, kernel, bias=size // 2)  # transposed: input channels come first
        size //= 2
        for own, reaches in zip(config["resblock_kernel_sizes"], config["resblock_dilation_sizes"], strict=True):
            for part in ("convs1", "convs2"):
                for place in range(len(reaches)):
                    normed(f"resblocks.{number}.{part}.{place}", size, size, own)
            number += 1
    normed("conv_post", 1, size, 7)
    if config.get("dur_predictor_params"):
        for layer, into in (("conv1", 8), ("conv2", 6)):
            state[f"dur_predictor.{layer}.0.weight"], state[f"dur_predictor.{layer}.0.bias"] = draw(6, into, 3), draw(6)
        for layer in ("ln1", "ln2"):
            state[f"dur_predictor.{layer}.weight"], state[f"dur_predictor.{layer}.bias"] = draw(6), draw(6)
        state["dur_predictor.proj.weight"], state["dur_predictor.proj.bias"] = draw(1, 6), draw(1) + 2
    return state


def reference(state: dict[str, Tensor], config: dict[str, Any], ids: list[int], *, durations: bool) -> Tensor:
    """Samples as the published generator makes them."""

    def weight(name: str) -> Tensor:
        g, v = state[f"{name}.weight_g"], state[f"{name}.weight_v"]
        return torch.stack([g[i] * v[i] / v[i].norm() for i in range(len(v))])

    x = state["dict.weight"][ids].T[None]
    if durations:
        y = x
        for layer, norm in (("conv1", "ln1"), ("conv2", "ln2")):
            own = {key: state[f"dur_predictor.{layer}.0.{key}"] for key in ("weight", "bias")}
            y = conv1d(y, own["weight"], own["bias"], padding=1).relu().transpose(1, 2)
            y = layer_norm(y, (6,), state[f"dur_predictor.{norm}.weight"], state[f"dur_predictor.{norm}.bias"])
            y = y.transpose(1, 2)
        log_frames = linear(y.transpose(1, 2), state["dur_predictor.proj.weight"], state["dur_predictor.proj.bias"])
        x = x.repeat_interleave((log_frames.exp() - 1).round().long().clamp(min=1).flatten(), dim=2)
    x = conv1d(x, weight("conv_pre"), state["conv_pre.bias"], padding=3)
    number = 0
    for index, (rate, kernel) in enumerate(zip(config["upsample_rates"], config["upsample_kernel_sizes"], strict=True)):
        bias = state[f"ups.{index}.bias"]
        x = conv_transpose1d(
            leaky_relu(x, 0.1), weight(f"ups.{index}"), bias, stride=rate, padding=(kernel - rate) // 2
        )
        total: Tensor | float = 0.0
        for own, reaches in zip(config["resblock_kernel_sizes"], config["resblock_dilation_sizes"], strict=True):
            y = x
            for place, reach in enumerate(reaches):
                first, second = (f"resblocks.{number}.{part}.{place}" for part in ("convs1", "convs2"))
                pad = (own * reach - reach) // 2
                z = conv1d(leaky_relu(y, 0.1), weight(first), state[f"{first}.bias"], padding=pad, dilation=reach)
                z = conv1d(leaky_relu(z, 0.1), weight(second), state[f"{second}.bias"], padding=own // 2)
                y = z + y
            total, number = total + y, number + 1
        assert isinstance(total, Tensor)
        x = total / len(config["resblock_kernel_sizes"])
    return conv1d(leaky_relu(x), weight("conv_post"), state["conv_post.bias"], padding=3).tanh()[0, 0]


def write(folder: Path, config: dict[str, Any], state: object) -> tuple[Path, Path]:
    checkpoint, config_file = folder / "g_00000001", folder / "config.json"
    torch.save(state, checkpoint)
    config_file.write_text(json.dumps(config))
    return checkpoint, config_file


def test_samples_equal_the_reference(tmp_path: Path) -> None:
    state = random_state(CONFIG)
    checkpoint, config_file = write(tmp_path, CONFIG, {"generator": state})
    import_hifigan(checkpoint, config_file, out=tmp_path / "vocoder")
    vocoder = load_vocoder(tmp_path / "vocoder")
    ids = [3, 3, 0, 11, 7]
    samples = vocoder("utt", np.array(ids, np.int32), ResynthConfig())
    expected = reference(state, CONFIG, ids, durations=False)
    assert samples.shape == (5 * 20,)
    assert expected.std() > 0.02
    np.testing.assert_allclose(samples, expected.numpy(), atol=1e-5)
    own = np.array([3, 0, 11, 7], np.int32)
    frames = np.repeat(own, vocoder.run_lengths(own))
    timed = reference(state, CONFIG, own.tolist(), durations=True)
    assert len(frames) > len(own)
    np.testing.assert_allclose(vocoder("utt", frames, ResynthConfig()), timed.numpy(), atol=1e-5)


def test_voices_are_chosen_by_their_number(tmp_path: Path) -> None:
    config = {**CONFIG, "multispkr": "_", "num_speakers": 3, "model_in_dim": 16}
    checkpoint, config_file = write(tmp_path, config, {"generator": random_state(config)})
    import_hifigan(checkpoint, config_file, out=tmp_path / "vocoder")
    vocoder = load_vocoder(tmp_path / "vocoder")
    frames = np.array([1, 2], np.int32)
    one, two = (vocoder("utt", frames, ResynthConfig(speaker=name)) for name in ("1", "2"))
    assert not np.array_equal(one, two)
    with pytest.raises(SpeechkitError, match="no voice `3`") as caught:
        vocoder("utt", frames, ResynthConfig(speaker="3"))
    assert "one of 0 1 2" in caught.value.expected


def test_a_generator_in_other_sizes_is_refused(tmp_path: Path) -> None:
    checkpoint, config_file = write(
        tmp_path, {**CONFIG, "upsample_initial_channel": 32}, {"generator": random_state(CONFIG)}
    )
    with pytest.raises(SpeechkitError, match="does not fit its config"):
        read_hifigan(checkpoint, shape_of(config_file))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"f0": True}, "also takes f0"),
        ({"embedder_params": {"a": 1}}, "also takes embedder_params"),
        ({"upsample_rates": [5]}, "is no config of a unit HiFi-GAN"),
        ({"num_embeddings": "many"}, "is no config of a unit HiFi-GAN"),
        ({"model_in_dim": 80}, "is no config of a unit HiFi-GAN"),
    ],
)
def test_configs_that_are_not_read_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**CONFIG, **changes}))
    with pytest.raises(SpeechkitError, match=message):
        shape_of(path)


class _Harm:
    """What a pickle could do."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (Path.touch, (Path("harm"),))  # type: ignore[return-value]


@pytest.mark.parametrize("kind", ["torch", "pickle", "text", "list"])
def test_other_files_are_refused_and_nothing_in_them_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    checkpoint, config_file = write(tmp_path, CONFIG, [1] if kind == "list" else {"generator": {"x": _Harm()}})
    if kind == "pickle":
        checkpoint.write_bytes(pickle.dumps({"generator": _Harm()}))
    if kind == "text":
        checkpoint.write_text("no checkpoint")
    with pytest.raises(SpeechkitError, match="holds no generator"):
        read_hifigan(checkpoint, shape_of(config_file))
    assert not (tmp_path / "harm").exists()
