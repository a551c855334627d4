"""Where the ids and texts of a transcript file are: two passes over its bytes, 64 at a time."""

from __future__ import annotations

import numba as nb
import numpy as np

from speechkit.kernels.lanes import (
    LANES,
    SPACE,
    count_ones,
    differ,
    line_feeds,
    not_ascii,
    nuls,
    spaces,
    trailing_zeros,
)
from speechkit.kernels.numba_types import Ints
from speechkit.kernels.words import PADDING, inside, same_bytes

LINE_FEED = 10
FORMAT_TEXT, FORMAT_TRN, FORMAT_LINES = 0, 1, 2
_OPEN, _CLOSE, _COMMENT, _HYPHEN, _UNDERSCORE = 40, 41, 59, 45, 95
_ONE = np.uint64(1)
_ZERO = np.uint64(0)


@nb.njit(cache=True, nogil=True)
def survey(buffer: Ints, size: int) -> tuple[int, bool, bool]:
    """(line feeds, whether a byte is NUL, whether a byte is not ASCII) of buffer[:size]."""
    count = 0
    nul = _ZERO
    high = _ZERO
    for at in range(0, size, LANES):
        here = inside(at, size)
        count += count_ones(line_feeds(buffer, at) & here)
        nul |= nuls(buffer, at) & here
        high |= not_ascii(buffer, at)
    return count, nul != _ZERO, high != _ZERO


@nb.njit(cache=True, nogil=True, inline="always")
def _find(buffer: Ints, at: int, end: int) -> int:
    """The first white space of buffer[at:end], or `end`."""
    while at < end:
        gap = spaces(buffer, at)
        if gap != _ZERO:
            found: int = min(end, at + trailing_zeros(gap))
            return found
        at += LANES
    return end


@nb.njit(cache=True, nogil=True, inline="always")
def _index_line(buffer: Ints, begin: int, stop: int, kind: int, row: int, out: Ints) -> bool:
    """Fill out[:4, row] for the line buffer[begin:stop]; False when it is blank or a comment."""
    start = begin
    while start < stop and buffer[start] <= SPACE:
        start += 1
    while stop > start and buffer[stop - 1] <= SPACE:
        stop -= 1
    if start == stop or (kind == FORMAT_TRN and buffer[start] == _COMMENT and buffer[start + 1] == _COMMENT):
        return False
    id_start = start
    id_end = start
    if kind == FORMAT_TEXT:
        id_end = _find(buffer, start, stop)
        start = id_end
        while start < stop and buffer[start] <= SPACE:
            start += 1
    elif kind == FORMAT_TRN and buffer[stop - 1] == _CLOSE:
        at = stop - 1
        while at > start and buffer[at] != _OPEN:
            at -= 1
        if buffer[at] == _OPEN:
            id_start = at + 1
            id_end = stop - 1
            stop = at
            while stop > start and buffer[stop - 1] <= SPACE:
                stop -= 1
    out[0, row] = id_start
    out[1, row] = id_end
    out[2, row] = start
    out[3, row] = stop
    return True


@nb.njit(cache=True, nogil=True)
def index_lines(buffer: Ints, size: int, kind: int, out: Ints) -> int:
    """Write id start, id end, text start, text end and line number of the lines that are not blank; returns how many.

    text: the first word is the id. trn: the id stands in the last parentheses; an id of no bytes marks a
    malformed line; `;;` starts a comment. lines: no ids.

    Args:
        out: (5, N) with room for all lines.
    """
    used = 0
    number = 0
    begin = 0
    for at in range(0, size, LANES):
        ends = line_feeds(buffer, at) & inside(at, size)
        while ends != _ZERO:
            stop = at + trailing_zeros(ends)
            ends &= ends - _ONE
            number += 1
            if _index_line(buffer, begin, stop, kind, used, out):
                out[4, used] = number
                used += 1
            begin = stop + 1
    if begin < size and _index_line(buffer, begin, size, kind, used, out):
        out[4, used] = number + 1
        used += 1
    return used


@nb.njit(cache=True, nogil=True)
def is_increasing(buffer: Ints, starts: Ints, ends: Ints) -> bool:
    """Whether each id is greater, as bytes, than the one before: then no id occurs twice."""
    for u in range(1, starts.size):
        a, a_end = starts[u - 1], ends[u - 1]
        b, b_end = starts[u], ends[u]
        shortest = min(a_end - a, b_end - b)
        same = 0
        while same < shortest:
            alike = trailing_zeros(differ(buffer, a + same, buffer, b + same))
            same += alike
            if alike < LANES:
                break
        if same >= shortest:
            if a_end - a >= b_end - b:
                return False
        elif buffer[a + same] > buffer[b + same]:
            return False
    return True


@nb.njit(cache=True, nogil=True)
def are_equal(a: Ints, a_spans: tuple[Ints, Ints], b: Ints, b_spans: tuple[Ints, Ints]) -> bool:
    """Whether two files have the same ids in the same order; spans are starts and ends."""
    if a_spans[0].size != b_spans[0].size:
        return False
    for u in range(a_spans[0].size):
        size = a_spans[1][u] - a_spans[0][u]
        if size != b_spans[1][u] - b_spans[0][u] or not same_bytes(a, a_spans[0][u], b, b_spans[0][u], size):
            return False
    return True


@nb.njit(cache=True, nogil=True)
def gather(buffer: Ints, starts: Ints, ends: Ints) -> Ints:
    """The bytes of all spans behind each other, each followed by a line feed."""
    size = starts.size
    for u in range(starts.size):
        size += ends[u] - starts[u]
    out = np.empty(size, np.uint8)
    at = 0
    for u in range(starts.size):
        for k in range(starts[u], ends[u]):
            out[at] = buffer[k]
            at += 1
        out[at] = LINE_FEED
        at += 1
    return out


@nb.njit(cache=True, nogil=True)
def prefix_runs(buffer: Ints, starts: Ints, ends: Ints, firsts: Ints, prefix_ends: Ints) -> int:
    """Find runs of ids with the same part before the first `-` or `_`.

    Writes the first id of each run, and where its prefix ends; returns the number of runs.
    """
    used = 0
    size = -1  # of the prefix, with what ends it
    for u in range(starts.size):
        if used > 0 and size <= ends[u] - starts[u] and same_bytes(buffer, starts[u], buffer, starts[u - 1], size):
            continue
        at = starts[u]
        while at < ends[u] and buffer[at] != _HYPHEN and buffer[at] != _UNDERSCORE:
            at += 1
        size = at + 1 - starts[u] if at < ends[u] else 1 << 40  # an id without either is a run of its own
        firsts[used] = u
        prefix_ends[used] = at
        used += 1
    return used


def warm() -> None:
    """Compile every kernel for the types in use, or load it from the cache."""
    text = np.frombuffer(b"a-1 b" + b" " * PADDING, np.uint8).copy()
    rows = np.empty((5, 2), np.int64)
    survey(text, 5)
    spans = rows[:2, : index_lines(text, 5, FORMAT_TEXT, rows)]
    is_increasing(text, *spans)
    are_equal(text, tuple(spans), text, tuple(spans))
    gather(text, *spans)
    prefix_runs(text, *spans, rows[2], rows[3])
