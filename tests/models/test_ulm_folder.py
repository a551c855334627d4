"""Folders of unit language models: there and back, damage, worse than a bigram model, units that do not belong."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from speechkit.config import Config, to_yaml
from speechkit.data.unit_batch import UnitBatch
from speechkit.errors import ConfigError, SpeechkitError
from speechkit.models.config import UlmConfig
from speechkit.models.ulm import UnitLm, load_ulm, padded
from speechkit.models.ulm_check import check_ulm, mean_nats
from speechkit.models.ulm_folder import read_training_ids, write_about, write_bigram

K = 6
CONFIG = UlmConfig(dim=32, num_layers=1, num_heads=2, ff_dim=32, dropout=0.0)


class Sections(Config):
    model: UlmConfig = CONFIG
    seed: int = 3


@dataclass
class SomeUnits:
    """Walks along a ring of units."""

    ids: list[str] = field(default_factory=lambda: [f"u{n}" for n in range(30)])
    about: dict[str, Any] = field(
        default_factory=lambda: {
            "k": K,
            "codebook": "abc",
            "frames_per_second": 100.0,
            "sampling_rate": 8000,
            "dedup": True,
        }
    )

    def __post_init__(self) -> None:
        self.units = np.concatenate([(n + np.arange(12)) % K for n in range(30)]).astype(np.int32)
        self.offsets = np.arange(31) * 12


@pytest.fixture(scope="module")
def trained() -> UnitLm:
    """A model that knows the ring."""
    torch.manual_seed(0)
    lm = UnitLm(CONFIG, num_units=K)
    rows = [[(first + step) % K for step in range(size)] for first in range(K) for size in (12, 7)]
    batch = UnitBatch([f"t{n}" for n in range(len(rows))], *padded(rows))
    for step in range(40):  # by the sign of the gradient: torch.optim takes seconds to load
        lm.zero_grad()
        lm.loss(batch, progress=0.0).total.backward()
        with torch.no_grad():
            for parameter in lm.parameters():
                assert parameter.grad is not None
                parameter -= 0.01 * 0.95**step * parameter.grad.sign()
    return lm.eval()


@pytest.fixture
def folder(trained: UnitLm, tmp_path: Path) -> Path:
    made = tmp_path / "lm"
    made.mkdir()
    (made / "config.yaml").write_text(to_yaml(Sections()))
    save_file(trained.state_dict(), made / "model.safetensors")
    about = {"num_units": K, "codebook": "abc", "frames_per_second": 100.0, "dedup": True, "sampling_rate": 8000}
    write_about(made, about, training_ids=["b", "a b"])
    return made


def changed(folder: Path, **fields: Any) -> None:
    path = folder / "ulm.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_a_model_comes_back_as_it_was(folder: Path, trained: UnitLm) -> None:
    lm, about = load_ulm(folder)
    rows = padded([[1, 2, 3], [4]])
    assert torch.equal(lm.lm_states(*rows), trained.lm_states(*rows))
    assert not lm.training and lm.config == CONFIG
    assert about["num_units"] == K and about["valid_nats"] is None and about["dedup"] is True
    assert read_training_ids(folder) == {"a b", "b"}
    lm.loss(UnitBatch(["a", "b"], *rows), progress=0.0).total.backward()  # it can be trained further


def without(name: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        del tensors[name]
        save_file(tensors, folder / "model.safetensors")

    return spoil


def with_tensor(name: str, value: torch.Tensor) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        save_file({**load_file(folder / "model.safetensors"), name: value}, folder / "model.safetensors")

    return spoil


@pytest.mark.parametrize(
    "spoil, complaint",
    [
        (without("embedding.weight"), r"embedding\.weight  missing"),
        (with_tensor("extra", torch.ones(2)), "extra  not part of the model"),
        (with_tensor("embedding.weight", torch.ones(K + 3, 32)), "embedding.weight  9x32, expected 8x32"),
        (with_tensor("embedding.weight", torch.full((K + 2, 32), torch.nan)), "embedding.weight  holds numbers"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"x" * 30), "model.safetensors` is damaged"),
        (lambda folder: (folder / "ulm.json").unlink(), "there is no ulm.json"),
        (lambda folder: (folder / "ulm.json").write_text("{"), "ulm.json` is damaged"),
        (lambda folder: changed(folder, num_units=0), r"ulm.json:1  `num_units`.*greater than or equal to 1"),
        (lambda folder: changed(folder, valid_nats=2.5, bigram_nats=2.25), "worse than a bigram model"),
        (lambda folder: (folder / "config.yaml").write_text("model: {dimm: 3}"), "unknown key `model.dimm`"),
    ],
)
def test_damage_is_named(folder: Path, spoil: Callable[[Path], Any], complaint: str) -> None:
    spoil(folder)
    with pytest.raises(SpeechkitError, match=complaint):
        load_ulm(folder)


def test_an_unfinished_training_is_told(tmp_path: Path) -> None:
    (tmp_path / "lm.partial").mkdir()
    with pytest.raises(SpeechkitError, match="its training has not finished"):
        load_ulm(tmp_path / "lm")


def test_unknown_fields_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="num_unitz"):
        write_about(tmp_path, {"num_units": 3, "num_unitz": 3})


def test_a_model_that_knows_the_units_passes(folder: Path) -> None:
    found = check_ulm(load_ulm(folder), SomeUnits())
    assert found["nats"] < found["bigram_nats"]
    assert check_ulm(load_ulm(folder), SomeUnits(), max_units=0) == {}


def test_the_bar_is_a_bigram_model_of_the_training_units(folder: Path) -> None:
    units = SomeUnits()
    rows = [units.units[start : start + 12].tolist() for start in units.offsets[:-1]]
    write_bigram(folder, [row[::-1] for row in rows], num_units=K)
    assert check_ulm(load_ulm(folder), units)["bigram_nats"] > 2.5
    write_bigram(folder, rows, num_units=K)
    lm, about = load_ulm(folder)
    assert check_ulm((lm, about), units)["bigram_nats"] < 0.5
    with pytest.raises(SpeechkitError, match="less well than a bigram model"), torch.no_grad():
        lm.embedding.weight[:K] = lm.embedding.weight[:K].flip(0)
        check_ulm((lm, about), units)
    save_file({"counts": torch.zeros(3, 3, dtype=torch.int64)}, folder / "bigram.safetensors")
    with pytest.raises(SpeechkitError, match="does not hold counts of 6 units"):
        load_ulm(folder)


@pytest.mark.parametrize(
    "fields, complaint",
    [
        ({"codebook": "xyz"}, "codebook: the model abc, the units xyz"),
        ({"k": 7}, "units in the codebook: the model 6, the units 7"),
        ({"frames_per_second": 50.0}, "frames per second: the model 100.0, the units 50.0"),
        ({"sampling_rate": 16000}, "sampling rate: the model 8000, the units 16000"),
        ({"dedup": False}, "equal neighbours merged: the model True, the units False"),
    ],
)
def test_units_of_another_codebook_or_rate_are_refused(folder: Path, fields: dict[str, Any], complaint: str) -> None:
    units = SomeUnits()
    units.about |= fields
    with pytest.raises(SpeechkitError, match=complaint):
        check_ulm(load_ulm(folder), units, max_units=0)


def test_what_is_not_known_is_not_compared(folder: Path) -> None:
    changed(folder, codebook=None, sampling_rate=None)
    check_ulm(load_ulm(folder), SomeUnits(), max_units=0)


def test_weights_that_were_not_loaded_are_found_out(folder: Path) -> None:
    _, about = load_ulm(folder)
    torch.manual_seed(1)
    with pytest.raises(SpeechkitError, match="less well than a bigram model does"):
        check_ulm((UnitLm(CONFIG, num_units=K).eval(), about), SomeUnits())


def test_mean_nats_do_not_depend_on_the_batches(trained: UnitLm) -> None:
    rows = [[1, 2, 3], [4], [], [0, 1, 2, 3, 4]]
    alone = sum(mean_nats(trained, [row]) * (len(row) + 1) for row in rows) / 13
    assert abs(mean_nats(trained, rows) - alone) < 1e-6
