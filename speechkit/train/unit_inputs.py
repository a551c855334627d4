"""The material of a unit language model: the units of untranscribed speech, in pieces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from speechkit import log
from speechkit.data.plan import plan_epoch
from speechkit.data.unit_batch import UnitBatch, pad
from speechkit.errors import SpeechkitError, counted
from speechkit.models.ulm import UnitLm
from speechkit.models.ulm_folder import write_about, write_bigram
from speechkit.rng import derive_seed, rng
from speechkit.text.bigram import Bigram, count_pairs
from speechkit.train.config import UnitTrainConfig
from speechkit.units.unit_file import UnitSet, load_units

_NUM_LOOK = 200  # training pieces that are compared with a bigram model where there is no dev set


@dataclass(frozen=True)
class Piece:
    """Units of an utterance, or of a part of a long one."""

    utt_id: str
    units: tuple[int, ...]


@dataclass
class UnitInputs:
    """Pieces to train on and to look at; all of one codebook."""

    config: UnitTrainConfig
    num_units: int
    train: list[Piece]
    dev: list[Piece]
    about: Mapping[str, Any]
    training_ids: list[str]
    folder: Path

    def make_model(self) -> nn.Module:
        """The untrained model."""
        return UnitLm(self.config.model, num_units=self.num_units)

    def epoch(self, epoch: int) -> list[Piece]:
        """All pieces, in the same order in every epoch."""
        return self.train

    def sizes(self, pieces: Sequence[Piece], epoch: int) -> np.ndarray:
        """Tokens of each piece (N,), with its end and, where there are any, a read-out."""
        model = self.config.model
        extra = 2 + model.readout_units if model.readout_share else 1
        return np.array([len(piece.units) + extra for piece in pieces], float)

    def largest(self) -> np.ndarray:
        """Tokens of each piece (N,)."""
        return self.sizes(self.train, 0)

    def make_batch(self, pieces: Sequence[Piece], epoch: int) -> UnitBatch:
        """Padded pieces; what the model makes of them is drawn in its loss."""
        return batch_of(pieces)

    def describe(self) -> str:
        """Units in all."""
        return f"{self.num_training_units} units"

    def look(self, model: nn.Module, device: torch.device) -> tuple[str, dict[str, Any]] | None:
        """Cross-entropy of the held-out units, and that of a bigram model of the training units."""
        if not self.dev:
            return None
        nats = round(nats_per_token(model, self.dev, self.config, device), 4)
        return f"{nats:.3f} nats per unit, bigram {self.bigram_nats:.3f}", {
            "nats_per_unit": nats, "bigram_nats_per_unit": self.bigram_nats,
        }  # fmt: skip

    def verdict(self, model: nn.Module, device: torch.device) -> dict[str, Any]:
        """How much was read; `ulm.json` gets what is known of the held-out units now.

        A model that is no better than a bigram model is told: prompts refuse it.
        """
        if self.dev:
            pieces, where = self.dev, "held-out units"
            nats, bigram = nats_per_token(model, pieces, self.config, device), self.bigram_nats
            self.write_about(valid_nats=round(nats, 4), bigram_nats=bigram)
        else:
            chosen = rng(self.config.seed, "verdict").permutation(len(self.train))[:_NUM_LOOK]
            pieces, where = [self.train[number] for number in chosen], "its training units"
            nats, bigram = nats_per_token(model, pieces, self.config, device), self._bigram_nats_of(pieces)
        if nats >= bigram:
            log.warn(
                f"{nats:.3f} nats per unit of {where} are no better than the {bigram:.3f} of a bigram model: prompts "
                f"will refuse this model; give it more optim.num_steps or more units"
            )
        return {"num_units": self.num_units, "training_units": self.num_training_units}

    @cached_property
    def bigram_nats(self) -> float:
        """Of the held-out units, per unit or end."""
        return self._bigram_nats_of(self.dev)

    def _bigram_nats_of(self, pieces: Sequence[Piece]) -> float:
        bigram = Bigram(count_pairs([piece.units for piece in self.train], num_symbols=self.num_units))
        total, count = bigram.nats([piece.units for piece in pieces])
        return round(total / count, 4)

    @property
    def num_training_units(self) -> int:
        """Units of all pieces."""
        return sum(len(piece.units) for piece in self.train)

    def write_about(self, **numbers: float) -> None:
        """Say in the folder what the units are of, and whose."""
        keys = ("codebook", "frames_per_second", "first_centre_seconds", "sampling_rate", "dedup")
        about = {key: self.about.get(key) for key in keys} | {"num_training_units": self.num_training_units}
        write_about(self.folder, {"num_units": self.num_units, **about, **numbers}, training_ids=self.training_ids)


def batch_of(pieces: Sequence[Piece]) -> UnitBatch:
    """Padded pieces."""
    return UnitBatch([piece.utt_id for piece in pieces], *pad([piece.units for piece in pieces]))


@torch.no_grad()
def nats_per_token(model: nn.Module, pieces: Sequence[Piece], config: UnitTrainConfig, device: torch.device) -> float:
    """Mean loss over units and ends; the model is in eval mode."""
    sizes = np.array([len(piece.units) + 1.0 for piece in pieces])
    total = 0.0
    for part in plan_epoch(sizes, config.batch, seed=0, epoch=0):
        torch.manual_seed(derive_seed(config.seed, "look", int(part[0]), bits=63))
        batch = batch_of([pieces[i] for i in part]).to(device)
        loss = model.loss(batch, progress=1.0)  # type: ignore[operator]
        total += float(loss.total) * float(sizes[part].sum())
    return total / float(sizes.sum())


def read_units(config: UnitTrainConfig, *, train: Sequence[Path], dev: Path | None, folder: Path) -> UnitInputs:
    """Read the units; leave in `folder` what they are units of, and whose.

    Raises:
        SpeechkitError: a folder is no units folder, sets are of different codebooks, or ids are shared.
    """
    sets = [load_units(path) for path in train]
    held_out = [load_units(dev)] if dev is not None else []
    for path, own in zip([*train, dev], [*sets, *held_out], strict=False):
        _check_same(sets[0], own, str(path))
    ids = [utt_id for own in sets for utt_id in own.ids]
    shared = len(ids) - len(set(ids)) + len(set(ids) & {utt_id for own in held_out for utt_id in own.ids})
    if shared:
        raise SpeechkitError(
            f"the unit folders share {counted(shared, 'utterance id')}", hint="no utterance may be in two of them"
        )
    pieces = [piece for own in sets for piece in pieces_of(own, config.max_units)]
    cut = len(pieces) - len(ids)
    if cut:
        log.info(f"long utterances were cut into {counted(cut, 'more piece')} of at most {config.max_units} units")
    dev_pieces = [piece for own in held_out for piece in pieces_of(own, config.max_units)]
    write_bigram(folder, [piece.units for piece in pieces], num_units=sets[0].k)
    inputs = UnitInputs(config, sets[0].k, pieces, dev_pieces, sets[0].about, ids, folder)
    inputs.write_about()
    return inputs


def pieces_of(units: UnitSet, max_units: int) -> list[Piece]:
    """Each utterance in as few pieces of about the same length as the limit allows."""
    pieces = []
    for utt_id, start, end in zip(units.ids, units.offsets[:-1], units.offsets[1:], strict=True):
        parts = np.array_split(units.units[start:end], -(-(end - start) // max_units))
        pieces += [
            Piece(utt_id if len(parts) == 1 else f"{utt_id}#{k}", tuple(part.tolist())) for k, part in enumerate(parts)
        ]
    return pieces


def _check_same(first: UnitSet, own: UnitSet, where: str) -> None:
    for key in ("codebook", "k", "frames_per_second", "dedup"):
        if first.about.get(key) != own.about.get(key):
            raise SpeechkitError(
                f"the units differ in `{key}`: {own.about.get(key)!r:.20} and {first.about.get(key)!r:.20}",
                where=where,
                hint="encode all audio with one codebook and the same --dedup",
            )
