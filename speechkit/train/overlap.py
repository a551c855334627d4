"""A dev set that training does not overlap with, and a note in the model of what it was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speechkit import log
from speechkit.data.overlap import (
    TRAINING_SET_FILE,
    Heard,
    describe_overlap,
    find_overlap,
    heard_of_cuts,
    refuse_overlap,
    training_set,
)

if TYPE_CHECKING:
    from lhotse import MonoCut


def note_training_set(
    train: Sequence[MonoCut], dev: Sequence[MonoCut], *, texts: Sequence[str] = (), folder: Path, allowed: bool
) -> dict[str, Any] | None:
    """Write down in `folder` what is trained on; the answer is what the dev set shares with it, None without one.

    Args:
        texts: of utterances that are made while training.
    Raises:
        CheckFailed: the dev set overlaps with the training data and that is not allowed.
    """
    made = [Heard(f"~{number}", f"~{number}", 0, 1, {"text": text}, {}) for number, text in enumerate(texts)]
    held_out = list(heard_of_cuts(dev))
    known = training_set([*heard_of_cuts(train), *made], held_out)
    known.save(folder / TRAINING_SET_FILE)
    if not held_out:
        return None
    summary = find_overlap(held_out, known).summary()
    refuse_overlap(summary, "the dev set", allowed=allowed)
    if summary["num_overlapping"]:
        log.warn(f"the dev set: {describe_overlap(summary)}")
    return summary
