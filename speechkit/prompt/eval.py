"""`speechkit prompt eval`: trained prompts on a test set, beside what they have to beat.

The folder holds `report.json`, the predictions of every run, and the baselines that were trained for the comparison.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from speechkit import log
from speechkit.artifact import CONFIG_FILE, make_artifact, write_json
from speechkit.config import build_config, read_config
from speechkit.errors import ConfigError, SpeechkitError, counted
from speechkit.models.ulm import load_ulm
from speechkit.prompt.baselines import fit_bag_of_units, fit_pooled_states
from speechkit.prompt.config import BASELINES, EvalConfig, PromptTrainConfig
from speechkit.prompt.eval_checks import check_baseline_overlap, check_one_task, check_overlap, check_same_training
from speechkit.prompt.eval_table import mean_and_sd
from speechkit.prompt.examples import Example, Row, draw_shots
from speechkit.prompt.measures import length_curve, slot_scores
from speechkit.prompt.predict import predict
from speechkit.prompt.predict_run import write_predictions
from speechkit.prompt.score import Scores, metric_of, score
from speechkit.prompt.tasks import Task, Values
from speechkit.prompt.train import Labelled, Source, Ulm, read_labelled, train_seeds
from speechkit.prompt.trained import check_units, load_prompt
from speechkit.train.inputs import manifest_of

REPORT_FILE = "report.json"
_TITLES = {
    "bow": "bag of units, SVM", "pool": "pooled states, logistic regression", "head": "head only", "lora": "LoRA",
    "full": "full fine-tuning", "prompt": "prompt", "majority": "most frequent label",
}  # fmt: skip


@dataclass
class System:
    """A row of the table: the same training with several seeds."""

    name: str
    kind: str
    scores: list[Scores] = field(default_factory=list)
    parameters: int | None = None
    share: float | None = None
    train_seconds: list[float] = field(default_factory=list)
    predict_seconds: list[float] = field(default_factory=list)
    details: Any = None


@dataclass(frozen=True)
class _Evaluation:
    """What all systems share."""

    config: EvalConfig
    ulm: Ulm
    test: Labelled
    folder: Path

    @property
    def refs(self) -> list[Values]:
        """The values to be found."""
        return [row.values for row in self.test.rows]


def run(
    config: EvalConfig, prompts: Sequence[Path], *, lm: Path, test: Source, train: Source | None, out: Path,
    force: bool = False,
) -> bool:  # fmt: skip
    """Compare what `prompt train` made of one task, and baselines trained on the same data with the same seeds.

    Args:
        train: what the prompts were trained on; without it baselines can not be trained.
    Raises:
        SpeechkitError: tasks or training data differ, or something does not belong together.
        CheckFailed: the test set overlaps with training data.
    """
    configs = [read_config(PromptTrainConfig, prompt / CONFIG_FILE) for prompt in prompts]
    check_one_task(prompts, configs)
    if train is None and config.baselines:
        raise ConfigError(
            f"baselines ({', '.join(config.baselines)}) are trained on what the prompts were trained on",
            expected="--train-units UNITS and --train-cuts CUTS, or --baselines none",
        )
    inputs = {f"prompt{number}": prompt for number, prompt in enumerate(prompts)}
    inputs |= {"lm": lm, "units": test.units, "cuts": manifest_of(test.cuts)}
    if train is not None:
        inputs |= {"train_units": train.units, "train_cuts": manifest_of(train.cuts)}

    def build(folder: Path) -> None:
        torch.set_num_threads(config.predict.threads)
        ulm = load_ulm(lm)
        labelled = read_labelled(test, configs[0].task, ulm, check_nats=False)
        check_overlap(config, prompts, lm, labelled, test.units)
        baseline_data = None
        if train is not None:
            check_same_training(prompts, train)
            baseline_data = read_labelled(train, configs[0].task, ulm)
            check_baseline_overlap(config, baseline_data, labelled)
        evaluation = _Evaluation(config, ulm, labelled, folder)
        systems = [_prompts(evaluation, prompt, own) for prompt, own in zip(prompts, configs, strict=True)]
        task = load_prompt(_seeds(prompts[0])[0], ulm[0]).task
        if baseline_data is not None:
            systems += _baselines(evaluation, configs, baseline_data, task)
        write_json(folder / REPORT_FILE, _report(evaluation, configs, systems, task))

    return make_artifact(out, command="prompt eval", config=config, inputs=inputs, build=build, force=force,
        resumable=True,
    )  # fmt: skip


def _seeds(prompt: Path) -> list[Path]:
    folders = sorted(prompt.glob("seed-*"), key=lambda path: int(path.name.removeprefix("seed-")))
    if not folders:
        raise SpeechkitError(f"`{prompt}` holds no runs", expected="a folder made by `speechkit prompt train`")
    return folders


def _prompts(evaluation: _Evaluation, prompt: Path, config: PromptTrainConfig, *, name: str = "") -> System:
    """The runs of one training."""
    kind = config.method.kind
    random = " on a random LM" if config.random_lm else ""
    system = System(name or f"{_TITLES[kind]}{random} ({prompt.name})", f"random {kind}" if random else kind)
    for number, folder in enumerate(_seeds(prompt)):
        trained = load_prompt(folder, evaluation.ulm[0])
        check_units(trained.about, evaluation.test.units)
        started = time.process_time()
        examples = [Example(row.utt_id, row.units) for row in evaluation.test.rows]
        found = predict(trained.model, examples, evaluation.config.predict)
        system.predict_seconds.append(time.process_time() - started)
        own = evaluation.folder / "predictions" / prompt.name / folder.name
        own.mkdir(parents=True, exist_ok=True)
        write_predictions(own, trained.task, found)
        hyps = [trained.task.values(prediction.labels) for prediction in found]
        system.scores.append(score(trained.task.config, evaluation.refs, hyps))
        system.train_seconds.append(trained.about["cpu_seconds"])
        system.parameters = trained.about["num_parameters"]
        system.share = trained.about["num_parameters"] / trained.about["num_lm_parameters"]
        if number == 0:
            system.details = _details(trained.task, evaluation.refs, hyps)
    return system


def _details(task: Task, refs: list[Values], hyps: list[Values]) -> Any:
    """Errors by length, or slots one by one; of the first seed."""
    if task.is_sequence:
        return length_curve(refs, hyps)
    return slot_scores(task.config.label, refs, hyps) if task.config.kind == "slots" else None


def _baselines(
    evaluation: _Evaluation, configs: Sequence[PromptTrainConfig], training: Labelled, task: Task
) -> list[System]:
    """Those that were asked for and are not among the prompts already."""
    base = configs[0]
    given = {"random" if config.random_lm else config.method.kind for config in configs}
    wanted = [name for name in BASELINES if name in evaluation.config.baselines and name not in given]
    systems = []
    for name in wanted:
        if name in ("bow", "pool"):
            if not task.is_sequence:
                systems.append(_classifier(evaluation, base, training, name))
            continue
        log.info(f"baseline {_TITLES.get(name, 'the same on a random LM')}")
        folder = evaluation.folder / "baselines" / name
        config = _config_of(name, base)
        train_seeds(config, evaluation.ulm, training, folder=folder)
        title = f"{_TITLES[config.method.kind]} on a random LM" if name == "random" else _TITLES[name]
        systems.append(_prompts(evaluation, folder, config, name=title))
    if not task.is_sequence:
        systems.append(_majority(evaluation, training.rows, task))
    return systems


def _config_of(name: str, base: PromptTrainConfig) -> PromptTrainConfig:
    if name == "random":
        return base.model_copy(update={"random_lm": True})
    tree = base.model_dump(mode="json")
    tree["optim"].pop("lr")  # that of the method
    return build_config(PromptTrainConfig, {**tree, "method": {"kind": name}, "random_lm": False})


def _classifier(evaluation: _Evaluation, base: PromptTrainConfig, training: Labelled, name: str) -> System:
    """A classifier of scikit-learn; slots are one joint label."""
    system, lm = System(_TITLES[name], name), evaluation.ulm[0]
    classes = sorted({row.values for row in training.rows})
    numbers = {values: number for number, values in enumerate(classes)}
    task = Task(base.task, tuple(zip(*classes, strict=True)))  # only its kind matters for the draw
    for seed in range(base.seed, base.seed + base.num_seeds):
        rows = draw_shots(training.rows, task, base.shots, seed=seed)
        units, labels = [row.units for row in rows], [numbers[row.values] for row in rows]
        started = time.process_time()
        fitted = fit_bag_of_units(units, labels, seed=seed) if name == "bow" else None
        answer, system.parameters = fitted or fit_pooled_states(lm, units, labels, seed=seed)
        system.train_seconds.append(time.process_time() - started)
        started = time.process_time()
        hyps = [classes[number] for number in answer([row.units for row in evaluation.test.rows])]
        system.predict_seconds.append(time.process_time() - started)
        system.scores.append(score(base.task, evaluation.refs, hyps))
    return system


def _majority(evaluation: _Evaluation, rows: Sequence[Row], task: Task) -> System:
    (values, _), *_ = Counter(row.values for row in rows).most_common(1)
    found = score(task.config, evaluation.refs, [values] * len(evaluation.refs))
    return System(_TITLES["majority"], "majority", [found], 0, None, [0.0], [0.0])


def _report(
    evaluation: _Evaluation, configs: Sequence[PromptTrainConfig], systems: Sequence[System], task: Task
) -> dict[str, Any]:
    unknown = [row.utt_id for row in evaluation.test.rows if task.encode(row.values) is None]
    if unknown:
        log.warn(f"{counted(len(unknown), 'test utterance')} with labels that training never saw: counted as wrong")
    kinds = {system.kind.split()[0] for system in systems}
    missing = [name for name in BASELINES if name not in kinds and not (task.is_sequence and name in ("bow", "pool"))]
    return {
        "task": task.config.name,
        "kind": task.config.kind,
        "metric": metric_of(task.config),
        "num_test": len(evaluation.test.rows),
        "num_unknown": len(unknown),
        "num_labels": len(task.labels),
        "shots": configs[0].shots,
        "systems": [_row(system) for system in systems],
        "missing": missing,
    }


def _row(system: System) -> dict[str, Any]:
    values = [own.value for own in system.scores]
    mean, sd = mean_and_sd(values)
    return {
        "name": system.name,
        "kind": system.kind,
        "mean": round(mean, 4),
        "sd": None if sd is None else round(sd, 4),
        "values": [round(value, 4) for value in values],
        "parameters": system.parameters,
        "share_percent": None if system.share is None else round(100 * system.share, 4),
        "train_cpu_seconds": round(mean_and_sd(system.train_seconds)[0], 2),
        "predict_cpu_seconds": round(mean_and_sd(system.predict_seconds)[0], 2),
        **({} if system.details is None else {"details": system.details}),
    }
