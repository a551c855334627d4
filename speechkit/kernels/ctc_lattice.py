"""Inner loops of CTC: forward and posteriors.  `kernels/ctc.py` is the interface.

One utterance at a time, float64 sums over float32 or float64 log-probs (T, V).  States s = 0 .. 2U: even
ones are blanks, state 2u + 1 is token u; labels_S holds the label of each.  Graves et al. 2006.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

LogProbs: TypeAlias = NDArray[Any]  # float32 or float64
Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]


@njit(cache=True, nogil=True)
def _log_add3(a: float, b: float, c: float) -> float:
    top = a
    if b > top:
        top = b
    if c > top:
        top = c
    if top == -np.inf:
        return a + b + c  # -inf, or NaN when one of them is NaN
    return top + math.log(math.exp(a - top) + math.exp(b - top) + math.exp(c - top))


@njit(cache=True, nogil=True)
def forward(log_probs_TV: LogProbs, labels_S: Ints, alpha_TS: Floats) -> float:
    """Fill alpha (T, S), emission of frame t included, and return the total log probability (eq. 6-8)."""
    num_frames, num_states = alpha_TS.shape
    alpha_TS[:] = -np.inf
    alpha_TS[0, 0] = log_probs_TV[0, labels_S[0]]
    if num_states > 1:
        alpha_TS[0, 1] = log_probs_TV[0, labels_S[1]]
    for t in range(1, num_frames):
        first = max(0, num_states - 2 * (num_frames - t))
        for s in range(first, min(num_states, 2 * t + 2)):
            step = alpha_TS[t - 1, s - 1] if s > 0 else -np.inf
            skip = -np.inf
            if s > 2 and s % 2 == 1 and labels_S[s] != labels_S[s - 2]:
                skip = alpha_TS[t - 1, s - 2]
            alpha_TS[t, s] = _log_add3(alpha_TS[t - 1, s], step, skip) + log_probs_TV[t, labels_S[s]]
    last = alpha_TS[num_frames - 1]
    token = last[num_states - 2] if num_states > 1 else -np.inf
    return float(_log_add3(last[num_states - 1], token, -np.inf))


@njit(cache=True, nogil=True)
def occupation(log_probs_TV: LogProbs, labels_S: Ints, alpha_TS: Floats, total: float) -> None:
    """Turn alpha (T, S) in place into posteriors of the states: exp(alpha + beta - total)."""
    num_frames, num_states = alpha_TS.shape
    beta_S = np.full(num_states, -np.inf)
    beta_S[num_states - 1] = 0.0
    if num_states > 1:
        beta_S[num_states - 2] = 0.0
    out_S = np.empty(num_states)  # beta of frame t with the emission of frame t
    for t in range(num_frames - 1, -1, -1):
        for s in range(num_states):
            alpha_TS[t, s] = math.exp(alpha_TS[t, s] + beta_S[s] - total)
            out_S[s] = beta_S[s] + log_probs_TV[t, labels_S[s]]
        for s in range(num_states):
            step = out_S[s + 1] if s + 1 < num_states else -np.inf
            skip = -np.inf
            if s + 2 < num_states and s % 2 == 1 and labels_S[s] != labels_S[s + 2]:
                skip = out_S[s + 2]
            beta_S[s] = _log_add3(out_S[s], step, skip)
