"""Batches of unit sequences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from speechkit.data.batch import Load
from speechkit.data.weights import moved


@dataclass
class UnitBatch:
    """A padded group of token sequences, without the end that starts and ends each.

    tokens_BT int64 padded with 0; lengths_B int64.
    """

    utt_ids: list[str]
    tokens_BT: Tensor
    lengths_B: Tensor

    def __len__(self) -> int:
        return len(self.utt_ids)

    @property
    def load(self) -> Load:
        """What it holds, for the log."""
        used = int(self.lengths_B.sum())
        return Load("units", float(used), used, self.tokens_BT.numel())

    def to(self, device: torch.device) -> UnitBatch:
        """The same batch on another device."""
        return replace(self, **moved(self, device))


def pad(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Sequences as int64 (B, T) padded with 0, T at least 1, and their lengths (B,)."""
    lengths_B = torch.tensor([len(row) for row in rows])
    tokens_BT = torch.zeros(len(rows), max(1, int(lengths_B.max())), dtype=torch.int64)
    for padded, row in zip(tokens_BT, rows, strict=True):
        padded[: len(row)] = torch.as_tensor(row, dtype=torch.int64)
    return tokens_BT, lengths_B
