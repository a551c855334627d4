"""Count the errors of many pairs of lines straight from the bytes of two files.

Pairs that need more than one machine word get ids and go through `kernels.edit`. Only the places of words in errors
leave the kernels.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from speechkit.errors import ConfigError
from speechkit.kernels.characters import MAX_CHARACTERS, other_distances
from speechkit.kernels.edit import TIES, Alignment, align_ids
from speechkit.kernels.edit_bits import COR, DEL, INS
from speechkit.kernels.short_lines import LINE_WORK_SIZE, MAX_ERRORS, count_short_lines
from speechkit.kernels.word_table import number_lines
from speechkit.kernels.words import PADDING

Counts: TypeAlias = npt.NDArray[np.int64]
Buffers: TypeAlias = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]
_PAIRS_PER_TASK = 20_000
_ERRORS_PER_CALL = 16 * MAX_ERRORS


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


def count_lines(
    buffers: Buffers, spans: Counts, *, ties: str = "kaldi", with_chars: bool = True, num_threads: int = 1
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
    too_long = np.zeros(len(spans), np.int8)

    def work(begin: int) -> list[Counts]:
        end = min(begin + _PAIRS_PER_TASK, len(spans))
        some = spans[begin:end]
        longest = int((some[:, 1] - some[:, 0] + some[:, 3] - some[:, 2]).max(initial=0))
        room = (
            np.empty(LINE_WORK_SIZE, np.uint64),
            np.empty(longest + 8, np.int64),
            np.empty(MAX_CHARACTERS, np.uint8),
        )
        errors = np.empty((_ERRORS_PER_CALL, 3), np.int64)
        out = (words, chars if with_chars else chars[:0], errors, too_long)
        parts = []
        while begin < end:
            begin, used = count_short_lines(buffers, spans, TIES.index(ties), (begin, end), out, room)
            parts.append(errors[:used].copy())
        return parts

    begins = range(0, len(spans), _PAIRS_PER_TASK)
    if num_threads > 1:
        with ThreadPoolExecutor(num_threads) as pool:
            parts = [part for found in pool.map(work, begins) for part in found]
    else:
        parts = [part for begin in begins for part in work(begin)]
    errors = np.concatenate([np.empty((0, 3), np.int64), *parts])
    pairs = np.flatnonzero(too_long & 1)
    if pairs.size:
        errors = _recount_words(buffers, spans, pairs, words, errors, ties=ties, num_threads=num_threads)
    pairs = np.flatnonzero(too_long & 2)
    if pairs.size:
        chars[pairs, 0] = other_distances(buffers[0], buffers[1], spans[pairs])
    return LineCounts(words, chars, errors)


def _recount_words(
    buffers: Buffers, spans: Counts, pairs: Counts, words: Counts, errors: Counts, *, ties: str, num_threads: int
) -> Counts:
    """Align pairs that need more than one machine word, and put their errors among the others."""
    parts = [errors]
    for begin in range(0, len(pairs), _PAIRS_PER_TASK):
        some = pairs[begin : begin + _PAIRS_PER_TASK]
        offsets = tuple(np.cumsum([0, *words[some, 3 + side]]) for side in range(2))
        ids = tuple(np.empty(o[-1], np.int32) for o in offsets)
        starts = tuple(np.empty(o[-1], np.int64) for o in offsets)
        num_ids = number_lines(buffers[0], buffers[1], spans[some], offsets, (*ids, *starts))
        found = align_ids(
            ids[0], offsets[0], ids[1], offsets[1], vocab_size=num_ids, ties=ties, num_threads=num_threads
        )
        words[some, :3] = found.counts
        parts.append(_places(some, found, starts))
    merged = np.concatenate(parts)
    in_order: Counts = merged[np.argsort(merged[:, 0], kind="stable")]
    return in_order


def _places(pairs: Counts, found: Alignment, starts: tuple[Counts, ...]) -> Counts:
    """Rows of `LineCounts.errors` of the alignments of these pairs."""
    sizes = found.ends - found.starts
    ops = found.ops[np.repeat(found.ends - np.cumsum(sizes), sizes) + np.arange(sizes.sum())]
    rows = np.full((len(ops), 3), -1, np.int64)
    rows[:, 0] = np.repeat(pairs, sizes)
    rows[ops != INS, 1] = starts[0]
    rows[ops != DEL, 2] = starts[1]
    errors: Counts = rows[ops != COR]
    return errors


__all__ = ["PADDING", "LineCounts", "count_lines"]


def warm() -> None:
    """Compile every kernel for the types in use, or load it from the cache."""
    pairs = (("a b c", "a x c d"), ("a b " * 70, "b"), ("\u00e9", "e"), ("a" * 3000, "b"))
    for ref, hyp in pairs:
        texts = [np.frombuffer(text.encode() + b" " * PADDING, np.uint8).copy() for text in (ref, hyp)]
        sizes = [len(text) - PADDING for text in texts]
        count_lines((texts[0], texts[1]), np.array([[0, sizes[0], 0, sizes[1]]]))
