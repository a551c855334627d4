"""Batches: the right audio, tokens and frame labels, whatever the batch; bad audio and rates are named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from make import make_cut, make_wav

from speechkit.audio.config import AugmentConfig, FeatureConfig
from speechkit.data.batch import IGNORED_LABEL, BatchMaker, Utterance, utterances_of
from speechkit.data.store import Word
from speechkit.errors import SpeechkitError
from speechkit.text.tokenizer import Tokenizer, train_tokenizer

FEATURES = FeatureConfig(sampling_rate=8000, num_mels=20)
WILD = AugmentConfig(speed=(0.8, 1.25), noise_prob=1.0, mel_warp=(0.9, 1.1), freq_masks=1, time_masks=1)


@pytest.fixture
def utterances(tmp_path: Path) -> list[Utterance]:
    words = {"word": [Word("one", 0.1, 0.2), Word("two", 0.3, 0.2)]}
    cuts = [
        make_cut("a", make_wav(tmp_path / "a.wav", 0.6), text="one two", tiers=words),
        make_cut("b", make_wav(tmp_path / "b.wav", 0.4, frequency=900), text="two"),
    ]
    return utterances_of(cuts, FEATURES)


def _tokenizer(kind: str = "word") -> Tokenizer:
    return train_tokenizer(["one two", "two"], kind=kind)  # type: ignore[arg-type]


def test_an_utterance_gives_the_same_features_in_any_batch(utterances: list[Utterance]) -> None:
    for augmentation in (None, WILD):
        maker = BatchMaker(_tokenizer(), FEATURES, augmentation=augmentation, seed=3)
        together = maker(utterances, epoch=2)
        for index, utt in enumerate(utterances):
            alone = maker([utt], epoch=2)
            size = int(alone.num_frames_B[0])
            assert size == int(together.num_frames_B[index])
            torch.testing.assert_close(together.features_BTF[index, :size], alone.features_BTF[0], atol=1e-4, rtol=1e-4)


def test_epochs_differ_and_repeat_exactly(utterances: list[Utterance]) -> None:
    maker = BatchMaker(_tokenizer(), FEATURES, augmentation=WILD, seed=3)
    first, again, other = maker(utterances, epoch=0), maker(utterances, epoch=0), maker(utterances, epoch=1)
    assert torch.equal(first.features_BTF, again.features_BTF)
    assert first.features_BTF.shape != other.features_BTF.shape or not torch.equal(
        first.features_BTF, other.features_BTF
    )


def test_frames_are_labelled_with_the_word_they_lie_in(utterances: list[Utterance]) -> None:
    tokenizer = _tokenizer()
    batch = BatchMaker(tokenizer, FEATURES)(utterances)
    assert batch.frame_labels_BT is not None
    one, two = tokenizer.encode("one two")
    labels = batch.frame_labels_BT[0].tolist()
    assert labels[:10] == [0] * 10 and labels[10:30] == [one] * 20 and labels[30:50] == [two] * 20
    assert set(labels[50:61]) == {0}
    assert set(batch.frame_labels_BT[1].tolist()) == {IGNORED_LABEL}  # no word times for b


def test_frame_labels_move_with_the_speed(utterances: list[Utterance]) -> None:
    maker = BatchMaker(_tokenizer(), FEATURES, augmentation=AugmentConfig(speed=(0.8, 0.8)))
    labels = maker(utterances).frame_labels_BT
    assert labels is not None
    assert (labels[0] == _tokenizer().encode("one")[0]).nonzero().flatten().tolist() == list(range(12, 38))


def test_characters_share_the_frames_of_their_word(utterances: list[Utterance]) -> None:
    tokenizer = _tokenizer("char")
    batch = BatchMaker(tokenizer, FEATURES)(utterances)
    assert batch.frame_labels_BT is not None
    o, n, e = tokenizer.encode("one")
    assert batch.frame_labels_BT[0, 10:30].tolist() == [o] * 7 + [n] * 6 + [e] * 7


def test_faster_recordings_are_down_sampled(tmp_path: Path) -> None:
    fast = make_cut("f", make_wav(tmp_path / "f.wav", 0.5, 16000), text="one")
    slow = make_cut("s", make_wav(tmp_path / "s.wav", 0.5, 8000), text="one")
    batch = BatchMaker(_tokenizer(), FEATURES)(utterances_of([fast, slow], FEATURES))
    assert batch.num_frames_B.tolist() == [51, 51]
    torch.testing.assert_close(batch.features_BTF[0, 5:45], batch.features_BTF[1, 5:45], atol=0.3, rtol=0)


def test_slower_recordings_are_refused_by_name(tmp_path: Path) -> None:
    cuts = [make_cut(name, make_wav(tmp_path / f"{name}.wav", 0.1, 8000)) for name in ("x", "y")]
    with pytest.raises(SpeechkitError) as caught:
        utterances_of(cuts, FeatureConfig(sampling_rate=16000))
    assert "2 of 2 utterances are below features.sampling_rate=16000 Hz" in caught.value.what
    assert caught.value.where[0].startswith("x  8000 Hz") and "=8000" in caught.value.hint


def test_audio_that_vanished_after_preparation_is_named(utterances: list[Utterance]) -> None:
    utterances[1].audio.unlink()
    with pytest.raises(SpeechkitError, match=r"b\.wav` does not exist"):
        BatchMaker(_tokenizer(), FEATURES)(utterances)


def test_the_speed_stays_below_what_the_text_of_an_utterance_bears(utterances: list[Utterance]) -> None:
    maker = BatchMaker(_tokenizer(), FEATURES, augmentation=AugmentConfig(speed=(1.2, 1.25)))
    dense = [replace(utt, max_speed=1.0) for utt in utterances]
    assert maker(dense).num_frames_B.tolist() == [61, 41]
    assert max(maker(utterances).num_frames_B.tolist()) <= 51


def test_the_mel_bands_of_each_utterance_are_warped_as_drawn(tmp_path: Path) -> None:
    features = FeatureConfig(sampling_rate=8000, num_mels=40, normalize="none")
    cut = make_cut("t", make_wav(tmp_path / "t.wav", 0.4, frequency=1500), text="two")

    def peak_band(warp: float) -> int:
        augmentation = AugmentConfig(speed=(1.0, 1.0), noise_prob=0.0, mel_warp=(warp, warp))
        maker = BatchMaker(_tokenizer(), features, augmentation=augmentation)
        return int(maker(utterances_of([cut], features)).features_BTF[0, 20].argmax())

    # bands that begin and end higher: the tone lies in a lower one
    assert peak_band(0.8) > peak_band(1.0) > peak_band(1.2)


def test_a_file_at_another_rate_than_its_manifest_is_refused(tmp_path: Path) -> None:
    path = make_wav(tmp_path / "a.wav", 0.5, 8000)
    utterances = utterances_of([make_cut("a", path)], FEATURES)
    make_wav(path, 0.5, 16000)
    with pytest.raises(SpeechkitError, match="is sampled at 16000 Hz, its manifest says 8000 Hz"):
        BatchMaker(_tokenizer(), FEATURES)(utterances)


def test_frame_labels_do_not_drift_where_a_hop_is_not_a_whole_number_of_samples(tmp_path: Path) -> None:
    features = FeatureConfig(sampling_rate=11025, num_mels=20)  # 10 ms are 110.25 samples
    words = {"word": [Word("one", 19.0, 0.5)]}
    cut = make_cut("a", make_wav(tmp_path / "a.wav", 20.0, 11025), text="one", tiers=words)
    labels = BatchMaker(_tokenizer(), features)(utterances_of([cut], features)).frame_labels_BT
    assert labels is not None
    assert int((labels[0] > 0).nonzero()[0]) == round(19.0 * 11025 / 110)


def test_words_before_the_start_of_the_cut_label_nothing_at_its_end(tmp_path: Path) -> None:
    words = {"word": [Word("one", -0.3, 0.2), Word("two", 0.1, 0.1)]}
    cut = make_cut("a", make_wav(tmp_path / "a.wav", 0.5), text="one two", tiers=words)
    labels = BatchMaker(_tokenizer(), FEATURES)(utterances_of([cut], FEATURES)).frame_labels_BT
    assert labels is not None
    assert not labels[0, 25:].any()


def test_weights_reach_the_tokens_and_frames_of_their_word(utterances: list[Utterance]) -> None:
    tokenizer = train_tokenizer([utt.text for utt in utterances], kind="word")
    maker = BatchMaker(tokenizer, FeatureConfig(sampling_rate=8000))
    plain = [replace(utt, tokens=tuple(tokenizer.encode(utt.text))) for utt in utterances[:2]]
    assert maker(plain).weights is None
    num_words = len(plain[0].text.split())
    given = (0.25, *(1.0,) * (num_words - 1))
    batch = maker([replace(plain[0], weight=0.5, word_weights=given), plain[1]])
    weights = batch.weights
    assert weights is not None
    assert batch.frame_labels_BT is not None
    assert weights.words == [given, ()]
    assert weights.tokens_BU[0, :num_words].tolist() == [0.125, *(0.5,) * (num_words - 1)]
    is_first = torch.zeros(batch.frame_labels_BT.shape[1], dtype=torch.bool)
    first = plain[0].words[0]
    is_first[round(first.start_seconds * 100) : round((first.start_seconds + first.duration_seconds) * 100)] = True
    assert set(weights.frames_BT[0][is_first].tolist()) == {0.125}
    assert set(weights.frames_BT[0][~is_first].tolist()) == {0.5}
    assert set(weights.frames_BT[1].tolist()) == {1.0}


@pytest.mark.parametrize(
    ("custom", "message"),
    [
        ({"weight": 1.5}, "the weight 1.5 is no number from 0 to 1"),
        ({"weight": "high"}, "the weight 'high' is no number"),
        ({"word_weights": [0.5, True]}, "the weight True is no number"),
        ({"word_weights": [0.5]}, "1 `word_weights` for 2 words"),
    ],
)
def test_weights_that_can_not_be_meant_are_named(tmp_path: Path, custom: dict[str, object], message: str) -> None:
    cut = make_cut("anna-1", make_wav(tmp_path / "a.wav"), custom=custom)
    with pytest.raises(SpeechkitError, match=message) as info:
        utterances_of([cut], FeatureConfig(sampling_rate=8000))
    assert "anna-1" in info.value.render()
