"""Unit HiFi-GAN: units to samples by transposed convolutions (Kong et al. 2020; Polyak et al. 2021).

Its checkpoints are `g_*` files of torch with one entry `generator`, and a `config.json` beside them. The weight
normalisation of the checkpoints is folded into the weights when they are read.
"""

from __future__ import annotations

import json
import pickle
import warnings
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, ValidationError, model_validator
from torch import Tensor, nn

from speechkit.config import Config
from speechkit.errors import SpeechkitError
from speechkit.units.vocoder_net import DurationPredictor

_SLOPE = 0.1
_KEPT = {
    "num_embeddings", "embedding_dim", "model_in_dim", "upsample_rates", "upsample_kernel_sizes",
    "upsample_initial_channel", "resblock_kernel_sizes", "resblock_dilation_sizes", "sampling_rate",
}  # fmt: skip


class HifiganShape(Config):
    """Sizes, by the names of config.json."""

    num_embeddings: int = Field(ge=2)
    embedding_dim: int = Field(ge=1)
    model_in_dim: int = Field(ge=1)
    upsample_rates: tuple[int, ...] = Field(min_length=1)
    upsample_kernel_sizes: tuple[int, ...] = Field(min_length=1)
    upsample_initial_channel: int = Field(ge=2)
    resblock_kernel_sizes: tuple[int, ...] = Field(min_length=1)
    resblock_dilation_sizes: tuple[tuple[int, ...], ...] = Field(min_length=1)
    sampling_rate: int = Field(16000, ge=1000)
    num_speakers: int = Field(0, ge=0, description="0: one voice")
    duration_hidden: int = Field(0, ge=0, description="0: no duration predictor")
    duration_kernel: int = Field(3, ge=3, le=3, description="all checkpoints have 3")

    @property
    def hop_samples(self) -> int:
        """Samples of a unit."""
        hop = 1
        for rate in self.upsample_rates:
            hop *= rate
        return hop

    @model_validator(mode="after")
    def _check(self) -> HifiganShape:
        if len(self.upsample_rates) != len(self.upsample_kernel_sizes):
            raise ValueError("upsample_rates and upsample_kernel_sizes are of different lengths")
        if len(self.resblock_kernel_sizes) != len(self.resblock_dilation_sizes):
            raise ValueError("resblock_kernel_sizes and resblock_dilation_sizes are of different lengths")
        width = self.embedding_dim * (2 if self.num_speakers else 1)
        if self.model_in_dim != width:
            raise ValueError(f"model_in_dim is {self.model_in_dim}, units and speakers have {width}")
        return self


