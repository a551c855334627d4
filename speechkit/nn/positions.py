"""Where a token stands: rotary (Su et al. 2021), sinusoidal in fairseq's form, or learned positions.

Rotation is in the half-split convention of GPT-NeoX and Hugging Face: value i turns with value i + E/2.
Shape letters besides those of nn: E width of a head.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def rotation(positions_BT: Tensor, width: int, base: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines (B, 1, T, E) of the angles of each position; at position 0 nothing is turned."""
    exponents = torch.arange(0, width, 2, device=positions_BT.device, dtype=torch.float32) / width
    angles = positions_BT[:, None, :, None].float() * base**-exponents
    angles = torch.cat([angles, angles], -1)
    return angles.cos(), angles.sin()


def rotate(x_BHTE: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Queries or keys turned by what `rotation` gives."""
    first, second = x_BHTE.chunk(2, -1)
    return x_BHTE * turn[0] + torch.cat([-second, first], -1) * turn[1]


def sinusoids(positions_BT: Tensor, dim: int) -> Tensor:
    """(B, T, dim): the sines of all frequencies, then their cosines; frequencies fall from 1 to 1/10000."""
    half = dim // 2
    steps = torch.arange(half, device=positions_BT.device, dtype=torch.float32)
    frequencies = torch.exp(steps * -(math.log(10_000) / max(1, half - 1)))
    angles = positions_BT[..., None].float() * frequencies
    table = torch.cat([angles.sin(), angles.cos()], -1)
    return torch.nn.functional.pad(table, (0, dim % 2))
