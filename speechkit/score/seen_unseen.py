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

NUM_EXAMPLES = 5


def is_seen(scored: Scored, train_texts: Collection[str]) -> npt.NDArray[np.bool_]:
    """(N,) whether the reference, words separated by single spaces, is one of the training texts."""
    return np.array([" ".join(scored.ref_words(u)) in train_texts for u in range(len(scored))], np.bool_)


def seen_unseen(scored: Scored, train_texts: Collection[str], **options: Any) -> dict[str, Any]:
    """`seen` and `unseen` summaries (None when empty) and `parrot_rate` in percent of the unseen-text utterances.

    `unseen_examples` are five utterances, the same ones for all systems that are scored on one set.

    Args:
        train_texts: normalised like the references, words separated by single spaces.
    """
    known = frozenset(train_texts) - {""}
    seen = is_seen(scored, known)
    unseen = np.flatnonzero(~seen)
    parrots = {u for u in unseen.tolist() if " ".join(scored.hyp_words(u)) in known}
    shown = unseen[np.unique(np.linspace(0, unseen.size - 1, NUM_EXAMPLES).astype(int))].tolist() if unseen.size else []
    return {
        "num_train_texts": len(known),
        "seen": summarise(scored, np.flatnonzero(seen), **options) if seen.any() else None,
        "unseen": summarise(scored, unseen, **options) if unseen.size else None,
        "num_parrots": len(parrots),
        "parrot_rate": percent(len(parrots), unseen.size),
        "unseen_examples": [
            {
                "id": scored.ids[u],
                "ref": " ".join(scored.ref_words(u)),
                "hyp": " ".join(scored.hyp_words(u)),
                "is_parrot": u in parrots,
            }
            for u in shown
        ],
    }
