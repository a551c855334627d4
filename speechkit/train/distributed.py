"""Processes that train together, one per GPU or CPU task, and give the same bits however many they are.

An update is the mean gradient of `optim.batches_per_step` batches. Each batch is the work of one process; every
process adds up all gradients in the order of the batches, so neither the number of processes nor their place matters.
RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT say who takes part (`speechkit job run --tasks`, torchrun).
"""

from __future__ import annotations

import datetime
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from speechkit.errors import ConfigError
from speechkit.train.config import LoopConfig

T = TypeVar("T")
_TIMEOUT = datetime.timedelta(hours=2)  # the first process looks at the dev set while the others wait


class Team:
    """The processes of one training run; a team of one needs no communication."""

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size

    @property
    def is_first(self) -> bool:
        """True in the one process that writes files and log lines."""
        return self.rank == 0

    def work(self, make: Callable[[Callable[[Path], None]], None], build: Callable[[Path], None]) -> None:
        """The first process makes the artifact with `build`; the others build along, each in a folder thrown away."""
        if not self.is_first:
            if self.share(False):
                with tempfile.TemporaryDirectory() as folder:
                    build(Path(folder))
            return
        is_told = False

        def lead(folder: Path) -> None:
            nonlocal is_told
            is_told = self.share(True)
            build(folder)

        try:
            make(lead)
        finally:
            if not is_told:  # it is up to date, or cannot be made
                self.share(False)

    def own(self, num_parts: int) -> range:
        """The parts of an update that are the work of this process."""
        return range(self.rank, num_parts, self.size)

    def share(self, value: T) -> T:
        """The value of the first process, in every process."""
        if self.size == 1:
            return value
        box = [value]
        torch.distributed.broadcast_object_list(box, src=0)
        return box[0]

    def any(self, flag: bool) -> bool:
        """True when the flag is set in any process: all must leave at the same step."""
        if self.size == 1:
            return flag
        total = torch.tensor([float(flag)], device=_device())
        torch.distributed.all_reduce(total, op=torch.distributed.ReduceOp.MAX)
        return bool(total.item())

    def barrier(self) -> None:
        """Wait for all."""
        if self.size > 1:
            torch.distributed.barrier()

    def mean(self, own: Mapping[int, Tensor], num_parts: int, like: Tensor) -> Tensor:
        """Mean of the vectors of all parts, added in the order of the parts.

        Args:
            own: the vectors of this process by part.
            like: a vector of the same size and kind, for a process that has no part.
        """
        vectors: list[Tensor] = []
        for first in range(0, num_parts, self.size):  # one part of each process at a time
            mine = own.get(first + self.rank)
            vectors += self._gather(torch.zeros_like(like) if mine is None else mine)
        total = vectors[0]
        for vector in vectors[1:num_parts]:
            total = total + vector
        return total / num_parts

    def _gather(self, vector: Tensor) -> Sequence[Tensor]:
        if self.size == 1:
            return [vector]
        gathered = [torch.empty_like(vector) for _ in range(self.size)]
        torch.distributed.all_gather(gathered, vector)
        return gathered


def _device() -> torch.device:
    is_nccl = torch.distributed.get_backend() == "nccl"
    return torch.device("cuda") if is_nccl else torch.device("cpu")


@contextmanager
def join_team(config: LoopConfig) -> Iterator[Team]:
    """Meet the other processes that the environment names; alone without them.

    Raises:
        ConfigError: there are more processes than batches in an update.
    """
    size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    if size > config.optim.batches_per_step:
        raise ConfigError(
            f"{size} processes train together, but an update has {config.optim.batches_per_step} batches",
            hint=f"--set optim.batches_per_step={size}, and batch.{config.batch.cap_name} smaller by as much",
        )
    if size == 1:
        yield Team()
        return
    backend = "nccl" if config.device == "cuda" else "gloo"
    if backend == "nccl":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    torch.distributed.init_process_group(backend, timeout=_TIMEOUT)
    try:
        yield Team(rank, size)
    finally:
        torch.distributed.destroy_process_group()


class Packed:
    """Gradients, statistics of normalisation layers and a few numbers of a model as one vector."""

    num_numbers = 8

    def __init__(self, model: nn.Module) -> None:
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.statistics = [b for b in model.buffers() if b.is_floating_point()]
        self.buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]

    def restore(self) -> None:
        """Undo what a forward pass did to the statistics, and drop the gradients: every part starts alike."""
        for parameter in self.parameters:
            parameter.grad = None
        for buffer, before in self.buffers:
            buffer.copy_(before)

    def empty(self) -> Tensor:
        """A vector of zeros."""
        size = sum(tensor.numel() for tensor in [*self.parameters, *self.statistics]) + self.num_numbers
        return torch.zeros(size, device=self.parameters[0].device)

    def pack(self, numbers: Sequence[float]) -> Tensor:
        """The present state as a vector; a parameter without gradient counts as zero."""
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters]
        padded = torch.tensor([*numbers, *[0.0] * (self.num_numbers - len(numbers))], device=self.parameters[0].device)
        return torch.cat([*(tensor.flatten() for tensor in [*grads, *self.statistics]), padded])

    def unpack(self, vector: Tensor) -> list[float]:
        """Take the state from a vector; the numbers that were packed with it."""
        position = 0
        for parameter in self.parameters:
            parameter.grad = vector[position : position + parameter.numel()].view_as(parameter).clone()
            position += parameter.numel()
        for buffer in self.statistics:
            buffer.copy_(vector[position : position + buffer.numel()].view_as(buffer))
            position += buffer.numel()
        numbers: list[float] = vector[position:].tolist()
        return numbers


def note_requeue() -> None:
    """Tell the wrapper of a job that the same command wants to go on: exit codes do not survive srun."""
    path = os.environ.get("SPEECHKIT_REQUEUE_FILE")
    if path:
        Path(path).touch()
