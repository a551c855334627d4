"""Align with Gaussian models: adapt them to each speaker, find the best path, give words times and confidences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor

import numpy as np

from speechkit import log
from speechkit.align.features import Frames, FrameStore
from speechkit.align.flat_start import Sums, adapted
from speechkit.align.hmm_model import Chain, Gaussians, HmmModel, Ints
from speechkit.align.result import Aligned, NotAligned, Outcome
from speechkit.data.batch import Utterance
from speechkit.data.store import Word
from speechkit.errors import SpeechkitError
from speechkit.kernels import hmm

_TIME_DIGITS, _SCORE_DIGITS = 5, 4


def align(
    model: HmmModel, utterances: Sequence[Utterance], speakers: Sequence[str | None], store: FrameStore, pool: Executor
) -> list[Outcome]:
    """Words of every utterance, in the order given.

    Args:
        speakers: who speaks each utterance; without a name the general model is used.
    """
    groups: dict[str | int, list[int]] = {}
    for index, speaker in enumerate(speakers):
        groups.setdefault(index if speaker is None else speaker, []).append(index)
    outcomes: dict[int, Outcome] = {}
    found = _align_groups(model, utterances, groups, store=store, pool=pool)
    for index, outcome in log.track(found, "aligning", total=len(utterances)):
        outcomes[index] = outcome
    return [outcomes[index] for index in range(len(utterances))]


def _align_groups(
    model: HmmModel,
    utterances: Sequence[Utterance],
    groups: dict[str | int, list[int]],
    *,
    store: FrameStore,
    pool: Executor,
) -> Iterator[tuple[int, Outcome]]:
    for speaker, indices in groups.items():
        own: hmm.Gaussians | None = None
        if isinstance(speaker, str) and model.config.speaker_passes:
            own = _adapt(model, [utterances[i] for i in indices], store, pool).packed()

        def align_one(index: int, own: hmm.Gaussians | None = own) -> tuple[int, Outcome]:
            return index, _align_utterance(model, utterances[index], store, own)

        yield from pool.map(align_one, indices)


def _adapt(model: HmmModel, utterances: Sequence[Utterance], store: FrameStore, pool: Executor) -> Gaussians:
    """Gaussians of one speaker, from up to `speaker_minutes` of audio."""
    chosen: list[Utterance] = []
    seconds = 0.0
    for utt in utterances:
        seconds += utt.duration_seconds
        if seconds <= 60.0 * model.config.speaker_minutes or not chosen:
            chosen.append(utt)
    prepared = [item for item in pool.map(lambda utt: _prepare(model, utt, store), chosen) if item is not None]
    floor_F = model.config.variance_floor * np.ones(model.gaussians.mean_NF.shape[1])  # frames have variance 1
    gaussians = model.gaussians
    for _ in range(model.config.speaker_passes):
        packed = gaussians.packed()

        def find(item: tuple[Frames, Chain], own: hmm.Gaussians = packed) -> Ints:
            return model.best_path(item[0].values_TF, item[1], gaussians=own, is_final=True)[0]

        sums = Sums.zeros(*model.gaussians.mean_NF.shape)
        for (frames, chain), states_T in zip(prepared, pool.map(find, prepared), strict=True):
            if states_T[0] >= 0:
                sums.add(frames.values_TF, chain.ids_S[states_T])
        gaussians = adapted(model.gaussians, sums, weight=model.config.speaker_weight, floor_F=floor_F)
    return gaussians


def _prepare(model: HmmModel, utt: Utterance, store: FrameStore) -> tuple[Frames, Chain] | None:
    try:
        return store(utt), model.chain(utt.text.split())
    except SpeechkitError:  # told when it is aligned
        return None


def _align_utterance(model: HmmModel, utt: Utterance, store: FrameStore, own: hmm.Gaussians | None) -> Outcome:
    words = utt.text.split()
    try:
        chain, frames = model.chain(words), store(utt)
    except SpeechkitError as error:
        return NotAligned(error.what)
    states_T, log_prob = model.best_path(frames.values_TF, chain, gaussians=own, is_final=True)
    if states_T[0] < 0:
        least = int(hmm.fewest_frames(chain.skip_S)[0]) * model.config.hop_ms / 1000
        return NotAligned(f"too short for its text: {utt.duration_seconds:.2f} s, at least {least:.2f} s needed")
    confidence_W = model.confidence(model.word_margins(frames.values_TF, chain, states_T))
    edges_W2 = _word_edges(chain.word_S[states_T], model.config.hop_ms / 1000)
    edges_W2 = np.round(_with_pauses(edges_W2, model, utt.duration_seconds), _TIME_DIGITS)
    found = tuple(
        Word(word, start, round(end - start, _TIME_DIGITS), round(confidence, _SCORE_DIGITS))
        for word, (start, end), confidence in zip(words, edges_W2.tolist(), confidence_W.tolist(), strict=True)
    )
    return Aligned(found, log_prob=log_prob / len(frames))


def _word_edges(word_T: Ints, hop_seconds: float) -> np.ndarray:
    """Start and end of each word in seconds (W, 2); a frame reaches half a hop to both sides of its centre."""
    words = np.arange(int(word_T.max()) + 1)
    last_T = np.maximum.accumulate(word_T)  # pauses take the number of the word before
    starts = np.searchsorted(last_T, words, side="left")
    spoken = np.bincount(word_T[word_T >= 0], minlength=len(words))
    return np.stack([starts - 0.5, starts + spoken - 0.5], axis=1) * hop_seconds


def _with_pauses(edges_W2: np.ndarray, model: HmmModel, duration_seconds: float) -> np.ndarray:
    """Words longer by their share of the pauses beside them: what is softer than the noise looks like a pause."""
    edges_W2 = np.clip(edges_W2, 0.0, duration_seconds)
    before_W = edges_W2[:, 0] - np.concatenate([[0.0], edges_W2[:-1, 1]])
    after_W = np.concatenate([edges_W2[1:, 0], [duration_seconds]]) - edges_W2[:, 1]
    share, most = model.config.keep_pause, model.config.max_keep_ms / 1000
    return np.stack(
        [edges_W2[:, 0] - np.minimum(most, share * before_W), edges_W2[:, 1] + np.minimum(most, share * after_W)],
        axis=1,
    )
