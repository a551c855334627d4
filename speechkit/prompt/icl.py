"""`speechkit prompt icl`: warm up a prompt on episodes of some tasks, measure on episodes of others.

The warmed-up prompt is stored like any other: its task has a label for each unit, so all units may be answered.
"""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from speechkit import log
from speechkit.artifact import make_artifact, write_json
from speechkit.models.table import check_device
from speechkit.models.ulm import UnitLm, load_ulm
from speechkit.models.ulm_check import trained_on
from speechkit.prompt.baselines import fit_bag_of_units
from speechkit.prompt.config import HeadConfig, TaskConfig
from speechkit.prompt.config_icl import IclConfig, IclTaskConfig
from speechkit.prompt.examples import Example
from speechkit.prompt.icl_episodes import Episode, Pool, make_pool
from speechkit.prompt.material import PromptMaterial
from speechkit.prompt.methods import initial_tensors
from speechkit.prompt.model import PromptedLm, collate
from speechkit.prompt.tasks import Task
from speechkit.prompt.train import Source, Ulm, read_labelled
from speechkit.prompt.trained import PROMPT_FILE, lm_fingerprint, load_prompt, write_about
from speechkit.prompt.verbalizer import LabelMap
from speechkit.train.inputs import manifest_of
from speechkit.train.loop import CHECKPOINTS, Trainer

ICL_FILE = "icl.json"
SYSTEMS = ("warm-up", "no warm-up", "svm", "random label")
_PER_EPOCH = 1024
_LOOK_EPISODES = 64
_EVAL_TOKENS = 8192


class Answers(NamedTuple):
    """What a system says to episodes: its answer, and for language models that among the shown labels only."""

    free: list[int]
    shown: list[int] | None = None


