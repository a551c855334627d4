"""Exact log-probs of all single edits of a CTC transcript from one forward and one backward pass.

Each word may be left out, or replaced by a star or by a word of a lexicon; a star or a word may be inserted in each
gap. A star is a token that no other equals and whose log-prob is the same in every frame. Where words are separated
by a token, a word takes one with it and brings one, a star neither: it can absorb one. Loops: `kernels/ctc_slots.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from speechkit.errors import SpeechkitError
from speechkit.kernels import ctc_slots
from speechkit.kernels.ctc import required_frames

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Edits(NamedTuple):
    """Natural log-probs of a transcript of W words and of all its single edits; -inf without a path.

    Gap g = 0 .. W lies before word g. Without a lexicon replace_WL and insert_GL have no columns.
    """

    log_prob: float
    delete_W: Floats
    star_W: Floats
    replace_WL: Floats
    gap_star_G: Floats
    insert_GL: Floats


class _Flat(NamedTuple):
    """Words one after the other: tokens, their rows in `used`, where each word starts, the frames each needs."""

    tokens_N: Ints
    rows_N: Ints
    offsets_L: Ints
    frames_L: Ints


@dataclass(frozen=True)
class EditLexicon:
    """Words that may replace or be inserted, made ready once for many transcripts.

    Args:
        words: tokens of each, at least one.
        separator: token between two words, if there is one.
    """

    words: Sequence[Sequence[int]]
    separator: int | None = None
    blank_id: int = 0
    used_C: Ints = field(init=False)
    alone: _Flat = field(init=False)
    before_a_word: _Flat = field(init=False)
    after_a_word: _Flat = field(init=False)

    def __post_init__(self) -> None:
        """Raises SpeechkitError for a word without tokens."""
        empty = [number for number, word in enumerate(self.words) if not len(word)]
        if empty:
            raise SpeechkitError(f"word {empty[0]} of the lexicon has no tokens")
        extra = [] if self.separator is None else [self.separator]
        labels = {*chain.from_iterable(self.words), *extra} - {self.blank_id}
        used = [self.blank_id, *sorted(labels)]  # the blank is row 0
        rows = {label: row for row, label in enumerate(used)}
        put = object.__setattr__  # frozen
        put(self, "used_C", np.array(used, dtype=np.int64))
        put(self, "alone", _flatten(self.words, rows))
        put(self, "before_a_word", _flatten([[*word, *extra] for word in self.words], rows))
        put(self, "after_a_word", _flatten([[*extra, *word] for word in self.words], rows))


def _flatten(words: Sequence[Sequence[int]], rows: dict[int, int]) -> _Flat:
    tokens = list(chain.from_iterable(words))
    offsets = np.cumsum([0, *map(len, words)])
    needed = [required_frames(list(word)) for word in words]
    return _Flat(_ints(tokens), _ints([rows[token] for token in tokens]), _ints(offsets), _ints(needed))


def _ints(values: Any) -> Ints:
    return np.asarray(values, dtype=np.int64)


NO_WORDS = EditLexicon(())


def single_edits(
    log_probs_TV: NDArray[Any],
    tokens: Sequence[int],
    words: Sequence[tuple[int, int]],
    *,
    lexicon: EditLexicon = NO_WORDS,
    star_frame_penalty: float = 0.0,
    blank_id: int = 0,
) -> Edits:
    """Score every edit of one word or gap.

    Args:
        log_probs_TV: float32 or float64, natural log, at least one frame.
        tokens: of the transcript, without blanks.
        words: first and end index of the tokens of each word, in order; tokens between them are separators.
        lexicon: made with the blank and the separator of the same tokenizer.
        star_frame_penalty: nats for each frame of a star.
    Cost: O(T U) for both passes, O(T) for a deletion or a star, O(T R) for a word of R tokens, less where frames
        around the slot decide.
    Test: torch's ctc_loss with a column for the star, and the sum over all paths.
    """
    values_TV, labels_S, alpha_TS = _forward(log_probs_TV, tokens, blank_id)
    beta_TS = np.empty_like(alpha_TS)
    ctc_slots.suffixes(values_TV, labels_S, beta_TS)
    probs_CT = np.exp(values_TV.T[lexicon.used_C].astype(np.float64))
    passes = values_TV, probs_CT, alpha_TS, beta_TS
    num_words, size = len(words), len(lexicon.words)
    deleted = np.empty(num_words)
    ctc_slots.deletions(alpha_TS, beta_TS, labels_S, _removals(words, len(tokens)), deleted)

    def fill(slots: list[tuple[int, int]], flat: _Flat) -> tuple[Floats, Floats]:
        out = np.empty(len(slots)), np.empty((len(slots), size))
        ctc_slots.fill_slots(
            passes, labels_S, _ints(slots).reshape(-1, 2), tuple(flat), -float(star_frame_penalty), out
        )
        return out

    star_W, replace_WL = fill([(start, end) for start, end in words], lexicon.alone)
    inner = fill([(start, start) for start, _ in words], lexicon.before_a_word)
    last = fill([(len(tokens), len(tokens))], lexicon.after_a_word if num_words else lexicon.alone)
    gap_star_G, insert_GL = (np.concatenate(pair) for pair in zip(inner, last, strict=True))
    return Edits(_total(alpha_TS), deleted, star_W, replace_WL, gap_star_G, insert_GL)


def text_log_prob(log_probs_TV: NDArray[Any], tokens: Sequence[int], *, blank_id: int = 0) -> float:
    """Natural log-prob of a transcript, as in `single_edits`."""
    return _total(_forward(log_probs_TV, tokens, blank_id)[2])


def _forward(log_probs_TV: NDArray[Any], tokens: Sequence[int], blank_id: int) -> tuple[NDArray[Any], Ints, Floats]:
    """Log-probs and labels of the states as the kernels want them, and alpha (T, S)."""
    if not len(log_probs_TV):
        raise SpeechkitError("no frames to score a transcript in")
    kind = np.float64 if log_probs_TV.dtype == np.float64 else np.float32
    values_TV = np.ascontiguousarray(log_probs_TV, dtype=kind)
    labels_S = np.full(2 * len(tokens) + 1, blank_id, dtype=np.int64)
    labels_S[1::2] = tokens
    alpha_TS = np.empty((len(values_TV), len(labels_S)))
    ctc_slots.prefixes(values_TV, labels_S, alpha_TS)
    return values_TV, labels_S, alpha_TS


def _total(alpha_TS: Floats) -> float:
    return float(np.logaddexp.reduce(alpha_TS[-1, -2:]))


def _removals(words: Sequence[tuple[int, int]], num_tokens: int) -> Ints:
    """First and end token of what goes with each word: itself and the separator after it, of the last one before it."""
    slots = []
    for position, (start, _) in enumerate(words):
        is_last = position + 1 == len(words)
        begin = words[position - 1][1] if is_last and position else start
        slots.append((begin, num_tokens if is_last else words[position + 1][0]))
    return _ints(slots).reshape(-1, 2)


def warm() -> None:
    """Compile every kernel for the types in use (float32 log-probs), or load it from the cache."""
    values = np.log(np.full((4, 3), 1 / 3, dtype=np.float32))
    single_edits(values, [1], [(0, 1)], lexicon=EditLexicon([[2]]))
