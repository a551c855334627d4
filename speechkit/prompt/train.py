"""`speechkit prompt train`: a task, a unit language model and labelled units in, a trained prompt for each seed out."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from speechkit import log
from speechkit.artifact import make_artifact
from speechkit.data.store import load_cuts
from speechkit.models.table import check_device
from speechkit.models.ulm import UnitLm, load_ulm
from speechkit.models.ulm_check import check_ulm
from speechkit.prompt.config import PromptTrainConfig, TaskConfig
from speechkit.prompt.examples import Row, draw_shots, encode_rows, load_learned, read_rows
from speechkit.prompt.material import PromptMaterial
from speechkit.prompt.model import PromptedLm
from speechkit.prompt.tasks import Task, make_task
from speechkit.prompt.trained import PROMPT_FILE, lm_fingerprint, untrained_like, write_about
from speechkit.prompt.verbalizer import make_label_map
from speechkit.train.inputs import manifest_of
from speechkit.train.loop import CHECKPOINTS, Trainer
from speechkit.train.overlap import note_training_set
from speechkit.units.unit_file import UnitSet

if TYPE_CHECKING:
    from lhotse import MonoCut

SEED_FOLDER = "seed-{}"


class Source(NamedTuple):
    """Where labelled utterances are: a folder of `units quantize`, and the manifest with their values."""

    units: Path
    cuts: Path


Ulm = tuple[UnitLm, dict[str, Any]]


@dataclass(frozen=True)
class Labelled:
    """What a source holds for a task: utterances with values, and their cuts."""

    rows: list[Row]
    cuts: list[MonoCut]
    units: UnitSet


def read_labelled(source: Source, config: TaskConfig, ulm: Ulm, *, check_nats: bool = True) -> Labelled:
    """The utterances of a source that have a value.

    Args:
        check_nats: also whether the language model knows the units better than a bigram model does.
    Raises:
        SpeechkitError: units of another codebook or rate, merged units for a model of frames, or no values.
    """
    units = load_learned(source.units, dedup=ulm[1]["dedup"])
    check_ulm(ulm, units, **({} if check_nats else {"max_units": 0}))
    rows = read_rows(units, source.cuts, config)
    own = {row.utt_id for row in rows}
    return Labelled(rows, [cut for cut in load_cuts(source.cuts) if cut.id in own], units)


def run(
    config: PromptTrainConfig, *, lm: Path, train: Source, dev: Source | None, out: Path, force: bool = False
) -> bool:
    """Train a prompt for each seed and publish them as `out/seed-<n>`; False when it was up to date.

    Raises:
        SpeechkitError: units, manifest, task and language model do not fit; Requeue: stopped on request.
    """
    check_device(config.device)
    inputs = {"lm": lm, "units": train.units, "cuts": manifest_of(train.cuts)}
    if dev is not None:
        inputs |= {"dev_units": dev.units, "dev_cuts": manifest_of(dev.cuts)}

    def build(folder: Path) -> None:
        torch.set_num_threads(config.threads)
        ulm = load_ulm(lm)
        labelled = read_labelled(train, config.task, ulm)
        held_out = None if dev is None else read_labelled(dev, config.task, ulm)
        dev_cuts = [] if held_out is None else held_out.cuts
        note_training_set(labelled.cuts, dev_cuts, folder=folder, allowed=config.allow_overlap)
        train_seeds(config, ulm, labelled, dev=held_out.rows if held_out else (), folder=folder)

    return make_artifact(out, command="prompt train", config=config, inputs=inputs, build=build, force=force,
        resumable=True,
    )  # fmt: skip


def train_seeds(
    config: PromptTrainConfig, ulm: Ulm, labelled: Labelled, *, dev: Sequence[Row] = (), folder: Path
) -> list[Path]:
    """Train with each seed, in folders of their own; those that are there already are left as they are."""
    rows = labelled.rows
    task = make_task(config.task, [row.values for row in rows], ids=[row.utt_id for row in rows])
    lm, about = ulm
    fingerprint = lm_fingerprint(lm)
    folders = []
    for seed in range(config.seed, config.seed + config.num_seeds):
        own = folder / SEED_FOLDER.format(seed)
        folders.append(own)
        if (own / PROMPT_FILE).is_file():
            continue
        own.mkdir(parents=True, exist_ok=True)
        log.info(f"task {task.config.name}, {config.method.kind}, seed {seed}")
        started = time.process_time()
        material = _material(config, lm, task, rows, dev, seed)
        trainer = Trainer(config.model_copy(update={"seed": seed}), material, own)
        trainer.train()
        shutil.rmtree(own / CHECKPOINTS, ignore_errors=True)
        assert isinstance(trainer.model, PromptedLm)
        write_about(own, trainer.model, {
            "lm": fingerprint,
            "random_lm": seed if config.random_lm else None,
            "codebook": about["codebook"] or labelled.units.about["codebook"],
            "frames_per_second": labelled.units.times.frames_per_second,
            "dedup": labelled.units.about.get("dedup"),
            "seed": seed,
            "shots": config.shots,
            "num_training_utterances": len(material.train),
            "num_parameters": sum(p.numel() for p in trainer.model.parameters()),
            "num_lm_parameters": sum(p.numel() for p in lm.parameters()),
            "cpu_seconds": round(time.process_time() - started, 2),
        })  # fmt: skip
    return folders


def _material(
    config: PromptTrainConfig, lm: UnitLm, task: Task, rows: Sequence[Row], dev: Sequence[Row], seed: int
) -> PromptMaterial:
    examples = encode_rows(draw_shots(rows, task, config.shots, seed=seed), task)[0]
    label_map = make_label_map(task, examples, num_units=lm.num_units, seed=seed)
    if config.random_lm:
        lm = untrained_like(lm, seed=seed)
    return PromptMaterial(lm, task, config.method, label_map, examples, list(dev), noise=config.unit_noise, seed=seed)
