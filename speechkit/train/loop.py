"""`speechkit train`: manifests and a config in, a model folder out.

The loop is deterministic: batches are a pure function of (manifest, seed, epoch), perturbation of (seed, epoch,
utterance), dropout of (seed, step). So a run killed at any step and started again gives the same loss sequence.
"""

from __future__ import annotations

import json
import math
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from speechkit import log
from speechkit.artifact import make_artifact
from speechkit.data.batch import Batch, BatchMaker, Utterance, utterances_of
from speechkit.data.plan import plan_epoch, plan_stats
from speechkit.data.store import load_cuts
from speechkit.errors import Requeue, SpeechkitError
from speechkit.models.table import TOKENIZER_FOLDER, WEIGHTS_FILE, make_model
from speechkit.rng import derive_seed
from speechkit.text.tokenizer import Tokenizer, train_tokenizer
from speechkit.train.average import Average
from speechkit.train.checkpoint import Position, load_checkpoint, save_checkpoint
from speechkit.train.config import TrainConfig
from speechkit.train.evaluate import evaluate
from speechkit.train.feasible import tokenize
from speechkit.train.optim import learning_rate, make_optimizer, update

CHECKPOINTS = "checkpoints"
HISTORY_FILE = "train.jsonl"
_MAX_SKIPPED_IN_A_ROW = 10


def run(
    config: TrainConfig, *, train: Sequence[Path], dev: Path | None, out: Path, force: bool = False
) -> None:
    """Train a model on one or more manifests and publish it as `out`.

    Raises:
        SpeechkitError: bad data, or the loss stopped being finite; Requeue: stopped by SIGTERM or SIGUSR1.
    """
    inputs = {f"train{index}": _manifest(path) for index, path in enumerate(train)}
    if dev is not None:
        inputs["dev"] = _manifest(dev)

    def build(folder: Path) -> None:
        torch.set_num_threads(config.threads)
        data = _prepare(config, list(inputs.values())[: len(train)], inputs.get("dev"), folder)
        Trainer(config, data, folder).train()

    make_artifact(
        out, command="train", config=config, inputs=inputs, build=build, force=force, resumable=True
    )


def _manifest(path: Path) -> Path:
    # only the manifest decides, not the log or the audio beside it
    return path / "cuts.jsonl.gz" if path.is_dir() else path


@dataclass
class Data:
    """What the loop trains on and looks at."""

    tokenizer: Tokenizer
    train: list[Utterance]
    dev: list[Utterance]


def _prepare(config: TrainConfig, train: Sequence[Path], dev: Path | None, folder: Path) -> Data:
    cuts = [cut for path in train for cut in load_cuts(path)]
    ids = [cut.id for cut in cuts]
    if len(set(ids)) < len(ids):
        double = sorted({i for i in ids if ids.count(i) > 1}) if len(ids) < 20_000 else []
        raise SpeechkitError(
            "the training manifests share utterance ids", where=double, hint="give each corpus its own ids"
        )
    utterances = utterances_of(cuts, config.features)
    tokenizer = train_tokenizer(
        [u.text for u in utterances], kind=config.tokenizer.kind, size=config.tokenizer.size
    )
    tokenizer.save(folder / TOKENIZER_FOLDER)
    good, bad = tokenize(utterances, tokenizer, config.features, config.model.encoder)
    if bad:
        lines = [f"{b.utt_id}\t{b.frames}\t{b.needed}\t{b.text}" for b in bad]
        header = "id\tencoder_frames\tneeded\ttext\n"
        (folder / "infeasible.tsv").write_text(header + "\n".join(lines) + "\n", encoding="utf-8")
        message = (
            f"{len(bad)} of {len(utterances)} utterances have fewer encoder frames than tokens + repeats"
        )
        if not good:
            raise SpeechkitError(message, where=lines, hint="use a smaller model.encoder.subsampling")
        log.warn(f"{message} and are left out; see infeasible.tsv")
    dev_utterances = utterances_of(load_cuts(dev), config.features) if dev is not None else []
    return Data(tokenizer, good, dev_utterances)