@dataclass
class EpisodeMaterial(PromptMaterial):
    """Warm-up episodes of several tasks in turn, others in every epoch until all have been seen."""

    pools: list[Pool] = field(default_factory=list)
    config: IclConfig | None = None

    def epoch(self, epoch: int) -> Sequence[Any]:
        """The next episodes."""
        assert self.config is not None
        many = self.config.num_episodes * len(self.pools)
        size = min(_PER_EPOCH, many)
        return [self._episode((epoch * size + number) % many) for number in range(size)]

    def _episode(self, number: int) -> Example:
        assert self.config is not None
        pool = self.pools[number % len(self.pools)]
        return pool.draw("warmup", number // len(self.pools), self.config.target).example(self.lm.sep_id)

    def largest(self) -> np.ndarray:
        """The size of an episode of the longest utterances."""
        assert self.config is not None
        longest = max(len(units) for pool in self.pools for own in pool.classes for _, units in own)
        size = self.config.unit_len or longest
        return np.array([(self.config.num_demos + 1) * (size + 2) + 1.0])

    def describe(self) -> str:
        """Tasks and what an episode is."""
        assert self.config is not None
        return f"episodes of {', '.join(pool.name for pool in self.pools)}, target {self.config.target}"

    def look(self, model: nn.Module, device: torch.device) -> tuple[str, dict[str, Any]] | None:
        """Accuracy on other episodes of the same tasks, asked for as in the warm-up."""
        assert isinstance(model, PromptedLm) and self.config is not None
        episodes = [pool.draw("look", n, self.config.target) for pool in self.pools for n in range(_LOOK_EPISODES)]
        found = measure(episodes, answers_of(model, episodes))
        line = f"accuracy {found['accuracy']:.1f} %, {found['guessing_rate']:.1f} % shown labels, of other episodes"
        return line, {**found, "num_episodes": len(episodes)}


def run(config: IclConfig, *, lm: Path, out: Path, force: bool = False) -> bool:
    """Warm up, measure and publish `icl.json` and the prompts; False when it was up to date.

    Raises:
        SpeechkitError: units, manifests and language model do not fit, or too few utterances; Requeue: stopped.
    """
    check_device(config.device)
    inputs = {"lm": lm}
    for role, tasks in (("warmup", config.warmup), ("evaluation", config.evaluation)):
        for number, task in enumerate(tasks):
            inputs[f"{role}{number}_units"] = Path(task.units)
            inputs[f"{role}{number}_cuts"] = manifest_of(Path(task.cuts))

    def build(folder: Path) -> None:
        torch.set_num_threads(config.threads)
        ulm = load_ulm(lm)
        pools, unseen = _read_pools(config, ulm, lm)
        models = [_warm_up(config, ulm, pools[: len(config.warmup)], seed, folder) for seed in _seeds(config)]
        result = evaluate(config, ulm[0], models, pools[len(config.warmup) :])
        for name, rows in result["tasks"].items():
            rows["unseen"] = unseen[name]
        write_json(folder / ICL_FILE, result)
        print(table(result))

    return make_artifact(
        out, command="prompt icl", config=config, inputs=inputs, build=build, force=force, resumable=True
    )


def _seeds(config: IclConfig) -> range:
    return range(config.seed, config.seed + config.num_warmups)


def _read_pools(config: IclConfig, ulm: Ulm, lm: Path) -> tuple[list[Pool], dict[str, bool]]:
    """The tasks of warm-up and evaluation, and whether each of the latter is unseen."""
    pools, unseen = [], {}
    ids: set[str] = set()
    labels: set[tuple[str, str]] = set()
    for number, own in enumerate((*config.warmup, *config.evaluation)):
        is_warmup = number < len(config.warmup)
        labelled = read_labelled(Source(Path(own.units), Path(own.cuts)), own.task(), ulm, check_nats=is_warmup)
        pools.append(make_pool(labelled.rows, config, name=own.name, num_units=ulm[0].num_units))
        own_ids = {row.utt_id for row in labelled.rows}
        own_labels = {(own.label, row.values[0]) for row in labelled.rows}
        if is_warmup:
            ids, labels = ids | own_ids, labels | own_labels
        else:
            unseen[own.name] = not _tell_seen(own, len(ids & own_ids), len(labels & own_labels))
            unseen[own.name] &= not trained_on(lm, sorted(own_ids), name=f"task {own.name}: it is not unseen")
    return pools, unseen


def _tell_seen(task: IclTaskConfig, num_ids: int, num_labels: int) -> bool:
    if num_ids or num_labels:
        log.warn(f"task {task.name} is not unseen: {num_ids} utterances and {num_labels} labels are in the warm-up")
    return bool(num_ids or num_labels)


def _unit_task(lm: UnitLm) -> Task:
    """Every unit is a label, so that all may be answered."""
    labels = tuple(str(unit) for unit in range(lm.num_units))
    return Task(TaskConfig(name="in-context", label=("unit",), labels=labels, verbalizer="freq"), (labels,))


def _label_map(lm: UnitLm) -> LabelMap:
    return LabelMap("freq", tuple(range(lm.num_units)))


def plain_model(lm: UnitLm) -> PromptedLm:
    """The language model as it is: no warm-up."""
    return PromptedLm(lm, _unit_task(lm), HeadConfig(), _label_map(lm), initial_tensors(HeadConfig(), lm, [])).eval()


def _warm_up(config: IclConfig, ulm: Ulm, pools: list[Pool], seed: int, folder: Path) -> PromptedLm:
    """Train one prompt, or read the one that an interrupted run has left."""
    lm, about = ulm
    own = folder / f"warmup-{seed}"
    own.mkdir(exist_ok=True)
    material = EpisodeMaterial(lm, _unit_task(lm), config.method, _label_map(lm), [], [], pools, config)
    material.train = list(material.epoch(0))[:_LOOK_EPISODES]  # prompts start from keys and values of these
    if not (own / PROMPT_FILE).is_file():
        started = time.process_time()
        trainer = Trainer(config.model_copy(update={"seed": seed}), material, own)
        trainer.train()
        shutil.rmtree(own / CHECKPOINTS, ignore_errors=True)
        assert isinstance(trainer.model, PromptedLm)
        write_about(own, trainer.model, {
            "lm": lm_fingerprint(lm),
            "random_lm": None,
            "codebook": about["codebook"],
            "frames_per_second": about["frames_per_second"],
            "dedup": about["dedup"],
            "seed": seed,
            "shots": None,
            "num_training_utterances": min(config.num_episodes * len(pools), _PER_EPOCH * config.optim.num_steps),
            "num_parameters": sum(p.numel() for p in trainer.model.parameters()),
            "num_lm_parameters": sum(p.numel() for p in lm.parameters()),
            "cpu_seconds": round(time.process_time() - started, 2),
        })  # fmt: skip
    return load_prompt(own, lm).model.to(config.device)


@torch.no_grad()
def answers_of(model: PromptedLm, episodes: Sequence[Episode]) -> Answers:
    """The likeliest unit for each episode, of all and of the shown labels."""
    free, shown = [], []
    examples = [episode.example(model.lm.sep_id) for episode in episodes]
    size = max(1, _EVAL_TOKENS // max(len(example.units) for example in examples))
    for start in range(0, len(examples), size):
        batch = collate(examples[start : start + size]).to(model.lm.embedding.weight.device)
        log_probs_BL = model.log_probs(batch)[:, 0].cpu()
        free += log_probs_BL.argmax(-1).tolist()
        for row_L, episode in zip(log_probs_BL, episodes[start : start + size], strict=True):
            labels = sorted(episode.shown)
            shown.append(labels[int(row_L[labels].argmax())])
    return Answers(free, shown)


def svm_answers(episodes: Sequence[Episode], *, seed: int) -> Answers:
    """What a linear machine on bags of units says that has learned the demonstrations of the episode."""
    found = []
    for episode in episodes:
        rows = [demo.units for demo in episode.demos]
        predict, _ = fit_bag_of_units(rows, [demo.label for demo in episode.demos], seed=seed)
        found.append(predict([episode.query.units])[0])
    return Answers(found)


def measure(episodes: Sequence[Episode], answers: Answers) -> dict[str, float]:
    """Accuracy, the share of answers that are shown labels, and accuracy among these only; in percent."""
    num = len(episodes)
    right = sum(answer == episode.query.label for answer, episode in zip(answers.free, episodes, strict=True))
    shown = sum(answer in episode.shown for answer, episode in zip(answers.free, episodes, strict=True))
    found = {"accuracy": 100.0 * right / num, "guessing_rate": 100.0 * shown / num}
    if answers.shown is not None:
        among = sum(answer == episode.query.label for answer, episode in zip(answers.shown, episodes, strict=True))
        found["accuracy_among_shown"] = 100.0 * among / num
    return found


def evaluate(config: IclConfig, lm: UnitLm, models: Sequence[PromptedLm], pools: Sequence[Pool]) -> dict[str, Any]:
    """All systems on all tasks; every repeat has new episodes with new utterances, the same for all systems."""
    plain = plain_model(lm).to(config.device)
    tasks: dict[str, Any] = {}
    for pool in log.track(pools, "measuring", unit="task"):
        found: dict[str, list[dict[str, float]]] = {name: [] for name in SYSTEMS}
        for repeat in range(config.repeats):
            episodes = [pool.draw(f"eval-{repeat}", number, "new") for number in range(config.eval_episodes)]
            systems: dict[str, Callable[[], Answers]] = {
                "warm-up": lambda e=episodes, r=repeat: answers_of(models[r % len(models)], e),  # type: ignore[misc]
                "no warm-up": lambda e=episodes: answers_of(plain, e),  # type: ignore[misc]
                "svm": lambda e=episodes: svm_answers(e, seed=config.seed),  # type: ignore[misc]
                "random label": lambda e=episodes: Answers([pool.guess(own) for own in e]),  # type: ignore[misc] # noqa: B023
            }
            for name, answer in systems.items():
                found[name].append(measure(episodes, answer()))
        tasks[pool.name] = {
            "num_classes": len(pool.classes),
            "num_utterances": sum(map(len, pool.classes)),
            "systems": {name: _summary(rows) for name, rows in found.items()},
        }
    return {
        "num_demos": config.num_demos,
        "classes_per_episode": config.num_classes,
        "unit_len": config.unit_len,
        "repeats": config.repeats,
        "episodes_per_repeat": config.eval_episodes,
        "warmups": config.num_warmups,
        "tasks": tasks,
    }


def _summary(rows: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Mean and standard deviation over the repeats of each number."""
    found = {}
    for key in rows[0]:
        values = [row[key] for row in rows]
        spread = statistics.stdev(values) if len(values) > 1 else None
        found[key] = {
            "mean": round(statistics.fmean(values), 4),
            "sd": None if spread is None else round(spread, 4),
            "values": [round(value, 4) for value in values],
        }
    return found


def table(result: dict[str, Any]) -> str:
    """The numbers as lines, a row for each system of each task."""
    per = result["classes_per_episode"]
    lines = [
        f"{result['num_demos']} demonstrations of {per} classes, units per utterance: {result['unit_len'] or 'all'}; "
        f"{result['repeats']} x {result['episodes_per_repeat']} episodes, mean and standard deviation in percent",
        f"{'task':<16}  {'system':<13}  {'accuracy':>14}  {'shown labels':>14}  {'among shown':>14}",
    ]
    for name, task in result["tasks"].items():
        title = name if task.get("unseen", True) else f"{name} (seen)"
        for system, row in task["systems"].items():
            cells = [_cell(row.get(key)) for key in ("accuracy", "guessing_rate", "accuracy_among_shown")]
            lines.append(f"{title:<16}  {system:<13}  {cells[0]:>14}  {cells[1]:>14}  {cells[2]:>14}")
            title = ""
    return "\n".join(line.rstrip() for line in lines)


def _cell(found: dict[str, Any] | None) -> str:
    if found is None:
        return "-"
    return f"{found['mean']:.1f}" + ("" if found["sd"] is None else f" +- {found['sd']:.1f}")
