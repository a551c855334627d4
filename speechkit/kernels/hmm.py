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


@njit(cache=True, nogil=True, fastmath={"contract"})
def _log_likelihoods(x_F: Features, states: Gaussians, first: int, end: int, out_S: Features) -> None:
    """Log density of a frame under the Gaussians of states `first` to `end`; several at once, as processors can."""
    mean_FS, inverse_FS, constant_S = states
    own_S = out_S[first:end]
    for s in range(own_S.shape[0]):
        own_S[s] = np.float32(0.0)
    for f in range(x_F.shape[0]):
        x, mean_S, inverse_S = x_F[f], mean_FS[f][first:end], inverse_FS[f][first:end]
        for s in range(own_S.shape[0]):
            difference = x - mean_S[s]
            own_S[s] += difference * difference * inverse_S[s]
    own_constant_S = constant_S[first:end]
    for s in range(own_S.shape[0]):
        own_S[s] = own_constant_S[s] - np.float32(0.5) * own_S[s]


@njit(cache=True, nogil=True)
def _of_states(gaussians: Gaussians, ids_S: Ints) -> Gaussians:
    """Mean (F, S), 1 / variance (F, S) and constant (S,) of the Gaussian of each state."""
    mean_NF, inverse_NF, constant_N = gaussians
    num_states, num_values = ids_S.shape[0], mean_NF.shape[1]
    mean_FS = np.empty((num_values, num_states), np.float32)
    inverse_FS = np.empty((num_values, num_states), np.float32)
    constant_S = np.empty(num_states, np.float32)
    for s in range(num_states):
        n = ids_S[s]
        constant_S[s] = constant_N[n]
        for f in range(num_values):
            mean_FS[f, s], inverse_FS[f, s] = mean_NF[n, f], inverse_NF[n, f]
    return mean_FS, inverse_FS, constant_S


@njit(cache=True, nogil=True)
def _step(
    old: Floats, new: Floats, transitions: tuple[Floats, Floats, Floats], emit_S: Features, moves_S: Flags
) -> float:
    """Scores of a frame's states from those of the frame before, and the best of them; old[0] is two states back."""
    stay_S, leave, jump = transitions
    best = -np.inf
    for s in range(moves_S.shape[0]):
        score, move = old[s + 2] + stay_S[s], np.uint8(0)
        go, pass_over = old[s + 1] + leave[s + 1], old[s] + jump[s]
        if go > score:
            score, move = go, np.uint8(1)
        if pass_over > score:
            score, move = pass_over, np.uint8(2)
        score += emit_S[s]
        new[s] = score
        moves_S[s] = move
        best = max(best, score)
    return best


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
    ids_S, skip_S = chain
    states = _of_states(gaussians, ids_S)
    num_frames, num_states = features_TF.shape[0], ids_S.shape[0]
    stay_S = transitions[0][ids_S]
    leave = np.full(num_states + 2, -np.inf)  # leave[s + 2]: air, as below
    leave[2:] = transitions[1][ids_S]
    jump = np.full(num_states, -np.inf)  # leaving the state two before, where the one between may be missed
    for s in range(num_states):
        if skip_S[s]:
            jump[s] = leave[s]
    need_S = fewest_frames(skip_S)
    old = np.full(num_states + 4, -np.inf)  # old[s + 2]: two cells of air at both ends
    new = np.full(num_states + 4, -np.inf)
    emit_S = np.zeros(num_states, np.float32)
    first, last = 0, 1
    _log_likelihoods(features_TF[0], states, 0, 2, emit_S)
    old[2], old[3] = emit_S[0], emit_S[1]
    firsts_T = np.zeros(num_frames, np.int64)
    offsets_T = np.zeros(num_frames, np.int64)
    moves = np.empty(_START_MOVES, np.uint8)
    used = 0
    for t in range(1, num_frames):
        while first < num_states - 1 and need_S[first] > num_frames - 1 - t:
            first += 1
        last = min(last + (2 if last + 2 < num_states and skip_S[last + 2] else 1), num_states - 1)
        if last < first:
            return -np.inf
        while used + last - first + 1 > moves.shape[0]:
            moves = np.concatenate((moves, np.empty_like(moves)))
        firsts_T[t], offsets_T[t] = first, used
        _log_likelihoods(features_TF[t], states, first, last + 1, emit_S)
        size = last - first + 1
        best = _step(
            old[first:],
            new[first + 2 :],
            (stay_S[first:], leave[first:], jump[first:]),
            emit_S[first:],
            moves[used : used + size],
        )
        used += size
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
def count_stays(states_T: Ints, ids_S: Ints, spent_N: Floats, entered_N: Floats) -> None:
    """Add the frames spent in each Gaussian (N,), and how often it was entered (N,)."""
    before = -1
    for t in range(states_T.shape[0]):
        n = ids_S[states_T[t]]
        spent_N[n] += 1.0
        entered_N[n] += 1.0 if states_T[t] != before else 0.0
        before = states_T[t]


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
    count_stays(ids, ids, np.zeros(2), np.zeros(2))
    margins(frames, ids, gaussians, 1, 2)
