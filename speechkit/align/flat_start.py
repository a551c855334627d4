"""Train the Gaussian models from nothing: letters over evenly shared speech, then words with states of their own.

Viterbi training (segmental k-means): align, estimate, repeat. The letters come first because words alone, in the
few contexts that few texts give, do not say where one ends and the next begins; letters are shared by all words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np

from speechkit import log
from speechkit.align.config import HmmConfig
from speechkit.align.features import Frames, FrameStore
from speechkit.align.hmm_model import SILENCE, Chain, Gaussians, HmmModel, Ints
from speechkit.align.spelling import letters_of
from speechkit.data.batch import Utterance
from speechkit.errors import SpeechkitError, counted
from speechkit.kernels import hmm
from speechkit.rng import rng

_COARSE_STEP = 2
_PRIOR_FRAMES = 5.0  # of the variance of all frames, in each Gaussian
_MIN_STATES, _MAX_LETTER_STATES, _MAX_WORD_STATES = 3, 8, 60
_STAY_RANGE = 0.05, 0.995
_FIRST_STAY = 0.7


FirstStates = Callable[[Utterance, Frames, Chain], Ints]


@dataclass
class Sums:
    """Count (N,), sum (N, F) and sum of squares (N, F) of the frames of each Gaussian."""

    count_N: np.ndarray
    sum_NF: np.ndarray
    square_NF: np.ndarray

    @classmethod
    def zeros(cls, num_gaussians: int, num_values: int) -> Sums:
        """No frames."""
        shape = num_gaussians, num_values
        return cls(np.zeros(num_gaussians), np.zeros(shape), np.zeros(shape))

    def add(self, values_TF: np.ndarray, ids_T: Ints) -> None:
        """Count the frames of an utterance."""
        hmm.accumulate(values_TF, ids_T, (self.count_N, self.sum_NF, self.square_NF))


def adapted(general: Gaussians, sums: Sums, *, weight: float, floor_F: np.ndarray) -> Gaussians:
    """Gaussians of a speaker: the general ones count as `weight` frames (maximum a posteriori)."""
    count_N1 = sums.count_N[:, None] + weight
    mean_NF = (sums.sum_NF + weight * general.mean_NF) / count_N1
    square_NF = (sums.square_NF + weight * (general.variance_NF + general.mean_NF**2)) / count_N1
    return Gaussians(mean_NF, np.maximum(square_NF - mean_NF**2, floor_F))


def choose_training(utterances: Sequence[Utterance], config: HmmConfig) -> list[Utterance]:
    """Utterances of up to `train_minutes`: all, or a draw that holds every letter."""
    limit = 60.0 * config.train_minutes
    if sum(utt.duration_seconds for utt in utterances) <= limit:
        return list(utterances)
    order = sorted(utterances, key=lambda utt: rng(0, "align", utt.utt_id).random())
    heard: set[str] = set()
    first: list[Utterance] = []
    rest: list[Utterance] = []
    for utt in order:
        letters = {letter for word in utt.text.split() for letter in letters_of(word)}
        (rest if letters <= heard else first).append(utt)
        heard |= letters
    chosen: set[str] = set()
    seconds = 0.0
    for utt in [*first, *rest]:
        if seconds + utt.duration_seconds <= limit or not chosen:
            chosen.add(utt.utt_id)
            seconds += utt.duration_seconds
    return [utt for utt in utterances if utt.utt_id in chosen]


def train(
    utterances: Sequence[Utterance], store: FrameStore, pool: Executor, *, first_states: FirstStates | None = None
) -> HmmModel:
    """Models of the letters and frequent words of the utterances.

    Args:
        first_states: state of each frame to start from, given an utterance, its frames and its chain; none: flat.
    Raises:
        SpeechkitError: no utterance can be read, or none is long enough for its text.
    """
    chosen = choose_training(utterances, store.config)
    read = log.track(pool.map(store.try_read, chosen), "analysing", total=len(chosen))
    heard = [(utt, item) for utt, item in zip(chosen, read, strict=True) if isinstance(item, Frames)]
    if not heard:
        reasons = [f"{utt.utt_id}  {store.try_read(utt)}" for utt in chosen]
        raise SpeechkitError(f"none of {len(chosen)} utterances can be read", where=reasons)
    store.keep(heard)
    trainer = _Trainer(store.config, store.sampling_rate, heard, pool)
    trainer.start(heard, first_states)
    trainer.train_letters()
    trainer.train_words()
    trainer.learn_margin()
    model, num_used = trainer.model, sum(bool(states_T[0] >= 0) for states_T in trainer.states)
    log.info(
        f"trained on {num_used} of {counted(len(utterances), 'utterance')} at {model.sampling_rate} Hz:"
        f" {len(model.words)} words and {len(model.letters)} letters with {len(model.stay_N)} states"
    )
    return model


class _Trainer:
    """The model, the chain of each utterance, and which state each frame is in."""

    def __init__(
        self, config: HmmConfig, sampling_rate: int, heard: Sequence[tuple[Utterance, Frames]], pool: Executor
    ) -> None:
        self.config = config
        self.ids = [utt.utt_id for utt, _ in heard]
        self.texts = [utt.text.split() for utt, _ in heard]
        self.frames = frames = [item for _, item in heard]
        self.pool = pool
        total = Sums.zeros(1, frames[0].values_TF.shape[1])
        for item in frames:
            total.add(item.values_TF, np.zeros(len(item), np.int64))
        self.mean_F = total.sum_NF[0] / total.count_N[0]
        self.variance_F = np.maximum(total.square_NF[0] / total.count_N[0] - self.mean_F**2, 1e-6)
        letters = sorted({letter for text in self.texts for word in text for letter in letters_of(word)})
        num_letters = sum(len(letters_of(word)) for text in self.texts for word in text)
        speech_ms = config.hop_ms * sum(int(item.is_loud_T.sum()) for item in frames)
        size = int(np.clip(round(speech_ms / num_letters / config.state_ms), 1, _MAX_LETTER_STATES))
        units = {letter: (1 + size * k, size) for k, letter in enumerate(letters)}
        self.model = self._model(sampling_rate, units, {}, 1 + size * len(letters))
        self.chains = [self.model.chain(text) for text in self.texts]
        self.states: list[Ints] = []

    def _model(
        self, sampling_rate: int, letters: dict[str, tuple[int, int]], words: dict[str, tuple[int, int]], size: int
    ) -> HmmModel:
        shape = size, len(self.mean_F)
        flat = Gaussians(np.broadcast_to(self.mean_F, shape).copy(), np.broadcast_to(self.variance_F, shape).copy())
        return HmmModel(self.config, sampling_rate, letters, words, flat, np.full(size, _FIRST_STAY))

    def start(self, heard: Sequence[tuple[Utterance, Frames]], first_states: FirstStates | None) -> None:
        """Give each frame its first state."""
        pause = round(self.config.pause_ms / self.config.hop_ms)
        for (utt, frames), chain in zip(heard, self.chains, strict=True):
            known = first_states(utt, frames, chain) if first_states is not None else None
            self.states.append(_flat_states(frames, chain, pause) if known is None else known)

    def train_letters(self) -> None:
        """From evenly shared speech to letters."""
        for _ in range(self.config.coarse_passes):
            self._pass(_COARSE_STEP)
        for _ in range(self.config.letter_passes):
            self._pass(1)
        self._check_found()

    def train_words(self) -> None:
        """Give frequent words states of their own, as many as their duration asks for, and train them."""
        durations: dict[str, list[int]] = {}
        for text, chain, states_T in zip(self.texts, self.chains, self.states, strict=True):
            size_W = np.bincount(chain.word_S[states_T] + 1, minlength=len(text) + 1)[1:]
            for word, size in zip(text, size_W.tolist(), strict=True):
                durations.setdefault(word, []).append(size)
        counts = Counter({word: len(sizes) for word, sizes in durations.items()})
        frequent = [word for word, count in counts.items() if count >= self.config.min_word_tokens]
        frequent = sorted(frequent, key=lambda word: (-counts[word], word))[: self.config.max_word_models]
        if not frequent or not self.config.word_passes:
            return
        old, first, words = self.model, self.model.num_letter_gaussians, {}
        for word in sorted(frequent):
            mean_ms = self.config.hop_ms * sum(durations[word]) / counts[word]
            size = int(np.clip(round(mean_ms / self.config.state_ms), _MIN_STATES, _MAX_WORD_STATES))
            words[word] = first, size
            first += size
        self.model = self._model(old.sampling_rate, old.letters, words, first)
        num = old.num_letter_gaussians
        self.model.gaussians.mean_NF[:num], self.model.gaussians.variance_NF[:num] = (
            old.gaussians.mean_NF,
            old.gaussians.variance_NF,
        )
        self.model.stay_N[:num] = old.stay_N
        chains = [self.model.chain(text) for text in self.texts]
        self.states = [_moved(*item) for item in zip(self.states, self.chains, chains, strict=True)]
        self.chains = chains
        for _ in range(self.config.word_passes):
            self._pass(1, frozen=num)
        self._check_found()

    def learn_margin(self) -> None:
        """See how well words fit, so that confidences mean something."""
        margins = self.pool.map(
            lambda item: self.model.word_margins(item[0].values_TF, item[1], item[2]),
            [item for item in zip(self.frames, self.chains, self.states, strict=True) if item[2][0] >= 0],
        )
        self.model.learn_margin(np.concatenate(list(margins)))

    def _pass(self, step: int, frozen: int = 0) -> None:
        """Estimate from the states, then find new states.

        Args:
            frozen: Gaussians 1 .. frozen - 1 stay as they are; silence does not.
        """
        sums = Sums.zeros(len(self.model.stay_N), len(self.mean_F))
        for item, chain, states_T in zip(self.frames, self.chains, self.states, strict=True):
            if states_T[0] >= 0:
                sums.add(
                    np.ascontiguousarray(item.values_TF[::step]), np.ascontiguousarray(chain.ids_S[states_T][::step])
                )
        old = self.model
        gaussians = self._estimate(sums)
        for new_NF, old_NF in zip(_arrays(gaussians), _arrays(old.gaussians), strict=True):
            new_NF[1:frozen] = old_NF[1:frozen]
        self.model = replace(old, gaussians=gaussians, _packed=None)
        find = _finder(self.model, step)
        self.states = list(self.pool.map(find, self.frames, self.chains))
        stay_N = self._stay(sums.count_N)
        stay_N[1:frozen] = old.stay_N[1:frozen]
        self.model.stay_N = stay_N

    def _estimate(self, sums: Sums) -> Gaussians:
        count_N1 = sums.count_N[:, None]
        mean_NF = np.where(count_N1 > 0, sums.sum_NF / np.maximum(count_N1, 1), self.mean_F)
        variance_NF = np.maximum(sums.square_NF / np.maximum(count_N1, 1) - mean_NF**2, 0.0)
        variance_NF = (variance_NF * count_N1 + _PRIOR_FRAMES * self.variance_F) / (count_N1 + _PRIOR_FRAMES)
        return Gaussians(mean_NF, np.maximum(variance_NF, self.config.variance_floor * self.variance_F))

    def _stay(self, count_N: np.ndarray) -> np.ndarray:
        """Probability of staying, from the frames spent in each Gaussian and the times it was entered."""
        spent_N, entered_N = np.zeros(len(count_N)), np.zeros(len(count_N))
        for chain, states_T in zip(self.chains, self.states, strict=True):
            if states_T[0] >= 0:
                hmm.count_stays(states_T, chain.ids_S, spent_N, entered_N)
        return np.clip((spent_N - entered_N) / np.maximum(spent_N, 1), *_STAY_RANGE)

    def _check_found(self) -> None:
        if not any(states_T[0] >= 0 for states_T in self.states):
            lengths = zip(self.ids, self.frames, self.texts, strict=True)
            raise SpeechkitError(
                "no utterance is long enough for its text",
                where=[f"{i}  {len(f) * self.config.hop_ms / 1000:.2f} s, {len(t)} words" for i, f, t in lengths],
                hint="look at texts and audio of the cuts",
            )


def _arrays(gaussians: Gaussians) -> tuple[np.ndarray, np.ndarray]:
    return gaussians.mean_NF, gaussians.variance_NF


def _finder(model: HmmModel, step: int) -> Callable[[Frames, Chain], Ints]:
    def find(frames: Frames, chain: Chain) -> Ints:
        values_TF = np.ascontiguousarray(frames.values_TF[::step])
        states_T, _ = model.best_path(values_TF, chain, step=step)
        return np.repeat(states_T, step)[: len(frames)]

    return find


def _flat_states(frames: Frames, chain: Chain, min_frames: int) -> Ints:
    """The states of the words share the frames evenly; the quiet ends and long quiet stretches are silence."""
    states_T = np.zeros(len(frames), np.int64)
    spoken_S = np.flatnonzero(chain.ids_S != SILENCE)
    spoken = np.flatnonzero(_without_pauses(frames.is_loud_T, min_frames))
    if len(spoken) < len(spoken_S):
        spoken = np.arange(len(frames))
    states_T[spoken] = spoken_S[np.arange(len(spoken)) * len(spoken_S) // len(spoken)]
    return states_T


def _without_pauses(is_loud_T: np.ndarray, min_frames: int) -> np.ndarray:
    """True from the first to the last loud frame, but not where it is quiet for `min_frames` or more."""
    edges = np.flatnonzero(np.diff(is_loud_T.astype(np.int8), prepend=0, append=0))
    starts, ends = edges[::2], edges[1::2]
    is_spoken_T = np.zeros(len(is_loud_T), bool)
    for start, end, after in zip(starts, ends, np.append(starts[1:], ends[-1:]), strict=True):
        is_spoken_T[start : end if after - end >= min_frames else after] = True
    return is_spoken_T


def _moved(states_T: Ints, old: Chain, new: Chain) -> Ints:
    """The same words and pauses in the states of another chain, each word's frames shared evenly."""
    if states_T[0] < 0:
        return states_T
    moved_T = np.empty_like(states_T)
    pauses_S = np.flatnonzero(new.word_S < 0)
    # a pause is numbered by the words before it
    before_T = np.maximum.accumulate(old.word_S[states_T]) + 1
    moved_T[:] = pauses_S[before_T]
    word_T = old.word_S[states_T]
    for word in range(int(new.word_S.max()) + 1):
        frames = np.flatnonzero(word_T == word)
        own_S = np.flatnonzero(new.word_S == word)
        moved_T[frames] = own_S[np.arange(len(frames)) * len(own_S) // len(frames)]
    return moved_T
