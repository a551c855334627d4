"""Joining stretches of recorded sound into one utterance with equal-power crossfades.

A stretch of speech is copied; a stretch of room tone runs back and forth over a short recording, so that it has no
seam. At each inner boundary both sides are continued by half a fade beyond it, into what was recorded there.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

Samples: TypeAlias = NDArray[np.int16]
Floats: TypeAlias = NDArray[np.float32]
Ints: TypeAlias = NDArray[np.int64]


@njit(cache=True, nogil=True, inline="always")
def _back_and_forth(index: int, size: int) -> int:
    """The place that a walk over 0 .. size-1 and back reaches at step `index`."""
    if size < 2:
        return 0
    place = index % (2 * size - 2)
    return place if place < size else 2 * size - 2 - place


@njit(cache=True, nogil=True)
def _add_edge(
    out: Floats, first: int, half: int, pool: Samples, stretch: tuple[int, int, int, int, np.float32],
    fade: Floats, rises: bool,
) -> None:  # fmt: skip
    """Add the part of a stretch around a boundary at `first + half`, weighted by the rising or falling fade.

    stretch: (place in the pool that falls on out[first], first and end place that may be read, size of the room
    tone or 0, gain).
    """
    start, low, high, room, gain = stretch
    num_weights = len(fade)
    for i in range(2 * half):
        place = start + i
        if room > 0:
            place = low + _back_and_forth(place, room)
        if place < low or place >= high:
            continue
        weight = fade[(2 * i + 1) * num_weights // (4 * half)]
        if not rises:
            weight = fade[num_weights - 1 - (2 * i + 1) * num_weights // (4 * half)]
        out[first + i] += weight * gain * np.float32(pool[place])


@njit(cache=True, nogil=True)
def _fill(out: Floats, first: int, end: int, pool: Samples, stretch: tuple[int, int, int, int, np.float32]) -> None:
    """Set out[first:end] to a stretch whose place in the pool for out[first] is given; see `_add_edge`."""
    start, low, _, room, gain = stretch
    if room > 0:
        period = max(1, 2 * room - 2)
        step = start % period
        for i in range(first, end):
            out[i] = gain * np.float32(pool[low + (step if step < room else period - step)])
            step = step + 1 if step + 1 < period else 0
        return
    sound = pool[start : start + end - first]
    target = out[first:end]
    for i in range(len(sound)):
        target[i] = gain * np.float32(sound[i])


@njit(cache=True, nogil=True)
def paste(pool: Samples, stretches: Ints, gains: Floats, fade: Floats, out: Floats, bounds: tuple[int, int]) -> None:
    """Render stretches bounds[0] .. bounds[1]-1 into `out`.

    Args:
        pool: all recorded samples, int16.
        stretches: (N, 6) int64: first sample in the pool, number of samples, first and end place that belong to the
            recording, 0, and the length of the fade at its end; of room tone: the step at which its walk begins, the
            number of samples, its first and end place, its size, and that length.
        gains: (N,) float32, full scale 32768 included.
        fade: rising weights, float32 (H,), sampled for fades of any length; a fade is never longer than a stretch.
        out: float32 (S,), S the sum of the numbers of samples; need not be zero.
    """
    position, half_right = 0, 0
    for k in range(bounds[0], bounds[1]):
        start, size, low, high, room, longest = stretches[k]
        half_left = half_right
        after = stretches[k + 1, 1] if k + 1 < bounds[1] else 0
        half_right = min(longest, size, after) // 2
        gain = gains[k]
        if half_left > 0:
            edge = (start - half_left, low, high, room, gain)
            _add_edge(out, position - half_left, half_left, pool, edge, fade, True)
        body = (start + half_left, low, high, room, gain)
        _fill(out, position + half_left, position + size - half_right, pool, body)
        if half_right > 0:
            end = position + size
            out[end - half_right : end + half_right] = np.float32(0.0)
            edge = (start + size - half_right, low, high, room, gain)
            _add_edge(out, end - half_right, half_right, pool, edge, fade, False)
        position += size


def warm() -> None:
    """Compile the kernel, or load it from the cache."""
    stretches = np.array([[0, 4, 0, 8, 0, 2], [0, 4, 0, 8, 8, 0]], np.int64)
    ones = np.ones(2, np.float32)
    paste(np.zeros(8, np.int16), stretches, ones, ones, np.zeros(8, np.float32), (0, 2))
