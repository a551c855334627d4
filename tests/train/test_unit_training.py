"""`speechkit train` on units: a unit language model with the loop of all models."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from unit_corpus import counting_rows, write_units

from speechkit.config import load_config
from speechkit.errors import ConfigError, Requeue, SpeechkitError
from speechkit.train import loop
from speechkit.train.config import TrainConfig, UnitTrainConfig, config_class
from speechkit.train.unit_inputs import pieces_of, read_units
from speechkit.units.unit_file import load_units

SMALL = ("model.dim=16", "model.num_layers=1", "model.num_heads=2", "model.ff_dim=32", "model.dropout=0")


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "ulm.yaml"
    path.write_text("model: {kind: ulm}\noptim: {num_steps: 60, lr: 1e-2, warmup_steps: 5}\n")
    return path


@pytest.fixture
def units(tmp_path: Path) -> Path:
    return write_units(tmp_path / "units", counting_rows(40))


def _config(conf: Path, *overrides: str) -> UnitTrainConfig:
    return load_config(UnitTrainConfig, conf, [*SMALL, *overrides])


def _losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "train.jsonl").read_text().splitlines()]


def test_the_kind_of_the_model_decides_which_keys_there_are(conf: Path, tmp_path: Path) -> None:
    assert config_class(conf, []) is UnitTrainConfig
    assert config_class(conf, ["model.kind=ctc"]) is TrainConfig
    with pytest.raises(ConfigError, match="1 problem") as caught:
        load_config(UnitTrainConfig, conf, ["features.num_mels=80"])
    assert "unknown key `features`" in caught.value.where[0]


def test_a_rule_of_units_is_learned_and_the_folder_says_of_what(conf: Path, units: Path, tmp_path: Path) -> None:
    dev = write_units(tmp_path / "dev", counting_rows(10, prefix="dev"))
    loop.run(_config(conf), train=[units], dev=dev, out=tmp_path / "lm")
    summary = json.loads((tmp_path / "lm/summary.json").read_text())
    # one of 6 first units, one of 2 ways, then nothing is open: (ln 6 + ln 2) / 13 at best
    best = (math.log(6) + math.log(2)) / 13
    assert best - 0.02 < summary["dev"]["nats_per_unit"] < 0.6
    about = json.loads((tmp_path / "lm/ulm.json").read_text())
    assert about["codebook"] == "c0de" and about["num_units"] == 6 and about["num_training_units"] == 480
    assert (tmp_path / "lm/training_ids.txt").read_text().split() == sorted(counting_rows(40))
    # a bigram model knows neither which of two ways an utterance goes nor when it ends, 1 of 12 times
    assert about["valid_nats"] == summary["dev"]["nats_per_unit"]
    assert about["bigram_nats"] == pytest.approx((math.log(6) + 11 * math.log(24 / 11) + math.log(12)) / 13, abs=0.02)


def test_a_model_no_better_than_a_bigram_model_is_told(conf: Path, units: Path, tmp_path: Path) -> None:
    loop.run(_config(conf, "optim.num_steps=1"), train=[units], dev=None, out=tmp_path / "short")
    assert "no better than" in (tmp_path / "short/log.txt").read_text()
    loop.run(_config(conf), train=[units], dev=None, out=tmp_path / "long")
    assert "no better than" not in (tmp_path / "long/log.txt").read_text()


def test_a_run_that_was_stopped_goes_on_to_the_same_losses(
    conf: Path, units: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = _config(conf, "optim.num_steps=12", "checkpoint.every_steps=5", "batch.max_utterances=8")
    loop.run(config, train=[units], dev=None, out=tmp_path / "whole")
    step = loop.Trainer._step

    def stop_after_seven(trainer: loop.Trainer, work: loop.Work) -> Any:
        if trainer.position.step == 7:
            raise Requeue("enough")
        return step(trainer, work)

    monkeypatch.setattr(loop.Trainer, "_step", stop_after_seven)
    with pytest.raises(Requeue):
        loop.run(config, train=[units], dev=None, out=tmp_path / "parts")
    monkeypatch.setattr(loop.Trainer, "_step", step)
    loop.run(config, train=[units], dev=None, out=tmp_path / "parts")
    assert _losses(tmp_path / "parts") == _losses(tmp_path / "whole") and len(_losses(tmp_path / "whole")) == 12
    assert (tmp_path / "parts/model.safetensors").read_bytes() == (tmp_path / "whole/model.safetensors").read_bytes()


def test_long_utterances_are_cut_into_even_pieces_that_lose_nothing(conf: Path, tmp_path: Path) -> None:
    rows = {"long": [0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4], "short": [1, 2]}
    found = pieces_of(load_units(write_units(tmp_path / "u", rows)), 4)
    assert [len(piece.units) for piece in found] == [4, 4, 3, 2]
    assert [unit for piece in found[:3] for unit in piece.units] == rows["long"]
    assert [piece.utt_id for piece in found] == ["long#0", "long#1", "long#2", "short"]


@pytest.mark.parametrize(
    ("about", "message"),
    [({"codebook": "other"}, "differ in `codebook`"), ({"dedup": False}, "differ in `dedup`")],
)  # fmt: skip
def test_units_of_different_kinds_are_refused(
    conf: Path, units: Path, tmp_path: Path, about: dict[str, object], message: str
) -> None:
    other = write_units(tmp_path / "other", counting_rows(3, prefix="other"), **about)
    with pytest.raises(SpeechkitError, match=message) as caught:
        read_units(_config(conf), train=[units, other], dev=None, folder=tmp_path)
    assert caught.value.where[0] == str(other)


def test_an_utterance_in_two_folders_is_refused(conf: Path, units: Path, tmp_path: Path) -> None:
    dev = write_units(tmp_path / "dev", dict(list(counting_rows(40).items())[:3]))
    with pytest.raises(SpeechkitError, match="share 3 utterance ids"):
        read_units(_config(conf), train=[units], dev=dev, folder=tmp_path)


def test_the_command_trains_on_units(
    conf: Path, units: Path, tmp_path: Path, run_speechkit: Callable[..., Any]
) -> None:
    options = [part for override in (*SMALL, "optim.num_steps=2") for part in ("--set", override)]
    done = run_speechkit("train", conf, "--train", units, "--out", tmp_path / "lm", *options)
    assert done.exit_code == 0 and "480 units" in done.stderr
    failed = run_speechkit("train", conf, "--train", tmp_path / "none", "--out", tmp_path / "x", *options)
    assert failed.exit_code == 1 and "none" in failed.stderr
