"""`speechkit prompt predict` and `bank`: units and trained prompts in, `hyp.jsonl` out.

A line: `id`, `text` (labels as one text, so that `score wer` reads sequences), `labels`, `log_prob`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import orjson
import torch

from speechkit import log
from speechkit.artifact import make_artifact
from speechkit.config import Config
from speechkit.errors import ConfigError
from speechkit.models.table import check_device
from speechkit.models.ulm import load_ulm
from speechkit.models.ulm_check import check_ulm
from speechkit.prompt.bank import BANK_FILE, load_bank, save_bank
from speechkit.prompt.config import PredictConfig
from speechkit.prompt.examples import Example, load_learned
from speechkit.prompt.predict import Prediction, predict, predict_bank
from speechkit.prompt.tasks import Task
from speechkit.prompt.trained import check_units, load_prompt
from speechkit.units.unit_file import UnitSet

HYP_FILE = "hyp.jsonl"


def run(config: PredictConfig, *, prompt: Path, lm: Path, units: Path, out: Path, force: bool = False) -> bool:
    """Write `out/hyp.jsonl`, or of a bank `out/<task>/hyp.jsonl` of each task; False when it was up to date.

    Raises:
        SpeechkitError: prompt, language model and units do not belong together.
    """
    check_device(config.device)
    is_bank = (prompt / BANK_FILE).is_file()
    if is_bank and config.device != "cpu":
        raise ConfigError("a bank runs on the CPU", hint="leave out device, or predict with one prompt after the other")

    def build(folder: Path) -> None:
        torch.set_num_threads(config.threads)
        ulm = load_ulm(lm)
        unit_set = load_learned(units, dedup=ulm[1]["dedup"])
        check_ulm(ulm, unit_set, max_units=0)
        examples = examples_of(unit_set)
        if not is_bank:
            trained = load_prompt(prompt, ulm[0])
            check_units(trained.about, unit_set)
            trained.model.to(torch.device(config.device))
            write_predictions(folder, trained.task, predict(trained.model, examples, config))
            return
        bank = load_bank(prompt, ulm[0])
        check_units(bank.prompts[0].about, unit_set)
        numbers = [number for number in range(len(bank.tasks)) for _ in examples]
        found = predict_bank(bank, examples * len(bank.tasks), numbers, config)
        for number, task in enumerate(bank.tasks):
            own = folder / task.config.name
            own.mkdir()
            write_predictions(own, task, found[number * len(examples) : (number + 1) * len(examples)])

    inputs = {"prompt": prompt, "lm": lm, "units": units}
    return make_artifact(out, command="prompt predict", config=config, inputs=inputs, build=build, force=force)


def examples_of(units: UnitSet) -> list[Example]:
    """The utterances of a folder, without labels."""
    spans = zip(units.ids, units.offsets[:-1], units.offsets[1:], strict=True)
    return [Example(utt_id, tuple(units.units[start:end].tolist())) for utt_id, start, end in spans]


def write_predictions(folder: Path, task: Task, found: Sequence[Prediction]) -> None:
    """Write `hyp.jsonl`."""
    with (folder / HYP_FILE).open("wb") as stream:
        for prediction in found:
            values = task.values(prediction.labels)
            line = {
                "id": prediction.utt_id,
                "text": task.text(values),
                "labels": list(values),
                "log_prob": round(prediction.log_prob, 4),
            }
            stream.write(orjson.dumps(line) + b"\n")
    num_empty = sum(not prediction.labels for prediction in found)
    log.info(f"task {task.config.name}: {len(found)} utterances, {num_empty} without a label")


class BankConfig(Config):
    """Nothing decides a bank but its prompts."""


def make_bank(prompts: Sequence[Path], *, lm: Path, out: Path, force: bool = False) -> bool:
    """Put trained prompts of one language model into one folder; False when it was up to date.

    Raises:
        SpeechkitError: they do not fit together.
    """
    inputs = {f"prompt{number}": prompt for number, prompt in enumerate(prompts)} | {"lm": lm}

    def build(folder: Path) -> None:
        model = load_ulm(lm)[0]
        save_bank([load_prompt(prompt, model) for prompt in prompts], folder)

    return make_artifact(out, command="prompt bank", config=BankConfig(), inputs=inputs, build=build, force=force)
