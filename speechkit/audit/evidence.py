"""What the log-probs of a model that never heard an utterance say about each word and gap of its transcript."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Evidence:
    """Evidence about one transcript of W words; gap g lies before word g, gap W after the last.

    Log ratios are log P(edited transcript) - log P(transcript) in nats, exact sums over all CTC paths; -inf where
    an edit is impossible.

    Args:
        log_prob: log P(transcript), over all frames.
        delete_W: without the word.
        star_W: the word replaced by a star, which stands for any frames at a small price each.
        replace_W, replacement_W: the best other word of the lexicon, and its index there; -inf, -1 without a lexicon.
        gap_star_G: a star inserted in the gap, G = W + 1.
        insert_G, insertion_G: the best word of the lexicon inserted in the gap, and its index there.
        doubt_W, doubt_G: log-odds that the word is another one, or that something is missing in the gap, however many
            faults the transcript has (`kernels/ctc_star.py`): what ranks words and gaps.
        segment_W, segment_G: best free path minus forced alignment over the frames of the word or gap.
        confidence_W: geometric mean of the posteriors of the word's tokens along the forced alignment.
        start_seconds_W, end_seconds_W: CTC's span of the word, from the start of the cut.
        hypothesis: greedy output.
        scores: the scores of the whole utterance by name; more is more suspicious.
    """

    words: tuple[str, ...]
    log_prob: float
    delete_W: Floats
    star_W: Floats
    replace_W: Floats
    replacement_W: Ints
    gap_star_G: Floats
    insert_G: Floats
    insertion_G: Ints
    doubt_W: Floats
    doubt_G: Floats
    segment_W: Floats
    segment_G: Floats
    confidence_W: Floats
    start_seconds_W: Floats
    end_seconds_W: Floats
    hypothesis: str
    scores: dict[str, float] = field(default_factory=dict)
