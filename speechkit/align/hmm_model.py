"""Gaussian hidden Markov models of silence, letters and frequent words: one diagonal Gaussian per state.

A word with states of its own uses them, any other the states of its letters. Between words, and at both ends,
stands a pause that may be missed. Files: `hmm.safetensors` and `hmm.json`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from speechkit.align.config import HmmConfig
from speechkit.align.spelling import letters_of
from speechkit.artifact import write_json
from speechkit.config import build_config
from speechkit.errors import SpeechkitError
from speechkit.kernels import hmm

WEIGHTS_FILE = "hmm.safetensors"
UNITS_FILE = "hmm.json"
SILENCE = 0
# 400 changed 7 % of the words of so762, 1500 none; where a burst of noise begins a recording it takes 3000
_FIRST_BEAM, _BEAM_GROWTH, _MAX_BEAM = 1500.0, 4.0, 1e5
_EXACT_CELLS = 20_000_000  # frames x states that a final search goes through whole: a tenth of a second
_MARGIN_STEP = 3
_MIN_SPREAD = 0.25
_LEAST_SURE = 3.0  # so many spreads below the typical margin, the confidence is one half
_STEEPNESS = 1.5

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Gaussians:
    """Means and variances (N, F) of the states, float64."""

    mean_NF: Floats
    variance_NF: Floats

    def packed(self) -> hmm.Gaussians:
        """As the kernels take them."""
        constant_N = -0.5 * np.log(2 * np.pi * self.variance_NF).sum(axis=1)
        return (
            self.mean_NF.astype(np.float32),
            (1.0 / self.variance_NF).astype(np.float32),
            constant_N.astype(np.float32),
        )


@dataclass(frozen=True)
class Chain:
    """The states of an utterance: Gaussian (S,), 1 where the pause before may be missed (S,), word or -1 (S,)."""

    ids_S: Ints
    skip_S: NDArray[np.uint8]
    word_S: Ints


@dataclass
class HmmModel:
    """What training leaves behind.

    Args:
        letters, words: first Gaussian and number of Gaussians of each; letters come first, after silence.
        stay_N: probability of staying in a state for another frame.
        margin: typical log-likelihood of a word's frames above that of the best letter, and its spread.
    """

    config: HmmConfig
    sampling_rate: int
    letters: dict[str, tuple[int, int]]
    words: dict[str, tuple[int, int]]
    gaussians: Gaussians
    stay_N: Floats
    margin: tuple[float, float] = (0.0, 1.0)
    _packed: hmm.Gaussians | None = field(default=None, repr=False)

    @property
    def num_letter_gaussians(self) -> int:
        """Gaussians of silence and letters."""
        return 1 + sum(size for _, size in self.letters.values())

    def packed(self) -> hmm.Gaussians:
        """The Gaussians as the kernels take them."""
        if self._packed is None:
            self._packed = self.gaussians.packed()
        return self._packed

    def states_of(self, word: str) -> list[int]:
        """Gaussians of a word.

        Raises:
            SpeechkitError: it has no letter, or one without a model.
        """
        if word in self.words:
            first, size = self.words[word]
            return list(range(first, first + size))
        letters = letters_of(word)
        if not letters:
            raise SpeechkitError(f"the word `{word}` has no letter that could sound")
        unknown = [letter for letter in letters if letter not in self.letters]
        if unknown:
            raise SpeechkitError(f"the model has never heard the letter `{unknown[0]}` of `{word}`")
        spans = (self.letters[letter] for letter in letters)
        return [first + k for first, size in spans for k in range(size)]

    def chain(self, words: Sequence[str]) -> Chain:
        """The states of a transcript.  Raises: SpeechkitError: as `states_of`."""
        ids, skip, owner = [SILENCE], [0], [-1]
        for position, word in enumerate(words):
            states = self.states_of(word)
            ids += [*states, SILENCE]
            skip += [1] + [0] * len(states)
            owner += [position] * len(states) + [-1]
        return Chain(np.array(ids), np.array(skip, np.uint8), np.array(owner))

    def best_path(
        self,
        values_TF: NDArray[np.float32],
        chain: Chain,
        *,
        gaussians: hmm.Gaussians | None = None,
        step: int = 1,
        is_final: bool = False,
    ) -> tuple[Ints, float]:
        """State of each frame on the best path and its log probability, -inf when the frames are too few.

        Args:
            gaussians: those of a speaker instead of the general ones.
            step: the frames are every `step`-th one, so states last less long.
            is_final: lose no path; of a long recording, widen the beam until that finds nothing better.
        """
        leave_N = np.clip((1.0 - self.stay_N) * step, None, 0.9)
        transitions = np.log1p(-leave_N), np.log(leave_N)
        states_T = np.full(len(values_TF), -1, np.int64)
        needed = int(hmm.fewest_frames(chain.skip_S)[0])
        if len(values_TF) < needed:
            return states_T, -np.inf
        beam, before = _FIRST_BEAM, -np.inf
        if is_final:
            beam = np.inf if len(values_TF) * len(chain.ids_S) <= _EXACT_CELLS else _FIRST_BEAM * _BEAM_GROWTH
        own = gaussians or self.packed()
        while True:
            score = hmm.best_path(values_TF, own, (chain.ids_S, chain.skip_S), transitions, beam, states_T)
            is_enough = score > -np.inf and (score == before or not is_final)
            if is_enough or beam == np.inf:
                return states_T, float(score)
            before = score
            beam = beam * _BEAM_GROWTH if beam < _MAX_BEAM else np.inf

    def word_margins(self, values_TF: NDArray[np.float32], chain: Chain, states_T: Ints) -> Floats:
        """Mean log-likelihood of each word's frames above that of the best letter or silence."""
        margin_T = hmm.margins(values_TF, chain.ids_S[states_T], self.packed(), self.num_letter_gaussians, _MARGIN_STEP)
        word_T = chain.word_S[states_T][::_MARGIN_STEP] + 1
        num_words = int(chain.word_S.max()) + 1
        total = np.bincount(word_T, margin_T, num_words + 1)[1:]
        return np.asarray(total / np.maximum(1, np.bincount(word_T, minlength=num_words + 1)[1:]))

    def confidence(self, margin: Floats) -> Floats:
        """How sure a word is, 0 to 1: a half where its margin is 3 spreads below the typical one."""
        typical, spread = self.margin
        distance = (margin - typical) / spread + _LEAST_SURE
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(_STEEPNESS * distance, -50, 50))))

    def learn_margin(self, margins: Floats) -> None:
        """Take the median as typical and its distance to the 16th percentile as spread: few wrong words do no harm."""
        low, middle = np.percentile(margins, (16, 50))
        self.margin = round(float(middle), 4), round(max(_MIN_SPREAD, float(middle - low)), 4)

    def save(self, folder: Path) -> None:
        """Write the two files."""
        arrays = {"mean": self.gaussians.mean_NF, "variance": self.gaussians.variance_NF, "stay": self.stay_N}
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, str(folder / WEIGHTS_FILE))
        units = {
            "config": self.config.model_dump(mode="json"),
            "sampling_rate": self.sampling_rate,
            "margin": self.margin,
            "letters": self.letters,
            "words": self.words,
        }
        write_json(folder / UNITS_FILE, units)


