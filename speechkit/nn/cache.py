"""What a transformer keeps between steps: keys and values of the tokens so far, and of an encoder's output.

Shape letters besides those of nn: E width of a head, H heads of keys and values, M columns, N rows of a search.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from speechkit.nn.injection import Injection, LayerInjection, LowRank


def _empty() -> Tensor:
    return torch.zeros(0, dtype=torch.int64)


@dataclass
class Cache:
    """Keys and values of what was read, with room for more; filled by the first pass of a transformer.

    Attributes:
        room: tokens that still fit.
        keys, values: per layer (B, H, M, E): columns of the prompt, the tokens, room.
        used: columns in use of the longest row; lengths_B: of each row; positions_B: of its next token.
    """

    room: int
    keys: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)
    used: int = 0
    lengths_B: Tensor = field(default_factory=_empty)
    positions_B: Tensor = field(default_factory=_empty)

    def begin(self, lengths_B: Tensor, *, prompt: int) -> None:
        """Note that so many tokens are read behind so many columns of a prompt."""
        self.lengths_B, self.positions_B = lengths_B + prompt, lengths_B.clone()

    def add_layer(self, k_BHME: Tensor, v_BHME: Tensor) -> None:
        """Store what the next layer has read."""
        self.used = k_BHME.shape[2]
        self.keys.append(_with_room(k_BHME, self.room))
        self.values.append(_with_room(v_BHME, self.room))

    def append(self, number: int, k_BH1E: Tensor, v_BH1E: Tensor) -> tuple[Tensor, Tensor]:
        """Store one more column of a layer; all its columns in use, and at the end of shorter rows anything."""
        if self.room < 1:
            raise ValueError("the cache has no room for another token")
        rows_B = torch.arange(len(k_BH1E), device=k_BH1E.device)
        self.keys[number][rows_B, :, self.lengths_B] = k_BH1E[:, :, 0]
        self.values[number][rows_B, :, self.lengths_B] = v_BH1E[:, :, 0]
        return self.keys[number][:, :, : self.used + 1], self.values[number][:, :, : self.used + 1]

    def advance(self) -> None:
        """All layers have appended a column."""
        self.lengths_B, self.positions_B = self.lengths_B + 1, self.positions_B + 1
        self.used, self.room = self.used + 1, self.room - 1

    def select(self, rows_N: Tensor) -> Cache:
        """The rows of a search, which may repeat and be left out."""
        return Cache(
            self.room,
            [keys_BHME[rows_N] for keys_BHME in self.keys],
            [values_BHME[rows_N] for values_BHME in self.values],
            self.used,
            self.lengths_B[rows_N],
            self.positions_B[rows_N],
        )


def _with_room(x_BHME: Tensor, room: int) -> Tensor:
    size_B, size_H, size_M, size_E = x_BHME.shape
    stored = x_BHME.new_zeros(size_B, size_H, size_M + room, size_E)
    stored[:, :, :size_M] = x_BHME
    return stored


@dataclass(frozen=True)
class Memory:
    """What cross-attention reads: keys and values of each layer, (B, H, M, E), and where they are not padding."""

    layers: list[tuple[Tensor, Tensor]]
    mask_B11M: Tensor

    def select(self, rows_N: Tensor) -> Memory:
        """As `Cache.select`."""
        return Memory([(keys[rows_N], values[rows_N]) for keys, values in self.layers], self.mask_B11M[rows_N])


def without_columns(injection: Injection) -> Injection:
    """What a step needs of an injection: low-rank updates and separators; the rest is in the cache."""
    layers = tuple(LayerInjection(low_rank=own.low_rank) for own in injection.layers)
    return Injection(layers=layers, separator_BD=injection.separator_BD)


def select_rows(injection: Injection, rows_N: Tensor) -> Injection:
    """The rows of an injection without columns; one row that serves all stays."""

    def rows(tensor: Tensor) -> Tensor:
        return tensor if len(tensor) == 1 else tensor[rows_N]

    layers = tuple(
        LayerInjection(low_rank={name: LowRank(rows(low.a_BIR), rows(low.b_BRO)) for name, low in own.low_rank.items()})
        for own in injection.layers
    )
    separator_BD = injection.separator_BD
    return Injection(layers=layers, separator_BD=None if separator_BD is None else rows(separator_BD))
