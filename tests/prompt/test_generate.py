"""Continuations and fillings: what is drawn, what it depends on, and the command."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lm_folder import make_lm_folder, make_units_folder

from speechkit.config import build_config
from speechkit.models.ulm import UnitLm, load_ulm, padded
from speechkit.prompt.config_generate import GenerateConfig
from speechkit.prompt.generate import Generated, continuations, fill, gap_nats, generate, pick
from speechkit.prompt.generate_run import summary
from speechkit.rng import rng
from speechkit.units.unit_file import load_units

K = 12
KINDS = ["decoder", "encoder_decoder"]
ROWS = [[1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11], [3, 1, 4, 1, 5, 9, 2, 6], [0, 2]]
Run = Callable[..., Any]


def config_of(**fields: Any) -> GenerateConfig:
    return build_config(GenerateConfig, {"max_units": 8, **fields})


@pytest.fixture(scope="module", params=KINDS)
def lm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> UnitLm:
    """A model that knows ROWS by heart."""
    folder = make_lm_folder(tmp_path_factory.mktemp("lm") / "lm", k=K, learned=ROWS * 2, architecture=request.param)
    return load_ulm(folder)[0].eval()


def drawing(seed: int) -> Callable[[int], np.ndarray]:
    return np.random.default_rng(seed).random


def next_log_probs(lm: UnitLm, units: list[int], source: list[int] | None = None) -> torch.Tensor:
    """Log-probs of the unit after these, all of them read again; the encoder of a continuation sees a mask behind."""
    if lm.encoder is None:
        states = lm.lm_states(*padded([units]))[:, -1]
    else:
        assert source is not None
        states = lm.states(padded([source]), padded([units]))[:, -1]
    return lm.logits(states)[0, : lm.sep_id].log_softmax(-1)


@torch.no_grad()
def test_a_greedy_continuation_takes_the_likeliest_unit_at_each_step(lm: UnitLm) -> None:
    prefixes = [[1, 2, 3], [7], [3, 1, 4, 1, 5]]
    found = continuations(lm, prefixes, [drawing(0)] * 3, config_of(temperature=0.0))
    for prefix, own in zip(prefixes, found, strict=True):
        read = list(prefix)
        for _ in range(8):
            unit = int(next_log_probs(lm, read, [*prefix, lm.sep_id]).argmax())
            if unit == lm.end_id:
                break
            read.append(unit)
        assert own == read[len(prefix) :]
    if lm.encoder is None:
        assert found[1] == [8, 9, 10, 11]  # learned by heart


def test_units_are_drawn_as_often_as_they_are_likely() -> None:
    logits = torch.tensor([2.0, 0.0, 1.0, -1.0])
    numbers = torch.from_numpy(np.random.default_rng(1).random(20_000))
    for temperature, top_k in ((1.0, 0), (2.0, 0), (1.0, 2)):
        drawn = pick(logits.expand(20_000, -1), numbers, config_of(temperature=temperature, top_k=top_k))
        expected = (logits / temperature).softmax(-1)
        if top_k:
            expected = torch.where(expected >= expected.topk(top_k).values[-1], expected, 0.0)
            expected = expected / expected.sum()
        shares = torch.bincount(drawn, minlength=4) / 20_000
        assert (shares - expected).abs().max() < 0.02
        assert ((expected > 0) | (shares == 0)).all()


@pytest.mark.parametrize("number", [0.0, 0.5, 1 - 2**-53])
def test_numbers_at_the_edges_pick_units_that_can_be(number: float) -> None:
    logits = torch.tensor([[-torch.inf, 1.0, 0.5, -torch.inf]])
    assert pick(logits, torch.tensor([number], dtype=torch.float64), config_of()).item() in (1, 2)


def test_top_1_is_greedy(lm: UnitLm) -> None:
    greedy = continuations(lm, ROWS, [drawing(0)] * 4, config_of(temperature=0.0))
    assert continuations(lm, ROWS, [drawing(3)] * 4, config_of(temperature=5.0, top_k=1)) == greedy


@pytest.mark.parametrize("kind", ["continue", "inpaint"])
def test_what_is_drawn_depends_on_seed_and_id_not_on_the_other_utterances(lm: UnitLm, kind: str) -> None:
    ids = ["a", "b", "c", "d"]
    wild = {"kind": kind, "temperature": 3.0, "candidates": 1}  # of several the likeliest wins: what is known by heart
    config = config_of(**wild)
    together = generate(lm, ids, ROWS, config)
    alone = [generate(lm, [utt_id], [units], config)[0] for utt_id, units in zip(ids, ROWS, strict=True)]
    assert together == alone
    other = generate(lm, ids, ROWS, config_of(**wild, seed=1))
    assert other != together
    for own, units in zip(together, ROWS, strict=True):
        assert own.original == units


@torch.no_grad()
def test_nats_are_those_of_each_unit_after_those_before(lm: UnitLm) -> None:
    left, gap, right = [1, 2], [3, 9], [5, 6]
    (nats,) = gap_nats(lm, [(left, gap, right)])
    source, whole = [*left, lm.sep_id, *right], [*left, *gap, *right, lm.end_id]
    for place in range(2, 7):
        expected = -next_log_probs(lm, whole[:place], source)[whole[place]]
        assert nats[place - 2] == pytest.approx(float(expected), abs=1e-4)
    both = gap_nats(lm, [([], [1], []), (left, gap, right)])
    np.testing.assert_allclose(both[1], nats, atol=1e-4)


def test_the_filling_is_the_candidate_that_fits_what_comes_after(lm: UnitLm) -> None:
    left, right, size = [1, 2], [5, 6], 2
    config = config_of(kind="inpaint", temperature=1.0, candidates=64)
    best = fill(lm, left, right, size, draw=drawing(0), config=config)
    assert len(best) == size
    greedy = fill(lm, left, right, size, draw=drawing(0), config=config_of(temperature=0.0))
    nats = [own.sum() for own in gap_nats(lm, [(left, best, right), (left, greedy, right)])]
    assert nats[0] <= nats[1] + 1e-6
    every = [[a, b] for a in range(K) for b in range(K)]
    totals = [own.sum() for own in gap_nats(lm, [(left, gap, right) for gap in every])]
    assert nats[0] <= sorted(totals)[10]  # of 144


def test_gaps_hold_units_only_and_have_the_length_of_what_was_there(lm: UnitLm) -> None:
    config = config_of(kind="inpaint", temperature=50.0, gap_start=0.2, gap_len=0.5)
    for own, units in zip(generate(lm, ["a", "b", "c", "d"], ROWS, config), ROWS, strict=True):
        assert len(own.units) == len(units)
        assert own.end > own.start
        assert all(0 <= unit < K for unit in own.units)


def test_the_summary_counts_new_and_real_units() -> None:
    found = [Generated("a", [1, 2, 3], 1, 3, [2, 4]), Generated("b", [5], 1, 1, [6])]
    result = summary(found, [np.array([1.0, 2.0]), np.array([])], [np.array([0.5, 0.5]), np.array([2.0])])
    assert (result["generated"]["num_units"], result["real"]["num_units"]) == (2, 3)
    assert result["generated"]["nats_per_unit"] == 1.5
    assert result["generated"]["perplexity"] == pytest.approx(np.exp(1.5), abs=1e-3)
    assert result["equal_units"] == 50.0


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model and units of four utterances."""
    folder = tmp_path_factory.mktemp("generate")
    make_lm_folder(folder / "lm", k=K, learned=ROWS * 2)
    make_units_folder(folder / "units", [(f"u{n}", row, "x") for n, row in enumerate(ROWS)], k=K)
    return folder


