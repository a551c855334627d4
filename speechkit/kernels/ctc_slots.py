"""Inner loops of single edits of a CTC transcript.  `kernels/ctc_edits.py` is the interface.

A slot (k, m) is the place between the first k tokens of a transcript and its tokens from m on. What may stand there
is entered from the prefix and left into the suffix, so one forward and one backward pass serve all slots.
States s = 0 .. 2U as in `ctc_lattice`. Sums are exact: products of probabilities under a scale that each slot sets
for each frame, and logarithms where these would become too small.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from speechkit.kernels.ctc_lattice import Floats, Ints, LogProbs

# rows of a slot (ROWS, T): logs of what may enter in a frame and leave after it, then the same under the scale,
# and the factor from the scale of the frame before; the second of each pair is of the blank alone, for what starts
# or ends with the token beside it
_ENTER, _ENTER_BLANK, _LEAVE, _LEAVE_BLANK = 0, 1, 2, 3
_IN, _IN_BLANK, _OUT, _OUT_BLANK, _KEEP = 4, 5, 6, 7, 8
ROWS = 9
# Nats below the bound of a slot outside which frames are dropped, and a sum that proves that this did no harm.
# Products below exp(-700) are lost.
_NEAR, _ENOUGH_NEAR = 200.0, math.exp(-150.0)
_FAR, _ENOUGH_FAR = 640.0, math.exp(-590.0)
_NEGLIGIBLE = -45.0  # nats below the largest summand, under the precision of float64


@njit(cache=True, nogil=True)
def _log_add(a: float, b: float, c: float) -> float:
    top = max(a, b, c)
    if top == -np.inf:
        return top
    total = 0.0
    for value in (a, b, c):
        if value == top:
            total += 1.0
        elif value - top > _NEGLIGIBLE:
            total += math.exp(value - top)
    return top if total == 1.0 else top + math.log(total)


@njit(cache=True, nogil=True)
def prefixes(log_probs_TV: LogProbs, labels_S: Ints, alpha_TS: Floats) -> None:
    """Fill alpha (T, S): all paths that are in state s in frame t, its emission included, whatever follows."""
    num_frames, num_states = alpha_TS.shape
    alpha_TS[:] = -np.inf
    alpha_TS[0, 0] = log_probs_TV[0, labels_S[0]]
    if num_states > 1:
        alpha_TS[0, 1] = log_probs_TV[0, labels_S[1]]
    for t in range(1, num_frames):
        for s in range(min(num_states, 2 * t + 2)):
            step = alpha_TS[t - 1, s - 1] if s > 0 else -np.inf
            skip = -np.inf
            if s > 2 and s % 2 == 1 and labels_S[s] != labels_S[s - 2]:
                skip = alpha_TS[t - 1, s - 2]
            alpha_TS[t, s] = _log_add(alpha_TS[t - 1, s], step, skip) + log_probs_TV[t, labels_S[s]]


@njit(cache=True, nogil=True)
def suffixes(log_probs_TV: LogProbs, labels_S: Ints, beta_TS: Floats) -> None:
    """Fill beta (T, S): all paths from state s in frame t, its emission included, to the end, whatever was before."""
    num_frames, num_states = beta_TS.shape
    beta_TS[:] = -np.inf
    last = num_frames - 1
    for s in range(max(0, num_states - 2), num_states):
        beta_TS[last, s] = log_probs_TV[last, labels_S[s]]
    for t in range(last - 1, -1, -1):
        for s in range(max(0, num_states - 2 * (num_frames - t)), num_states):
            step = beta_TS[t + 1, s + 1] if s + 1 < num_states else -np.inf
            skip = -np.inf
            if s + 2 < num_states and s % 2 == 1 and labels_S[s] != labels_S[s + 2]:
                skip = beta_TS[t + 1, s + 2]
            beta_TS[t, s] = _log_add(beta_TS[t + 1, s], step, skip) + log_probs_TV[t, labels_S[s]]


@njit(cache=True, nogil=True)
def deletions(alpha_TS: Floats, beta_TS: Floats, labels_S: Ints, slots_N2: Ints, out_N: Floats) -> None:
    """Log-prob of the transcript whose tokens k .. m - 1 are left out, for each slot."""
    num_frames, num_states = alpha_TS.shape
    sums_T = np.empty(num_frames)
    for n in range(len(slots_N2)):
        before, blank = 2 * slots_N2[n, 0] - 1, 2 * slots_N2[n, 1]
        token = blank + 1
        if before < 0:
            out_N[n] = _log_add(beta_TS[0, blank], beta_TS[0, token] if token < num_states else -np.inf, -np.inf)
            continue
        can_skip = token < num_states and labels_S[token] != labels_S[before]
        for t in range(num_frames - 1):
            skip = beta_TS[t + 1, token] if can_skip else -np.inf
            sums_T[t] = alpha_TS[t, before] + _log_add(beta_TS[t + 1, blank], skip, -np.inf)
        sums_T[-1] = alpha_TS[-1, before] if token >= num_states else -np.inf
        top = sums_T.max()
        out_N[n] = top if top == -np.inf else top + math.log(np.exp(sums_T - top).sum())


@njit(cache=True, nogil=True)
def open_slot(alpha_TS: Floats, beta_TS: Floats, slot_N: Ints, slot_RT: Floats) -> float:
    """Fill the rows of slot (k, m) and return the log of its scale, a bound of all paths but for their number."""
    num_frames, num_states = alpha_TS.shape
    state, blank = 2 * slot_N[0], 2 * slot_N[1]
    top = -np.inf  # of everything that enters up to this frame: with it, sums can not overflow
    bound = -np.inf
    for t in range(num_frames):
        start = 0.0 if t == 0 and state == 0 else -np.inf
        slot_RT[_ENTER_BLANK, t] = alpha_TS[t - 1, state] if t > 0 else start
        before = alpha_TS[t - 1, state - 1] if t > 0 and state > 0 else -np.inf
        slot_RT[_ENTER, t] = _log_add(slot_RT[_ENTER_BLANK, t], before, -np.inf)
        end = 0.0 if t == num_frames - 1 and blank == num_states - 1 else -np.inf
        slot_RT[_LEAVE_BLANK, t] = beta_TS[t + 1, blank] if t + 1 < num_frames else end
        after = beta_TS[t + 1, blank + 1] if t + 1 < num_frames and blank + 1 < num_states else -np.inf
        slot_RT[_LEAVE, t] = _log_add(slot_RT[_LEAVE_BLANK, t], after, -np.inf)
        previous, top = top, max(top, slot_RT[_ENTER, t])
        slot_RT[_KEEP, t] = math.exp(previous - top) if previous > -np.inf else 0.0
        slot_RT[_OUT, t] = slot_RT[_OUT_BLANK, t] = top  # the scale, until the bound is known
        slot_RT[_IN, t] = math.exp(slot_RT[_ENTER, t] - top) if top > -np.inf else 0.0
        slot_RT[_IN_BLANK, t] = math.exp(slot_RT[_ENTER_BLANK, t] - top) if top > -np.inf else 0.0
        bound = max(bound, top + slot_RT[_LEAVE, t])
    return bound


@njit(cache=True, nogil=True)
def scale_exits(slot_RT: Floats, bound: float, spans_2_2: Ints) -> None:
    """Put the exits under the scale, and find the frames within the two reaches: first and end of each."""
    num_frames = slot_RT.shape[1]
    spans_2_2[:, 0] = num_frames
    spans_2_2[:, 1] = 0
    later = -np.inf
    for t in range(num_frames - 1, -1, -1):
        scale = slot_RT[_OUT, t]
        later = max(later, slot_RT[_LEAVE, t])
        below = scale + later - bound
        for reach in range(2):
            if below >= -(_NEAR if reach == 0 else _FAR):
                spans_2_2[reach, 0] = t
                spans_2_2[reach, 1] = max(spans_2_2[reach, 1], t + 1)
        slot_RT[_OUT, t] = math.exp(slot_RT[_LEAVE, t] + scale - bound)
        slot_RT[_OUT_BLANK, t] = math.exp(slot_RT[_LEAVE_BLANK, t] + scale - bound)


@njit(cache=True, nogil=True)
def star_log_prob(slot_RT: Floats, bound: float, frame_log_prob: float) -> float:
    """All paths with a star in the slot, whose log-prob is the same in every frame."""
    inside, total = 0.0, 0.0
    frame_prob = math.exp(frame_log_prob)
    for t in range(slot_RT.shape[1]):
        inside = (inside * slot_RT[_KEEP, t] + slot_RT[_IN, t]) * frame_prob
        total += inside * slot_RT[_OUT, t]
    if total > _ENOUGH_FAR:
        return bound + math.log(total)
    inside, total = -np.inf, -np.inf
    for t in range(slot_RT.shape[1]):
        inside = _log_add(inside, slot_RT[_ENTER, t], -np.inf) + frame_log_prob
        total = _log_add(total, inside + slot_RT[_LEAVE, t], -np.inf)
    return total


@njit(cache=True, nogil=True)
def word_sum(probs_CT: Floats, word_U: Ints, slot_RT: Floats, rows_2: tuple[int, int], span_2: Ints) -> float:
    """All paths, under the scale, with these tokens in the slot; row 0 of probs is the blank.

    Args:
        rows_2: the rows of the slot by which they enter and leave.
    """
    inside_S = np.zeros(2 * len(word_U) - 1)
    enter, leave = rows_2
    total = 0.0
    for t in range(span_2[0], span_2[1]):
        keep = slot_RT[_KEEP, t]
        blank = keep * probs_CT[0, t]
        for u in range(len(word_U) - 1, 0, -1):
            s = 2 * u
            moved = inside_S[s] + inside_S[s - 1]
            if word_U[u] != word_U[u - 1]:
                moved += inside_S[s - 2]
            inside_S[s] = moved * keep * probs_CT[word_U[u], t]
            inside_S[s - 1] = (inside_S[s - 1] + inside_S[s - 2]) * blank
        inside_S[0] = (inside_S[0] * keep + slot_RT[enter, t]) * probs_CT[word_U[0], t]
        total += inside_S[-1] * slot_RT[leave, t]
    return total


@njit(cache=True, nogil=True)
def word_log_sum(
    log_probs_TV: LogProbs, labels_U: Ints, blank_id: int, slot_RT: Floats, rows_2: tuple[int, int]
) -> float:
    """The same in logarithms, without limits."""
    inside_S = np.full(2 * len(labels_U) - 1, -np.inf)
    enter, leave = rows_2[0] - _IN + _ENTER, rows_2[1] - _OUT + _LEAVE
    total = -np.inf
    for t in range(slot_RT.shape[1]):
        for u in range(len(labels_U) - 1, 0, -1):
            s = 2 * u
            skip = inside_S[s - 2] if labels_U[u] != labels_U[u - 1] else -np.inf
            inside_S[s] = _log_add(inside_S[s], inside_S[s - 1], skip) + log_probs_TV[t, labels_U[u]]
            inside_S[s - 1] = _log_add(inside_S[s - 1], inside_S[s - 2], -np.inf) + log_probs_TV[t, blank_id]
        inside_S[0] = _log_add(inside_S[0], slot_RT[enter, t], -np.inf) + log_probs_TV[t, labels_U[0]]
        total = _log_add(total, inside_S[-1] + slot_RT[leave, t], -np.inf)
    return total


@njit(cache=True, nogil=True)
def _fill_word(
    passes: tuple[LogProbs, Floats],
    words: tuple[Ints, Ints, Ints],
    number: int,
    slot: tuple[Floats, float, Ints],
    beside: tuple[int, int, int],
) -> float:
    """Log-prob of the transcript with one word of the list in the slot."""
    labels_N, columns_N, offsets_L = words
    slot_RT, bound, spans_2_2 = slot
    blank_id, before, after = beside
    own_U = labels_N[offsets_L[number] : offsets_L[number + 1]]
    columns_U = columns_N[offsets_L[number] : offsets_L[number + 1]]
    rows_2 = (_IN_BLANK if own_U[0] == before else _IN, _OUT_BLANK if own_U[-1] == after else _OUT)
    total = word_sum(passes[1], columns_U, slot_RT, rows_2, spans_2_2[0])
    if total > _ENOUGH_NEAR:
        return bound + math.log(total)
    total = word_sum(passes[1], columns_U, slot_RT, rows_2, spans_2_2[1])
    if total > _ENOUGH_FAR:
        return bound + math.log(total)
    return float(word_log_sum(passes[0], own_U, blank_id, slot_RT, rows_2))


@njit(cache=True, nogil=True)
def fill_slots(
    passes: tuple[LogProbs, Floats, Floats, Floats],
    labels_S: Ints,
    slots_N2: Ints,
    words: tuple[Ints, Ints, Ints, Ints],
    star_frame_log_prob: float,
    out: tuple[Floats, Floats],
) -> None:
    """Log-prob of the transcript with a star (out[0], (N,)) and with each word (out[1], (N, L)) in each slot.

    Args:
        passes: log-probs (T, V), probabilities (C, T) of the tokens in use, alpha and beta (T, S).
        words: tokens and rows of probabilities, one word after the other; where each starts; the frames each needs.
    """
    log_probs_TV, probs_CT, alpha_TS, beta_TS = passes
    num_frames = len(alpha_TS)
    num_tokens = len(labels_S) // 2
    slot_RT = np.empty((ROWS, num_frames))
    spans_2_2 = np.empty((2, 2), np.int64)
    for n in range(len(slots_N2)):
        first, end = slots_N2[n]
        bound = open_slot(alpha_TS, beta_TS, slots_N2[n], slot_RT)
        out[0][n] = -np.inf
        out[1][n] = -np.inf
        if bound == -np.inf:
            continue
        scale_exits(slot_RT, bound, spans_2_2)
        out[0][n] = star_log_prob(slot_RT, bound, star_frame_log_prob)
        before = labels_S[2 * first - 1] if first > 0 else -1
        after = labels_S[2 * end + 1] if end < num_tokens else -1
        room = num_frames - first - (num_tokens - end)
        for number in range(out[1].shape[1]):
            if words[3][number] <= room:
                beside = (labels_S[0], before, after)
                slot = (slot_RT, bound, spans_2_2)
                out[1][n, number] = _fill_word((log_probs_TV, probs_CT), words[:3], number, slot, beside)