def load_hmm(folder: Path) -> HmmModel:
    """The model of a finished `speechkit align forced`.

    Raises:
        SpeechkitError: a file is missing or damaged.
    """
    try:
        arrays = load_file(str(folder / WEIGHTS_FILE))
        units = json.loads((folder / UNITS_FILE).read_text(encoding="utf-8"))
        letters = {str(name): (int(first), int(size)) for name, (first, size) in units["letters"].items()}
        words = {str(name): (int(first), int(size)) for name, (first, size) in units["words"].items()}
        model = HmmModel(
            config=build_config(HmmConfig, units["config"]),
            sampling_rate=int(units["sampling_rate"]),
            letters=letters,
            words=words,
            gaussians=Gaussians(arrays["mean"], arrays["variance"]),
            stay_N=arrays["stay"],
            margin=(float(units["margin"][0]), float(units["margin"][1])),
        )
        ends = [first + size for first, size in [*letters.values(), *words.values()]]
        fits = (
            max(ends) == len(arrays["mean"]) == len(arrays["stay"]) and arrays["mean"].shape == arrays["variance"].shape
        )
    except (OSError, ValueError, KeyError, TypeError, IndexError, SafetensorError) as error:
        raise SpeechkitError(f"`{folder}` holds no sound alignment model: {type(error).__name__}: {error}") from None
    if not fits:
        raise SpeechkitError(f"`{folder / WEIGHTS_FILE}` does not fit `{UNITS_FILE}`", hint="align again")
    return model
