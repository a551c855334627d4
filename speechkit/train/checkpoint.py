"""Checkpoints: one safetensors file holding weights, average, optimiser state and the position as JSON.

A file appears only whole. Loading takes the newest readable one, so a crash while writing costs one interval.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from speechkit import log
from speechkit.errors import disk_error
from speechkit.train.average import Average
from speechkit.train.distributed import Team

_PREFIX = "step-"


@dataclass(frozen=True)
class Position:
    """How far training has come: updates done, epoch, and batches of that epoch's plan consumed."""

    step: int = 0
    epoch: int = 0
    batch: int = 0


def save_checkpoint(
    folder: Path,
    position: Position,
    *,
    model: nn.Module,
    average: Average,
    optimizer: torch.optim.Optimizer,
    keep: int,
) -> None:
    """Write the state after `position.step` updates and drop all but the newest `keep` files."""
    tensors = {f"model/{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"average/{name}": value for name, value in average.state.items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{name}": torch.as_tensor(value) for name, value in state.items()}
    folder.mkdir(exist_ok=True)
    path = folder / f"{_PREFIX}{position.step:08d}.safetensors"
    partial = path.with_suffix(".partial")
    save_tensors(tensors, partial, metadata={"position": json.dumps(asdict(position))})
    partial.replace(path)
    for old in _files(folder)[keep:]:
        old.unlink()


def save_tensors(tensors: Mapping[str, Tensor], path: Path, *, metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file to the disk itself, not only to its cache.

    Raises:
        SpeechkitError: the disk is full or cannot be written; the half-written file is removed.
    """
    contiguous = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    try:
        with path.open("wb") as stream:
            stream.write(save(contiguous, metadata=metadata))
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)
        raise disk_error(path, sum(value.nbytes for value in contiguous.values()), error) from None


def load_checkpoint(folder: Path, *, model: nn.Module, average: Average, optimizer: torch.optim.Optimizer) -> Position:
    """Restore the newest readable checkpoint; `Position()` when there is none."""
    for path in _files(folder):
        try:
            position, tensors = _read(path)
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            log.warn(f"checkpoint {path} cannot be read ({error}); trying the one before")
            continue
        model.load_state_dict(_part(tensors, "model/"))
        average.load(_part(tensors, "average/"))
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in _part(tensors, "optimizer/").items():
            index, key = name.split("/", 1)
            state.setdefault(int(index), {})[key] = value
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        return position
    return Position()


def share_state(
    team: Team, position: Position, model: nn.Module, average: Average, optimizer: torch.optim.Optimizer
) -> Position:
    """Give all processes of a team the state of the first; the position."""
    if team.size == 1:
        return position
    position, weights, mean, own = team.share((position, model.state_dict(), average.state, optimizer.state_dict()))
    model.load_state_dict(weights)
    average.load(mean)
    optimizer.load_state_dict(own)
    return position


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{_PREFIX}*.safetensors"), reverse=True)


def _read(path: Path) -> tuple[Position, dict[str, Tensor]]:
    with safe_open(str(path), framework="pt") as stream:
        position = Position(**json.loads(stream.metadata()["position"]))
        return position, {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
