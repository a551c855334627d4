"""From cuts to tensors: utterances, batches, frame labels; the same for training, decoding and scoring."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from lhotse import MonoCut
from torch import Tensor

from speechkit import log
from speechkit.audio import augment
from speechkit.audio.bank import load_bank
from speechkit.audio.config import AugmentConfig, FeatureConfig
from speechkit.audio.features import log_mel
from speechkit.audio.io import read_audio
from speechkit.audio.resample import resample
from speechkit.data.store import Word, audio_path, text_of, words_of
from speechkit.data.weights import Weights, moved, weights_of
from speechkit.errors import SpeechkitError
from speechkit.text.tokenizer import Tokenizer

IGNORED_LABEL = -100  # frame without a known label, as torch's cross-entropy expects it


class Load(NamedTuple):
    """Size of a batch: an amount in `unit`, and how many of its padded positions are used."""

    unit: str
    amount: float
    used: int
    padded: int


@dataclass(frozen=True)
class Utterance:
    """What training and decoding need of a cut; times in seconds from its start.

    `rendered`: its number for the batch maker's `render`, -1 when its samples are those of `audio`.
    `weight`: how much it counts in training, in [0, 1]; `word_weights`: the same for each word, or empty.
    """

    utt_id: str
    audio: Path
    start_sample: int
    num_samples: int
    sampling_rate: int
    text: str
    words: tuple[Word, ...] = ()
    tokens: tuple[int, ...] = ()
    max_speed: float = 2.0
    rendered: int = -1
    weight: float = 1.0
    word_weights: tuple[float, ...] = ()

    @property
    def duration_seconds(self) -> float:
        """Length in seconds."""
        return self.num_samples / self.sampling_rate


@dataclass
class Batch:
    """A padded group of utterances.

    features_BTF float32; num_frames_B int64; tokens_BU int64 padded with 0; num_tokens_B int64;
    frame_labels_BT int64 token of each feature frame (0 outside words, -100 unknown), or None when no word times;
    words: first and end token of each word; weights, or None where every utterance counts fully.
    """

    utt_ids: list[str]
    features_BTF: Tensor
    num_frames_B: Tensor
    tokens_BU: Tensor
    num_tokens_B: Tensor
    frame_labels_BT: Tensor | None
    audio_seconds: float
    words: list[list[tuple[int, int]]] = field(default_factory=list)
    weights: Weights | None = None

    def __len__(self) -> int:
        return len(self.utt_ids)

    @property
    def load(self) -> Load:
        """What it holds, for the log."""
        return Load("audio s", self.audio_seconds, int(self.num_frames_B.sum()), self.features_BTF[..., 0].numel())

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        weights = None if self.weights is None else self.weights.to(device)
        return replace(self, weights=weights, **moved(self, device))


def utterances_of(cuts: Iterable[MonoCut], config: FeatureConfig) -> list[Utterance]:
    """The utterances of a manifest, checked against the sampling rate of the features.

    Raises:
        SpeechkitError: recordings slower than `config.sampling_rate`, listed by id.
    """
    utterances, slow = [], []
    rates: Counter[int] = Counter()
    for cut in cuts:
        rate = cut.recording.sampling_rate
        rates[rate] += 1
        if rate < config.sampling_rate:
            slow.append(f"{cut.id}  {rate} Hz  {audio_path(cut)}")
        utterances.append(
            Utterance(
                utt_id=cut.id,
                audio=audio_path(cut),
                start_sample=round(cut.start * rate),
                num_samples=round(cut.duration * rate),
                sampling_rate=rate,
                text=text_of(cut),
                words=tuple(words_of(cut)),
                **weights_of(cut),
            )
        )
    if slow:
        raise SpeechkitError(
            f"{len(slow)} of {len(utterances)} utterances are below features.sampling_rate={config.sampling_rate} Hz",
            where=slow,
            hint=f"--set features.sampling_rate={min(rates)} (then the faster ones are down-sampled)",
        )
    for rate, count in sorted(rates.items()):
        if rate > config.sampling_rate:
            log.info(f"{count} utterances of {rate} Hz are down-sampled to {config.sampling_rate} Hz when read")
    return utterances


def read_samples(utt: Utterance) -> np.ndarray:
    """The recorded audio of an utterance, float32 (S,), at its own sampling rate.

    Raises:
        SpeechkitError: the file is missing, unreadable, too short, or of another rate than its manifest says.
    """
    samples, found_rate = read_audio(utt.audio, start_sample=utt.start_sample, num_samples=utt.num_samples)
    if found_rate != utt.sampling_rate:
        raise SpeechkitError(
            f"`{utt.audio}` is sampled at {found_rate} Hz, its manifest says {utt.sampling_rate} Hz",
            where=utt.utt_id,
            hint="prepare the corpus again",
        )
    return samples


class BatchMaker:
    """Reads, perturbs and pads utterances; a pure function of (seed, epoch, utterances).

    Args:
        augmentation: none for decoding and development sets.
        render: samples, float32 (S,), of the utterances that are not read from files, by their `rendered`.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        features: FeatureConfig,
        *,
        augmentation: AugmentConfig | None = None,
        seed: int = 0,
        render: Callable[[int], np.ndarray] | None = None,
    ) -> None:
        self.render = render
        self.tokenizer = tokenizer
        self.features = features
        self.augmentation = augmentation
        self.seed = seed
        self.bank = load_bank(augmentation or AugmentConfig(), features.sampling_rate)

    def __call__(self, utterances: Sequence[Utterance], epoch: int = 0) -> Batch:
        """Make one batch; `epoch` selects the perturbation.

        Raises:
            SpeechkitError: an audio file is missing, unreadable or too short; it names the file.
        """
        rate = self.features.sampling_rate
        draws: list[augment.Draw | None] = []
        waves: list[np.ndarray] = []
        for utt in utterances:
            samples = resample(self._samples(utt), utt.sampling_rate, rate)
            chosen = None
            if self.augmentation is not None:
                chosen = augment.draw(
                    self.augmentation, seed=self.seed, epoch=epoch, utt_id=utt.utt_id, max_speed=utt.max_speed
                )
                samples = augment.perturb_samples(samples, self.augmentation, chosen, rate, self.bank)
            waves.append(samples)
            draws.append(chosen)
        num_samples_B = torch.tensor([len(wave) for wave in waves])
        samples_BS = torch.zeros(len(waves), int(num_samples_B.max()))
        for row, wave in zip(samples_BS, waves, strict=True):
            row[: len(wave)] = torch.from_numpy(wave)
        warps = [chosen.mel_warp for chosen in draws if chosen is not None]
        features_BTF, num_frames_B = log_mel(samples_BS, num_samples_B, self.features, warps=warps or None)
        for row, size, chosen in zip(features_BTF, num_frames_B.tolist(), draws, strict=True):
            if chosen is not None and self.augmentation is not None:
                augment.perturb_features(row[:size], self.augmentation, chosen)
        speeds = [1.0 if chosen is None else chosen.speed for chosen in draws]
        return self._assemble(utterances, features_BTF, num_frames_B, speeds)

    def _samples(self, utt: Utterance) -> np.ndarray:
        if utt.rendered >= 0 and self.render is not None:
            return self.render(utt.rendered)
        return read_samples(utt)

    def _assemble(
        self, utterances: Sequence[Utterance], features_BTF: Tensor, num_frames_B: Tensor, speeds: list[float]
    ) -> Batch:
        num_tokens_B = torch.tensor([len(utt.tokens) for utt in utterances])
        tokens_BU = torch.zeros(len(utterances), max(1, int(num_tokens_B.max())), dtype=torch.int64)
        for row, utt in zip(tokens_BU, utterances, strict=True):
            row[: len(utt.tokens)] = torch.tensor(utt.tokens)
        sizes = num_frames_B.tolist()
        labels = None
        if any(utt.words for utt in utterances):
            labels = torch.full(features_BTF.shape[:2], IGNORED_LABEL)
            for row, utt, size, speed in zip(labels, utterances, sizes, speeds, strict=True):
                if utt.words:
                    row[:size] = self._frame_labels(utt, size, speed)
        words = [self.tokenizer.word_ranges(utt.tokens) for utt in utterances]
        weights = None
        if any(utt.weight < 1.0 or utt.word_weights for utt in utterances):
            shapes = tokens_BU.shape[1], features_BTF.shape[1]
            weights = self._weights(utterances, words, shapes=shapes, speeds=speeds)
        return Batch(
            utt_ids=[utt.utt_id for utt in utterances],
            features_BTF=features_BTF,
            num_frames_B=num_frames_B,
            tokens_BU=tokens_BU,
            num_tokens_B=num_tokens_B,
            frame_labels_BT=labels,
            audio_seconds=float(sum(utt.duration_seconds / s for utt, s in zip(utterances, speeds, strict=True))),
            words=words,
            weights=weights,
        )

    def _weights(
        self, utterances: Sequence[Utterance], words: list[list[tuple[int, int]]], *, shapes: tuple[int, int],
        speeds: list[float],
    ) -> Weights:  # fmt: skip
        utterances_B = torch.tensor([utt.weight for utt in utterances])
        tokens, frames = (utterances_B[:, None].repeat(1, size) for size in shapes)
        for b, (utt, ranges, speed) in enumerate(zip(utterances, words, speeds, strict=True)):
            for (start, end), weight in zip(ranges, utt.word_weights, strict=False):
                tokens[b, start:end] *= weight
            for word, weight in zip(utt.words, utt.word_weights, strict=False):
                start, end = self._frames_of(word, 1, speed)
                frames[b, start : max(start + 1, end)] *= weight
        return Weights([utt.word_weights for utt in utterances], utterances_B, tokens, frames)

    def _frames_of(self, word: Word, num_parts: int, speed: float) -> list[int]:
        """First feature frames of the equal parts of a word, and the end of the last."""
        # not 1000 / hop_ms: a hop is a whole number of samples
        frames_per_second = self.features.sampling_rate / self.features.hop_samples / speed
        edges = word.start_seconds + word.duration_seconds * np.arange(num_parts + 1) / num_parts
        frames: list[int] = np.round(edges * frames_per_second).clip(min=0).astype(int).tolist()
        return frames

    def _frame_labels(self, utt: Utterance, size: int, speed: float) -> Tensor:
        """Token of each frame (T,): a word's frames are shared evenly among its tokens, silence is blank."""
        labels = torch.zeros(size, dtype=torch.int64)
        for word in utt.words:
            tokens = self.tokenizer.encode(word.symbol)
            frames = self._frames_of(word, len(tokens), speed)
            for token, start, end in zip(tokens, frames[:-1], frames[1:], strict=True):
                labels[start : max(start + 1, end)] = token
        return labels
