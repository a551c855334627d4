"""Count the errors of many pairs of lines straight from the bytes of two files.

Only words in errors leave the kernel, as places in the buffers; everything else stays in a table of one pair.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numba as nb
import numpy as np
import numpy.typing as npt

from speechkit.errors import ConfigError
from speechkit.kernels.characters import MAX_BLOCKS, NUM_CHARACTERS, character_distance, decode
from speechkit.kernels.edit import TIES, align_pair
from speechkit.kernels.edit_bits import COR, DEL, INS, MAX_SHORT_HYP, TIES_SCLITE
from speechkit.kernels.numba_types import Ints, Words
from speechkit.kernels.words import PADDING, common_words, count_solid, count_words, next_word, number_words, same_bytes

Counts = npt.NDArray[np.int64]
_PRIME = np.uint64(0x9E3779B97F4A7C15)
_PAIRS_PER_TASK = 20_000


@dataclass(frozen=True)
class LineCounts:
    """Counts of N pairs of lines.

    words: (N, 5) substitutions, deletions, insertions, reference words, hypothesis words.
    chars: (N, 3) character errors, reference characters, hypothesis characters; words joined by one space.
    errors: (E, 3) pair, start of the reference word or -1, start of the hypothesis word or -1, in order of time.
    """

    words: Counts
    chars: Counts
    errors: Counts


@nb.njit(cache=True, nogil=True)
def _char_errors(
    buffers: tuple[Ints, Ints],
    shape: tuple[int, int, int],
    found: tuple[Ints, Ints, Ints],
    work: tuple[Ints, Ints, Ints, Words],
) -> int:
    """Character distance of one pair; shape = words in a common prefix that is left out, other words of each side."""
    ids, starts, ends = found
    shared, m, n = shape
    ref_codes, hyp_codes, local, masks = work
    head = 0
    while head < min(m, n) and ids[head] == ids[m + head]:
        head += 1
    tail = 0
    while tail < min(m, n) - head and ids[m - 1 - tail] == ids[m + n - 1 - tail]:
        tail += 1
    a = decode(buffers[0], starts[head : m - tail], ends[head : m - tail], ref_codes)
    b = decode(buffers[1], starts[m + head : m + n - tail], ends[m + head : m + n - tail], hyp_codes)
    if a == 0 or b == 0:
        lone: int = a + b + int(a + b > 0 and shared + head + tail > 0)  # with the space that joins them to the rest
        return lone
    distance: int = character_distance(ref_codes[:a], hyp_codes[:b], local, masks)
    return distance


@nb.njit(cache=True, nogil=True)
def _collect(pair: int, ops: Ints, starts: Ints, num_ref: int, errors: Ints, used: int) -> tuple[Ints, int]:
    i = 0
    j = num_ref
    for op in ops:
        if op != COR:
            if used == errors.shape[0]:
                grown = np.empty((2 * used + 16, 3), np.int64)
                grown[:used] = errors
                errors = grown
            errors[used, 0] = pair
            errors[used, 1] = -1 if op == INS else starts[i]
            errors[used, 2] = -1 if op == DEL else starts[j]
            used += 1
        i += op != INS
        j += op != DEL
    return errors, used


@nb.njit(cache=True, nogil=True)
def _count_range(
    buffers: tuple[Ints, Ints], spans: Ints, ties: int, with_chars: bool, out: tuple[Ints, Ints], first: int
) -> Ints:
    """Count the pairs of `spans` (N, 4), write into `out`, and return the errors with pairs numbered from `first`."""
    words, chars = out
    longest = 0
    for u in range(spans.shape[0]):
        longest = max(longest, spans[u, 1] - spans[u, 0] + spans[u, 3] - spans[u, 2])
    most = longest // 2 + 4
    num_slots = 64
    while num_slots < 2 * most:
        num_slots *= 2
    slots, places, keys = np.full(num_slots, -1, np.int64), np.empty((most, 2), np.int64), np.empty(most, np.uint64)
    ids, starts, ends = np.empty(most, np.int32), np.empty(most, np.int64), np.empty(most, np.int64)
    ref, hyp = buffers
    span = np.empty(4, np.int64)
    space = np.empty(most, np.int8)
    masks = np.zeros(most, np.uint64)
    local = np.full(most, -1, np.int32)
    vertical = np.empty(MAX_SHORT_HYP, np.uint64)
    second = np.empty(MAX_SHORT_HYP, np.uint64)
    char_work = (
        np.empty(longest + 4, np.int32),
        np.empty(longest + 4, np.int32),
        np.full(NUM_CHARACTERS if with_chars else 1, -1, np.int32),
        np.zeros((64 * MAX_BLOCKS, MAX_BLOCKS), np.uint64),
    )
    errors = np.empty((spans.shape[0] + 16, 3), np.int64)
    used = 0
    for u in range(spans.shape[0]):
        span[:] = spans[u]
        shared = 0
        if ties != TIES_SCLITE:  # a common prefix is matched as it stands by the other rules
            same = common_words(ref, hyp, (span[0], span[1], span[2], span[3]), False)
            shared = count_words(ref, span[0], span[0] + same)
            span[0] += same
            span[2] += same
        m, n = number_words(ref, hyp, span, slots, places, keys, ids, starts, ends)
        words[u, 3] = m + shared
        words[u, 4] = n + shared
        r = ids[:m]
        h = ids[m : m + n]
        at = align_pair(r, h, ties, masks, local, vertical, second, space[: m + n], words[u, :3])
        if words[u, 0] + words[u, 1] + words[u, 2] > 0:
            errors, used = _collect(first + u, space[at : m + n], starts, m, errors, used)
        if with_chars:
            chars[u, 0] = _char_errors(buffers, (shared, m, n), (ids, starts, ends), char_work)
            chars[u, 1] = count_solid(ref, spans[u, 0], spans[u, 1]) + max(0, words[u, 3] - 1)
            chars[u, 2] = count_solid(hyp, spans[u, 2], spans[u, 3]) + max(0, words[u, 4] - 1)
    return errors[:used].copy()


def count_lines(
    buffers: tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]],
    spans: Counts,
    *,
    ties: str = "kaldi",
    with_chars: bool = True,
    num_threads: int = 1,
) -> LineCounts:
    """Align line pairs: reference buffers[0][spans[u,0]:spans[u,1]], hypothesis buffers[1][spans[u,2]:spans[u,3]].

    Args:
        buffers: UTF-8 bytes, each ending in at least `PADDING` bytes of white space behind the last span.
        spans: int64 (N, 4).
        with_chars: also the character distance; without it `chars` is zero.
    Raises:
        ConfigError: an unknown tie rule.
    """
    if ties not in TIES:
        raise ConfigError(f"unknown tie rule `{ties}`", expected=" or ".join(TIES))
    spans = np.require(spans, np.int64, ["C", "W"])
    words = np.zeros((len(spans), 5), np.int64)
    chars = np.zeros((len(spans), 3), np.int64)
    rule = TIES.index(ties)

    def work(begin: int) -> Counts:
        part = slice(begin, begin + _PAIRS_PER_TASK)
        out = (words[part], chars[part])
        errors: Counts = _count_range(buffers, spans[part], rule, with_chars, out, begin)
        return errors

    begins = range(0, max(1, len(spans)), _PAIRS_PER_TASK)
    if num_threads > 1:
        with ThreadPoolExecutor(num_threads) as pool:
            parts = list(pool.map(work, begins))
    else:
        parts = [work(begin) for begin in begins]
    return LineCounts(words, chars, np.concatenate(parts))


@nb.njit(cache=True, nogil=True)
def _intern(buffers: tuple[Ints, Ints], stops: tuple[Ints, Ints], errors: Ints) -> tuple[Ints, Ints, int]:
    """Ids of the words in errors, -1 where a side has none, and the place (side, start, size) of each id."""
    slots = np.full(1 << 12, -1, np.int64)
    places = np.empty((1 << 11, 3), np.int64)
    keys = np.empty(1 << 11, np.uint64)
    ids = np.full((errors.shape[0], 2), -1, np.int32)
    num = 0
    for e in range(errors.shape[0]):
        for side in range(2):
            start = errors[e, 1 + side]
            if start < 0:
                continue
            start, end, key = next_word(buffers[side], start, stops[side][errors[e, 0]])
            size = end - start
            slot = np.int64((key * _PRIME) >> np.uint64(20)) & (slots.size - 1)
            while slots[slot] >= 0:
                w = slots[slot]
                if (
                    keys[w] == key
                    and places[w, 2] == size
                    and (size <= 8 or same_bytes(buffers[side], start, buffers[places[w, 0]], places[w, 1], size))
                ):
                    break
                slot = (slot + 1) & (slots.size - 1)
            if slots[slot] < 0:
                slots[slot] = num
                places[num, 0] = side
                places[num, 1] = start
                places[num, 2] = size
                keys[num] = key
                num += 1
            ids[e, side] = slots[slot]
            if num == keys.size:
                slots, places, keys = _grow(places, keys)
    return ids, places[:num], num


@nb.njit(cache=True, nogil=True)
def _grow(places: Ints, keys: Words) -> tuple[Ints, Ints, Words]:
    num = keys.size
    more_places = np.empty((2 * num, 3), np.int64)
    more_places[:num] = places
    more_keys = np.empty(2 * num, np.uint64)
    more_keys[:num] = keys
    slots = np.full(4 * num, -1, np.int64)
    for w in range(num):
        slot = np.int64((keys[w] * _PRIME) >> np.uint64(20)) & (slots.size - 1)
        while slots[slot] >= 0:
            slot = (slot + 1) & (slots.size - 1)
        slots[slot] = w
    return slots, more_places, more_keys


@nb.njit(cache=True, nogil=True)
def _count_pairs(ids: Ints) -> tuple[Ints, Ints]:
    """The different rows of (E, 2) ids in order of their first occurrence, and how often each occurs."""
    num_slots = 1024
    while num_slots < 2 * ids.shape[0]:
        num_slots *= 2
    slots = np.full(num_slots, -1, np.int32)
    firsts = np.empty(ids.shape[0], np.int64)
    counts = np.zeros(ids.shape[0], np.int64)
    num = 0
    for e in range(ids.shape[0]):
        key = (np.uint64(ids[e, 0] + 1) << np.uint64(32)) | np.uint64(ids[e, 1] + 1)
        slot = np.int64((key * _PRIME) >> np.uint64(20)) & (num_slots - 1)
        while slots[slot] >= 0:
            first = firsts[slots[slot]]
            if ids[first, 0] == ids[e, 0] and ids[first, 1] == ids[e, 1]:
                break
            slot = (slot + 1) & (num_slots - 1)
        if slots[slot] < 0:
            slots[slot] = num
            firsts[num] = e
            num += 1
        counts[slots[slot]] += 1
    return firsts[:num].copy(), counts[:num].copy()


@dataclass(frozen=True)
class Confusions:
    """Different errors of a corpus in order of their first occurrence.

    pairs: (P, 2) ids of the reference and the hypothesis word, -1 for none.
    counts: (P,) how often each occurs.
    places: (W, 3) of each word: buffer (0 reference, 1 hypothesis), start, size.
    """

    pairs: npt.NDArray[np.int32]
    counts: Counts
    places: Counts
    buffers: tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]

    def word(self, number: int) -> str | None:
        """A word by its id; None for -1."""
        if number < 0:
            return None
        side, start, size = self.places[number].tolist()
        return self.buffers[side][start : start + size].tobytes().decode()


def count_confusions(
    buffers: tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]], spans: Counts, errors: Counts
) -> Confusions:
    """Count equal errors; `errors` as in `LineCounts`, the other arguments as for `count_lines`."""
    stops = (np.ascontiguousarray(spans[:, 1]), np.ascontiguousarray(spans[:, 3]))
    ids, places, _ = _intern(buffers, stops, errors)
    firsts, counts = _count_pairs(ids)
    return Confusions(ids[firsts], counts, places, buffers)


__all__ = ["PADDING", "Confusions", "LineCounts", "count_confusions", "count_lines"]


def warm() -> None:
    """Compile every kernel for the types in use, or load it from the cache."""
    ref, hyp = (np.frombuffer(text + b" " * PADDING, np.uint8).copy() for text in (b"a b c", b"a x c d"))
    for ties in TIES:
        count_lines((ref, hyp), np.array([[0, 5, 0, 7]]), ties=ties)
