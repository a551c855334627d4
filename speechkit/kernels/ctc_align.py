"""CTC alignment of one recording, however long: exact with a certificate, or by beam; text and audio may disagree.

Between words, speech that the text lacks may be passed over at a price per frame (the `<star>` of others), and
words that the audio lacks may be left out at a price per word. Sums are float64; memory is that of the visited cells.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from speechkit.kernels import ctc_viterbi

# Up to this many cells an exact search keeps them all; above, a beam search and a certified second one are faster.
MAX_FULL_CELLS = 2_000_000
FIRST_BEAM = 30.0
BEAM_GROWTH = 4.0
MAX_BEAM = 1e5


@dataclass(frozen=True)
class Search:
    """How a path is searched.

    Args:
        beam: cells further below the best are dropped; none: the path is proven to be the best.
        star_penalty: price in nats, below the best label of the frame, of a frame of speech that the text lacks.
        skip_penalty: price in nats of a word that the audio lacks.
    """

    beam: float | None = None
    star_penalty: float | None = None
    skip_penalty: float | None = None


class TokenPath(NamedTuple):
    """The best path: start and end frame of each token (U,), end exclusive and equal to the start where it is left
    out; frames of speech that the text lacks (T,) bool; natural log probability, not finite when there is none.
    """

    start_frames_U: NDArray[np.int64]
    end_frames_U: NDArray[np.int64]
    is_extra_T: NDArray[np.bool_]
    log_prob: float


def align_tokens(
    log_probs_TV: NDArray[np.float32],
    tokens: Sequence[int] | NDArray[np.int64],
    *,
    blank_id: int = 0,
    words: Sequence[tuple[int, int]] = (),
    search: Search = Search(),
) -> TokenPath:
    """The best CTC path through the tokens of one recording.

    Args:
        log_probs_TV: float32, contiguous, natural log.
        tokens: without blanks.
        words: first and end index of the tokens of each word, in order; where the penalties apply.
    Cost: O(T U) cells for short recordings; else those within the beam, and for the proof those from which the
        bound can still be reached with the best label of each later frame.
    Source: Graves et al. 2006, section 4.1.  Test: brute force, torchaudio, k2.
    """
    tokens_U = np.asarray(tokens, dtype=np.int64)
    labels_U = np.concatenate([[blank_id], tokens_U])
    num_frames = len(log_probs_TV)
    places_T = np.zeros(num_frames, np.int64)
    filler_T = np.zeros(0)
    if search.star_penalty is not None:
        filler_T = log_probs_TV.max(axis=1).astype(np.float64) - search.star_penalty
    skip_cost = -math.inf if search.skip_penalty is None else -search.skip_penalty
    text = _text(labels_U, words)
    log_prob = 0.0
    if num_frames:
        problem = log_probs_TV, labels_U, blank_id, text, (filler_T, skip_cost)
        log_prob = _beam_search(problem, search.beam, places_T) if search.beam else _exact(problem, places_T)
    position_U = 2 * np.arange(len(tokens_U)) + 1
    start_U, end_U = (np.searchsorted(places_T, position_U, side=side) for side in ("left", "right"))
    is_extra_T = np.zeros(num_frames, bool)
    if len(filler_T):
        is_open_T = (places_T % 2 == 0) & (text[1][places_T // 2] > 0)
        is_extra_T = is_open_T & (filler_T > log_probs_TV[:, blank_id])
    return TokenPath(start_U, end_U, is_extra_T, log_prob)


Text = tuple[NDArray[np.float64], NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]
Problem = tuple[NDArray[np.float32], NDArray[np.int64], int, Text, tuple[NDArray[np.float64], float]]


def _text(labels_U: NDArray[np.int64], words: Sequence[tuple[int, int]]) -> Text:
    """What the kernel wants to know of each cell, see `ctc_viterbi.best_path`."""
    num_cells = len(labels_U)
    bar_U = np.zeros(num_cells)
    bar_U[2:][labels_U[2:] == labels_U[1:-1]] = -np.inf
    is_edge_U = np.zeros(num_cells, np.uint8)
    starts_U = np.full(num_cells, -1, np.int64)
    reach_U = np.minimum(np.arange(num_cells) + 1, num_cells - 1)
    is_edge_U[[0, -1]] = 1
    for position, (start, end) in enumerate(words):
        # what lies between two words, such as a token for the blank between them, goes with the one before
        end = words[position + 1][0] if position + 1 < len(words) else num_cells - 1
        is_edge_U[[start, end]] = 1
        starts_U[end] = start
        reach_U[start:end] = end
    return bar_U, is_edge_U, starts_U, reach_U


def _beam_search(problem: Problem, beam: float, places_T: NDArray[np.int64]) -> float:
    """Widen the beam until there is a path, in the end without a limit."""
    floor_T = np.full(len(places_T), -np.inf)
    while True:
        score = float(ctc_viterbi.best_path(*problem, (floor_T, beam), places_T))
        if score > -math.inf or beam == math.inf or math.isnan(score):
            return score
        beam = beam * BEAM_GROWTH if beam < MAX_BEAM else math.inf


def _exact(problem: Problem, places_T: NDArray[np.int64]) -> float:
    log_probs_TV, labels_U = problem[:2]
    floor_T = np.full(len(places_T), -np.inf)
    if len(places_T) * len(labels_U) <= MAX_FULL_CELLS:
        return float(ctc_viterbi.best_path(*problem, (floor_T, math.inf), places_T))
    bound = _beam_search(problem, FIRST_BEAM, places_T)
    if not math.isfinite(bound):
        return bound
    # no path that drops below this in frame t can overtake the bound with the best label of each later frame
    best_T = log_probs_TV.max(axis=1).astype(np.float64)
    floor_T[:-1] = bound - np.cumsum(best_T[:0:-1])[::-1]
    floor_T[-1] = bound
    floor_T -= 1e-6 * (1.0 + abs(bound))
    return float(ctc_viterbi.best_path(*problem, (floor_T, math.inf), places_T))
