"""How much utterances, words and frames count in training: from the manifest to the batch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from lhotse import MonoCut
from torch import Tensor

from speechkit.data.store import text_of
from speechkit.errors import SpeechkitError


@dataclass
class Weights:
    """How much the parts of a batch count: float32 in [0, 1].

    Args:
        words: of each word of each utterance; empty where none are given.
        utterances_B, tokens_BU, frames_BT: of an utterance, and of its tokens and feature frames with those of words.
    """

    words: list[tuple[float, ...]]
    utterances_B: Tensor
    tokens_BU: Tensor
    frames_BT: Tensor

    def to(self, device: torch.device) -> Weights:
        """The same weights on another device."""
        return replace(self, **moved(self, device))


def moved(record: Any, device: torch.device) -> dict[str, Any]:
    """The tensors of a record on another device, by field."""
    return {name: value.to(device) for name, value in vars(record).items() if isinstance(value, Tensor)}


def weights_of(cut: MonoCut) -> dict[str, Any]:
    """The fields `weight` and `word_weights` of a supervision, as `audit apply` writes them.

    Raises:
        SpeechkitError: a weight is not a number from 0 to 1, or there is not one for each word.
    """
    custom = cut.supervisions[0].custom or {} if cut.supervisions else {}
    weight, words = custom.get("weight", 1.0), custom.get("word_weights", [])
    each = words if isinstance(words, list) else [words]
    bad = [w for w in [weight, *each] if isinstance(w, bool) or not isinstance(w, int | float) or not 0 <= w <= 1]
    if bad:
        raise SpeechkitError(f"the weight {bad[0]!r:.40} is no number from 0 to 1", where=cut.id)
    if each and len(each) != len(text_of(cut).split()):
        raise SpeechkitError(
            f"{len(each)} `word_weights` for {len(text_of(cut).split())} words", where=cut.id,
            hint="the text was changed after `audit apply`",
        )  # fmt: skip
    return {"weight": float(weight), "word_weights": tuple(map(float, each))}
