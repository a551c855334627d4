"""Selecting utterances of plans: ids, equal bytes, what each method needs, pools of several plans."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from paste_corpus import make_inventory, make_paste_corpus

from speechkit.audio.config import FeatureConfig
from speechkit.config import Config
from speechkit.cutpaste.choose import join_plans, run_select
from speechkit.cutpaste.config import PasteConfig, PlanConfig, SelectConfig
from speechkit.cutpaste.plan import TextFiles, run_plan
from speechkit.cutpaste.plan_file import load_plan
from speechkit.errors import ConfigError, SpeechkitError
from speechkit.models.config import AedConfig, CtcConfig
from speechkit.nn.config import ConvBlstmConfig
from speechkit.train.config import OptimConfig, TokenizerConfig, TrainConfig
from speechkit.train.loop import run as run_train


def _plan(folder: Path, inventory: Path, **options: Any) -> Path:
    run_plan(PlanConfig(num=30, **options), inventory=inventory, out=folder, files=TextFiles())
    return folder


@pytest.fixture(scope="module")
def pool(inventory_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _plan(tmp_path_factory.mktemp("select") / "pool", inventory_folder)


def _train(out: Path, corpus: Path, model: Config) -> Path:
    config = TrainConfig(
        model=model,  # type: ignore[arg-type]
        tokenizer=TokenizerConfig(kind="word"),
        features=FeatureConfig(sampling_rate=8000, num_mels=20),
        optim=OptimConfig(num_steps=2),
    )
    run_train(config, train=[corpus], dev=None, out=out)
    return out


ENCODER = ConvBlstmConfig(dim=16, stack=1, stride=1)


@pytest.fixture(scope="module")
def exp(tone_words: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _train(tmp_path_factory.mktemp("exp") / "ctc", tone_words, CtcConfig(encoder=ENCODER))


def _ids(plan: Path) -> list[str]:
    return [utterance.utt_id for utterance in load_plan(plan).utterances]


@pytest.mark.parametrize("method", ["gradmatch", "facility", "influence", "random"])
def test_the_chosen_utterances_are_those_of_the_pool(
    pool: Path, exp: Path, tone_words: Path, tmp_path: Path, method: Any
) -> None:
    config = SelectConfig(method=method, num=7)
    run_select(config, [pool], out=tmp_path / "a", exp=exp, target=tone_words)
    chosen, all_ = load_plan(tmp_path / "a"), {u.utt_id: u for u in load_plan(pool).utterances}
    assert len(chosen.utterances) == 7 == chosen.header["num_utterances"]
    assert chosen.header["num_candidates"] == 30
    for utterance in chosen.utterances:
        own = all_[utterance.utt_id]
        assert (utterance.text, utterance.pauses, utterance.num_samples) == (own.text, own.pauses, own.num_samples)
    run_select(config, [pool], out=tmp_path / "b", exp=exp, target=tone_words)
    assert (tmp_path / "a" / "plan.jsonl").read_bytes() == (tmp_path / "b" / "plan.jsonl").read_bytes()


def test_methods_choose_differently(pool: Path, exp: Path, tone_words: Path, tmp_path: Path) -> None:
    chosen = []
    for method in ("gradmatch", "influence", "random"):
        run_select(SelectConfig(method=method, num=10), [pool], out=tmp_path / method, exp=exp, target=tone_words)  # type: ignore[arg-type]
        chosen.append(tuple(_ids(tmp_path / method)))
    assert len(set(chosen)) == 3


def test_an_attention_model_is_asked_through_its_decoder(pool: Path, tone_words: Path, tmp_path: Path) -> None:
    exp = _train(tmp_path / "aed", tone_words, AedConfig(encoder=ENCODER))
    run_select(SelectConfig(num=5), [pool], out=tmp_path / "a", exp=exp, target=tone_words)
    assert len(_ids(tmp_path / "a")) == 5


def test_pools_of_several_plans_hold_each_recording_once(
    pool: Path, inventory_folder: Path, exp: Path, tone_words: Path, tmp_path: Path
) -> None:
    other = _plan(tmp_path / "other", inventory_folder, seed=1)
    joined = join_plans([load_plan(pool), load_plan(other)])
    assert len(joined.utterances) == 60
    assert len(joined.sources) == len({source.utt_id for source in joined.sources})
    run_select(SelectConfig(num=20), [pool, other], out=tmp_path / "a", exp=exp, target=tone_words)
    assert set(_ids(tmp_path / "a")) <= set(_ids(pool)) | set(_ids(other))


def test_what_cannot_be_joined_is_refused(pool: Path, inventory_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SpeechkitError, match="share utterance ids"):
        join_plans([load_plan(pool), load_plan(pool)])
    slow = _plan(tmp_path / "slow", inventory_folder, seed=2, paste=PasteConfig(fade_ms=20))
    with pytest.raises(SpeechkitError, match="differ in sampling rate or in their paste options"):
        join_plans([load_plan(pool), load_plan(slow)])
    corpus = make_paste_corpus(tmp_path / "corpus", gap_seconds=0.08)
    make_inventory(corpus, tmp_path / "inv")
    foreign = _plan(tmp_path / "foreign", tmp_path / "inv", seed=3)
    with pytest.raises(SpeechkitError, match="different recordings named"):
        join_plans([load_plan(pool), load_plan(foreign)])


def test_a_method_without_what_it_needs_is_refused(
    run_speechkit: Callable[..., Any], pool: Path, exp: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="looks at a model and at speech"):
        run_select(SelectConfig(num=5), [pool], out=tmp_path / "a")
    result = run_speechkit("cutpaste", "select", pool, "--num", "31", "--method", "random", "--out", tmp_path / "a")
    assert result.exit_code == 2 and "the plans hold 30 utterances, fewer than --num 31" in result.stderr
    assert not (tmp_path / "a").exists()
    result = run_speechkit("cutpaste", "select", pool, "--num", "5", "--method", "random", "--out", tmp_path / "a")
    assert result.exit_code == 0 and "5 of 30 utterances" in result.stdout
