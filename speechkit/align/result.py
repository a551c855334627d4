"""What an aligner hands back for an utterance."""

from __future__ import annotations

from dataclasses import dataclass

from speechkit.data.store import Word


@dataclass(frozen=True)
class Aligned:
    """Words of the transcript, and tokens where the model has some; times in seconds from the start of the cut.

    Args:
        log_prob: natural log probability of the best path, per frame.
    """

    words: tuple[Word, ...]
    tokens: tuple[Word, ...] = ()
    log_prob: float = 0.0


@dataclass(frozen=True)
class NotAligned:
    """An utterance without an alignment, and why."""

    reason: str


Outcome = Aligned | NotAligned
