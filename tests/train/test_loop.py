"""Training: the same loss sequence whatever interrupts it, and clear words about data it cannot use."""

# above 300 lines: tests mirror the package, and the loop is where interruption, data and averaging meet

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tone_corpus import make_tone_corpus
from torch import Tensor, nn

from speechkit.config import load_config
from speechkit.data.store import load_cuts, save_manifests
from speechkit.errors import Requeue, SpeechkitError
from speechkit.train import inputs, loop
from speechkit.train.checkpoint import Position
from speechkit.train.config import TrainConfig
from speechkit.train.inputs import manifest_of, read_inputs
from speechkit.train.progress import HISTORY_FILE, Meter


def _train(conf: Path, tones: Path, out: Path, *overrides: str, dev: Path | None = None) -> list[dict[str, float]]:
    loop.run(load_config(TrainConfig, conf, overrides), train=[tones], dev=dev, out=out)
    return _history(out)


def _history(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / HISTORY_FILE).read_text().splitlines()]


def test_two_runs_are_equal_and_another_seed_is_not(conf: Path, tones: Path, tmp_path: Path) -> None:
    first = _train(conf, tones, tmp_path / "a")
    assert [record["step"] for record in first] == list(range(1, 25))
    assert first == _train(conf, tones, tmp_path / "b")
    assert (tmp_path / "a/model.safetensors").read_bytes() == (tmp_path / "b/model.safetensors").read_bytes()
    assert first[0]["loss"] != _train(conf, tones, tmp_path / "c", "seed=1")[0]["loss"]


@pytest.mark.parametrize("stop_at", [1, 5, 13, 23])
def test_a_run_that_dies_at_any_step_goes_on_bit_for_bit(
    conf: Path, tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_at: int
) -> None:
    undisturbed = _train(conf, tones, tmp_path / "a")
    step = loop.Trainer._step

    def die(self: loop.Trainer, batch: object) -> object:
        if self.position.step == stop_at:
            raise KeyboardInterrupt
        return step(self, batch)  # type: ignore[arg-type]

    monkeypatch.setattr(loop.Trainer, "_step", die)
    with pytest.raises(KeyboardInterrupt):
        _train(conf, tones, tmp_path / "b")
    assert not (tmp_path / "b").exists() and (tmp_path / "b.partial").is_dir()
    monkeypatch.setattr(loop.Trainer, "_step", step)
    assert _train(conf, tones, tmp_path / "b") == undisturbed
    assert (tmp_path / "a/model.safetensors").read_bytes() == (tmp_path / "b/model.safetensors").read_bytes()


