"""Error rates on texts that occur in training and on texts that do not, and the parrot rate.

A model trained on few texts may score well on known sentences because it has memorised them; the pair of rates
shows it, and the parrot rate counts hypotheses on new texts that are training sentences verbatim.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import numpy.typing as npt

from speechkit.score.summary import percent, summarise
from speechkit.score.wer import Scored


def is_seen(scored: Scored, train_texts: Collection[str]) -> npt.NDArray[np.bool_]:
    """(N,) whether the reference, words separated by single spaces, is one of the training texts."""
    return np.array([" ".join(scored.ref_words(u)) in train_texts for u in range(len(scored))], np.bool_)


def seen_unseen(scored: Scored, train_texts: Collection[str], **options: Any) -> dict[str, Any]:
    """`seen` and `unseen` summaries (None when empty) and `parrot_rate` in percent of the unseen-text utterances.

    Args:
        train_texts: normalised like the references, words separated by single spaces.
    """
    known = frozenset(train_texts) - {""}
    seen = is_seen(scored, known)
    unseen = np.flatnonzero(~seen)
    num_parrots = sum(" ".join(scored.hyp_words(u)) in known for u in unseen.tolist())
    return {
        "num_train_texts": len(known),
        "seen": summarise(scored, np.flatnonzero(seen), **options) if seen.any() else None,
        "unseen": summarise(scored, unseen, **options) if unseen.size else None,
        "num_parrots": num_parrots,
        "parrot_rate": percent(num_parrots, unseen.size),
    }
