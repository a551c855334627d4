"""Time reduction in front of an encoder.

In eval mode padding never leaks into the frames of an utterance; in training it enters the batch statistics.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from speechkit.audio.features import padding_mask


class ConvSubsampling(nn.Module):
    """2-D strided convolutions, depthwise-separable after the first, then a projection: (B, T, F) -> (B, T', D)."""

    def __init__(self, num_mels: int, dim: int, *, factor: int, channels: int) -> None:
        super().__init__()
        num_halvings = factor.bit_length() - 1
        layers: list[nn.Module] = [nn.Conv2d(1, channels, 3, 2, 1)]
        for _ in range(num_halvings - 1):
            depthwise = nn.Conv2d(channels, channels, 3, 2, 1, groups=channels)
            layers.append(nn.Sequential(depthwise, nn.Conv2d(channels, channels, 1)))
        self.layers = nn.ModuleList(layers)
        for _ in range(num_halvings):
            num_mels = (num_mels + 1) // 2
        self.project = nn.Linear(channels * num_mels, dim)

    def forward(self, x_BTF: Tensor, num_frames_B: Tensor) -> tuple[Tensor, Tensor]:
        """Encoder frames (B, T', D) and their number (B,) int64; T' = T / factor, rounded up."""
        x_BCTF = x_BTF[:, None]
        for layer in self.layers:
            num_frames_B = halved(num_frames_B)
            x_BCTF = torch.relu(layer(x_BCTF))
            x_BCTF = x_BCTF * padding_mask(num_frames_B, x_BCTF.shape[2])[:, None, :, None]
        return self.project(x_BCTF.transpose(1, 2).flatten(2)), num_frames_B


def halved(num_frames_B: Tensor) -> Tensor:
    """Frames after a convolution of stride 2."""
    return torch.div(num_frames_B + 1, 2, rounding_mode="floor")
