"""Utterances with NIST markup inside an ordinary score: only they take the slow network alignment."""

from __future__ import annotations

import numpy as np

from speechkit.errors import SpeechkitError
from speechkit.score.nist import Markup, align_marked, has_markup
from speechkit.score.wer import Scored


def score_marked(scored: Scored, markup: Markup) -> Scored:
    """Replace the alignment of every utterance that has markup on either side.

    Raises:
        SpeechkitError: a brace is not closed, with file:line.
    """
    overrides = {}
    for u, (r, h) in enumerate(scored.pairs.tolist()):
        texts = scored.ref.text(r), scored.hyp.text(h) if h >= 0 else ""
        if any(has_markup(text, markup) for text in texts):
            where = [f"{side.source}:{side.lines[k]}" for side, k in ((scored.ref, r), (scored.hyp, h))]
            overrides[u] = align_marked(texts[0], texts[1], markup, where=where)
    found = scored.with_alignments(overrides)
    if not np.any(found.words[:, 3]):
        raise SpeechkitError("no reference has a word, so there is no error rate", where=scored.ref.source)
    return found
