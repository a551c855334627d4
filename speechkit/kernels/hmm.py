"""Inner loops of Gaussian hidden Markov models: best path through a chain of states, sums to estimate from.

A chain is the states of one utterance in order; pauses may be missed. Gaussian 0 is silence. Scores are float64
sums of float32 log-likelihoods in a fixed order: the same on any thread.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

Features: TypeAlias = NDArray[np.float32]
Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.uint8]
Gaussians: TypeAlias = tuple[Features, Features, Features]  # mean (N, F), 1 / variance (N, F), constant (N,)
Chain: TypeAlias = tuple[Ints, Flags]  # Gaussian of each state (S,), 1 where the state before it may be missed

_START_MOVES = 1 << 14


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _log_likelihood(x_F: Features, mean_F: Features, inverse_F: Features, constant: float) -> float:
    """Log density of a frame under a diagonal Gaussian."""
    total = np.float32(0.0)
    for f in range(x_F.shape[0]):
        difference = x_F[f] - mean_F[f]
        total += difference * difference * inverse_F[f]
    return float(constant - np.float32(0.5) * total)


@njit(cache=True, nogil=True)
def fewest_frames(skip_S: Flags) -> Ints:
    """Frames needed after each state (S,) to reach the end."""
    num_states = skip_S.shape[0]
    need_S = np.zeros(num_states, np.int64)
    for s in range(num_states - 2, -1, -1):
        need_S[s] = need_S[s + 1] + 1 if s + 2 < num_states else 0  # the last state is a pause
        if s + 2 < num_states and skip_S[s + 2]:
            need_S[s] = min(need_S[s], need_S[s + 2] + 1)
    return need_S


@njit(cache=True, nogil=True)
def _backtrace(s: int, moves: Flags, firsts_T: Ints, offsets_T: Ints, states_T: Ints) -> None:
    for t in range(states_T.shape[0] - 1, -1, -1):
        states_T[t] = s
        if t > 0:
            s -= moves[offsets_T[t] + s - firsts_T[t]]


@njit(cache=True, nogil=True)
def best_path(
    features_TF: Features,
    gaussians: Gaussians,
    chain: Chain,
    transitions: tuple[Floats, Floats],
    beam: float,
    states_T: Ints,
) -> float:
    """Viterbi over a window of states that loses, at its two ends, states more than `beam` below the best.

    The first and the last state are pauses, which may be missed.  Ties: stay, then go on, then pass over one.
    Args:
        transitions: log probability of staying in and of leaving a state of each Gaussian (N,).
        states_T: receives the state of each frame.
    Returns:
        Log probability, -inf when no path was found.
    """
    mean_NF, inverse_NF, constant_N = gaussians
    ids_S, skip_S = chain
    stay_N, leave_N = transitions
    num_frames, num_states = features_TF.shape[0], ids_S.shape[0]
    need_S = fewest_frames(skip_S)
    old = np.full(num_states + 4, -np.inf)  # old[s + 2]: two cells of air at both ends
    new = np.full(num_states + 4, -np.inf)
    first, last = 0, 1
    for s in range(2):
        n = ids_S[s]
        old[s + 2] = _log_likelihood(features_TF[0], mean_NF[n], inverse_NF[n], constant_N[n])
    firsts_T = np.zeros(num_frames, np.int64)
    offsets_T = np.zeros(num_frames, np.int64)
    moves = np.empty(_START_MOVES, np.uint8)
    used = 0
    for t in range(1, num_frames):
        x_F = features_TF[t]
        while first < num_states - 1 and need_S[first] > num_frames - 1 - t:
            first += 1
        last = min(last + (2 if last + 2 < num_states and skip_S[last + 2] else 1), num_states - 1)
        if last < first:
            return -np.inf
        while used + last - first + 1 > moves.shape[0]:
            moves = np.concatenate((moves, np.empty_like(moves)))
        firsts_T[t], offsets_T[t] = first, used
        silence = _log_likelihood(x_F, mean_NF[0], inverse_NF[0], constant_N[0])
        best = -np.inf
        for s in range(first, last + 1):
            n = ids_S[s]
            score, move = old[s + 2] + stay_N[n], 0
            if s > 0 and old[s + 1] + leave_N[ids_S[s - 1]] > score:
                score, move = old[s + 1] + leave_N[ids_S[s - 1]], 1
            if s > 1 and skip_S[s] and old[s] + leave_N[ids_S[s - 2]] > score:
                score, move = old[s] + leave_N[ids_S[s - 2]], 2
            if score > -np.inf:
                score += silence if n == 0 else _log_likelihood(x_F, mean_NF[n], inverse_NF[n], constant_N[n])
            new[s + 2] = score
            moves[used + s - first] = move
            best = max(best, score)
        used += last - first + 1
        while first < last and new[first + 2] < best - beam:
            first += 1
        while last > first and new[last + 2] < best - beam:
            last -= 1
        new[first : first + 2] = -np.inf
        new[last + 3 : last + 5] = -np.inf
        old, new = new, old
    s = num_states - 1
    if old[s + 1] > old[s + 2]:
        s -= 1
    if old[s + 2] > -np.inf:
        _backtrace(s, moves, firsts_T, offsets_T, states_T)
    return float(old[s + 2])


@njit(cache=True, nogil=True)
def accumulate(features_TF: Features, ids_T: Ints, sums: tuple[Floats, Floats, Floats]) -> None:
    """Add the frames of an utterance to count (N,), sum (N, F) and sum of squares (N, F) of their Gaussians."""
    count_N, sum_NF, square_NF = sums
    for t in range(features_TF.shape[0]):
        n = ids_T[t]
        count_N[n] += 1.0
        for f in range(features_TF.shape[1]):
            value = float(features_TF[t, f])
            sum_NF[n, f] += value
            square_NF[n, f] += value * value


@njit(cache=True, nogil=True)
def margins(features_TF: Features, ids_T: Ints, gaussians: Gaussians, num_rivals: int, step: int) -> Floats:
    """Log-likelihood of every `step`-th frame under its Gaussian minus the best of the first `num_rivals` ones."""
    mean_NF, inverse_NF, constant_N = gaussians
    margin_T = np.empty((features_TF.shape[0] + step - 1) // step)
    for i in range(margin_T.shape[0]):
        x_F, own = features_TF[i * step], ids_T[i * step]
        best = -np.inf
        for n in range(num_rivals):
            best = max(best, _log_likelihood(x_F, mean_NF[n], inverse_NF[n], constant_N[n]))
        margin_T[i] = _log_likelihood(x_F, mean_NF[own], inverse_NF[own], constant_N[own]) - best
    return margin_T


def warm() -> None:
    """Compile the loops, or load them from the cache."""
    frames, ids, flags = np.zeros((3, 2), np.float32), np.array([0, 1, 0]), np.array([0, 1, 0], np.uint8)
    zeros, ones = np.zeros((2, 2), np.float32), np.ones((2, 2), np.float32)
    gaussians = zeros, ones, np.zeros(2, np.float32)
    half = np.full(2, np.log(0.5))
    best_path(frames, gaussians, (ids, flags), (half, half), np.inf, np.zeros(3, np.int64))
    accumulate(frames, ids, (np.zeros(2), np.zeros((2, 2)), np.zeros((2, 2))))
    margins(frames, ids, gaussians, 1, 2)
