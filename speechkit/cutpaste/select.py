"""Snippets for planned texts: from an inventory and a text to the pieces of a plan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speechkit.cutpaste.config import JoinConfig
from speechkit.cutpaste.inventory import Inventory
from speechkit.cutpaste.plan_file import Piece
from speechkit.kernels.snippets import Tables, Weights, choose
from speechkit.rng import derive_seed

_PLACES = ["source", "start", "end", "cut_start", "cut_end", "quiet_start", "quiet_end"]
_KEPT_SOURCE = 4.0  # cost that a word of the preferred recording saves


@dataclass(frozen=True)
class Choice:
    """Runs of tokens (first, size) that say a text, joined ones merged; `cost` per word."""

    runs: tuple[tuple[int, int], ...]
    cost: float


class Selector:
    """Chooses snippets and counts their uses; the outcome depends on what was chosen before."""

    def __init__(self, inventory: Inventory, config: JoinConfig) -> None:
        tokens = inventory.tokens
        letters = _letters(inventory.words)
        target = config.duration * np.minimum(np.abs(tokens["duration_z"]), 3.0)
        target = target + config.confidence * (1.0 - tokens["confidence"])
        self.tables = Tables(
            key=np.array(inventory.snippets["key"], np.int64),
            speaker=np.array(inventory.snippets["speaker"], np.int32),
            token=np.array(inventory.snippets["token"], np.int32),
            source=np.array(tokens["source"], np.int32),
            left=np.array(tokens["left"], np.int32),
            right=np.array(tokens["right"], np.int32),
            uses=np.zeros(len(tokens), np.int32),
            joined=np.array(tokens["joined"], np.bool_),
            target=target.astype(np.float32),
            edges=np.array(inventory.edges, np.float32),
            first_letter=letters[0],
            last_letter=letters[1],
            base=len(inventory.words) + 1,
        )
        self.weights = Weights(
            mfcc=config.mfcc, f0=config.f0, power=config.power, source=config.source, position=config.position,
            context=config.context, reuse=config.reuse, temperature=config.temperature, kept_source=_KEPT_SOURCE,
            candidates=config.candidates, chunks=max(1, config.candidates // 3),
        )  # fmt: skip

    def __call__(
        self, words: np.ndarray, pauses: np.ndarray, *, speaker: int, seed: int, kept_source: int = -1
    ) -> Choice | None:
        """Snippets for word numbers (U,) with pauses after them (U,), or None when a word can not be said.

        Args:
            speaker: whose words to take, -1 for anyone's.
            kept_source: a recording whose words are preferred, -1 for none.
        """
        first, sizes, cost = choose(self.tables, self.weights, words, pauses, (speaker, seed, kept_source))
        if len(first) == 0:
            return None
        runs: list[tuple[int, int]] = []
        position = 0
        for token, size in zip(first.tolist(), sizes.tolist(), strict=True):
            self.tables.uses[token : token + size] += 1
            end = sum(runs[-1]) if runs else -1
            if end == token and self.tables.joined[token - 1] and pauses[position - 1] == 0:
                runs[-1] = (runs[-1][0], runs[-1][1] + size)
            else:
                runs.append((token, size))
            position += size
        return Choice(tuple(runs), cost / len(words))


def pieces_of(inventory: Inventory, choice: Choice) -> tuple[Piece, ...]:
    """The stretches of sound of a choice."""
    pieces = []
    for token, size in choice.runs:
        own = inventory.tokens[token : token + size][_PLACES].tolist()
        marks = tuple(record[1:3] for record in own)
        pieces.append(Piece(own[0][0], own[0][3], own[-1][4], marks, quiet=(own[0][5], own[-1][6])))
    return tuple(pieces)


def selection_seed(seed: int, utt_id: str) -> int:
    """The seed of the random part of one utterance."""
    return derive_seed(seed, "snippets", utt_id, bits=62)


def _letters(words: list[str]) -> tuple[np.ndarray, np.ndarray]:
    first = np.array([ord(word[0]) for word in words], np.int32)
    last = np.array([ord(word[-1]) for word in words], np.int32)
    return first, last
