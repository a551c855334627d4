"""Where the ids and texts of a transcript file are: one pass over its bytes."""

from __future__ import annotations

import numba as nb
import numpy as np

from speechkit.kernels.numba_types import Ints
from speechkit.kernels.words import SPACE, same_bytes

LINE_FEED = 10
FORMAT_TEXT, FORMAT_TRN, FORMAT_LINES = 0, 1, 2
_OPEN, _CLOSE, _COMMENT, _HYPHEN, _UNDERSCORE = 40, 41, 59, 45, 95


@nb.njit(cache=True, nogil=True)
def _num_lines(buffer: Ints, size: int) -> int:
    count = 1
    for at in range(size):
        count += buffer[at] == LINE_FEED
    return count


@nb.njit(cache=True, nogil=True)
def index_lines(buffer: Ints, size: int, kind: int) -> Ints:
    """Rows (id start, id end, text start, text end, line number) of the lines that are not blank.

    text: the first word is the id. trn: the id stands in the last parentheses; an id of no bytes marks a
    malformed line; `;;` starts a comment. lines: no ids.
    """
    rows = np.empty((_num_lines(buffer, size), 5), np.int64)
    used = 0
    number = 0
    begin = 0
    while begin < size:
        number += 1
        stop = begin
        while stop < size and buffer[stop] != LINE_FEED:
            stop += 1
        start = begin
        begin = stop + 1
        while start < stop and buffer[start] <= SPACE:
            start += 1
        while stop > start and buffer[stop - 1] <= SPACE:
            stop -= 1
        if start == stop or (kind == FORMAT_TRN and buffer[start] == _COMMENT and buffer[start + 1] == _COMMENT):
            continue
        id_start = start
        id_end = start
        if kind == FORMAT_TEXT:
            while id_end < stop and buffer[id_end] > SPACE:
                id_end += 1
            start = id_end
        elif kind == FORMAT_TRN:
            id_start, id_end = _last_parentheses(buffer, start, stop)
            stop = id_start - 1 if id_end > id_start else stop
        rows[used, 0] = id_start
        rows[used, 1] = id_end
        rows[used, 2] = start
        rows[used, 3] = stop
        rows[used, 4] = number
        used += 1
    return rows[:used]


@nb.njit(cache=True, nogil=True)
def _last_parentheses(buffer: Ints, start: int, stop: int) -> tuple[int, int]:
    if buffer[stop - 1] != _CLOSE:
        return start, start
    at = stop - 1
    while at >= start and buffer[at] != _OPEN:
        at -= 1
    if at < start:
        return start, start
    return at + 1, stop - 1


@nb.njit(cache=True, nogil=True)
def is_increasing(buffer: Ints, spans: Ints) -> bool:
    """Whether each id is greater, as bytes, than the one before: then no id occurs twice."""
    for u in range(1, spans.shape[0]):
        a, a_end = spans[u - 1, 0], spans[u - 1, 1]
        b, b_end = spans[u, 0], spans[u, 1]
        while a < a_end and b < b_end and buffer[a] == buffer[b]:
            a += 1
            b += 1
        if b == b_end or (a < a_end and buffer[a] > buffer[b]):
            return False
    return True


@nb.njit(cache=True, nogil=True)
def are_equal(a: Ints, a_spans: Ints, b: Ints, b_spans: Ints) -> bool:
    """Whether two files have the same ids in the same order."""
    if a_spans.shape[0] != b_spans.shape[0]:
        return False
    for u in range(a_spans.shape[0]):
        size = a_spans[u, 1] - a_spans[u, 0]
        if size != b_spans[u, 1] - b_spans[u, 0] or not same_bytes(a, a_spans[u, 0], b, b_spans[u, 0], size):
            return False
    return True


@nb.njit(cache=True, nogil=True)
def gather(buffer: Ints, spans: Ints) -> Ints:
    """The bytes of all spans behind each other, each followed by a line feed."""
    size = spans.shape[0]
    for u in range(spans.shape[0]):
        size += spans[u, 1] - spans[u, 0]
    out = np.empty(size, np.uint8)
    at = 0
    for u in range(spans.shape[0]):
        for k in range(spans[u, 0], spans[u, 1]):
            out[at] = buffer[k]
            at += 1
        out[at] = LINE_FEED
        at += 1
    return out


@nb.njit(cache=True, nogil=True)
def prefix_spans(buffer: Ints, spans: Ints) -> Ints:
    """Each span up to its first `-` or `_`."""
    out = spans.copy()
    for u in range(spans.shape[0]):
        for k in range(spans[u, 0], spans[u, 1]):
            if buffer[k] == _HYPHEN or buffer[k] == _UNDERSCORE:
                out[u, 1] = k
                break
    return out


@nb.njit(cache=True, nogil=True)
def runs(buffer: Ints, spans: Ints) -> Ints:
    """Index of the first of each run of equal neighbouring spans."""
    firsts = np.empty(spans.shape[0], np.int64)
    used = 0
    for u in range(spans.shape[0]):
        size = spans[u, 1] - spans[u, 0]
        if used > 0:
            last = firsts[used - 1]
            if size == spans[last, 1] - spans[last, 0] and same_bytes(
                buffer, spans[u, 0], buffer, spans[last, 0], size
            ):
                continue
        firsts[used] = u
        used += 1
    return firsts[:used].copy()
