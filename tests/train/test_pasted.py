"""Training with pasted utterances: the same losses for any number of workers and across a stop."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from speechkit.config import build_config, load_config
from speechkit.cutpaste.assemble import run_inventory
from speechkit.cutpaste.config import InventoryConfig, PlanConfig
from speechkit.cutpaste.plan import run_plan
from speechkit.errors import SpeechkitError
from speechkit.train.config import TrainConfig
from speechkit.train.inputs import read_inputs
from speechkit.train.loop import run


@pytest.fixture
def plan(tones: Path, tmp_path: Path) -> Path:
    run_inventory(InventoryConfig(), cuts=tones, out=tmp_path / "inv")
    run_plan(build_config(PlanConfig, {"num": 20}), inventory=tmp_path / "inv", out=tmp_path / "plan")
    return tmp_path / "plan"


def config_of(conf: Path, plan: Path, *overrides: str) -> TrainConfig:
    return load_config(TrainConfig, conf, [f"cutpaste.plan={plan}", "optim.num_steps=4", *overrides])


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "train.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_losses_do_not_depend_on_the_number_of_workers(tones: Path, conf: Path, plan: Path, tmp_path: Path) -> None:
    for workers in (0, 2):
        out = tmp_path / f"exp{workers}"
        run(config_of(conf, plan, f"num_workers={workers}"), train=[tones], dev=None, out=out)
    natural = tmp_path / "natural"
    run(config_of(conf, plan, "cutpaste.prob=0"), train=[tones], dev=None, out=natural)
    assert losses(tmp_path / "exp0") == losses(tmp_path / "exp2") != losses(natural)


def test_every_utterance_an_epoch_may_hold_must_fit_into_a_batch(
    tones: Path, conf: Path, plan: Path, tmp_path: Path
) -> None:
    data = read_inputs(config_of(conf, plan), train=[tones], dev=None, folder=tmp_path)
    assert data.pasted is not None
    longest = float(data.largest().max())
    slowest = config_of(conf, plan).augment.speed[0]
    assert longest == max(utt.duration_seconds / slowest for utt in [*data.train, *data.pasted.utterances])
    longest *= slowest
    config = config_of(conf, plan, f"batch.max_seconds={longest - 0.01}", "augment.speed=[1, 1]")
    with pytest.raises(SpeechkitError, match="utterances are longer than batch"):
        run(config, train=[tones], dev=None, out=tmp_path / "exp")


def test_a_missing_plan_is_named(tones: Path, conf: Path, tmp_path: Path) -> None:
    with pytest.raises(SpeechkitError, match="does not exist"):
        run(config_of(conf, tmp_path / "nothing"), train=[tones], dev=None, out=tmp_path / "exp")
