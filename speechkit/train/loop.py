"""`speechkit train`: manifests and a config in, a model folder out.

The loop is deterministic: batches are a pure function of (manifest, seed, epoch), perturbation of (seed, epoch,
utterance), dropout of (seed, step). So a run killed at any step and started again gives the same loss sequence.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from speechkit import log
from speechkit.artifact import make_artifact
from speechkit.data.plan import check_longest, plan_epoch, plan_stats
from speechkit.errors import Requeue, SpeechkitError
from speechkit.models.converged import SUMMARY_FILE
from speechkit.models.table import WEIGHTS_FILE, check_device
from speechkit.rng import derive_seed
from speechkit.train.average import Average
from speechkit.train.checkpoint import Position, load_checkpoint, save_checkpoint, save_tensors, share_state
from speechkit.train.config import LoopConfig, TrainConfig, UnitTrainConfig
from speechkit.train.distributed import Packed, Team, join_team, note_requeue
from speechkit.train.inputs import extra_inputs, manifest_of, read_inputs
from speechkit.train.material import Material, TrainBatch
from speechkit.train.optim import learning_rate, make_optimizer, update
from speechkit.train.progress import HISTORY_FILE, Meter, cut_history, stop_signals
from speechkit.train.unit_inputs import read_units

CHECKPOINTS = "checkpoints"
_MAX_SKIPPED_IN_A_ROW = 10


def run(
    config: TrainConfig | UnitTrainConfig, *, train: Sequence[Path], dev: Path | None, out: Path, force: bool = False
) -> bool:
    """Train a model on one or more manifests, or folders of units, and publish it; True in the process that did so.

    Raises:
        SpeechkitError: bad data, or the loss stopped being finite; Requeue: stopped by SIGTERM or SIGUSR1.
    """
    is_speech = isinstance(config, TrainConfig)
    inputs = {f"train{index}": manifest_of(path) if is_speech else path for index, path in enumerate(train)}
    if dev is not None:
        inputs["dev"] = manifest_of(dev) if is_speech else dev
    extra = extra_inputs(config) if isinstance(config, TrainConfig) else {}
    check_device(config.device)

    with join_team(config) as team:

        def build(folder: Path) -> None:
            torch.set_num_threads(config.threads)
            sources = list(inputs.values())[: len(train)]
            data: Material
            if isinstance(config, TrainConfig):
                data = read_inputs(config, train=sources, dev=inputs.get("dev"), folder=folder)
            else:
                data = read_units(config, train=sources, dev=inputs.get("dev"), folder=folder)
            Trainer(config, data, folder, team).train()

        def make(lead: Callable[[Path], None]) -> None:
            make_artifact(out, command="train", config=config, inputs=inputs | extra, build=lead, force=force,
                resumable=True, scratch=CHECKPOINTS,
            )  # fmt: skip

        team.work(make, build)
        return team.is_first


class _Batches(torch.utils.data.Dataset[TrainBatch | SpeechkitError]):
    """The planned batches of one epoch from a position on; made by position, so any worker gives the same."""

    def __init__(self, data: Material, utterances: Sequence[Any], plan: list[np.ndarray], epoch: int) -> None:
        self.data, self.utterances, self.plan, self.epoch = data, utterances, plan, epoch

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, index: int) -> TrainBatch | SpeechkitError:
        try:
            return self.data.make_batch([self.utterances[i] for i in self.plan[index]], self.epoch)
        except SpeechkitError as error:  # a worker process would wrap it into a traceback: the loop raises it
            return error


def _use_one_thread(_worker: int) -> None:
    torch.set_num_threads(1)


class Work(NamedTuple):
    """What one process does for an update: its batches by their number, of how many, and the position after it."""

    parts: dict[int, TrainBatch]
    num_parts: int
    position: Position


class Trainer:
    """State of one training run: model, average, optimiser, position."""

    def __init__(self, config: LoopConfig, data: Material, folder: Path, team: Team | None = None) -> None:
        self.config, self.data, self.folder, self.team = config, data, folder, team or Team()
        self.device = torch.device(config.device)
        torch.manual_seed(derive_seed(config.seed, "weights", bits=63))
        self.model: nn.Module = data.make_model().to(self.device)
        self.average = Average(self.model, config.average_decay)
        self.optimizer = make_optimizer(self.model, config.optim)
        self.skipped = 0
        self.position = Position()

    def train(self) -> None:
        """Run to the last step and write the averaged model."""
        self._go_on()
        cut_history(self.folder / HISTORY_FILE, self.position.step)
        self._announce()
        self.model.train()
        with stop_signals() as stop, (self.folder / HISTORY_FILE).open("a", encoding="utf-8") as history:
            self.meter = Meter()
            for work in self._updates():
                record = self._step(work)
                self.position = work.position
                history.write(json.dumps(record) + "\n")
                history.flush()
                self._after_step(record)
                if self.team.any(bool(stop)):
                    self._leave(f"signal {stop[0]}" if stop else "a signal to another process")
        if self.team.is_first:
            self._finish()

    def averaged(self) -> nn.Module:
        """The finished model with its averaged weights, in eval mode."""
        self.model.load_state_dict(self.average.state)
        return self.model.eval()

    def _go_on(self) -> None:
        """Take the state of the newest checkpoint, in every process that of the first."""
        folder, state = self.folder / CHECKPOINTS, (self.model, self.average, self.optimizer)
        self.position = load_checkpoint(folder, model=self.model, average=self.average, optimizer=self.optimizer)
        self.position = share_state(self.team, self.position, *state)

    def _leave(self, cause: str) -> None:
        self._checkpoint()
        self.team.barrier()
        if self.team.is_first:
            note_requeue()
        raise Requeue(f"stopped by {cause} after step {self.position.step}, checkpoint written")

    def _updates(self) -> Iterator[Work]:
        """The work of this process from the present position to the last step."""
        step, epoch, first = self.position.step, self.position.epoch, self.position.batch
        num_steps = self.config.optim.num_steps
        while step < num_steps:
            utterances = self.data.epoch(epoch)
            plan = plan_epoch(self.data.sizes(utterances, epoch), self.config.batch, seed=self.config.seed, epoch=epoch)
            many = self.config.optim.batches_per_step
            planned = [plan[start : start + many] for start in range(first, len(plan), many)][: num_steps - step]
            own = [update[part] for update in planned for part in self.team.own(len(update))]
            dataset = _Batches(self.data, utterances, own, epoch)
            loader = torch.utils.data.DataLoader(
                dataset, batch_size=None, num_workers=self.config.num_workers, worker_init_fn=_use_one_thread
            )
            batches = map(self._usable, loader)
            for num_parts in map(len, planned):
                step, first = step + 1, first + num_parts
                parts = {part: next(batches) for part in self.team.own(num_parts)}
                yield Work(parts, num_parts, Position(step, epoch, first))
            epoch, first = epoch + 1, 0

    def _usable(self, batch: TrainBatch | SpeechkitError) -> TrainBatch:
        if isinstance(batch, SpeechkitError):
            raise batch
        return batch.to(self.device)  # type: ignore[no-any-return]

    def _step(self, work: Work) -> dict[str, float | int]:
        """One update from the batches of this process and of the others; the record that goes to train.jsonl."""
        step, is_plain = self.position.step, self.config.optim.batches_per_step == 1
        losses = self._backward(work.parts[0], 0) if is_plain else self._backward_together(work)
        lr = learning_rate(step, self.config.optim)
        norm = update(self.model, self.optimizer, lr=lr, clip_norm=self.config.optim.clip_norm)
        if math.isfinite(norm):
            self.average.update(self.model, step)
            self.skipped = 0
        else:
            self._skip(list(work.parts.values()), norm)
        for batch in work.parts.values():
            self.meter.add(batch.load)
        return {"step": step + 1, **losses, "grad_norm": norm, "lr": lr}

    def _backward(self, batch: TrainBatch, part: int) -> dict[str, float]:
        """Add the gradients of one batch; its loss and the parts of it."""
        step = self.position.step
        # a seed per step, so that no generator state has to survive a crash
        names = ("step", step, "part", part) if part else ("step", step)
        torch.manual_seed(derive_seed(self.config.seed, *names, bits=63))
        loss = self.model.loss(batch, progress=step / self.config.optim.num_steps)  # type: ignore[operator]
        loss.total.backward()
        return {"loss": float(loss.total.detach()), **{name: float(value) for name, value in loss.parts.items()}}

    def _backward_together(self, work: Work) -> dict[str, float]:
        """Leave in the model the mean gradient of all batches of the update; the mean of their losses."""
        packed, vectors, names = Packed(self.model), {}, ["loss"]
        for part, batch in work.parts.items():
            packed.restore()
            losses = self._backward(batch, part)
            names = max(names, list(losses), key=len)  # a batch without word times has no frame loss
            vectors[part] = packed.pack(list(losses.values()))
        numbers = packed.unpack(self.team.mean(vectors, work.num_parts, packed.empty()))
        return dict(zip(names, numbers, strict=False))

    def _skip(self, batches: Sequence[TrainBatch], norm: float) -> None:
        self.skipped += 1
        log.warn(f"step {self.position.step + 1}: gradient norm {norm}, update skipped")
        if self.skipped >= _MAX_SKIPPED_IN_A_ROW:
            raise SpeechkitError(
                f"the gradient was not finite in {self.skipped} steps in a row",
                where=[utt_id for batch in batches for utt_id in batch.utt_ids],
                hint="lower optim.lr, or look at these utterances",
            )

    def _after_step(self, record: dict[str, float | int]) -> None:
        if not self.team.is_first:
            return
        step, config = self.position.step, self.config
        if step % config.log_every_steps == 0 or step == config.optim.num_steps:
            log.info(
                f"step {step}/{config.optim.num_steps}  loss {record['loss']:.4f}  "
                f"grad norm {record['grad_norm']:.2f}  lr {record['lr']:.2e}  {self.meter.report()}"
            )
            self.meter = Meter()
        if step % config.checkpoint.every_steps == 0 or step == config.optim.num_steps:
            self._checkpoint()
        due = config.dev_every_steps and step % config.dev_every_steps == 0
        if due and step < config.optim.num_steps:
            self._look_at_dev()

    def _checkpoint(self) -> None:
        if not self.team.is_first:
            return
        save_checkpoint(
            self.folder / CHECKPOINTS, self.position, model=self.model, average=self.average,
            optimizer=self.optimizer, keep=self.config.checkpoint.keep,
        )  # fmt: skip

    def _look_at_dev(self) -> dict[str, Any] | None:
        with self.average.applied(self.model):
            found = self.data.look(self.model, self.device)
        if found is None:
            return None
        log.info(f"step {self.position.step}: dev {found[0]}")
        return found[1]

    def _finish(self) -> None:
        size = sum(p.numel() for p in self.model.parameters())
        summary: dict[str, object] = {"steps": self.position.step, "parameters": size}
        dev = self._look_at_dev()
        if dev is not None:
            summary["dev"] = dev
        if not all(value.isfinite().all() for value in self.average.state.values()):
            raise SpeechkitError("the averaged weights are not finite numbers", hint="lower optim.lr")
        with self.average.applied(self.model):
            summary |= self.data.verdict(self.model, self.device)
        save_tensors(self.average.state, self.folder / WEIGHTS_FILE)
        (self.folder / SUMMARY_FILE).write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")

    def _announce(self) -> None:
        check_longest(self.data.largest(), self.config.batch)  # now, not in the epoch that happens to draw the largest
        if not self.team.is_first:
            return
        sizes = self.data.sizes(self.data.epoch(0), epoch=0)
        plan = plan_epoch(sizes, self.config.batch, seed=self.config.seed, epoch=0)
        stats = plan_stats(plan, sizes, self.config.batch)
        size = sum(p.numel() for p in self.model.parameters())
        log.info(
            f"{len(sizes)} utterances, {self.data.describe()}, {stats.num_batches} batches per epoch of "
            f"{stats.mean_size:.1f} utterances, padding {100 * stats.padding_waste:.1f} %; {size} parameters"
        )
        if self.position.step:
            log.info(f"going on after step {self.position.step}")
