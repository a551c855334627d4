"""Forward-backward over small graphs of emitting states: transcripts with alternatives, scored by CTC log-probs.

The graphs are made in `kernels/ctc_star.py`.  One utterance at a time, float64 sums over float32 or float64
log-probs (T, V).  Graves et al. 2006, equations 6-11, with weighted arcs instead of the chain of one transcript.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

LogProbs: TypeAlias = NDArray[Any]  # float32 or float64
Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]


class Graph(NamedTuple):
    """States that emit a label in each frame they are in, and the arcs between them.

    labels_S int64; arcs of state s, by destination: [first_arc_S[s], first_arc_S[s + 1]) with their source from_A
    int64 and natural log weight_A float64; start_S, end_S float64: log weights of starting and ending in a state.
    """

    labels_S: Ints
    first_arc_S: Ints
    from_A: Ints
    weight_A: Floats
    start_S: Floats
    end_S: Floats


@njit(cache=True, nogil=True)
def _sum_of_arcs(values_S: Floats, first: int, end: int, from_A: Ints, weight_A: Floats) -> float:
    top = -np.inf
    for arc in range(first, end):
        top = max(top, values_S[from_A[arc]] + weight_A[arc])
    if top == -np.inf:
        return top
    total = 0.0
    for arc in range(first, end):
        total += math.exp(values_S[from_A[arc]] + weight_A[arc] - top)
    return top + math.log(total)


@njit(cache=True, nogil=True)
def _log_add(a: float, b: float) -> float:
    if a < b:
        a, b = b, a
    return a if b == -np.inf else a + math.log1p(math.exp(b - a))


@njit(cache=True, nogil=True)
def forward(
    log_probs_TV: LogProbs, labels_S: Ints, first_arc_S: Ints, from_A: Ints, weight_A: Floats, start_S: Floats,
    end_S: Floats, alpha_TS: Floats,
) -> float:  # fmt: skip
    """Fill alpha (T, S), the emission of frame t included, and return the total log probability."""
    num_frames, num_states = alpha_TS.shape
    for s in range(num_states):
        alpha_TS[0, s] = start_S[s] + log_probs_TV[0, labels_S[s]]
    for t in range(1, num_frames):
        for s in range(num_states):
            into = _sum_of_arcs(alpha_TS[t - 1], first_arc_S[s], first_arc_S[s + 1], from_A, weight_A)
            alpha_TS[t, s] = into + log_probs_TV[t, labels_S[s]]
    total = -np.inf
    for s in range(num_states):
        total = _log_add(total, alpha_TS[num_frames - 1, s] + end_S[s])
    return total


@njit(cache=True, nogil=True)
def posteriors(
    log_probs_TV: LogProbs, labels_S: Ints, first_arc_S: Ints, from_A: Ints, weight_A: Floats, start_S: Floats,
    end_S: Floats, alpha_TS: Floats, total: float, entered_S: Floats,
) -> None:  # fmt: skip
    """Turn alpha in place into the posteriors of the states; entered_S: expected number of times a state is entered."""
    num_frames, num_states = alpha_TS.shape
    beta_S = end_S.copy()
    out_S = np.empty(num_states)  # beta of a frame with its emission
    entered_S[:] = 0.0
    for t in range(num_frames - 1, -1, -1):
        for s in range(num_states):
            out_S[s] = beta_S[s] + log_probs_TV[t, labels_S[s]]
            alpha_TS[t, s] = math.exp(alpha_TS[t, s] + beta_S[s] - total)
        if t == 0:
            break
        beta_S[:] = -np.inf
        for s in range(num_states):
            if out_S[s] == -np.inf:
                continue
            for arc in range(first_arc_S[s], first_arc_S[s + 1]):
                source = from_A[arc]
                weight = weight_A[arc] + out_S[s]
                beta_S[source] = _log_add(beta_S[source], weight)
                if source != s:
                    entered_S[s] += math.exp(alpha_TS[t - 1, source] + weight - total)
    for s in range(num_states):
        entered_S[s] += math.exp(start_S[s] + out_S[s] - total)
