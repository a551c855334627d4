"""FastConformer-style encoder: depthwise subsampling, rotary self-attention, convolution (Rekesh et al. 2023)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from speechkit.audio.features import padding_mask
from speechkit.nn.config import FastConformerConfig
from speechkit.nn.conv import ConvModule
from speechkit.nn.subsample import ConvSubsampling


class FastConformerEncoder(nn.Module):
    """Subsampling, then conformer blocks."""

    def __init__(self, num_mels: int, config: FastConformerConfig) -> None:
        super().__init__()
        self.dim, self.factor, self.centre = config.dim, config.subsampling, 0
        self.subsample = ConvSubsampling(
            num_mels, config.dim, factor=config.subsampling, channels=config.subsampling_channels
        )
        self.blocks = nn.ModuleList(ConformerBlock(config) for _ in range(config.num_blocks))

    def forward(self, x_BTF: Tensor, num_frames_B: Tensor) -> tuple[Tensor, Tensor]:
        """Encoder output (B, T', D) and encoder frames (B,)."""
        x_BTD, num_frames_B = self.subsample(x_BTF, num_frames_B)
        mask_BT = padding_mask(num_frames_B, x_BTD.shape[1])
        for block in self.blocks:
            x_BTD = block(x_BTD, mask_BT)
        return x_BTD * mask_BT[..., None], num_frames_B


class ConformerBlock(nn.Module):
    """Half feed-forward, attention, convolution, half feed-forward, each residual (Gulati et al. 2020)."""

    def __init__(self, config: FastConformerConfig) -> None:
        super().__init__()
        self.feed_forward1 = FeedForward(config)
        self.attention = RotaryAttention(config.dim, config.num_heads, config.dropout)
        self.conv_norm = nn.LayerNorm(config.dim)
        self.conv = ConvModule(config.dim, config.kernel, config.dropout)
        self.feed_forward2 = FeedForward(config)
        self.norm = nn.LayerNorm(config.dim)

    def forward(self, x_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """mask_BT is True inside the utterances."""
        x_BTD = x_BTD + 0.5 * self.feed_forward1(x_BTD)
        x_BTD = x_BTD + self.attention(x_BTD, mask_BT)
        conv_in_BTD = self.conv_norm(x_BTD) * mask_BT[..., None]
        x_BTD = x_BTD + self.conv(conv_in_BTD.transpose(1, 2)).transpose(1, 2)
        x_BTD = x_BTD + 0.5 * self.feed_forward2(x_BTD)
        return self.norm(x_BTD)  # type: ignore[no-any-return]


class FeedForward(nn.Sequential):
    """Normalise, widen, SiLU, narrow: (B, T, D) -> (B, T, D)."""

    def __init__(self, config: FastConformerConfig) -> None:
        wide = config.ff_factor * config.dim
        super().__init__(
            nn.LayerNorm(config.dim),
            nn.Linear(config.dim, wide),
            nn.SiLU(),
            nn.Dropout(config.dropout),
            nn.Linear(wide, config.dim),
            nn.Dropout(config.dropout),
        )


class RotaryAttention(nn.Module):
    """Multi-head self-attention with rotary positions (Su et al. 2021), normalised in front."""

    def __init__(self, dim: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm = nn.LayerNorm(dim)
        self.project_in = nn.Linear(dim, 3 * dim)
        self.project_out = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """Frames where mask_BT is False are not attended to."""
        size_B, size_T, size_D = x_BTD.shape
        qkv = self.project_in(self.norm(x_BTD)).view(size_B, size_T, 3, self.num_heads, -1)
        q_BHTD, k_BHTD, v_BHTD = qkv.permute(2, 0, 3, 1, 4)
        cos, sin = _rotation(size_T, q_BHTD.shape[-1], x_BTD.device)
        q_BHTD, k_BHTD = _rotate(q_BHTD, cos, sin), _rotate(k_BHTD, cos, sin)
        out_BHTD = nn.functional.scaled_dot_product_attention(
            q_BHTD, k_BHTD, v_BHTD, attn_mask=mask_BT[:, None, None, :]
        )
        out_BTD = out_BHTD.transpose(1, 2).reshape(size_B, size_T, size_D)
        return self.dropout(self.project_out(out_BTD))  # type: ignore[no-any-return]


def _rotation(size_T: int, dim: int, device: torch.device) -> tuple[Tensor, Tensor]:
    frequency = 10_000.0 ** (-torch.arange(0, dim, 2, device=device, dtype=torch.float32) / dim)
    angle = torch.arange(size_T, device=device, dtype=torch.float32)[:, None] * frequency
    return angle.cos(), angle.sin()


def _rotate(x_BHTD: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    even, odd = x_BHTD[..., 0::2], x_BHTD[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2)
