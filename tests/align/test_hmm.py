"""Word times from models trained on the corpus itself: tones, whose words are as plain as can be."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tone_corpus import RATE, WORD_SECONDS, make_tone_corpus

from speechkit.align import flat_start, hmm
from speechkit.align.config import HmmConfig
from speechkit.align.features import FrameStore, read_frames, slopes
from speechkit.align.flat_start import choose_training
from speechkit.align.hmm_model import HmmModel, load_hmm
from speechkit.align.result import Aligned, NotAligned
from speechkit.align.spelling import letters_of
from speechkit.audio.config import FeatureConfig
from speechkit.data.batch import Utterance, utterances_of
from speechkit.data.store import load_cuts
from speechkit.errors import SpeechkitError

CONFIG = HmmConfig(num_mels=20)


@pytest.fixture(scope="module")
def utterances(tmp_path_factory: pytest.TempPathFactory) -> list[Utterance]:
    folder = make_tone_corpus(tmp_path_factory.mktemp("tones"), num_utterances=30)
    return utterances_of(load_cuts(folder), FeatureConfig(sampling_rate=RATE))


def align(utterances: list[Utterance], config: HmmConfig = CONFIG, num_jobs: int = 1) -> tuple[HmmModel, list]:
    store = FrameStore(config, RATE, keep_seconds=600.0)
    with ThreadPoolExecutor(num_jobs) as pool:
        model = flat_start.train(utterances, store, pool)
        return model, hmm.align(model, utterances, ["organ"] * len(utterances), store, pool)


@pytest.fixture(scope="module")
def aligned(utterances: list[Utterance]) -> tuple[HmmModel, list]:
    return align(utterances)


def boundary_errors(utterances: list[Utterance], outcomes: list) -> np.ndarray:
    pairs = [
        (true, found)
        for utt, outcome in zip(utterances, outcomes, strict=True)
        for true, found in zip(utt.words, outcome.words, strict=True)
    ]
    ends = [abs(f.start_seconds + f.duration_seconds - t.start_seconds - t.duration_seconds) for t, f in pairs]
    return np.array([abs(f.start_seconds - t.start_seconds) for t, f in pairs] + ends)


def test_words_are_found_where_they_are(utterances: list[Utterance], aligned: tuple) -> None:
    model, outcomes = aligned
    assert set(model.words) == {"low", "mid", "high"}
    assert all(isinstance(outcome, Aligned) for outcome in outcomes)
    errors = boundary_errors(utterances, outcomes)
    assert np.median(errors) < 0.015 and errors.max() < 0.06
    scores = [word.score for outcome in outcomes for word in outcome.words]
    assert min(scores) >= 0.0 and max(scores) <= 1.0 and np.median(scores) > 0.9


def test_letters_alone_find_the_words_too(utterances: list[Utterance]) -> None:
    model, outcomes = align(utterances, replace_config(max_word_models=0))
    assert not model.words
    assert np.median(boundary_errors(utterances, outcomes)) < 0.02


def test_words_never_overlap_and_stay_inside_the_utterance(utterances: list[Utterance], aligned: tuple) -> None:
    for utt, outcome in zip(utterances, aligned[1], strict=True):
        end = 0.0
        for word in outcome.words:
            assert word.start_seconds >= end - 1e-6 and word.duration_seconds > 0
            end = word.start_seconds + word.duration_seconds
        assert end <= utt.duration_seconds + 1e-6


def test_the_same_for_any_number_of_jobs(utterances: list[Utterance], aligned: tuple) -> None:
    model, outcomes = align(utterances, num_jobs=3)
    assert outcomes == aligned[1]
    assert np.array_equal(model.gaussians.mean_NF, aligned[0].gaussians.mean_NF)


def test_a_wrong_word_has_low_confidence(utterances: list[Utterance]) -> None:
    wrong = {"low": "high", "mid": "low", "high": "mid"}
    spoiled = list(utterances)
    for index in (0, 7, 19):
        first, *others = utterances[index].text.split()
        spoiled[index] = replace(utterances[index], text=" ".join([wrong[first], *others]))
    _, outcomes = align(spoiled)
    good = [word.score for i, o in enumerate(outcomes) if i not in (0, 7, 19) for word in o.words]
    assert max(outcomes[index].words[0].score for index in (0, 7, 19)) < 0.5 < np.percentile(good, 5)


def test_a_saved_model_aligns_the_same(utterances: list[Utterance], aligned: tuple, tmp_path: Path) -> None:
    model, outcomes = aligned
    model.save(tmp_path)
    loaded = load_hmm(tmp_path)
    with ThreadPoolExecutor(1) as pool:
        again = hmm.align(
            loaded, utterances, ["organ"] * len(utterances), FrameStore(CONFIG, RATE, keep_seconds=0), pool
        )
    assert again == outcomes


def test_a_damaged_model_is_refused(aligned: tuple, tmp_path: Path) -> None:
    aligned[0].save(tmp_path)
    text = (tmp_path / "hmm.json").read_text()
    (tmp_path / "hmm.json").write_text(text.replace('"words"', '"worlds"'))
    with pytest.raises(SpeechkitError, match="holds no sound alignment model"):
        load_hmm(tmp_path)
    units = json.loads(text)
    units["words"]["low"][0] += 100
    (tmp_path / "hmm.json").write_text(json.dumps(units))
    with pytest.raises(SpeechkitError, match="does not fit"):
        load_hmm(tmp_path)


def test_what_can_not_be_aligned_says_why(utterances: list[Utterance], aligned: tuple) -> None:
    model = aligned[0]
    bad = [
        replace(utterances[0], text="low " * 60),
        replace(utterances[0], text="low zebra"),
        replace(utterances[0], utt_id="gone", audio=Path("gone.flac")),
    ]
    with ThreadPoolExecutor(1) as pool:
        found = hmm.align(model, bad, [None, None, "organ"], FrameStore(CONFIG, RATE, keep_seconds=0), pool)
    reasons = [outcome.reason for outcome in found if isinstance(outcome, NotAligned)]
    assert len(reasons) == 3
    assert "too short for its text" in reasons[0]
    assert "has never heard the letter `z` of `zebra`" in reasons[1]
    assert "`gone.flac` does not exist" in reasons[2]


def test_a_long_corpus_is_trained_on_a_draw_that_holds_every_letter(utterances: list[Utterance]) -> None:
    rare = replace(utterances[3], utt_id="rare", text="xylophone low")
    chosen = choose_training([*utterances, rare], replace_config(train_minutes=0.05))
    assert 2 <= len(chosen) < 12
    assert any(utt.utt_id == "rare" for utt in chosen)
    assert sum(utt.duration_seconds for utt in chosen) <= 3.0
    assert chosen == choose_training([*utterances, rare], replace_config(train_minutes=0.05))


def test_letters_leave_out_what_has_no_sound() -> None:
    assert letters_of("Don't!") == ("d", "o", "n", "t")
    assert letters_of("7") == ("7",)
    assert letters_of("--") == ()
    assert len(letters_of("\u0915\u093f")) == 2  # a consonant and its vowel sign


def test_frames_are_normalised_and_loud_where_the_tones_are(utterances: list[Utterance]) -> None:
    frames = read_frames(utterances[0], CONFIG, RATE)
    np.testing.assert_allclose(frames.values_TF.mean(0), 0, atol=1e-4)
    assert frames.values_TF.shape[1] == 2 * CONFIG.num_cepstra
    first = utterances[0].words[0]
    middle = round((first.start_seconds + WORD_SECONDS / 2) * 1000 / CONFIG.hop_ms)
    assert frames.is_loud_T[middle] and not frames.is_loud_T[0]
    np.testing.assert_allclose(slopes(np.array([[0.0], [2.0], [6.0]], np.float32))[:, 0], [1, 3, 2])


def replace_config(**changes: object) -> HmmConfig:
    return HmmConfig(**{**CONFIG.model_dump(), **changes})


@pytest.mark.parametrize("limit", [None, 0])
def test_the_last_search_loses_no_path_in_a_burst_of_noise(
    limit: int | None, aligned: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it lasts, the best path looks so bad that a narrow beam loses it."""
    model = aligned[0]
    if limit is not None:  # a long recording, in which the beam must grow
        monkeypatch.setattr("speechkit.align.hmm_model._EXACT_CELLS", limit)
    monkeypatch.setattr("speechkit.align.hmm_model._FIRST_BEAM", 50.0)
    chain = model.chain(["low", "mid", "high", "low", "mid"] * 4)
    means_NF, variance_NF = model.gaussians.mean_NF, model.gaussians.variance_NF
    speech = np.repeat(means_NF[chain.ids_S], 4, axis=0)
    noise = means_NF[chain.ids_S[-2]] + 0.3 * np.sqrt(variance_NF[chain.ids_S[-2]])
    values_TF = np.concatenate([np.broadcast_to(noise, (200, speech.shape[1])), speech]).astype(np.float32)
    best_T, best = model.best_path(values_TF, chain, is_final=True)
    monkeypatch.setattr("speechkit.align.hmm_model._FIRST_BEAM", np.inf)
    assert best == model.best_path(values_TF, chain)[1]
    monkeypatch.setattr("speechkit.align.hmm_model._FIRST_BEAM", 50.0)
    lost_T, lost = model.best_path(values_TF, chain)
    assert lost < best and not np.array_equal(best_T, lost_T)