class _Batches(torch.utils.data.Dataset[Batch]):
    """The planned batches of one epoch from a position on; made by position, so any worker gives the same."""

    def __init__(
        self, maker: BatchMaker, utterances: list[Utterance], plan: list[np.ndarray], epoch: int
    ) -> None:
        self.maker, self.utterances, self.plan, self.epoch = maker, utterances, plan, epoch

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, index: int) -> Batch:
        if index >= len(self.plan):
            raise IndexError(index)
        torch.set_num_threads(1) if torch.utils.data.get_worker_info() else None
        return self.maker([self.utterances[i] for i in self.plan[index]], self.epoch)


class Trainer:
    """State of one training run: model, average, optimiser, position."""

    def __init__(self, config: TrainConfig, data: Data, folder: Path) -> None:
        self.config, self.data, self.folder = config, data, folder
        self.device = torch.device(config.device)
        torch.manual_seed(derive_seed(config.seed, "weights", bits=63))
        self.model: nn.Module = make_model(
            config.model, num_mels=config.features.num_mels, num_tokens=data.tokenizer.num_tokens
        ).to(self.device)
        self.average = Average(self.model, config.average_decay)
        self.optimizer = make_optimizer(self.model, config.optim)
        self.maker = BatchMaker(
            data.tokenizer, config.features, augmentation=config.augment, seed=config.seed
        )
        self.durations = np.array([utt.duration_seconds for utt in data.train])
        self.skipped = 0

    def train(self) -> None:
        """Run to the last step and write the averaged model."""
        self.position = load_checkpoint(
            self.folder / CHECKPOINTS, model=self.model, average=self.average, optimizer=self.optimizer
        )
        _cut_history(self.folder / HISTORY_FILE, self.position.step)
        self._announce()
        self.model.train()
        with _stop_signals() as stop, (self.folder / HISTORY_FILE).open("a", encoding="utf-8") as history:
            self.meter = _Meter()
            for batch, position in self._batches():
                record = self._step(batch)
                self.position = position
                history.write(json.dumps(record) + "\n")
                self._after_step(record, history_flush=history.flush)
                if stop:
                    self._checkpoint()
                    raise Requeue(
                        f"stopped by signal {stop[0]} after step {position.step}, checkpoint written"
                    )
        self._finish()

    def _batches(self) -> Iterator[tuple[Batch, Position]]:
        """Batches from the present position to the last step, each with the position after it."""
        step, epoch, first = self.position.step, self.position.epoch, self.position.batch
        num_steps = self.config.optim.num_steps
        while step < num_steps:
            plan = plan_epoch(self.durations, self.config.batch, seed=self.config.seed, epoch=epoch)
            remaining = plan[first : first + num_steps - step]
            dataset = _Batches(self.maker, self.data.train, remaining, epoch)
            loader: Sequence[Batch] | torch.utils.data.DataLoader[Batch] = dataset  # type: ignore[assignment]
            if self.config.num_workers:
                loader = torch.utils.data.DataLoader(
                    dataset, batch_size=None, num_workers=self.config.num_workers
                )
            for index, batch in enumerate(loader, start=first + 1):
                step += 1
                yield batch.to(self.device), Position(step, epoch, index)
            epoch, first = epoch + 1, 0

    def _step(self, batch: Batch) -> dict[str, float | int]:
        """One update; the record that goes to train.jsonl."""
        step = self.position.step
        # a seed per step, so that no generator state has to survive a crash
        torch.manual_seed(derive_seed(self.config.seed, "step", step, bits=63))
        loss = self.model.loss(batch, progress=step / self.config.optim.num_steps)  # type: ignore[operator]
        loss.total.backward()
        lr = learning_rate(step, self.config.optim)
        norm = update(self.model, self.optimizer, lr=lr, clip_norm=self.config.optim.clip_norm)
        if math.isfinite(norm):
            self.average.update(self.model, step)
            self.skipped = 0
        else:
            self._skip(batch, norm)
        self.meter.add(batch)
        parts = {name: float(value) for name, value in loss.parts.items()}
        return {"step": step + 1, "loss": float(loss.total.detach()), **parts, "grad_norm": norm, "lr": lr}

    def _skip(self, batch: Batch, norm: float) -> None:
        self.skipped += 1
        log.warn(f"step {self.position.step + 1}: gradient norm {norm}, update skipped")
        if self.skipped >= _MAX_SKIPPED_IN_A_ROW:
            raise SpeechkitError(
                f"the gradient was not finite in {self.skipped} steps in a row",
                where=batch.utt_ids,
                hint="lower optim.lr, or look at these utterances",
            )

    def _after_step(self, record: dict[str, float | int], *, history_flush: object) -> None:
        step, config = self.position.step, self.config
        if step % config.log_every_steps == 0 or step == config.optim.num_steps:
            log.info(
                f"step {step}/{config.optim.num_steps}  loss {record['loss']:.4f}  grad norm {record['grad_norm']:.2f}  "
                f"lr {record['lr']:.2e}  {self.meter.report()}"
            )
            self.meter = _Meter()
        if step % config.checkpoint.every_steps == 0 and step < config.optim.num_steps:
            history_flush()  # type: ignore[operator]
            self._checkpoint()
        due = config.dev_every_steps and step % config.dev_every_steps == 0
        if self.data.dev and due and step < config.optim.num_steps:
            self._look_at_dev()

    def _checkpoint(self) -> None:
        save_checkpoint(
            self.folder / CHECKPOINTS, self.position, model=self.model, average=self.average,
            optimizer=self.optimizer, keep=self.config.checkpoint.keep,
        )  # fmt: skip

    def _look_at_dev(self) -> dict[str, float]:
        maker = BatchMaker(self.data.tokenizer, self.config.features)
        with self.average.applied(self.model):
            result = evaluate(self.model, self.data.dev, maker, self.config.batch, self.device)
        log.info(
            f"step {self.position.step}: dev WER {result['wer']:.2f} % of {result['num_ref_words']:.0f} words"
        )
        return result

    def _finish(self) -> None:
        summary: dict[str, object] = {
            "steps": self.position.step,
            "parameters": sum(p.numel() for p in self.model.parameters()),
        }
        if self.data.dev:
            summary["dev"] = self._look_at_dev()
        state = {name: value.cpu().contiguous() for name, value in self.average.state.items()}
        save_file(state, str(self.folder / WEIGHTS_FILE))
        (self.folder / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
        for path in sorted((self.folder / CHECKPOINTS).glob("*")):
            path.unlink()
        if (self.folder / CHECKPOINTS).is_dir():
            (self.folder / CHECKPOINTS).rmdir()

    def _announce(self) -> None:
        plan = plan_epoch(self.durations, self.config.batch, seed=self.config.seed, epoch=0)
        stats = plan_stats(plan, self.durations, self.config.batch)
        hours = self.durations.sum() / 3600
        size = sum(p.numel() for p in self.model.parameters())
        log.info(
            f"{len(self.durations)} utterances, {hours:.2f} h, {stats.num_batches} batches per epoch of "
            f"{stats.mean_size:.1f} utterances, padding {100 * stats.padding_waste:.1f} %; {size} parameters"
        )
        if self.position.step:
            log.info(f"going on after step {self.position.step}")


class _Meter:
    """Speed and padding since the last log line."""

    def __init__(self) -> None:
        self.cpu, self.audio, self.used, self.padded = time.process_time(), 0.0, 0, 0

    def add(self, batch: Batch) -> None:
        self.audio += batch.audio_seconds
        self.used += int(batch.num_frames_B.sum())
        self.padded += batch.features_BTF.shape[0] * batch.features_BTF.shape[1]

    def report(self) -> str:
        cpu = max(1e-9, time.process_time() - self.cpu)
        return f"{self.audio / cpu:.0f} audio s/CPU s  padding {100 * (1 - self.used / max(1, self.padded)):.1f} %"


def _cut_history(path: Path, num_steps: int) -> None:
    """Drop the records after the checkpoint: those steps are made again."""
    if path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines()[:num_steps]
        path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """A list that gets the number of a SIGTERM or SIGUSR1 when one arrives; the loop looks at it between steps."""
    received: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        received.append(number)

    old = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        yield received
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
