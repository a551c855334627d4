"""Training an attention model: it goes on bit for bit after a crash, with any tokenizer, and learns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tone_corpus import make_tone_corpus

from speechkit.config import load_config
from speechkit.train import loop
from speechkit.train.config import TrainConfig

AED = (
    "model={kind: aed, encoder: {kind: conv_blstm, dim: 16, stack: 2, stride: 2}, sampling: 0.3, "
    "decoder: {dim: 16, embedding_dim: 8, attention_dim: 16, location_channels: 4, location_kernel: 5}}"
)


def _train(conf: Path, tones: Path, out: Path, *overrides: str, dev: Path | None = None) -> list[dict[str, float]]:
    loop.run(load_config(TrainConfig, conf, [AED, *overrides]), train=[tones], dev=dev, out=out)
    return [json.loads(line) for line in (out / "train.jsonl").read_text().splitlines()]


def test_an_attention_run_that_dies_goes_on_bit_for_bit(
    conf: Path, tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = _train(conf, tones, tmp_path / "a", "optim.num_steps=9")
    assert set(undisturbed[0]) == {"step", "loss", "attention", "ctc", "frame", "grad_norm", "lr"}
    step = loop.Trainer._step

    def die(self: loop.Trainer, batch: object) -> object:
        if self.position.step == 7:
            raise KeyboardInterrupt
        return step(self, batch)  # type: ignore[arg-type]

    monkeypatch.setattr(loop.Trainer, "_step", die)
    with pytest.raises(KeyboardInterrupt):
        _train(conf, tones, tmp_path / "b", "optim.num_steps=9")
    monkeypatch.setattr(loop.Trainer, "_step", step)
    assert _train(conf, tones, tmp_path / "b", "optim.num_steps=9") == undisturbed
    assert (tmp_path / "a/model.safetensors").read_bytes() == (tmp_path / "b/model.safetensors").read_bytes()


@pytest.mark.parametrize("tokenizer", ["{kind: char}", "{kind: bpe, size: 14}"])
def test_characters_and_pieces_can_be_trained_on(conf: Path, tones: Path, tmp_path: Path, tokenizer: str) -> None:
    options = ("optim.num_steps=2", f"tokenizer={tokenizer}", "allow_overlap=true")
    history = _train(conf, tones, tmp_path / "a", *options, dev=tones)
    assert len(history) == 2 and "dev" in json.loads((tmp_path / "a/summary.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("tokenizer", ["{kind: word}", "{kind: char}", "{kind: bpe, size: 14}"])
def test_an_attention_model_learns_the_corpus(conf: Path, tones: Path, tmp_path: Path, tokenizer: str) -> None:
    steps = ["optim.num_steps=400", "augment.freq_masks=0", "model.sampling=0", f"tokenizer={tokenizer}"]
    dev = make_tone_corpus(tmp_path / "dev", num_utterances=12, seed=1)
    _train(conf, tones, tmp_path / "a", *steps, dev=dev)
    summary = json.loads((tmp_path / "a/summary.json").read_text())
    assert summary["dev"]["wer"] < 20 and summary["converged"]