def test_a_damaged_checkpoint_costs_one_interval_only(
    conf: Path, tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = _train(conf, tones, tmp_path / "a")
    step = loop.Trainer._step

    def die(self: loop.Trainer, batch: object) -> object:
        if self.position.step == 12:
            raise KeyboardInterrupt
        return step(self, batch)  # type: ignore[arg-type]

    monkeypatch.setattr(loop.Trainer, "_step", die)
    with pytest.raises(KeyboardInterrupt):
        _train(conf, tones, tmp_path / "b")
    newest = sorted((tmp_path / "b.partial/checkpoints").iterdir())[-1]
    assert newest.name == "step-00000010.safetensors"
    newest.write_bytes(newest.read_bytes()[:1000])
    monkeypatch.setattr(loop.Trainer, "_step", step)
    assert _train(conf, tones, tmp_path / "b") == undisturbed


def test_another_config_does_not_go_on_from_the_checkpoints_of_the_first(
    conf: Path, tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop.Trainer, "_finish", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        _train(conf, tones, tmp_path / "a", "seed=1")
    monkeypatch.undo()
    assert _train(conf, tones, tmp_path / "a") == _train(conf, tones, tmp_path / "b")


@pytest.mark.slow
def test_worker_processes_do_not_change_the_losses(conf: Path, tones: Path, tmp_path: Path) -> None:
    plain = _train(conf, tones, tmp_path / "a")
    workers = _train(conf, tones, tmp_path / "b", "num_workers=2")
    assert [record["loss"] for record in plain] == [record["loss"] for record in workers]


@pytest.mark.slow
def test_kill_9_and_the_same_command_give_the_undisturbed_losses(conf: Path, tones: Path, tmp_path: Path) -> None:
    steps = ["--set", "optim.num_steps=400", "--set", "checkpoint.every_steps=7"]

    def start(out: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "speechkit", "train", str(conf), "--train", str(tones), "--out", str(out)]
        return subprocess.Popen([*command, *steps], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    assert start(tmp_path / "a").wait(timeout=300) == 0
    for _ in range(2):
        process = start(tmp_path / "b")
        _wait_for_more_steps(tmp_path / "b.partial" / HISTORY_FILE)
        process.kill()
        process.wait()
        assert not (tmp_path / "b").exists()
    assert start(tmp_path / "b").wait(timeout=300) == 0
    assert _history(tmp_path / "a") == _history(tmp_path / "b")


def _wait_for_more_steps(history: Path, num_steps: int = 60) -> None:
    def count() -> int:
        return len(history.read_bytes().splitlines()) if history.is_file() else 0

    before, deadline = count(), time.monotonic() + 120
    while count() < before + num_steps and time.monotonic() < deadline:
        time.sleep(0.02)


def test_sigterm_writes_a_checkpoint_and_asks_for_a_requeue(
    conf: Path, tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = _train(conf, tones, tmp_path / "a")
    step = loop.Trainer._step

    def signal_at_8(self: loop.Trainer, batch: object) -> object:
        if self.position.step == 8:
            signal.raise_signal(signal.SIGTERM)
        return step(self, batch)  # type: ignore[arg-type]

    monkeypatch.setattr(loop.Trainer, "_step", signal_at_8)
    with pytest.raises(Requeue, match="after step 9") as caught:
        _train(conf, tones, tmp_path / "b")
    assert caught.value.exit_code == 85
    assert (tmp_path / "b.partial/checkpoints/step-00000009.safetensors").is_file()
    monkeypatch.setattr(loop.Trainer, "_step", step)
    assert _train(conf, tones, tmp_path / "b") == undisturbed


def test_the_corpus_is_learned(conf: Path, tones: Path, tmp_path: Path) -> None:
    dev = make_tone_corpus(tmp_path / "dev", num_utterances=12, seed=1)
    history = _train(conf, tones, tmp_path / "a", "optim.num_steps=90", "augment.freq_masks=0", dev=dev)
    assert history[-1]["loss"] < 0.3 * history[0]["loss"]
    assert json.loads((tmp_path / "a/summary.json").read_text())["dev"]["wer"] < 20


@pytest.mark.parametrize(
    "encoder",
    [
        "{kind: conv_blstm, dim: 32, stack: 2, stride: 2}",
        "{kind: fastconformer, dim: 32, num_blocks: 2, num_heads: 2, subsampling: 4, subsampling_channels: 8}",
    ],
    ids=["conv_blstm", "fastconformer"],
)
@pytest.mark.slow
def test_every_encoder_learns_the_corpus(conf: Path, tones: Path, tmp_path: Path, encoder: str) -> None:
    steps = ["optim.num_steps=400", "augment.freq_masks=0", "optim.lr=0.005", "dev_every_steps=100"]
    steps.append("allow_overlap=true")
    _train(conf, tones, tmp_path / "a", f"model.encoder={encoder}", *steps, dev=tones)
    assert json.loads((tmp_path / "a/summary.json").read_text())["dev"]["wer"] < 20


def test_infeasible_utterances_are_listed_and_left_out(conf: Path, tones: Path, tmp_path: Path) -> None:
    cuts = list(load_cuts(tones))
    cuts[3].supervisions[0].text = "low low " * 40
    save_manifests(cuts, tmp_path / "bad")
    _train(conf, tmp_path / "bad", tmp_path / "a", "optim.num_steps=2")
    table = (tmp_path / "a/infeasible.tsv").read_text().splitlines()
    assert len(table) == 2 and table[1].startswith(f"{cuts[3].id}\t")
    frames, needed = map(int, table[1].split("\t")[1:3])
    assert needed == 80 + 79 > frames
    log = (tmp_path / "a/log.txt").read_text()
    assert "1 of 24 utterances have fewer encoder frames than tokens + repeats and are left out" in log


def test_nothing_feasible_is_an_error_that_leaves_nothing(conf: Path, tones: Path, tmp_path: Path) -> None:
    cuts = list(load_cuts(tones))
    for cut in cuts:
        cut.supervisions[0].text = "low " * 200
    save_manifests(cuts, tmp_path / "bad")
    with pytest.raises(SpeechkitError, match="24 of 24 utterances have fewer encoder frames"):
        _train(conf, tmp_path / "bad", tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_manifests_with_the_same_ids_are_refused(conf: Path, tones: Path, tmp_path: Path) -> None:
    config = load_config(TrainConfig, conf)
    with pytest.raises(SpeechkitError, match="share 24 utterance ids"):
        loop.run(config, train=[tones, tones], dev=None, out=tmp_path / "a")


def test_a_gradient_that_is_never_finite_stops_training_and_names_the_batch(
    conf: Path, tones: Path, tmp_path: Path
) -> None:
    with pytest.raises(SpeechkitError, match="not finite in 10 steps in a row") as caught:
        _train(conf, tones, tmp_path / "a", "optim.lr=1e30", "optim.clip_norm=1e30", "optim.warmup_steps=0")
    assert caught.value.where[0].startswith("tone0-")


def _trainer(conf: Path, tones: Path, folder: Path, *overrides: str, dev: Path | None = None) -> loop.Trainer:
    """A trainer in front of its first step."""
    config = load_config(TrainConfig, conf, overrides)
    folder.mkdir()
    data = read_inputs(config, train=[manifest_of(tones)], dev=dev and manifest_of(dev), folder=folder)
    trainer = loop.Trainer(config, data, folder)
    trainer.position, trainer.meter = Position(), Meter()
    trainer.model.train()
    return trainer


def _is_average(trainer: loop.Trainer, state: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, state[name]) for name, value in trainer.average.state.items())


def test_the_averaged_weights_are_those_that_are_written(conf: Path, tones: Path, tmp_path: Path) -> None:
    trainer = _trainer(conf, tones, tmp_path / "a", "optim.num_steps=3")
    start = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.train()
    assert _is_average(trainer, load_file(tmp_path / "a/model.safetensors"))
    assert not _is_average(trainer, trainer.model.state_dict()) and not _is_average(trainer, start)


def test_the_dev_set_is_looked_at_with_the_averaged_weights(
    conf: Path, tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []

    def look(model: nn.Module, *args: object) -> dict[str, float]:
        looks.append((_is_average(trainer, model.state_dict()), model.training))
        return {"wer": 0.0, "num_ref_words": 1.0}

    monkeypatch.setattr(inputs, "evaluate", look)
    options = ("optim.num_steps=4", "dev_every_steps=2", "allow_overlap=true")
    trainer = _trainer(conf, tones, tmp_path / "a", *options, dev=tones)
    trainer.train()
    assert looks == [(True, False), (True, False)]
    assert trainer.model.training and not _is_average(trainer, trainer.model.state_dict())


def test_the_frame_loss_ends_after_its_share_of_the_steps(conf: Path, tones: Path, tmp_path: Path) -> None:
    history = _train(conf, tones, tmp_path / "a", "optim.num_steps=6", "model.frame_loss.end_share=0.5")
    assert ["frame" in record for record in history] == [True] * 3 + [False] * 3


def test_dropout_differs_between_steps_and_is_repeated_in_the_same_step(
    conf: Path, tones: Path, tmp_path: Path
) -> None:
    still = ["optim.lr=1e-30", "model.frame_loss.weight=0", "model.encoder.dropout=0.5"]
    trainer = _trainer(conf, tones, tmp_path / "a", *still)
    work = loop.Work({0: trainer.data.make_batch(trainer.data.epoch(0)[:4], 0)}, 1, Position())

    def loss_of_step(step: int) -> float:
        trainer.position = Position(step)
        return float(trainer._step(work)["loss"])

    assert loss_of_step(3) == loss_of_step(3)
    assert len({loss_of_step(step) for step in range(4)}) == 4


def test_batches_are_planned_on_the_durations_after_the_perturbation(conf: Path, tones: Path, tmp_path: Path) -> None:
    trainer = _trainer(conf, tones, tmp_path / "a", "augment.speed=[0.7, 1.3]")
    trainer.data.train[0] = replace(trainer.data.train[0], max_speed=1.0)
    for epoch in (0, 1, 2):
        frames = trainer.data.make_batch(trainer.data.train, epoch).num_frames_B.numpy()
        assert trainer.data.sizes(trainer.data.train, epoch) * 100 + 0.5 == pytest.approx(frames, abs=0.6)


def test_every_epoch_has_all_utterances_in_batches_of_its_own(conf: Path, tones: Path, tmp_path: Path) -> None:
    # the speed is fixed, so that only the epoch can change the plan
    trainer = _trainer(conf, tones, tmp_path / "a", "augment.speed=[1, 1]", "optim.num_steps=12")
    epochs: dict[int, list[tuple[str, ...]]] = {}
    for work in trainer._updates():
        epochs.setdefault(work.position.epoch, []).append(tuple(work.parts[0].utt_ids))
    assert [len({utt_id for ids in batches for utt_id in ids}) for batches in epochs.values()] == [24] * 3
    assert len({frozenset(batches) for batches in epochs.values()}) == 3


def test_options_that_cannot_change_the_result_keep_the_checkpoints_and_the_artifact(
    conf: Path, tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    step, made = loop.Trainer._step, []

    def die(self: loop.Trainer, batch: object) -> object:
        made.append(self.position.step)
        if len(made) == 13:
            raise KeyboardInterrupt
        return step(self, batch)  # type: ignore[arg-type]

    monkeypatch.setattr(loop.Trainer, "_step", die)
    with pytest.raises(KeyboardInterrupt):
        _train(conf, tones, tmp_path / "a")
    _train(conf, tones, tmp_path / "a", "log_every_steps=7", "checkpoint.keep=3")
    assert made == [*range(13), *range(10, 24)]
    _train(conf, tones, tmp_path / "a", "dev_every_steps=3")
    assert "up to date" in capsys.readouterr().out


def test_a_failed_publication_does_not_cost_the_training(
    conf: Path, tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from speechkit import artifact

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(artifact, "_flush", full)
    with pytest.raises(OSError, match="No space"):
        _train(conf, tones, tmp_path / "a")
    monkeypatch.undo()
    monkeypatch.setattr(loop.Trainer, "_step", lambda *_: pytest.fail("a step was made again"))
    assert len(_train(conf, tones, tmp_path / "a")) == 24
    assert not (tmp_path / "a/checkpoints").exists()


def test_utterances_that_some_speed_would_make_too_long_are_refused_before_the_first_step(
    conf: Path, tones: Path, tmp_path: Path
) -> None:
    longest = max(cut.duration for cut in load_cuts(tones))
    with pytest.raises(SpeechkitError, match=r"longer than batch\.max_seconds"):
        _train(conf, tones, tmp_path / "a", f"batch.max_seconds={1.05 * longest}", "augment.speed=[0.9, 1.1]")
    assert not (tmp_path / "a.partial" / HISTORY_FILE).exists()


def test_word_times_of_other_words_are_not_used_and_counted(conf: Path, tones: Path, tmp_path: Path) -> None:
    cuts = list(load_cuts(tones))
    for cut in cuts[:2]:
        cut.supervisions[0].text = " ".join(["high"] * len(cut.supervisions[0].text.split()))
    cuts[0].supervisions[0].text = "low high low high"
    save_manifests(cuts, tmp_path / "odd")
    _train(conf, tmp_path / "odd", tmp_path / "a", "optim.num_steps=2")
    assert "of 24 utterances have word times of other words than their text" in (tmp_path / "a/log.txt").read_text()


@pytest.mark.slow
def test_bad_audio_in_a_worker_process_is_the_same_plain_error(conf: Path, tones: Path, tmp_path: Path) -> None:
    (tones / "audio/tone0-003.flac").unlink()
    with pytest.raises(SpeechkitError, match=r"tone0-003\.flac` does not exist$"):
        _train(conf, tones, tmp_path / "a", "num_workers=1")
