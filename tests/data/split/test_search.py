"""Splits by two keys: disjoint, of the sizes asked for, and cheaper than chance."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from speechkit.data.config_split import SplitConfig
from speechkit.data.split.cells import make_cells, needed_keys
from speechkit.data.split.curve import random_shares, trade_off
from speechkit.data.split.keys import Groups, make_groups
from speechkit.data.split.pack import DEV, FREE, LEFT_OUT, TEST, TRAIN, Goal
from speechkit.data.split.plan import Plan, make_plan, num_starts
from speechkit.data.split.search import Problem, search
from speechkit.errors import SpeechkitError


def _groups(key: str, codes: np.ndarray) -> Groups:
    return make_groups(key, [f"{key[0]}{code:06d}" for code in codes.tolist()])


def _plan(speakers: np.ndarray, texts: np.ndarray, dev: str = "0", test: str = "10%", seed: int = 0) -> Plan:
    keys = [_groups("speaker", speakers), make_groups("recording", [f"r{t}" for t in texts.tolist()])]
    config = SplitConfig(by=("speaker", "recording"), dev=dev, test=test, seed=seed)
    pins = [np.full(len(key.names), FREE, np.int8) for key in keys]
    return make_plan(keys, np.ones(len(speakers)), np.zeros(len(speakers), np.int64), config, pinned=pins)


def prompts(
    *, num_speakers: int, num_prompts: int, per_prompt: int, num_lists: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Speaker and prompt of each utterance: so many readers per prompt, who mostly keep to a list of prompts."""
    gen = np.random.default_rng(0)
    own_list = gen.integers(0, num_lists, num_speakers)
    readers = []
    for prompt in range(num_prompts):
        weight = np.where(own_list == prompt % num_lists, 1.0, 0.02)
        readers.append(np.argsort(-(np.log(weight) + gen.gumbel(size=num_speakers)))[:per_prompt])
    return np.concatenate(readers), np.repeat(np.arange(num_prompts), per_prompt)


