"""Inner loop of CTC alignment: the best path through known tokens, a window of tokens at a time.

Place 2 u of the path is the blank after u tokens, place 2 u - 1 is token u (from 1). One frame costs two plain
loops over the window, which the compiler turns into vector instructions. `kernels/ctc_align.py` is the interface.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

LogProbs: TypeAlias = NDArray[np.float32]
Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.uint8]

_START_MOVES = 1 << 16
# of a cell: how its blank (two bits) and its token (two bits) were reached
_TO_BLANK_FROM_TOKEN, _TO_BLANK_BY_SKIP, _TO_TOKEN_FROM_BLANK, _TO_TOKEN_FROM_TOKEN = 1, 2, 4, 8


@njit(cache=True, nogil=True)
def _gather(row_V: LogProbs, labels: Ints, emission: Floats) -> None:
    for i in range(labels.shape[0]):
        emission[i] = row_V[labels[i]]


@njit(cache=True, nogil=True)
def _step(
    blank: Floats,
    token: Floats,
    blank_before: Floats,
    token_before: Floats,
    bar: Floats,
    emission: Floats,
    blank_emission: float,
    new_blank: Floats,
    new_token: Floats,
    moves: Flags,
) -> None:
    """One frame; `before` is the cell with one token less, `bar` is -inf where two equal tokens need a blank."""
    for i in range(blank.shape[0]):
        stay, enter = blank[i], token[i]
        new_blank[i] = (enter if enter > stay else stay) + blank_emission
        moves[i] = np.uint8(_TO_BLANK_FROM_TOKEN) if enter > stay else np.uint8(0)
    for i in range(blank.shape[0]):
        stay, enter, skip = token[i], blank_before[i], token_before[i] + bar[i]
        best = enter if enter > stay else stay
        move = np.uint8(_TO_TOKEN_FROM_BLANK) if enter > stay else np.uint8(0)
        new_token[i] = (skip if skip > best else best) + emission[i]
        moves[i] |= np.uint8(_TO_TOKEN_FROM_TOKEN) if skip > best else move


@njit(cache=True, nogil=True)
def _highest(blank: Floats, token: Floats) -> float:
    best = -np.inf
    for i in range(blank.shape[0]):
        best = max(best, max(blank[i], token[i]))
    return best


@njit(cache=True, nogil=True)
def _shrink(blank: Floats, token: Floats, first: int, last: int, limit: float) -> tuple[int, int]:
    while first < last and blank[first + 1] < limit and token[first + 1] < limit:
        first += 1
    while last > first and blank[last + 1] < limit and token[last + 1] < limit:
        last -= 1
    return first, last


@njit(cache=True, nogil=True)
def _with_room(moves: Flags, size: int) -> Flags:
    while size > moves.shape[0]:
        moves = np.concatenate((moves, np.empty_like(moves)))
    return moves


@njit(cache=True, nogil=True)
def _leave_out_words(
    blank: Floats,
    new_blank: Floats,
    starts_U: Ints,
    cost: float,
    emissions: tuple[float, float],
    moves: Flags,
    window: tuple[int, int, int, int],
) -> None:
    """Jumps from the blank before a word to the blank after it; window: first and last cell now and before."""
    first, last, old_first, old_last = window
    for u in range(first, last + 1):
        start = starts_U[u]
        if old_first <= start <= old_last:
            score = blank[start + 1] + cost + max(emissions[0], emissions[1])
            if score > new_blank[u + 1]:
                new_blank[u + 1] = score
                moves[u - first] = (moves[u - first] & np.uint8(12)) | np.uint8(_TO_BLANK_BY_SKIP)


@njit(cache=True, nogil=True)
def _backtrace(place: int, moves: Flags, firsts_T: Ints, offsets_T: Ints, starts_U: Ints, places_T: Ints) -> None:
    for t in range(places_T.shape[0] - 1, -1, -1):
        places_T[t] = place
        if t == 0:
            return
        cell = (place + 1) // 2
        move = moves[offsets_T[t] + cell - firsts_T[t]]
        if place % 2 == 1:
            place -= move >> 2
        elif move & 3 == _TO_BLANK_BY_SKIP:
            place = 2 * starts_U[cell]
        else:
            place -= move & 3


@njit(cache=True, nogil=True)
def best_path(
    log_probs_TV: LogProbs,
    labels_U: Ints,
    blank_id: int,
    text: tuple[Floats, Flags, Ints, Ints],
    extra: tuple[Floats, float],
    limits: tuple[Floats, float],
    places_T: Ints,
) -> float:
    """Viterbi over a window of cells that only loses, at its two ends, cells below the limit.

    Args:
        labels_U: token of each cell; cell 0, before all tokens, holds any label.
        text: per cell: -inf where the token may not follow the one before without a blank, else 0; 1 where words
            meet; the cell before the word that ends here, else -1; the furthest cell one frame can reach.
        extra: log-prob of any other speech per frame between words, empty for none; log-prob of leaving out a
            word, -inf for never.
        limits: lowest score in each frame (T,); a cell must also be within so much of the best.
        places_T: receives the place of each frame.
    Returns:
        The path's log probability, -inf when none was found.
    Ties: stay, then one place on, then two; at the end the last blank.
    """
    bar_U, is_edge_U, starts_U, reach_U = text
    filler_T, skip_cost = extra
    floor_T, beam = limits
    num_frames, num_tokens = log_probs_TV.shape[0], labels_U.shape[0] - 1
    has_filler, may_skip = filler_T.shape[0] > 0, skip_cost > -np.inf
    is_pruned = beam < np.inf or floor_T[num_frames - 1] > -np.inf
    # cell u lies at u + 1: a cell of air at both ends
    cells = np.full((5, num_tokens + 3), -np.inf)
    blank, token, new_blank, new_token, emission = cells[0], cells[1], cells[2], cells[3], cells[4]
    blank[1] = max(log_probs_TV[0, blank_id], filler_T[0]) if has_filler else log_probs_TV[0, blank_id]
    if num_tokens > 0:
        token[2] = log_probs_TV[0, labels_U[1]]
    first, last = 0, min(1, num_tokens)
    firsts_T, offsets_T = np.zeros(num_frames, np.int64), np.zeros(num_frames, np.int64)
    moves = np.empty(_START_MOVES, np.uint8)
    used = 0
    for t in range(1, num_frames):
        old_first, old_last = first, last
        if may_skip:
            blank[last + 2 : reach_U[last] + 2] = -np.inf
            token[last + 2 : reach_U[last] + 2] = -np.inf
            last = reach_U[last]
        else:
            first = max(first, num_tokens - (num_frames - 1 - t))  # must still reach the end
            last = min(last + 1, num_tokens)
        if last < first:
            return -np.inf
        size = last - first + 1
        firsts_T[t], offsets_T[t] = first, used
        moves = _with_room(moves, used + size)
        now, before = slice(first + 1, last + 2), slice(first, last + 1)
        row_V, move = log_probs_TV[t], moves[used : used + size]
        used += size
        _gather(row_V, labels_U[before], emission)
        own = np.float64(row_V[blank_id])
        _step(
            blank[now], token[now], blank[before], token[before], bar_U[before], emission, own,
            new_blank[now], new_token[now], move,
        )  # fmt: skip
        if has_filler and filler_T[t] > own:
            for u in range(first, last + 1):
                new_blank[u + 1] += (filler_T[t] - own) * is_edge_U[u]
        if may_skip:
            other = filler_T[t] if has_filler else -np.inf
            _leave_out_words(
                blank, new_blank, starts_U, skip_cost, (own, other), move, (first, last, old_first, old_last)
            )
        if is_pruned:
            limit = floor_T[t]
            if beam < np.inf:
                limit = max(limit, _highest(new_blank[now], new_token[now]) - beam)
            first, last = _shrink(new_blank, new_token, first, last, limit)
        new_blank[first], new_token[first] = -np.inf, -np.inf
        new_blank[last + 2], new_token[last + 2] = -np.inf, -np.inf
        blank, new_blank, token, new_token = new_blank, blank, new_token, token
    place, score = 2 * num_tokens, blank[num_tokens + 1]
    if token[num_tokens + 1] > score:
        place, score = place - 1, token[num_tokens + 1]
    if last == num_tokens and score > -np.inf:
        _backtrace(place, moves, firsts_T, offsets_T, starts_U, places_T)
    return float(score) if last == num_tokens else -np.inf
