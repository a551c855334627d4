"""A CTC model finds the words, Gaussian models their boundaries; text and audio that differ; recordings in chunks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tone_corpus import PITCH, RATE, make_tone_corpus
from torch import Tensor, nn

from speechkit.align.config import AlignConfig, CtcConfig, HmmConfig
from speechkit.align.ctc import Heard, hear, tokens_of
from speechkit.align.emissions import emissions
from speechkit.align.methods import align_with_ctc
from speechkit.align.pieces import cut_pieces, merge
from speechkit.align.result import Aligned, NotAligned
from speechkit.audio.config import FeatureConfig
from speechkit.audio.features import mel_matrix
from speechkit.audio.io import read_audio, write_flac
from speechkit.config import build_config
from speechkit.data.batch import Utterance, utterances_of
from speechkit.data.store import Word, load_cuts
from speechkit.errors import SpeechkitError
from speechkit.models.config import CtcConfig as CtcModelConfig
from speechkit.models.table import Trained, make_model
from speechkit.text.tokenizer import Tokenizer, train_tokenizer

FEATURES = FeatureConfig(sampling_rate=RATE, num_mels=20, normalize="none")
FACTOR = 2
CONFIG = AlignConfig(hmm=HmmConfig(num_mels=20))


class ToneModel(nn.Module):
    """Hears each tone in its band, in the middle of the tone only, as CTC models do."""

    heads = ("ctc",)

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.encoder = SimpleNamespace(factor=FACTOR, centre=0)
        matrix = mel_matrix(FEATURES)
        width = RATE / 2 / (len(matrix) - 1)
        self.bands = [int(matrix[round(PITCH[name] / width)].argmax()) for name in tokenizer.tokens[2:]]

    def forward(self, features_BTF: Tensor, num_frames_B: Tensor) -> tuple[Tensor, Tensor]:
        tones_BTK = 2.0 * (features_BTF[..., self.bands] + 1.0)
        narrow_BKT = -nn.functional.max_pool1d(-tones_BTK.transpose(1, 2), 9, stride=1, padding=4)
        logits_BTV = nn.functional.pad(narrow_BKT.transpose(1, 2)[:, ::FACTOR], (2, 0))
        logits_BTV[..., 1] = -20.0
        return logits_BTV.log_softmax(-1), (num_frames_B + FACTOR - 1) // FACTOR


@pytest.fixture(scope="module")
def trained() -> Trained:
    tokenizer = train_tokenizer(["low mid high"], kind="word")
    return Trained(ToneModel(tokenizer), FEATURES, tokenizer)


@pytest.fixture(scope="module")
def utterances(tmp_path_factory: pytest.TempPathFactory) -> list[Utterance]:
    folder = make_tone_corpus(tmp_path_factory.mktemp("tones"), num_utterances=30)
    return utterances_of(load_cuts(folder), FEATURES)


@pytest.fixture(scope="module")
def recording(utterances: list[Utterance], tmp_path_factory: pytest.TempPathFactory) -> Utterance:
    """All utterances in one file, with all word times."""
    waves, words, position = [], [], 0
    for utt in utterances:
        samples, _ = read_audio(utt.audio)
        words += [replace(w, start_seconds=w.start_seconds + position / RATE) for w in utt.words]
        waves.append(samples)
        position += len(samples)
    path = tmp_path_factory.mktemp("long") / "long.flac"
    write_flac(path, np.concatenate(waves), RATE)
    return Utterance("long", path, 0, position, RATE, " ".join(w.symbol for w in words), tuple(words))


def align(trained: Trained, utterances: list[Utterance], **ctc: object) -> list:
    config = CONFIG.model_copy(update={"ctc": CtcConfig(**ctc)})
    with ThreadPoolExecutor(2) as pool:
        return align_with_ctc(config, trained, utterances, ["organ"] * len(utterances), pool)[0]


def errors(true: list[Word], found: list[Word]) -> np.ndarray:
    pairs = list(zip(true, found, strict=True))
    starts = [abs(f.start_seconds - t.start_seconds) for t, f in pairs]
    return np.array(
        starts + [abs(f.start_seconds + f.duration_seconds - t.start_seconds - t.duration_seconds) for t, f in pairs]
    )


def test_boundaries_are_found_around_the_spikes(trained: Trained, utterances: list[Utterance]) -> None:
    outcomes = align(trained, utterances)
    true = [word for utt in utterances for word in utt.words]
    words = [word for outcome in outcomes for word in outcome.words]
    tokens = [token for outcome in outcomes for token in outcome.tokens]
    assert [word.symbol for word in words] == [word.symbol for word in true]
    assert np.median(errors(true, words)) < 0.015 < 0.03 < np.median(errors(true, tokens))
    assert np.median([word.score for word in words]) > 0.8


def test_a_recording_is_cut_into_pieces_and_put_together_again(trained: Trained, recording: Utterance) -> None:
    (outcome,) = align(trained, [recording], piece_seconds=3.0, chunk_seconds=2.0, context_seconds=0.5)
    assert isinstance(outcome, Aligned)
    assert np.median(errors(list(recording.words), outcome.words)) < 0.02
    assert np.max(errors(list(recording.words), outcome.words)) < 0.1


def test_words_that_nobody_says_and_speech_that_nobody_wrote(trained: Trained, recording: Utterance) -> None:
    text, true = recording.text.split(), list(recording.words)
    kept = [i for i in range(len(text)) if i not in range(18, 25)]
    symbols = [text[i] for i in kept]
    wrong = [*symbols[:8], "high", "high", "low", *symbols[8:]]
    spoiled = replace(recording, text=" ".join(wrong), words=())
    (outcome,) = align(trained, [spoiled], star_penalty=3.0, skip_penalty=6.0)
    assert [word.symbol for word in outcome.words] == wrong
    assert sum(outcome.words[i].score == 0.0 for i in range(5, 14)) == 3
    # three different words are few: which of them are missing is known up to a few of their neighbours
    sure = [(i, k) for k, i in enumerate(kept) if i not in range(5, 30)]
    said = [outcome.words[k + 3 if k >= 8 else k] for _, k in sure]
    assert np.max(errors([true[i] for i, _ in sure], said)) < 0.1
    assert np.median([word.score for word in said]) > 0.8
    missing = true[18].start_seconds, true[24].start_seconds + true[24].duration_seconds
    shared = [
        min(missing[1], word.start_seconds + word.duration_seconds) - max(missing[0], word.start_seconds)
        for word in outcome.words
    ]
    assert sum(max(0.0, seconds) for seconds in shared) < 0.5 * (missing[1] - missing[0])
    at = 0.0
    for word in outcome.words:
        assert word.start_seconds >= at - 1e-6 and word.duration_seconds > 0
        at = word.start_seconds + word.duration_seconds
    assert at <= recording.duration_seconds + 1e-6


def test_without_penalties_every_word_is_forced_in(trained: Trained, utterances: list[Utterance]) -> None:
    wrong = replace(utterances[0], text=utterances[0].text + " low")
    outcomes = align(trained, [wrong, *utterances[1:]])
    assert outcomes[0].words[-1].score < 0.4 < 0.5 < min(w.score for w in outcomes[1].words)


def test_what_can_not_be_heard_says_why(trained: Trained, utterances: list[Utterance]) -> None:
    good = utterances[0]
    bad = [
        replace(good, utt_id="a", text="low zebra"),
        replace(good, utt_id="b", text="low low " * 300),
        replace(good, utt_id="c", audio=Path("gone.flac")),
    ]
    outcomes = align(trained, [*bad, good])
    reasons = [outcome.reason for outcome in outcomes if isinstance(outcome, NotAligned)]
    assert len(reasons) == 3 and isinstance(outcomes[3], Aligned)
    assert "does not know `zebra`" in reasons[0]
    assert "too short for its text" in reasons[1]
    assert "does not exist" in reasons[2]
    assert all(isinstance(outcome, NotAligned) for outcome in align(trained, bad))
    silence = hear(trained, replace(good, text="high"), CtcConfig(star_penalty=0.0, skip_penalty=0.0))
    assert silence == NotAligned("none of its words is heard in the audio")


@pytest.mark.parametrize("kind", ["char", "word", "bpe"])
def test_tokens_belong_to_their_words(kind: str) -> None:
    texts = ["the cat sat", "a cat is the best", "sat that hat"]
    tokenizer = train_tokenizer(texts, kind=kind, size=24 if kind == "bpe" else None)
    for text in texts:
        tokens, ranges = tokens_of(text.split(), tokenizer)
        assert tokens == tokenizer.encode(text)
        assert [tokenizer.decode(tokens[start:end]) for start, end in ranges] == text.split()


def test_unknown_letters_are_refused() -> None:
    with pytest.raises(SpeechkitError, match="is unknown to the tokenizer"):
        tokens_of(["cot"], train_tokenizer(["cat"], kind="char"))


def test_chunks_with_context_give_the_log_probs_of_the_whole(recording: Utterance) -> None:
    tokenizer = train_tokenizer(["low mid high"], kind="word")
    config = build_config(
        CtcModelConfig,
        {"encoder": {"kind": "ds_conv", "dim": 16, "num_blocks": 2, "kernel": 5, "subsampling": 4}},
    )
    torch.manual_seed(0)
    features = FEATURES.model_copy(update={"normalize": "utterance"})
    model = make_model(config, num_mels=20, num_tokens=tokenizer.num_tokens).eval()
    trained = Trained(model, features, tokenizer)
    whole = emissions(trained, recording, CtcConfig(chunk_seconds=1000))
    for chunk in (1.0, 2.34, 7.0):
        parts = emissions(trained, recording, CtcConfig(chunk_seconds=chunk, context_seconds=0.6))
        np.testing.assert_allclose(parts, whole, atol=1e-4)


@given(
    st.lists(st.floats(0.05, 2.0), min_size=1, max_size=30),
    st.sets(st.integers(0, 29)),
    st.lists(st.tuples(st.floats(0, 60), st.floats(0.3, 5)), max_size=3),
    st.floats(1.5, 10),
)
def test_pieces_hold_every_word_once_and_merge_in_order(
    gaps: list[float], left_out: set[int], extra: list[tuple[float, float]], max_seconds: float
) -> None:
    times = np.cumsum(gaps)
    spikes: list = [(float(t), float(t) + 0.02) for t in times]
    said = [i for i in range(len(spikes)) if i not in left_out] or [0]
    spikes = [spike if i in said else None for i, spike in enumerate(spikes)]
    utt = Utterance("u", Path("u.wav"), 100, round((float(times[-1]) + 1) * RATE), RATE, "w " * len(gaps))
    # other speech lies between neighbouring spikes only
    free = [
        (start, start + length)
        for start, length in sorted(extra)
        if not any(s is not None and s[0] - 0.01 < start + length and start < s[1] + 0.01 for s in spikes)
        and start + length < utt.duration_seconds
    ]
    heard = Heard(tuple(spikes), (1.0,) * len(gaps), tuple(free), (), -1.0)
    pieces = cut_pieces(utt, heard, max_seconds=max_seconds)
    assert [position for piece in pieces for position in piece.positions] == said
    for piece in pieces:
        assert piece.utterance.num_samples > 0 and piece.utterance.start_sample >= 100
        assert all(0 <= a <= b <= piece.utterance.duration_seconds + 1e-3 for a, b in piece.spikes)
        assert len(piece.utterance.text.split()) == len(piece.positions)
    found = {
        piece.utterance.utt_id: Aligned(tuple(Word("w", a, max(b - a, 0.01), 1.0) for a, b in piece.spikes))
        for piece in pieces
    }
    merged = merge(utt, heard, pieces, found)
    assert isinstance(merged, Aligned) and len(merged.words) == len(gaps)
    at = 0.0
    for i, word in enumerate(merged.words):
        assert word.start_seconds >= at - 2e-5 and word.duration_seconds > 0
        assert (word.score == 0.0) == (i not in said)
        at = word.start_seconds + word.duration_seconds