def crowd(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Speaker and text of each utterance with Zipf's law for both, as in crowd-sourced corpora."""
    gen = np.random.default_rng(0)
    speakers, texts = np.arange(1, size // 20), np.arange(1, size // 5)
    return (
        gen.choice(len(speakers), size, p=speakers**-1.0 / (speakers**-1.0).sum()),
        gen.choice(len(texts), size, p=texts**-0.8 / (texts**-0.8).sum()),
    )


def _check(plan: Plan, speakers: np.ndarray, texts: np.ndarray, **shares: float) -> None:
    for values in (speakers, texts):
        owners = [set(values[plan.sides == side].tolist()) for side in (TRAIN, DEV, TEST)]
        assert not owners[0] & owners[1] and not owners[0] & owners[2] and not owners[1] & owners[2]
    for side, name in ((DEV, "dev"), (TEST, "test")):
        if name in shares:
            assert np.mean(plan.sides == side) == pytest.approx(shares[name], rel=0.1)


@pytest.mark.parametrize("corpus, ratio", [("lists", 2.0), ("dense", 1.07), ("crowd", 1.9)])
def test_sides_share_nothing_have_their_sizes_and_cost_less_than_chance(corpus: str, ratio: float) -> None:
    if corpus == "crowd":
        pairs = crowd(20_000)
    else:
        pairs = prompts(num_speakers=250, num_prompts=400, per_prompt=70, num_lists=3 if corpus == "lists" else 1)
    plan = _plan(*pairs)
    _check(plan, *pairs, test=0.1)
    assert random_shares(plan.problem)[0] / plan.lost_share > ratio


@pytest.mark.parametrize("num_speakers, num_texts", [(10, 20), (20, 20), (20, 10), (50, 20)])
@pytest.mark.parametrize("dev", ["0", "10%"])
def test_chance_is_judged_at_the_same_size_in_small_tables(num_speakers: int, num_texts: int, dev: str) -> None:
    pairs = np.divmod(np.arange(num_speakers * num_texts), num_texts)
    plan = _plan(*pairs, dev=dev)
    left_out, held = random_shares(plan.problem)
    assert held == pytest.approx(np.isin(plan.sides, (DEV, TEST)).mean(), rel=0.05)
    assert left_out == pytest.approx(plan.lost_share, abs=0.01)  # everybody reads everything: no side is better


def test_three_sides_share_nothing() -> None:
    pairs = crowd(20_000)
    _check(_plan(*pairs, dev="5%", test="5%"), *pairs, dev=0.05, test=0.05)


def test_separable_parts_cost_nothing() -> None:
    gen = np.random.default_rng(1)
    part = gen.integers(0, 60, 3000)
    pairs = part * 10 + gen.integers(0, 10, 3000), part * 7 + gen.integers(0, 7, 3000)
    plan = _plan(*pairs, dev="10%", test="10%")
    assert plan.lost_share == 0 and plan.num_components >= 60
    _check(plan, *pairs, dev=0.1, test=0.1)


def test_lists_of_prompts_that_nobody_leaves_are_found_to_be_free() -> None:
    readers, prompt = np.repeat(np.arange(90), 30), np.tile(np.arange(30), 90)
    plan = _plan(readers, prompt + 30 * (readers % 9), test="11%")
    assert plan.lost_share == 0


def test_the_search_is_nearly_as_good_as_trying_everything() -> None:
    excess = []
    for seed in range(3):
        gen = np.random.default_rng(seed)
        table = np.unique(gen.integers(0, 5, (18, 2)), axis=0)
        keys = [_groups(name, table[:, i]) for i, name in enumerate(("speaker", "recording"))]
        cells = make_cells(keys, np.ones(len(table)), np.zeros(len(table), np.int64))
        pins = [np.full(len(key.names), FREE, np.int8) for key in keys]
        for wanted in (2.0, 4.0):
            problem = Problem(cells, Goal(np.array([[0.0], [0.0], [wanted]])), [k.priorities(0) for k in keys], pins)
            found = search(problem, num_starts=num_starts(len(table)))
            sizes = [len(key.names) for key in keys]
            everything = min(
                problem.judge([np.array(bits[: sizes[0]], np.int8), np.array(bits[sizes[0] :], np.int8)]).cost
                for bits in product((TRAIN, TEST), repeat=sum(sizes))
            )
            excess.append(found.cost - everything)
    assert max(excess) <= 1.0 and np.mean(np.array(excess) < 1e-9) >= 0.66


def test_a_full_table_costs_what_arithmetic_says() -> None:
    speakers, texts = (side.ravel() for side in np.meshgrid(np.arange(40), np.arange(50)))
    plan = _plan(speakers, texts, test="9%")
    # a of the speakers and b of the texts: a b = 0.09, a + b - 2 a b is least for a = b = 0.3
    assert plan.lost_share == pytest.approx(0.42, abs=0.01)


@pytest.mark.parametrize(("num_speakers", "num_texts"), [(20, 20), (16, 25), (12, 40)])
def test_the_best_shape_of_test_is_found_in_a_full_table(num_speakers: int, num_texts: int) -> None:
    speakers, texts = (side.ravel() for side in np.meshgrid(np.arange(num_speakers), np.arange(num_texts)))
    plan = _plan(speakers, texts, test="10%")
    # with everybody reading everything only the numbers of speakers and texts in test matter
    sizes = np.arange(1, num_speakers)[:, None], np.arange(1, num_texts)[None, :]
    in_test = sizes[0] * sizes[1]
    lost = sizes[0] * (num_texts - sizes[1]) + sizes[1] * (num_speakers - sizes[0])
    least = lost[in_test == num_speakers * num_texts // 10].min()
    assert plan.lost_share * num_speakers * num_texts <= least


def test_keys_inside_other_keys_do_not_decide() -> None:
    speaker = _groups("speaker", np.array([0, 0, 1, 1, 2]))
    session = _groups("session", np.array([0, 1, 2, 2, 3]))
    assert needed_keys([session, speaker]) == [speaker]
    assert len(needed_keys([speaker, _groups("other", np.array([0, 0, 1, 1, 2]))])) == 1


def test_three_keys_are_kept_apart() -> None:
    gen = np.random.default_rng(5)
    columns = [gen.integers(0, n, 4000) for n in (300, 400, 20)]
    keys = [_groups(name, column) for name, column in zip(("speaker", "text", "room"), columns, strict=True)]
    config = SplitConfig(by=("speaker", "room", "text"), dev="0", test="5%")
    pins = [np.full(len(key.names), FREE, np.int8) for key in keys]
    plan = make_plan(keys, np.ones(4000), np.zeros(4000, np.int64), config, pinned=pins)
    for key in keys:
        assert not set(key.codes[plan.sides == TRAIN]) & set(key.codes[plan.sides == TEST])
    assert np.mean(plan.sides == TEST) == pytest.approx(0.05, rel=0.1)


def test_the_curve_rises_with_the_size_and_stays_below_chance() -> None:
    plan = _plan(*crowd(8_000), dev="5%", test="5%")
    rows = trade_off(plan.problem)
    scaled = [row for row in rows if row["dev_asked"] == row["test_asked"]]
    assert [row["test_asked"] for row in scaled] == [0.005, 0.0125, 0.025, 0.05, 0.075, 0.1, 0.15]
    assert [row["left_out"] for row in scaled] == sorted(row["left_out"] for row in scaled)
    assert all(row["left_out"] < 0.7 * row["random_left_out"] for row in rows)
    assert all(sum(row[name] for name in ("train", "dev", "test", "left_out")) == pytest.approx(1) for row in rows)
    assert [row["dev_asked"] for row in rows[-2:]] == [0.0, 0.05]


def test_strata_are_kept_where_something_is_left_out() -> None:
    speakers, texts = prompts(num_speakers=250, num_prompts=400, per_prompt=70)
    keys = [_groups("speaker", speakers), _groups("text", texts)]
    strata = (speakers % 4 == 0).astype(np.int64)
    config = SplitConfig(by=("speaker", "text"), dev="0", test="10%", stratify="gender")
    pins = [np.full(len(key.names), FREE, np.int8) for key in keys]
    plan = make_plan(keys, np.ones(len(speakers)), strata, config, pinned=pins)
    held = plan.found.held[TEST]
    assert held[1] / held.sum() == pytest.approx(strata.mean(), abs=0.02)
    assert plan.found.held[LEFT_OUT].sum() / len(speakers) < 0.45


def test_one_text_for_all_can_not_be_split() -> None:
    with pytest.raises(SpeechkitError, match="no utterance is left for"):
        _plan(np.arange(30), np.zeros(30, np.int64))