class _ResBlock(nn.Module):
    def __init__(self, channels: int, kernel: int, reaches: tuple[int, ...]) -> None:
        super().__init__()

        def conv(reach: int) -> nn.Conv1d:
            return nn.Conv1d(channels, channels, kernel, dilation=reach, padding=(kernel - 1) * reach // 2)

        self.convs1 = nn.ModuleList(conv(reach) for reach in reaches)
        self.convs2 = nn.ModuleList(conv(1) for _ in reaches)

    def forward(self, x_BCS: Tensor) -> Tensor:
        for first, second in zip(self.convs1, self.convs2, strict=True):
            y_BCS = first(nn.functional.leaky_relu(x_BCS, _SLOPE))
            x_BCS = x_BCS + second(nn.functional.leaky_relu(y_BCS, _SLOPE))
        return x_BCS


class CodeHifigan(nn.Module):
    """The generator; tensors have the names of the checkpoints, except `dict` and `dur_predictor`."""

    def __init__(self, shape: HifiganShape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.num_embeddings, shape.embedding_dim)
        self.spkr = nn.Embedding(shape.num_speakers, shape.embedding_dim) if shape.num_speakers else None
        self.durations = (
            DurationPredictor(shape.embedding_dim, hidden=shape.duration_hidden, kernel=shape.duration_kernel)
            if shape.duration_hidden
            else None
        )
        size = shape.upsample_initial_channel
        self.conv_pre = nn.Conv1d(shape.model_in_dim, size, 7, padding=3)
        self.ups, self.resblocks = nn.ModuleList(), nn.ModuleList()
        for rate, kernel in zip(shape.upsample_rates, shape.upsample_kernel_sizes, strict=True):
            self.ups.append(nn.ConvTranspose1d(size, size // 2, kernel, rate, padding=(kernel - rate) // 2))
            size //= 2
            kinds = zip(shape.resblock_kernel_sizes, shape.resblock_dilation_sizes, strict=True)
            self.resblocks.extend(_ResBlock(size, own, reaches) for own, reaches in kinds)
        self.conv_post = nn.Conv1d(size, 1, 7, padding=3)

    def forward(self, ids_BT: Tensor, speakers_B: Tensor) -> Tensor:
        """Samples (B, T * hop_samples) in [-1, 1] of one unit per frame."""
        x_BCT = self.embedding(ids_BT).transpose(1, 2)
        if self.spkr is not None:
            voice_BCT = self.spkr(speakers_B)[:, :, None].expand(-1, -1, x_BCT.shape[2])
            x_BCT = torch.cat([x_BCT, voice_BCT], dim=1)
        x_BCS = self.conv_pre(x_BCT)
        num = len(self.shape.resblock_kernel_sizes)
        for number, up in enumerate(self.ups):
            x_BCS = up(nn.functional.leaky_relu(x_BCS, _SLOPE))
            blocks = self.resblocks[num * number : num * (number + 1)]
            x_BCS = torch.stack([block(x_BCS) for block in blocks]).sum(0) / num
        # torch's own slope here, 0.01, as the checkpoints were trained
        return self.conv_post(nn.functional.leaky_relu(x_BCS)).tanh().squeeze(1)  # type: ignore[no-any-return]


def shape_of(path: Path) -> HifiganShape:
    """The sizes in a config.json.

    Raises:
        SpeechkitError: it is no such file, or of a network that is not read: with pitch or speaker embedder.
    """
    try:
        tree: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        unread = [name for name in ("embedder_params", "f0", "f0_quant_num_bin") if tree.get(name)]
        if unread:
            raise SpeechkitError(f"`{path}` is of a HiFi-GAN that also takes {', '.join(unread)}: it is not read")
        durations = tree.get("dur_predictor_params") or {}
        speakers = int(tree.get("num_speakers", 200)) if tree.get("multispkr") else 0
        return HifiganShape(
            num_speakers=speakers,
            duration_hidden=durations.get("var_pred_hidden_dim", 0),
            duration_kernel=durations.get("var_pred_kernel_size", 3),
            **{"model_in_dim": 80, **{name: value for name, value in tree.items() if name in _KEPT}},
        )
    except OSError:
        raise SpeechkitError(f"`{path}` does not exist", expected="the config.json of the checkpoint") from None
    except (ValueError, TypeError, AttributeError) as error:
        faults = (
            [f"{item['loc']}: {item['msg']}" for item in error.errors()] if isinstance(error, ValidationError) else []
        )
        raise SpeechkitError(f"`{path}` is no config of a unit HiFi-GAN", where=faults or str(error)) from None


def read_hifigan(checkpoint: Path, shape: HifiganShape) -> CodeHifigan:
    """The generator of a checkpoint; nothing in the file is run.

    Raises:
        SpeechkitError: no such file, no such network, or something else than tensors in it.
    """
    if not checkpoint.is_file():
        raise SpeechkitError(f"`{checkpoint}` does not exist")
    try:
        with warnings.catch_warnings(action="ignore"):  # of pickles that torch did not write
            stored = torch.load(checkpoint, map_location="cpu", weights_only=True)
        state = stored["generator"]
        tensors = {str(name): tensor.float() for name, tensor in state.items()}
    except (
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
    ) as error:
        raise SpeechkitError(f"`{checkpoint}` holds no generator: {str(error).splitlines()[0]:.200}") from None
    net = CodeHifigan(shape)
    try:
        net.load_state_dict(fold_weight_norm(tensors))
    except (RuntimeError, KeyError) as error:
        raise SpeechkitError(f"`{checkpoint}` does not fit its config", where=str(error).splitlines()[:5]) from None
    return net.eval()


def fold_weight_norm(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors by our names, with g v / |v| for `weight_g` and `weight_v`; norms are over all but the first axis."""
    names = {"dict.": "embedding.", "dur_predictor.": "durations."}
    folded = {}
    for name, tensor in tensors.items():
        new = name
        for theirs, ours in names.items():
            new = ours + new.removeprefix(theirs) if new.startswith(theirs) else new
        if new.endswith(".weight_g"):
            continue
        if new.endswith(".weight_v"):
            gain = tensors[name.removesuffix("v") + "g"]
            size = tensor.flatten(1).norm(dim=1).reshape([-1] + [1] * (tensor.ndim - 1))
            new, tensor = new.removesuffix("_v"), gain * tensor / size
        folded[new] = tensor
    return folded
