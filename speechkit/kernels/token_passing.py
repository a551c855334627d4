"""Viterbi search of a token graph under the CTC topology (token passing), exact, without a beam.

A path stands in the blank of a graph state or in the token of an arc: ids 0 .. N-1 and N .. N+E-1. Two
equal tokens in a row need a blank between them, so each state keeps its best arriving arc and the best
one with another token, which makes a frame cost O(states + arcs) however many arcs meet in a state.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]


@njit(cache=True, nogil=True)
def _arrivals(score_E: Floats, dst_E: Ints, token_E: Ints, best_N: Ints, other_N: Ints) -> None:
    """Best arc into each state, and best arc whose token differs from that one's; -1 when there is none."""
    best_N[:] = -1
    other_N[:] = -1
    for e in range(len(dst_E)):
        if score_E[e] == -np.inf:
            continue
        n = dst_E[e]
        top = best_N[n]
        if top < 0 or score_E[e] > score_E[top]:
            if top >= 0 and token_E[top] != token_E[e]:
                other_N[n] = top
            best_N[n] = e
        elif token_E[e] != token_E[top] and (other_N[n] < 0 or score_E[e] > score_E[other_N[n]]):
            other_N[n] = e


@njit(cache=True, nogil=True)
def _advance_arcs(
    score_E: Floats,
    blank_N: Floats,
    arcs: tuple[Ints, Ints, Floats],
    best_N: Ints,
    other_N: Ints,
    back_E: NDArray[np.int32],
) -> Floats:
    """Best way into each arc's token without its emission: stay, from the blank before it, from an arc before it."""
    src_E, token_E, weight_E = arcs
    num_states = len(blank_N)
    new_E = np.empty_like(score_E)
    for e in range(len(src_E)):
        n = src_E[e]
        top, back = score_E[e], num_states + e
        enter = blank_N[n] + weight_E[e]
        if enter > top:
            top, back = enter, n
        before = best_N[n]
        if before >= 0 and token_E[before] == token_E[e]:
            before = other_N[n]
        if before >= 0 and score_E[before] + weight_E[e] > top:
            top, back = score_E[before] + weight_E[e], num_states + before
        new_E[e] = top
        back_E[e] = back
    return new_E


@njit(cache=True, nogil=True)
def best_graph_path(
    log_probs_TV: NDArray[np.float32],
    arcs: tuple[Ints, Ints, Ints, Floats],
    final_N: Floats,
    blank_id: int,
) -> tuple[float, Ints]:
    """Score and the place of each frame on the best path from state 0 to a final state.

    Args:
        log_probs_TV: float32.  arcs: (src, dst, token: int64, weight: float64), each (E,).
        final_N: float64, -inf where the state is not final.
    Returns:
        log probability, -inf when nothing fits; places (T,) int64 as in the module's first lines.
    """
    src_E, dst_E, token_E, weight_E = arcs
    num_frames, num_states, num_arcs = len(log_probs_TV), len(final_N), len(src_E)
    entry = (src_E, token_E, weight_E)
    blank_N = np.full(num_states, -np.inf)
    blank_N[0] = 0.0
    score_E = np.full(num_arcs, -np.inf)
    best_N = np.full(num_states, -1, np.int64)
    other_N = np.full(num_states, -1, np.int64)
    back = np.empty((num_frames, num_states + num_arcs), np.int32)
    for t in range(num_frames):
        new_E = _advance_arcs(score_E, blank_N, entry, best_N, other_N, back[t, num_states:])
        for n in range(num_states):
            back[t, n] = n
            if best_N[n] >= 0 and score_E[best_N[n]] > blank_N[n]:
                blank_N[n] = score_E[best_N[n]]
                back[t, n] = num_states + best_N[n]
            blank_N[n] += log_probs_TV[t, blank_id]
        for e in range(num_arcs):
            new_E[e] += log_probs_TV[t, token_E[e]]
        score_E = new_E
        _arrivals(score_E, dst_E, token_E, best_N, other_N)
    score, place = -np.inf, -1
    for n in range(num_states):
        if blank_N[n] + final_N[n] > score:
            score, place = blank_N[n] + final_N[n], n
        if best_N[n] >= 0 and score_E[best_N[n]] + final_N[n] > score:
            score, place = score_E[best_N[n]] + final_N[n], num_states + best_N[n]
    places_T = np.full(num_frames, -1, np.int64)
    for t in range(num_frames - 1, -1, -1):
        if place < 0:
            break
        places_T[t] = place
        place = back[t, place]
    return score, places_T


def warm() -> None:
    """Compile the search, or load it from the cache."""
    one = np.zeros(1, np.int64)
    best_graph_path(np.zeros((1, 2), np.float32), (one, one, one + 1, np.zeros(1)), np.zeros(1), 0)
