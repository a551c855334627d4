"""Trained prompts as folders: wrong content is named, and the control on a random language model is one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lm_folder import make_lm_folder, make_units_folder
from prompt_corpus import K, random_lm, some_task, trained
from safetensors.torch import load_file, save_file
from unit_corpus import write_units

from speechkit.errors import SpeechkitError
from speechkit.models.ulm import UnitLm, load_ulm
from speechkit.models.ulm_check import check_ulm
from speechkit.prompt.examples import load_learned
from speechkit.prompt.trained import (
    PROMPT_FILE,
    TrainedPrompt,
    check_units,
    lm_fingerprint,
    load_prompt,
    untrained_like,
    write_about,
)
from speechkit.units.unit_file import load_units

WEIGHTS = "model.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A stored prompt."""
    return store(tmp_path / "prompt", trained(random_lm(), some_task()))


def store(folder: Path, prompt: TrainedPrompt, **changed: object) -> Path:
    folder.mkdir()
    save_file(prompt.model.state_dict(), folder / WEIGHTS)
    names = ("lm", "random_lm", "codebook", "frames_per_second", "num_parameters", "num_lm_parameters", "cpu_seconds")
    write_about(folder, prompt.model, {name: prompt.about[name] for name in names} | changed)
    return folder


def same_weights(first: UnitLm, second: UnitLm) -> bool:
    return lm_fingerprint(first) == lm_fingerprint(second)


def test_an_untrained_model_has_other_weights_and_its_seed_decides_them() -> None:
    lm = random_lm()
    first, second = (untrained_like(lm, seed=seed) for seed in (0, 1))
    assert same_weights(first, untrained_like(lm, seed=0))
    own = dict(lm.named_parameters())
    for name, value in first.named_parameters():
        if value.dim() > 1:  # norms and biases start at 1 and 0
            assert not torch.equal(value, own[name]) and not torch.equal(value, second.get_parameter(name)), name


@pytest.mark.parametrize("seed", [None, 0, 3])
def test_a_prompt_comes_back_on_the_model_that_it_was_trained_on(tmp_path: Path, seed: int | None) -> None:
    lm = random_lm()
    read = lm if seed is None else untrained_like(lm, seed=seed)
    prompt = trained(read, some_task())
    again = load_prompt(store(tmp_path / "prompt", prompt, lm=lm_fingerprint(lm), random_lm=seed), lm)
    assert again.about["random_lm"] == seed
    assert same_weights(again.model.lm, read) and same_weights(again.model.lm, lm) == (seed is None)
    own = prompt.model.state_dict()
    assert all(torch.equal(value, own[name]) for name, value in again.model.state_dict().items())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"random_lm": "x"}, "`random_lm`"),
        ({"frames_per_second": "x"}, "`frames_per_second`"),
        ({"frames_per_second": float("nan")}, "`frames_per_second`"),
        ({"codebook": 5}, "`codebook`"),
        ({"lm": None}, "`lm`"),
        ({"dedup": "perhaps"}, "`dedup`"),
        ({"format": 2}, "`format`"),
        ({"task": []}, "`task`"),
        ({"method": {"kind": "magic"}}, "`magic`"),
        ({"verbalizer": {"kind": "linear", "tokens": "abc"}}, "`verbalizer.tokens`"),
        ({"cpu_seconds": None}, "`cpu_seconds`"),
        ({"slots": [["l00", "l01", "l01"]]}, "a label stands there twice"),
        ({"slots": [["l00", "l01", ""]]}, "or is empty"),
        ({"slots": [["l00", "l01"], ["l02"]]}, "not as many slots"),
        ({"slots": []}, "`task.slots`"),
    ],
)
def test_wrong_values_are_named(folder: Path, change: dict[str, Any], said: str) -> None:
    about = json.loads((folder / PROMPT_FILE).read_text())
    target = about["task"] if "slots" in change else about
    target |= change
    (folder / PROMPT_FILE).write_text(json.dumps(about))
    with pytest.raises(SpeechkitError, match="does not describe a trained prompt of format 1") as caught:
        load_prompt(folder, random_lm())
    assert said in caught.value.render() and caught.value.exit_code == 1


@pytest.mark.parametrize("name", ["lm", "random_lm", "codebook", "task", "method", "verbalizer", "num_lm_parameters"])
def test_a_missing_value_is_named(folder: Path, name: str) -> None:
    about = json.loads((folder / PROMPT_FILE).read_text())
    del about[name]
    (folder / PROMPT_FILE).write_text(json.dumps(about))
    with pytest.raises(SpeechkitError, match=f"`{name}` is missing"):
        load_prompt(folder, random_lm())


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda value: torch.full_like(value, torch.nan), "verbalizer.bias  holds numbers that are not finite"),
        (lambda value: value[:-1].clone(), "verbalizer.bias  2, expected 3"),
    ],
)
def test_damaged_tensors_are_named(folder: Path, spoil: Callable[[torch.Tensor], torch.Tensor], said: str) -> None:
    tensors = load_file(folder / WEIGHTS)
    tensors["verbalizer.bias"] = spoil(tensors["verbalizer.bias"])
    save_file(tensors, folder / WEIGHTS)
    with pytest.raises(SpeechkitError, match=said):
        load_prompt(folder, random_lm())


def test_units_are_read_merged_or_one_per_frame_as_the_model_has_learned_them(tmp_path: Path) -> None:
    rows = [("a", [1, 1, 2], "x"), ("b", [2, 3], "y")]  # each unit lasts two frames
    units = make_units_folder(tmp_path / "units", rows, k=K)
    merged, frames, given = (load_learned(units, dedup=dedup) for dedup in (True, False, None))
    assert merged.units.tolist() == [1, 2, 2, 3] and merged.offsets.tolist() == [0, 2, 4]
    assert merged.runs.tolist() == [4, 2, 2, 2]
    assert frames.units.tolist() == [1, 1, 1, 1, 2, 2, 2, 2, 3, 3] and frames.offsets.tolist() == [0, 6, 10]
    assert np.array_equal(frames.runs, np.ones(10))
    assert given.units.tolist() == [1, 1, 2, 2, 3]
    assert [own.about["dedup"] for own in (merged, frames, given)] == [True, False, True]


def test_merged_units_without_run_lengths_are_nothing_for_a_model_of_frames(tmp_path: Path) -> None:
    lm, about = load_ulm(make_lm_folder(tmp_path / "lm", k=K))
    words = {"k": K, "codebook": about["codebook"], "frames_per_second": 100.0}
    units = write_units(tmp_path / "units", {"a": (1, 2)}, has_runs=False, **words)
    check_ulm((lm, about), load_learned(units, dedup=True), max_units=0)
    about["dedup"] = False
    with pytest.raises(SpeechkitError, match="equal neighbours merged: the model False, the units True"):
        check_ulm((lm, about), load_learned(units, dedup=False), max_units=0)


def test_a_prompt_refuses_units_in_another_form(tmp_path: Path) -> None:
    about = trained(random_lm(), some_task()).about
    units = load_units(write_units(tmp_path / "units", {"a": (1, 2)}, k=K, dedup=False))
    check_units(about, units)
    check_units(about | {"dedup": False}, units)
    with pytest.raises(SpeechkitError, match="on units without repetition, these are a unit for each frame"):
        check_units(about | {"dedup": True}, units)