@pytest.mark.parametrize("kind", ["continue", "inpaint"])
def test_the_command_writes_units_that_others_can_read(
    world: Path, tmp_path: Path, run_speechkit: Run, kind: str
) -> None:
    command = ["prompt", "generate", world / "units", "--lm", world / "lm", "--kind", kind]
    result = run_speechkit(*command, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    assert "4 utterances: new" in result.stdout
    found = load_units(tmp_path / "out")
    assert found.about["has_runs"] is False
    assert Counter(found.ids) == Counter(["u0", "u1", "u2", "u3"])
    row = json.loads((tmp_path / "out" / "units.jsonl").read_text().splitlines()[0])
    assert row["units"][: row["start"]] == ROWS[0][: row["start"]]
    assert row["real_nats"] > 0
    assert "was trained on" not in result.stderr
    run_speechkit(*command, "--out", tmp_path / "again")
    assert (tmp_path / "again" / "units.jsonl").read_bytes() == (tmp_path / "out" / "units.jsonl").read_bytes()
    assert json.loads((tmp_path / "out" / "generate.json").read_text())["real"]["num_units"] > 0


def test_units_that_the_model_has_learned_are_told(world: Path, tmp_path: Path, run_speechkit: Run) -> None:
    shutil.copytree(world / "lm", tmp_path / "lm")
    (tmp_path / "lm" / "training_ids.txt").write_text("u0\nu2\n")
    result = run_speechkit("prompt", "generate", world / "units", "--lm", tmp_path / "lm", "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert "was trained on 2 utterances of the given units" in result.stderr


def test_wrong_inputs_are_named(world: Path, tmp_path: Path, run_speechkit: Run) -> None:
    def go(*options: object, units: Path = world / "units") -> tuple[int, str]:
        result = run_speechkit("prompt", "generate", units, "--lm", world / "lm", "--out", tmp_path / "out", *options)
        assert "Traceback" not in result.stderr
        return result.exit_code, result.stderr

    assert go("--set", "temperature=-1")[0] == 2
    assert go("--set", "gap_len=0")[0] == 2
    other = make_units_folder(tmp_path / "other", [("a", [1, 2], "x")], k=K + 1)
    code, message = go(units=other)
    assert code == 1
    assert "not those that the unit language model knows" in message
    assert go(units=tmp_path)[0] == 1


def test_the_generator_of_an_utterance_is_named() -> None:
    first = rng(0, "generate", "a").random(3)
    assert not np.array_equal(first, rng(0, "generate", "b").random(3))
