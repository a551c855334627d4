"""Inner loops of CTC: forward, posteriors, best path.  `kernels/ctc.py` is the interface.

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


@njit(cache=True, nogil=True)
def best_path(log_probs_TV: LogProbs, labels_S: Ints, floor_T: Floats, beam: float, states_T: Ints) -> float:
    """Viterbi over a window of states that only loses, at its two ends, states below the limit.

    The limit of frame t is floor_T[t] or the best state minus beam, whichever is higher.
    Writes the state of each frame and returns the path's log probability, -inf when none was found.
    Ties: stay, then one state on, then two; at the end the last blank.
    """
    num_frames, num_states = log_probs_TV.shape[0], labels_S.shape[0]
    old = np.full(num_states + 4, -np.inf)  # old[s + 2]: two cells of air at both ends
    new = np.full(num_states + 4, -np.inf)
    old[2] = log_probs_TV[0, labels_S[0]]
    if num_states > 1:
        old[3] = log_probs_TV[0, labels_S[1]]
    first, last = 0, min(1, num_states - 1)
    firsts_T = np.zeros(num_frames, np.int64)
    offsets_T = np.zeros(num_frames, np.int64)
    moves = np.empty(1 << 16, np.uint8)
    used = 0
    for t in range(1, num_frames):
        first = max(first, num_states - 2 - 2 * (num_frames - 1 - t))  # must still reach the end
        last = min(last + 2, num_states - 1)
        while used + last - first + 1 > moves.shape[0]:
            moves = np.concatenate((moves, np.empty_like(moves)))
        firsts_T[t], offsets_T[t] = first, used
        best = -np.inf
        for s in range(first, last + 1):
            score, move = old[s + 2], 0
            if old[s + 1] > score:
                score, move = old[s + 1], 1
            if s % 2 == 1 and old[s] > score and labels_S[s] != labels_S[s - 2]:
                score, move = old[s], 2
            score += log_probs_TV[t, labels_S[s]]
            new[s + 2] = score
            moves[used + s - first] = move
            best = max(best, score)
        used += last - first + 1
        limit = max(floor_T[t], best - beam)
        while first < last and new[first + 2] < limit:
            first += 1
        while last > first and new[last + 2] < limit:
            last -= 1
        new[first : first + 2] = -np.inf
        new[last + 3 : last + 5] = -np.inf
        old, new = new, old
    s = num_states - 1
    if s > 0 and old[s + 1] > old[s + 2]:
        s -= 1
    score = old[s + 2]
    if score > -np.inf:
        for t in range(num_frames - 1, -1, -1):
            states_T[t] = s
            if t > 0:
                s -= moves[offsets_T[t] + s - firsts_T[t]]
    return float(score)
