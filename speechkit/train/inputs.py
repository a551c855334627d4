"""What a training run reads: utterances with tokens, the tokenizer, and which utterances CTC cannot learn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from speechkit import log
from speechkit.audio.augment import draw_speed
from speechkit.audio.config import FeatureConfig
from speechkit.audio.features import num_frames
from speechkit.cutpaste.onthefly import Pasted, open_pasted
from speechkit.data.batch import Batch, BatchMaker, Utterance, utterances_of
from speechkit.data.overlap import describe_overlap
from speechkit.data.store import CUTS_FILE, load_cuts
from speechkit.errors import SpeechkitError
from speechkit.kernels.ctc import required_frames
from speechkit.models.table import TOKENIZER_FOLDER, make_model
from speechkit.nn.config import EncoderConfig
from speechkit.nn.encoder import encoder_frames
from speechkit.text.tokenizer import Tokenizer, train_tokenizer
from speechkit.train.config import TrainConfig
from speechkit.train.convergence import measure_convergence
from speechkit.train.evaluate import evaluate
from speechkit.train.overlap import note_training_set

INFEASIBLE_FILE = "infeasible.tsv"


@dataclass
class Inputs:
    """The material of a recogniser: transcribed audio."""

    config: TrainConfig
    tokenizer: Tokenizer
    train: list[Utterance]
    dev: list[Utterance]
    pasted: Pasted | None = None
    dev_overlap: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        self.maker = BatchMaker(
            self.tokenizer, self.config.features, augmentation=self.config.augment, seed=self.config.seed,
            render=None if self.pasted is None else self.pasted.render,
        )  # fmt: skip
        self.plain_maker = BatchMaker(self.tokenizer, self.config.features)

    def make_model(self) -> nn.Module:
        """The untrained model."""
        num_mels, num_tokens = self.config.features.num_mels, self.tokenizer.num_tokens
        return make_model(self.config.model, num_mels=num_mels, num_tokens=num_tokens)

    def epoch(self, epoch: int) -> list[Utterance]:
        """The training utterances of an epoch, some of them pasted; always as many, in the same order."""
        return self.train if self.pasted is None else self.pasted.epoch(self.train, seed=self.config.seed, epoch=epoch)

    def sizes(self, utterances: Sequence[Utterance], epoch: int) -> np.ndarray:
        """Seconds of each utterance (N,) after the speed perturbation of this epoch."""
        seed, config = self.config.seed, self.config.augment
        speeds = [
            draw_speed(config, seed=seed, epoch=epoch, utt_id=utt.utt_id, max_speed=utt.max_speed)
            for utt in utterances
        ]  # fmt: skip
        return np.array([utt.duration_seconds / speed for utt, speed in zip(utterances, speeds, strict=True)])

    def largest(self) -> np.ndarray:
        """Seconds of all utterances that an epoch may hold, at the slowest speed."""
        slowest = min(1.0, self.config.augment.speed[0])
        pasted = [] if self.pasted is None else self.pasted.utterances
        return np.array([utt.duration_seconds / slowest for utt in [*self.train, *pasted]])

    def make_batch(self, utterances: Sequence[Utterance], epoch: int) -> Batch:
        """Audio read, perturbed and padded."""
        return self.maker(utterances, epoch)

    def describe(self) -> str:
        """Hours of recorded audio."""
        return f"{sum(utt.duration_seconds for utt in self.train) / 3600:.2f} h"

    def look(self, model: nn.Module, device: torch.device) -> tuple[str, dict[str, Any]] | None:
        """WER of greedy decoding of the dev set."""
        if not self.dev:
            return None
        result = evaluate(model, self.dev, self.plain_maker, self.config.batch, device)
        overlap = self.dev_overlap
        note = f"; {describe_overlap(overlap)}" if overlap and overlap["num_overlapping"] else ""
        line = f"WER {result['wer']:.2f} % of {result['num_ref_words']:.0f} words{note}"
        return line, {**result, "train_overlap": overlap}

    def verdict(self, model: nn.Module, device: torch.device) -> dict[str, Any]:
        """Whether the model has left the blank plateau."""
        return measure_convergence(model, self.train, self.plain_maker, self.config, device)


def manifest_of(path: Path) -> Path:
    """The cuts file of a manifest or artifact folder: only this decides, not the log or the audio beside it."""
    return path / CUTS_FILE if path.is_dir() else path


def extra_inputs(config: TrainConfig) -> dict[str, Path]:
    """What is read besides the manifests, by role."""
    folders = {"noise": config.augment.noise_dir, "rir": config.augment.rir_dir, "cutpaste": config.cutpaste.plan}
    return {role: Path(folder) for role, folder in folders.items() if folder is not None}


def read_inputs(config: TrainConfig, *, train: Sequence[Path], dev: Path | None, folder: Path) -> Inputs:
    """Read the manifests; leave the tokenizer and the list of infeasible utterances in `folder`.

    Raises:
        SpeechkitError: a manifest is bad, ids are shared, or no utterance is feasible; CheckFailed: the dev set
            overlaps with the training data.
    """
    cuts = [cut for path in train for cut in load_cuts(path)]
    double = sorted(utt_id for utt_id, count in Counter(cut.id for cut in cuts).items() if count > 1)
    if double:
        message = f"the training manifests share {len(double)} utterance ids"
        raise SpeechkitError(message, where=double, hint="give each corpus its own ids")
    utterances = _with_fitting_words(utterances_of(cuts, config.features))
    texts = [utt.text for utt in utterances]
    tokenizer = train_tokenizer(texts, kind=config.tokenizer.kind, size=config.tokenizer.size)
    tokenizer.save(folder / TOKENIZER_FOLDER)
    pasted = open_pasted(config.cutpaste, sampling_rate=config.features.sampling_rate, folder=folder)
    num_pasted = 0 if pasted is None else len(pasted.utterances)
    good, bad = tokenize(utterances, tokenizer, config.features, config.model.encoder)
    if pasted is not None:
        fit, unfit = tokenize(pasted.utterances, tokenizer, config.features, config.model.encoder)
        pasted, bad = replace(pasted, utterances=fit), bad + unfit
    if bad:
        _tell_infeasible(bad, len(utterances) + num_pasted, folder)
    if not good or (pasted is not None and not pasted.utterances):
        raise SpeechkitError("none of the " + ("recorded" if not good else "pasted") + " utterances can be learned")
    dev_cuts = list(load_cuts(dev)) if dev is not None else []
    made = [utt.text for utt in pasted.utterances] if pasted is not None else []
    overlap = note_training_set(cuts, dev_cuts, texts=made, folder=folder, allowed=config.allow_overlap)
    return Inputs(config, tokenizer, good, utterances_of(dev_cuts, config.features), pasted, overlap)


def _with_fitting_words(utterances: Sequence[Utterance]) -> list[Utterance]:
    """Utterances whose word times are dropped, and counted, when their words are not those of the text."""
    kept, dropped = [], []
    for utt in utterances:
        words = tuple(word for word in utt.words if word.symbol)  # an empty symbol marks silence
        if words and " ".join(word.symbol for word in words) != " ".join(utt.text.split()):
            dropped.append(utt.utt_id)
            words = ()
        kept.append(replace(utt, words=words))
    if dropped:
        log.warn(
            f"{len(dropped)} of {len(utterances)} utterances have word times of other words than their text; "
            f"their times are not used: {' '.join(dropped[:3])}{' ...' if len(dropped) > 3 else ''}"
        )
    return kept


@dataclass(frozen=True)
class Infeasible:
    """An utterance that no CTC path can produce: fewer encoder frames than tokens + repeats."""

    utt_id: str
    frames: int
    needed: int
    text: str


def tokenize(
    utterances: Sequence[Utterance], tokenizer: Tokenizer, features: FeatureConfig, encoder: EncoderConfig
) -> tuple[list[Utterance], list[Infeasible]]:
    """Utterances with tokens and the speed up to which they stay feasible, and those that are not feasible at all."""
    good, bad = [], []
    for utt in utterances:
        tokens = tuple(tokenizer.encode(utt.text))
        needed = required_frames(tokens)
        samples = round(utt.duration_seconds * features.sampling_rate)
        frames = encoder_frames(num_frames(samples, features), encoder)
        if frames < needed:
            bad.append(Infeasible(utt.utt_id, frames, needed, utt.text))
        else:
            # the margin of 10 % pays for rounding in resampling and subsampling
            max_speed = max(1.0, 0.9 * frames / max(1, needed))
            good.append(replace(utt, tokens=tokens, max_speed=max_speed))
    return good, bad


def _tell_infeasible(bad: Sequence[Infeasible], num_utterances: int, folder: Path) -> None:
    lines = [f"{b.utt_id}\t{b.frames}\t{b.needed}\t{b.text}" for b in bad]
    table = ["id\tencoder_frames\tneeded\ttext", *lines]
    (folder / INFEASIBLE_FILE).write_text("\n".join(table) + "\n", encoding="utf-8")
    message = f"{len(bad)} of {num_utterances} utterances have fewer encoder frames than tokens + repeats"
    if len(bad) == num_utterances:
        raise SpeechkitError(message, where=lines, hint="use a smaller model.encoder.subsampling, or check the texts")
    log.warn(f"{message} and are left out; see {INFEASIBLE_FILE}")
