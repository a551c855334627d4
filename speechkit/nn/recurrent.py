"""Convolutions and a bidirectional LSTM: the encoder that learns a small closed vocabulary soonest."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from speechkit.audio.features import padding_mask
from speechkit.nn.config import ConvBlstmConfig
from speechkit.nn.subsample import halved


class ConvBlstmEncoder(nn.Module):
    """Stack frames, two convolutions, BLSTM: (B, T, F) -> (B, T / (stack * stride), D)."""

    def __init__(self, num_mels: int, config: ConvBlstmConfig) -> None:
        super().__init__()
        self.dim, self.factor, self.centre = 2 * (config.dim // 2), config.stack * config.stride, config.stack // 2
        self.stack, self.stride = config.stack, config.stride
        self.conv1 = nn.Conv1d(num_mels * config.stack, config.dim, 5, padding=2)
        self.conv2 = nn.Conv1d(config.dim, config.dim, 5, stride=config.stride, padding=2)
        self.lstm = nn.LSTM(
            config.dim,
            config.dim // 2,
            config.num_layers,
            batch_first=True,
            bidirectional=True,
            dropout=config.dropout if config.num_layers > 1 else 0.0,
        )
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x_BTF: Tensor, num_frames_B: Tensor) -> tuple[Tensor, Tensor]:
        """Encoder output (B, T', D) and encoder frames (B,)."""
        size_B, size_T, size_F = x_BTF.shape
        x_BTF = nn.functional.pad(x_BTF, (0, 0, 0, -size_T % self.stack))
        x_BDT = x_BTF.reshape(size_B, -1, size_F * self.stack).transpose(1, 2)
        num_frames_B = torch.div(num_frames_B + self.stack - 1, self.stack, rounding_mode="floor")
        x_BDT = torch.relu(self.conv1(x_BDT))
        x_BDT = x_BDT * padding_mask(num_frames_B, x_BDT.shape[2])[:, None]
        x_BDT = torch.relu(self.conv2(x_BDT))
        if self.stride == 2:
            num_frames_B = halved(num_frames_B)
        x_BTD = self.dropout(x_BDT.transpose(1, 2))
        packed = pack_padded_sequence(x_BTD, num_frames_B.cpu(), batch_first=True, enforce_sorted=False)
        out_BTD, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=x_BTD.shape[1])
        return self.dropout(out_BTD), num_frames_B
