"""Training with several seeds: what each of them decides, and what is stored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from prompt_corpus import WORDS, K, random_lm
from unit_corpus import write_units

from speechkit.prompt import train
from speechkit.prompt.config import PromptTrainConfig, TaskConfig
from speechkit.prompt.examples import Row, draw_shots
from speechkit.prompt.train import Labelled, train_seeds
from speechkit.prompt.trained import lm_fingerprint, load_prompt, untrained_like
from speechkit.units.unit_file import load_units

ULM = (random_lm(), {"codebook": "c0de", "dedup": True})


@pytest.fixture
def labelled(tmp_path: Path) -> Labelled:
    """Six utterances of each of two words."""
    rows = [Row(f"{word}-{take}", WORDS[word], (word,)) for word in ("up", "down") for take in range(6)]
    units = write_units(tmp_path / "units", {row.utt_id: row.units for row in rows}, k=K)
    return Labelled(rows, [], load_units(units))


def config_of(**fields: Any) -> PromptTrainConfig:
    short = {"optim": {"num_steps": 1, "warmup_steps": 0}, "num_seeds": 2, "seed": 4}
    return PromptTrainConfig.model_validate({"task": TaskConfig(name="t", label=("word",)), **short, **fields})


def test_each_seed_draws_its_own_shots(tmp_path: Path, labelled: Labelled, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict[int, list[str]] = {}

    def listen(rows: Sequence[Row], task: Any, shots: int | None, *, seed: int) -> list[Row]:
        found = draw_shots(rows, task, shots, seed=seed)
        drawn[seed] = [row.utt_id for row in found]
        return found

    monkeypatch.setattr(train, "draw_shots", listen)
    folders = train_seeds(config_of(shots=2), ULM, labelled, folder=tmp_path)
    assert [folder.name for folder in folders] == ["seed-4", "seed-5"]
    assert sorted(drawn) == [4, 5] and drawn[4] != drawn[5] and len(drawn[4]) == 4
    stored = [json.loads((folder / "prompt.json").read_text()) for folder in folders]
    assert [(about["seed"], about["shots"], about["num_training_utterances"]) for about in stored] == [
        (4, 2, 4), (5, 2, 4),
    ]  # fmt: skip
    assert all(about["dedup"] is True and about["random_lm"] is None for about in stored)


def test_the_control_is_trained_on_a_random_model_of_each_seed(tmp_path: Path, labelled: Labelled) -> None:
    lm = ULM[0]
    for seed, folder in zip(
        (4, 5), train_seeds(config_of(random_lm=True), ULM, labelled, folder=tmp_path), strict=True
    ):
        prompt = load_prompt(folder, lm)
        assert prompt.about["random_lm"] == seed and prompt.about["lm"] == lm_fingerprint(lm)
        assert lm_fingerprint(prompt.model.lm) == lm_fingerprint(untrained_like(lm, seed=seed)) != lm_fingerprint(lm)


def test_the_control_reads_the_random_model_while_it_is_trained(
    tmp_path: Path, labelled: Labelled, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    real = train.PromptMaterial

    def listen(lm: Any, *others: Any, **more: Any) -> Any:
        read.append(lm_fingerprint(lm))
        return real(lm, *others, **more)

    monkeypatch.setattr(train, "PromptMaterial", listen)
    train_seeds(config_of(random_lm=True), ULM, labelled, folder=tmp_path)
    assert read == [lm_fingerprint(untrained_like(ULM[0], seed=seed)) for seed in (4, 5)]
