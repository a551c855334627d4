"""Several processes give the bits of one, also when a run goes on with another number of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from speechkit.config import load_config
from speechkit.errors import ConfigError
from speechkit.train import loop
from speechkit.train.config import TrainConfig
from speechkit.train.distributed import Packed, Team, join_team

MANY = ("optim.batches_per_step=3", "batch.max_seconds=3", "optim.num_steps=12", "checkpoint.every_steps=100")


def _words(tones: Path, conf: Path, out: Path, num_tasks: int) -> list[str]:
    overrides = [word for override in MANY for word in ("--set", override)]
    command = [sys.executable, "-m", "speechkit", "train", str(conf), "--train", str(tones), "--out", str(out)]
    here = [sys.executable, "-m", "speechkit.jobs.tasks", "start", str(num_tasks)] if num_tasks > 1 else []
    return [*here, *command, *overrides]


def _result(folder: Path) -> tuple[bytes, list[str]]:
    return (folder / "model.safetensors").read_bytes(), (folder / "train.jsonl").read_text().splitlines()


@pytest.fixture
def alone(conf: Path, tones: Path, tmp_path: Path) -> tuple[bytes, list[str]]:
    """What one process makes."""
    loop.run(load_config(TrainConfig, conf, MANY), train=[tones], dev=None, out=tmp_path / "alone")
    return _result(tmp_path / "alone")


def test_an_update_of_several_batches_is_another_training_and_survives_interruption(
    alone: tuple[bytes, list[str]], conf: Path, tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, step = load_config(TrainConfig, conf, MANY), loop.Trainer._step

    def stop(self: loop.Trainer, work: loop.Work) -> object:
        if self.position.step == 5:
            os.kill(os.getpid(), signal.SIGUSR1)
        return step(self, work)

    monkeypatch.setattr(loop.Trainer, "_step", stop)
    monkeypatch.setenv("SPEECHKIT_REQUEUE_FILE", str(tmp_path / "again"))
    with pytest.raises(loop.Requeue, match="after step 6, checkpoint written"):
        loop.run(config, train=[tones], dev=None, out=tmp_path / "b")
    assert (tmp_path / "again").exists()
    monkeypatch.setattr(loop.Trainer, "_step", step)
    loop.run(config, train=[tones], dev=None, out=tmp_path / "b")
    assert _result(tmp_path / "b") == alone


@pytest.mark.slow
@pytest.mark.parametrize("num_tasks", [2, 3])
def test_processes_that_share_the_batches_give_the_bits_of_one(
    alone: tuple[bytes, list[str]], conf: Path, tones: Path, tmp_path: Path, num_tasks: int
) -> None:
    done = subprocess.run(
        _words(tones, conf, tmp_path / "b", num_tasks), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("batches per epoch") == 1  # only one of them tells
    assert _result(tmp_path / "b") == alone
    again = subprocess.run(
        _words(tones, conf, tmp_path / "b", num_tasks), capture_output=True, text=True, timeout=120, check=False
    )
    assert (again.returncode, again.stdout.count("up to date")) == (0, 1), again.stderr


@pytest.mark.slow
def test_a_run_of_two_processes_goes_on_with_one_bit_for_bit(
    alone: tuple[bytes, list[str]], conf: Path, tones: Path, tmp_path: Path
) -> None:
    out, marker = tmp_path / "b", tmp_path / "again"
    env = {**os.environ, "SPEECHKIT_REQUEUE_FILE": str(marker)}
    running = subprocess.Popen(_words(tones, conf, out, 2), env=env, stderr=subprocess.PIPE, text=True)
    history = out.with_name("b.partial") / "train.jsonl"
    deadline = time.monotonic() + 60
    while not (history.exists() and history.read_text().count("\n") >= 2):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    running.send_signal(signal.SIGUSR1)
    _, stderr = running.communicate(timeout=60)
    assert marker.exists(), stderr
    assert len(history.read_text().splitlines()) < 12
    done = subprocess.run(_words(tones, conf, out, 1), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "going on after step" in done.stderr
    assert _result(out) == alone


def test_more_processes_than_batches_are_refused(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    config = load_config(TrainConfig, conf)
    with pytest.raises(ConfigError, match="2 processes train together, but an update has 1 batches"), join_team(config):
        pass


def test_the_default_keeps_the_fingerprint_of_earlier_trainings(conf: Path) -> None:
    plain = load_config(TrainConfig, conf)
    assert "batches_per_step" not in json.dumps(plain.deciding_fields())
    assert "batches_per_step" in json.dumps(load_config(TrainConfig, conf, MANY).deciding_fields())


def test_parts_start_alike_and_their_mean_is_taken_in_order() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    packed, vectors = Packed(model), {}
    for part in (1, 0):  # the order of the work does not matter
        packed.restore()
        (model(torch.randn(4, 3, generator=torch.Generator().manual_seed(part))) ** 2).sum().backward()
        vectors[part] = packed.pack([float(part), 5.0])
    numbers = packed.unpack(Team().mean(vectors, 2, packed.empty()))
    assert numbers[:2] == [0.5, 5.0]
    expected = (vectors[0] + vectors[1]) / 2
    assert torch.equal(packed.pack(numbers[:2]), expected)
