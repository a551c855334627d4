"""Selecting utterances of plans: ids, equal bytes, what each method needs, pools of several plans."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from paste_corpus import make_inventory, make_paste_corpus

from speechkit.audio.config import FeatureConfig
from speechkit.config import Config
from speechkit.cutpaste.choose import _gradients, join_plans, run_select
from speechkit.cutpaste.config import PasteConfig, PlanConfig, SelectConfig, TextConfig
from speechkit.cutpaste.plan import TextFiles, run_plan
from speechkit.cutpaste.plan_file import load_plan
from speechkit.data.batch import BatchMaker, utterances_of
from speechkit.data.store import load_cuts, save_cuts
from speechkit.errors import ConfigError, SpeechkitError
from speechkit.models.config import AedConfig, CtcConfig
from speechkit.models.table import load_trained
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


@pytest.mark.parametrize("method", ["gradmatch", "facility"])
def test_utterances_with_the_words_of_the_target_are_chosen(
    inventory_folder: Path, exp: Path, tmp_path: Path, method: Any
) -> None:
    own = ("ba de ba", "de ba de", "ba de ba de", "de ba de ba", "de ba de ba de")
    other = ("po tu po", "tu po tu", "po tu po tu", "tu po tu po", "tu po tu po tu")
    (tmp_path / "texts.txt").write_text("".join(f"{text}\n" for text in own + other))
    run_plan(
        PlanConfig(num=10, text=TextConfig(mode="target-lm", verbatim=1.0)), inventory=inventory_folder,
        out=tmp_path / "pool", files=TextFiles(target=(tmp_path / "texts.txt",)),
    )  # fmt: skip
    texts = [utterance.text for utterance in load_plan(tmp_path / "pool").utterances]
    num = sum(text in own for text in texts)
    assert 2 <= num <= 8
    target = make_paste_corpus(tmp_path / "corpus", texts=own[:3])
    run_select(
        SelectConfig(method=method, num=num), [tmp_path / "pool"], out=tmp_path / "a", exp=exp, target=target
    )  # fmt: skip
    assert {text for text in texts if text in own} == {u.text for u in load_plan(tmp_path / "a").utterances}


def test_rows_are_those_of_the_utterances_one_by_one(exp: Path, tone_words: Path) -> None:
    trained = load_trained(exp)
    utterances = utterances_of(load_cuts(tone_words), trained.features)
    maker, config = BatchMaker(trained.tokenizer, trained.features), SelectConfig(num=1)
    together = _gradients(config, trained, utterances, maker)
    alone = np.concatenate([_gradients(config, trained, [utterance], maker) for utterance in utterances])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-4)
    assert np.abs(np.diff(together, axis=0)).max(1).min() > 1e-3


def test_targets_too_short_for_their_texts_are_counted(
    pool: Path, exp: Path, tone_words: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cuts = list(load_cuts(tone_words))
    cuts[2].supervisions[0].text = "ba " * 400
    save_cuts(cuts, tmp_path / "cuts.jsonl.gz")
    run_select(SelectConfig(num=3), [pool], out=tmp_path / "a", exp=exp, target=tmp_path / "cuts.jsonl.gz")
    assert f"1 of {len(cuts)} target utterances have no CTC path" in caplog.text
    save_cuts(cuts[2:3], tmp_path / "none.jsonl.gz")
    with pytest.raises(SpeechkitError, match="and 0 target utterances are long enough"):
        run_select(SelectConfig(num=3), [pool], out=tmp_path / "b", exp=exp, target=tmp_path / "none.jsonl.gz")


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
