"""Numbers for words that stand in two buffers: a hash table without Python objects."""

from __future__ import annotations

import numba as nb
import numpy as np

from speechkit.kernels.numba_types import Ints, Words
from speechkit.kernels.words import find_words, is_hashed, same_bytes, word_key

_PRIME = np.uint64(0x9E3779B97F4A7C15)
_OTHER_PRIME = np.uint64(0xC2B2AE3D27D4EB4F)


@nb.njit(cache=True, nogil=True)
def _is_word(ref: Ints, hyp: Ints, side: int, start: int, known: Ints, size: int) -> bool:
    """Whether the `size` bytes from `start` of side 0 (ref) or 1 (hyp) are the word at `known`: side, start, size."""
    if size != known[2]:
        return False
    at = known[1]
    is_same: bool = False
    if side == known[0]:
        is_same = same_bytes(ref, start, ref, at, size) if side == 0 else same_bytes(hyp, start, hyp, at, size)
    else:
        is_same = same_bytes(ref, start, hyp, at, size) if side == 0 else same_bytes(hyp, start, ref, at, size)
    return is_same


@nb.njit(cache=True, nogil=True, inline="always")
def slot_of(key: tuple[np.uint64, np.uint64], num_slots: int) -> np.uint64:
    """Where a table (a power of two) begins to look for a `word_key`."""
    mixed = (key[0] * _PRIME) ^ (key[1] * _OTHER_PRIME)
    return (mixed ^ (mixed >> np.uint64(32))) & np.uint64(num_slots - 1)


@nb.njit(cache=True, nogil=True, inline="always")
def number_word(
    ref: Ints,
    hyp: Ints,
    place: tuple[int, int, int],
    key: tuple[np.uint64, np.uint64],
    num: int,
    table: tuple[Ints, Words, Ints],
) -> int:
    """The number of a word among `num` known ones; `num` itself, and the word becomes known, if it is new.

    Args:
        place: side (0 ref, 1 hyp), start and end of the word. key: its `word_key`.
        table: slots, numbers of words, -1 where free, a power of two and at least twice the words; (W, 2) keys;
            (W, 4) side, start, size and slot of each word.
    """
    slots, keys, places = table
    mask = np.uint64(slots.size - 1)
    slot = slot_of(key, slots.size)
    found = num
    while slots[slot] >= 0:
        known = np.uint64(slots[slot])
        if (keys[known, 0] == key[0]) & (keys[known, 1] == key[1]):
            is_sure = not is_hashed(key[1])
            if is_sure or _is_word(ref, hyp, np.int64(place[0]), place[1], places[known], place[2] - place[1]):
                found = slots[slot]
                break
        slot = (slot + np.uint64(1)) & mask
    if found == num:
        slots[slot] = num
        keys[num, 0] = key[0]
        keys[num, 1] = key[1]
        places[num, 0] = place[0]
        places[num, 1] = place[1]
        places[num, 2] = place[2] - place[1]
        places[num, 3] = np.int64(slot)
    return found


@nb.njit(cache=True, nogil=True)
def number_lines(
    ref: Ints, hyp: Ints, spans: Ints, offsets: tuple[Ints, Ints], out: tuple[Ints, Ints, Ints, Ints]
) -> int:
    """Ids and places of the words of pairs of lines; equal words of one pair have equal ids.

    Args:
        spans: (N, 4) start and end in `ref`, start and end in `hyp`.
        offsets: index of the first word of each line in the results of its side.
        out: ids of both sides, starts of both sides.
    Returns:
        More than the greatest id.
    """
    ref_ids, hyp_ids, ref_starts, hyp_starts = out
    longest = 0
    for u in range(spans.shape[0]):
        longest = max(longest, spans[u, 1] - spans[u, 0] + spans[u, 3] - spans[u, 2])
    most = longest // 2 + 4
    num_slots = 64
    while num_slots < 2 * most:
        num_slots *= 2
    bounds = np.empty(2 * most, np.int64)
    table = (np.full(num_slots, -1, np.int32), np.empty((most, 2), np.uint64), np.empty((most, 4), np.int64))
    greatest = 0
    for u in range(spans.shape[0]):
        num = 0
        m = find_words(ref, spans[u, 0], spans[u, 1], bounds, np.int64(0))
        n = find_words(hyp, spans[u, 2], spans[u, 3], bounds, m)
        for k in range(m + n):
            start = bounds[2 * k]
            end = bounds[2 * k + 1]
            if k < m:
                word = number_word(ref, hyp, (0, start, end), word_key(ref, start, end), num, table)
                ref_ids[offsets[0][u] + k] = word
                ref_starts[offsets[0][u] + k] = start
            else:
                word = number_word(ref, hyp, (1, start, end), word_key(hyp, start, end), num, table)
                hyp_ids[offsets[1][u] + k - m] = word
                hyp_starts[offsets[1][u] + k - m] = start
            num += word == num
        for w in range(num):
            table[0][table[2][w, 3]] = -1
        greatest = max(greatest, num)
    return greatest
