"""The networks of the small vocoder: units with run lengths to log-mel bands, and how long units last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from speechkit.audio.features import padding_mask
from speechkit.config import Config
from speechkit.data.batch import Load
from speechkit.data.weights import moved
from speechkit.models.loss import Loss
from speechkit.units.kmeans import Labels

_MAX_REACH = 8
_NUM_RUN_FEATURES = 3


class VocoderShape(Config):
    """Sizes of the network."""

    k: int = Field(ge=2)
    dim: int = Field(ge=8)
    num_blocks: int = Field(ge=1)
    kernel: int = Field(ge=3)
    dropout: float = 0.0
    num_mels: int = Field(ge=1)
    frames_per_unit: int = Field(ge=1)
    num_speakers: int = Field(ge=0)


class RunLengths(NamedTuple):
    """Units of some utterances frame by frame, padded.

    Attributes:
        ids_BT: int64 the unit of each frame, 0 in the padding.
        place_BTP: float32 where in its run a frame lies: logarithm of frames since its start, to its end, in all.
        num_frames_B: int64.
    """

    ids_BT: Tensor
    place_BTP: Tensor
    num_frames_B: Tensor

    def to(self, device: torch.device) -> RunLengths:
        """The same on another device."""
        return RunLengths(*(tensor.to(device) for tensor in self))

    @staticmethod
    def of(units: Sequence[Labels], runs: Sequence[Labels]) -> RunLengths:
        """Pad utterances given as units without repetition and their run lengths."""
        sizes = [int(own.sum()) for own in runs]
        ids_BT = torch.zeros(len(units), max(sizes), dtype=torch.int64)
        place_BTP = torch.zeros(len(units), max(sizes), _NUM_RUN_FEATURES)
        for row, (own, lengths, size) in enumerate(zip(units, runs, sizes, strict=True)):
            ids_BT[row, :size] = torch.from_numpy(np.repeat(own, lengths).astype(np.int64))
            since = np.arange(size) - np.repeat(np.cumsum(lengths) - lengths, lengths)
            total = np.repeat(lengths, lengths)
            place = np.log1p(np.stack([since, total - 1 - since, total], axis=1)).astype(np.float32)
            place_BTP[row, :size] = torch.from_numpy(place)
        return RunLengths(ids_BT, place_BTP, torch.tensor(sizes))


@dataclass
class VocoderBatch:
    """Padded pieces of utterances to learn from.

    units_BN, runs_BN int64 (runs are 0 in the padding); runs the same frame by frame; speakers_B int64;
    mel_BTF float32 natural log-mel bands.
    """

    utt_ids: list[str]
    units_BN: Tensor
    runs_BN: Tensor
    runs: RunLengths
    speakers_B: Tensor
    mel_BTF: Tensor

    @property
    def load(self) -> Load:
        """What it holds, for the log."""
        used = int(self.runs.num_frames_B.sum())
        return Load("frames", float(used), used, self.runs.ids_BT.numel())

    def to(self, device: torch.device) -> VocoderBatch:
        """The same batch on another device."""
        return replace(self, runs=self.runs.to(device), **moved(self, device))


class DurationPredictor(nn.Module):
    """Frames that units without repetition last, as log(frames + 1) (FastSpeech 2; the layers of unit HiFi-GAN)."""

    def __init__(self, dim: int, *, hidden: int, kernel: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(nn.Conv1d(dim, hidden, kernel, padding=(kernel - 1) // 2), nn.ReLU())
        self.ln1 = nn.LayerNorm(hidden)
        self.conv2 = nn.Sequential(nn.Conv1d(hidden, hidden, kernel, padding=(kernel - 1) // 2), nn.ReLU())
        self.ln2 = nn.LayerNorm(hidden)
        self.proj = nn.Linear(hidden, 1)
        self.dropout = nn.Dropout(dropout)

    def log_frames(self, x_BND: Tensor) -> Tensor:
        """log(frames + 1) (B, N)."""
        x_BND = self.dropout(self.ln1(self.conv1(x_BND.transpose(1, 2)).transpose(1, 2)))
        x_BND = self.dropout(self.ln2(self.conv2(x_BND.transpose(1, 2)).transpose(1, 2)))
        return self.proj(x_BND).squeeze(2)  # type: ignore[no-any-return]

    def forward(self, x_BND: Tensor) -> Tensor:
        """Frames (B, N), int64, at least 1."""
        return (self.log_frames(x_BND).exp() - 1).round().long().clamp(min=1)


class _Block(nn.Module):
    def __init__(self, shape: VocoderShape, reach: int) -> None:
        super().__init__()
        pad = (shape.kernel - 1) // 2 * reach
        self.norm = nn.LayerNorm(shape.dim)
        self.conv = nn.Conv1d(shape.dim, shape.dim, shape.kernel, padding=pad, dilation=reach)
        self.mix = nn.Linear(shape.dim, shape.dim)
        self.dropout = nn.Dropout(shape.dropout)

    def forward(self, x_BTD: Tensor, mask_BT1: Tensor) -> Tensor:
        """Frames plus what they see of their neighbours; the padding counts as zeros."""
        y_BTD = nn.functional.gelu(self.norm(x_BTD)) * mask_BT1
        y_BTD = self.conv(y_BTD.transpose(1, 2)).transpose(1, 2)
        return x_BTD + self.dropout(self.mix(nn.functional.gelu(y_BTD)))  # type: ignore[no-any-return]


class UnitToMel(nn.Module):
    """Log-mel bands of units; speaker 0 is no certain one. A padded utterance gives what it gives alone."""

    mean_F: Tensor
    std_F: Tensor

    def __init__(self, shape: VocoderShape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.k, shape.dim)
        self.speaker = nn.Embedding(shape.num_speakers + 1, shape.dim)
        self.place = nn.Linear(_NUM_RUN_FEATURES, shape.dim)
        reaches = [min(2**number, _MAX_REACH) for number in range(shape.num_blocks)]
        self.blocks = nn.ModuleList(_Block(shape, reach) for reach in reaches)
        self.norm = nn.LayerNorm(shape.dim)
        self.output = nn.Linear(shape.dim, shape.num_mels * shape.frames_per_unit)
        self.durations: DurationPredictor | None = DurationPredictor(
            shape.dim, hidden=shape.dim, kernel=3, dropout=shape.dropout
        )
        self.register_buffer("mean_F", torch.zeros(shape.num_mels))
        self.register_buffer("std_F", torch.ones(shape.num_mels))

    def scaled(self, runs: RunLengths, speakers_B: Tensor) -> Tensor:
        """Bands (B, T * frames_per_unit, F) with mean 0 and variance 1."""
        mask_BT1 = padding_mask(runs.num_frames_B, runs.ids_BT.shape[1])[..., None]
        x_BTD = self.embedding(runs.ids_BT) + self.place(runs.place_BTP) + self.speaker(speakers_B)[:, None]
        for block in self.blocks:
            x_BTD = block(x_BTD, mask_BT1)
        return self.output(self.norm(x_BTD)).unflatten(2, (-1, self.shape.num_mels)).flatten(1, 2)  # type: ignore[no-any-return]

    def loss(self, batch: VocoderBatch, *, progress: float) -> Loss:
        """Absolute difference of the scaled bands, and a tenth of the squared one of log(frames + 1) of run lengths."""
        made_BTF = self.scaled(batch.runs, batch.speakers_B)
        mask_BT = padding_mask(batch.runs.num_frames_B * self.shape.frames_per_unit, made_BTF.shape[1])
        bands = (made_BTF - (batch.mel_BTF - self.mean_F) / self.std_F).abs()[mask_BT].mean()
        assert self.durations is not None
        # run lengths must not shape the embedding of units; padding lies beyond the last unit, as zeros do
        mask_BN = batch.runs_BN > 0
        x_BND = self.embedding(batch.units_BN).detach() * mask_BN[..., None]
        durations = (self.durations.log_frames(x_BND) - (batch.runs_BN + 1).log()).square()[mask_BN].mean()
        return Loss(bands + 0.1 * durations, {"bands": bands.detach(), "durations": durations.detach()})

    def forward(self, runs: RunLengths, speakers_B: Tensor) -> Tensor:
        """Natural log-mel bands (B, T * frames_per_unit, F)."""
        return self.scaled(runs, speakers_B) * self.std_F + self.mean_F
