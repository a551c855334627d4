"""What `prompt eval` refuses: test sets that somebody was trained on, and systems that do not share task and data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from speechkit import log
from speechkit.data.overlap import (
    describe_overlap,
    find_overlap,
    heard_of_cuts,
    overlap_with_training,
    refuse_overlap,
    training_set,
)
from speechkit.errors import CheckFailed, SpeechkitError, counted
from speechkit.fingerprint import RUN_FILE, fingerprint
from speechkit.models.ulm_check import trained_on
from speechkit.prompt.config import EvalConfig, PromptTrainConfig
from speechkit.prompt.train import Labelled, Source
from speechkit.train.inputs import manifest_of


def check_one_task(prompts: Sequence[Path], configs: Sequence[PromptTrainConfig]) -> None:
    """Refuse prompts of different tasks."""
    for prompt, config in zip(prompts, configs, strict=True):
        if config.task.model_dump(exclude={"verbalizer"}) != configs[0].task.model_dump(exclude={"verbalizer"}):
            raise SpeechkitError(
                f"`{prompts[0]}` and `{prompt}` are of different tasks",
                where=[f"`{config.task.name}`, `{configs[0].task.name}`"],
                hint="a table compares systems of one task",
            )


def check_overlap(config: EvalConfig, prompts: Sequence[Path], lm: Path, test: Labelled, units: Path) -> None:
    """Refuse a test set that prompts, language model or codebook were trained on; where that is allowed, tell.

    Args:
        units: of the test set; they carry what their codebook was trained on.
    """
    for trained, name in [*((prompt, f"`{prompt}`") for prompt in prompts), (units, "the codebook")]:
        summary = overlap_with_training(test.cuts, trained, name=name)
        if summary is not None:
            refuse_overlap(summary, f"the test set and {name}", allowed=config.allow_overlap)
    seen = trained_on(lm, [row.utt_id for row in test.rows], name="the test set")
    if seen and not config.allow_overlap:
        raise CheckFailed(
            f"the unit language model was trained on {counted(len(seen), 'utterance')} of the test set",
            where=seen, hint="train it on others, or accept it with --allow-overlap",
        )  # fmt: skip


def check_same_training(prompts: Sequence[Path], train: Source) -> None:
    """Refuse training data for baselines that are not what the prompts were trained on."""
    own = {"units": fingerprint(train.units), "cuts": fingerprint(manifest_of(train.cuts))}
    faults = []
    for prompt in prompts:
        try:
            inputs = json.loads((prompt / RUN_FILE).read_text(encoding="utf-8"))["inputs"]
            known = {role: inputs[role] for role in own}
            faults += [
                f"{prompt}: {role} {stored['path']}"
                for role, stored in known.items()
                if stored["fingerprint"] != own[role]
            ]
        except (OSError, ValueError, KeyError, TypeError):
            raise SpeechkitError(
                f"`{prompt / RUN_FILE}` does not say what the prompts were trained on",
                expected="a folder made by `speechkit prompt train`",
            ) from None
    if faults:
        raise SpeechkitError(
            f"the prompts were not trained on `{train.units}` with `{train.cuts}`",
            where=faults,
            expected="--train-units and --train-cuts of `prompt train`, unchanged: systems of a table share their data",
            hint="`--baselines none` without them compares prompts only",
        )


def check_baseline_overlap(config: EvalConfig, training: Labelled, test: Labelled) -> None:
    """Refuse a test set that baselines are trained on; where that is allowed, tell."""
    heard = list(heard_of_cuts(test.cuts))
    summary = find_overlap(heard, training_set(heard_of_cuts(training.cuts), heard)).summary()
    refuse_overlap(summary, "the test set and --train-cuts", allowed=config.allow_overlap)
    if summary["num_overlapping"]:
        log.warn(f"baselines: {describe_overlap(summary)}")
