"""Pasted utterances in training batches: chosen by (seed, epoch, id), as long as planned, as rendered off-line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from speechkit.audio.config import FeatureConfig
from speechkit.config import build_config
from speechkit.cutpaste.config import OnTheFlyConfig, PlanConfig, RenderConfig
from speechkit.cutpaste.exclude import Exclusion
from speechkit.cutpaste.inventory import Inventory
from speechkit.cutpaste.onthefly import Pasted, open_pasted
from speechkit.cutpaste.plan import make_plan
from speechkit.cutpaste.plan_file import save_plan
from speechkit.cutpaste.render import run_render
from speechkit.cutpaste.renderer import load_pool
from speechkit.data.batch import BatchMaker, Utterance, utterances_of
from speechkit.data.store import load_cuts
from speechkit.errors import SpeechkitError
from speechkit.text.tokenizer import train_tokenizer

FEATURES = FeatureConfig(sampling_rate=8000, num_mels=20)


@pytest.fixture(scope="module")
def plan_folder(inventory: Inventory, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plans") / "plan"
    folder.mkdir()
    plan = make_plan(inventory, build_config(PlanConfig, {"num": 30}), exclusion=Exclusion([]))
    save_plan(plan, folder)
    return folder


@pytest.fixture
def natural(tone_words: Path) -> list[Utterance]:
    return utterances_of(load_cuts(tone_words), FEATURES)


def pasted_of(plan: Path, prob: float) -> Pasted:
    pasted = open_pasted(OnTheFlyConfig(plan=str(plan), prob=prob), sampling_rate=8000, folder=plan)
    assert pasted is not None
    return pasted


def test_the_choice_depends_on_seed_epoch_and_id_only(plan_folder: Path, natural: list[Utterance]) -> None:
    pasted = pasted_of(plan_folder, 0.5)
    first = pasted.epoch(natural, seed=1, epoch=3)
    assert first == pasted.epoch(natural, seed=1, epoch=3)
    assert first[4:6] == pasted.epoch(natural[4:6], seed=1, epoch=3)
    others = [pasted.epoch(natural, seed=seed, epoch=epoch) for seed, epoch in ((1, 4), (2, 3))]
    assert all(other != first for other in others)


@pytest.mark.parametrize("prob", [0.0, 0.3, 1.0])
def test_so_many_utterances_are_replaced_as_asked(plan_folder: Path, natural: list[Utterance], prob: float) -> None:
    pasted = pasted_of(plan_folder, prob)
    epochs = [pasted.epoch(natural, seed=0, epoch=epoch) for epoch in range(100)]
    share = np.mean([utt.rendered >= 0 for utts in epochs for utt in utts])
    assert share == pytest.approx(prob, abs=0.04)
    for utts in epochs:
        assert [utt.utt_id.split("~")[0] for utt in utts] == [utt.utt_id for utt in natural]
    used = {utt.rendered for utts in epochs for utt in utts} - {-1}
    assert len(used) == (30 if prob else 0)


def test_a_pasted_utterance_gives_the_features_of_its_rendered_file(
    plan_folder: Path, natural: list[Utterance], tmp_path: Path
) -> None:
    run_render(RenderConfig(), plan=plan_folder, out=tmp_path / "files")
    files = {utt.utt_id: utt for utt in utterances_of(load_cuts(tmp_path / "files"), FEATURES)}
    pasted = pasted_of(plan_folder, 1.0)
    tokenizer = train_tokenizer([utt.text for utt in natural], kind="word", size=None)
    maker = BatchMaker(tokenizer, FEATURES, render=pasted.render)
    chosen = pasted.epoch(natural, seed=0, epoch=0)
    twins = [files[utt.utt_id.split("~")[1]] for utt in chosen]
    for utt, twin in zip(chosen, twins, strict=True):
        assert (utt.text, utt.num_samples, utt.sampling_rate) == (twin.text, twin.num_samples, twin.sampling_rate)
        for word, other in zip(utt.words, twin.words, strict=True):
            assert word.symbol == other.symbol
            assert word.start_seconds == pytest.approx(other.start_seconds)
            assert word.duration_seconds == pytest.approx(other.duration_seconds)
    batch, expected = maker(chosen), maker(twins)
    assert torch.equal(batch.num_frames_B, expected.num_frames_B)
    assert torch.equal(batch.frame_labels_BT, expected.frame_labels_BT)  # type: ignore[arg-type]
    # files have 16 bits, which shows in the quietest bands only
    assert (batch.features_BTF - expected.features_BTF).abs().mean() < 0.02


def test_no_plan_means_natural_utterances_only() -> None:
    assert open_pasted(OnTheFlyConfig(), sampling_rate=8000, folder=Path()) is None


def test_a_plan_below_the_rate_of_the_features_is_refused(plan_folder: Path) -> None:
    with pytest.raises(SpeechkitError, match="8000 Hz, below features"):
        open_pasted(OnTheFlyConfig(plan=str(plan_folder)), sampling_rate=16000, folder=plan_folder)


def test_recordings_that_are_gone_stop_the_training(inventory: Inventory, tmp_path: Path) -> None:
    plan = make_plan(inventory, build_config(PlanConfig, {"num": 5}), exclusion=Exclusion([]))
    gone = [replace(source, audio=source.audio + ".gone") for source in plan.sources]
    save_plan(replace(plan, sources=gone), tmp_path)
    with pytest.raises(SpeechkitError, match="recordings of the plan") as caught:
        open_pasted(OnTheFlyConfig(plan=str(tmp_path)), sampling_rate=8000, folder=tmp_path)
    assert "does not exist" in caught.value.render()


def test_many_samples_go_to_a_nameless_file(
    inventory: Inventory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_memory = load_pool(inventory.sources, [0, 3])
    monkeypatch.setattr("speechkit.cutpaste.renderer._MAX_IN_MEMORY", 1000)
    spilled = load_pool(inventory.sources, [0, 3], spill=tmp_path)
    assert isinstance(spilled.samples, np.memmap) and not isinstance(in_memory.samples, np.memmap)
    assert np.array_equal(spilled.samples, in_memory.samples)
    assert spilled.first.tolist() == in_memory.first.tolist()
    assert list(tmp_path.iterdir()) == []
