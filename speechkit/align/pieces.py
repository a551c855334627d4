"""Stretches of a recording that hold words of its text and nothing else, short enough to search boundaries in.

A recording is cut where a CTC model hears speech that the text lacks, and where it would be too long.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from speechkit.align.ctc import Heard
from speechkit.align.features import Frames
from speechkit.align.hmm_model import Chain, Ints
from speechkit.align.result import Aligned, NotAligned, Outcome
from speechkit.data.batch import Utterance
from speechkit.data.store import Word

_SLOT_SECONDS = 0.005  # what a word that nobody says is given, so that it has a place
_DIGITS = 5
_SMOOTH_FRAMES = 9
_CUT_WITHIN = 0.5  # a long recording is cut at the widest gap in the last half of a piece
Spikes = tuple[float, float]


@dataclass(frozen=True)
class Piece:
    """Part of an utterance.

    Args:
        utterance: its audio and its words.
        offset_seconds: its start in the utterance.
        positions: places of its words in the whole text.
        spikes: as in `Heard`, from the start of the piece.
    """

    utterance: Utterance
    offset_seconds: float
    positions: tuple[int, ...]
    spikes: tuple[Spikes, ...]


def cut_pieces(utt: Utterance, heard: Heard, *, max_seconds: float) -> list[Piece]:
    """The pieces of an utterance, in order; together they hold every word that is said."""
    spoken = [(position, spike) for position, spike in enumerate(heard.spikes) if spike is not None]
    start, groups, current = 0.0, [], [spoken[0]]
    bounds: list[tuple[float, float]] = []
    for stretch in heard.extra:
        if stretch[1] <= spoken[0][1][0]:
            start = stretch[1]
    for before, after in pairwise(spoken):
        cut = _cut_between(before[1][1], after[1][0], heard.extra)
        if cut is not None:
            bounds.append((start, cut[0]))
            groups.append(current)
            start, current = cut[1], []
        current.append(after)
    end = min([utt.duration_seconds, *(s for s, e in heard.extra if s >= current[-1][1][1])])
    bounds.append((start, end))
    groups.append(current)
    pieces: list[Piece] = []
    for bound, group in zip(bounds, groups, strict=True):
        for (begin, stop), words in _shorter(bound, group, max_seconds):
            pieces.append(_piece(utt, begin, stop, words=words, number=len(pieces)))
    return pieces


def _cut_between(left: float, right: float, extra: Sequence[Spikes]) -> Spikes | None:
    """The stretch of other speech between two spikes, if there is one."""
    inside = [stretch for stretch in extra if left < stretch[1] and stretch[0] < right]
    return (max(left, inside[0][0]), min(right, inside[-1][1])) if inside else None


def _shorter(
    bound: Spikes, words: list[tuple[int, Spikes]], max_seconds: float
) -> list[tuple[Spikes, list[tuple[int, Spikes]]]]:
    """The same words in pieces of at most `max_seconds`, cut in the middle of wide gaps, as far as gaps allow."""
    parts = []
    start = bound[0]
    while bound[1] - start > max_seconds:
        gaps = [
            (after[1][0] - before[1][1], (after[1][0] + before[1][1]) / 2, place)
            for place, (before, after) in enumerate(pairwise(words), start=1)
            if before[1][1] - start >= _CUT_WITHIN * max_seconds and after[1][0] - start <= max_seconds
        ]
        if not gaps:
            break
        _, middle, place = max(gaps)
        parts.append(((start, middle), words[:place]))
        start, words = middle, words[place:]
    return [*parts, ((start, bound[1]), words)]


def _piece(utt: Utterance, start: float, end: float, *, words: list[tuple[int, Spikes]], number: int) -> Piece:
    first, last = round(start * utt.sampling_rate), min(utt.num_samples, round(end * utt.sampling_rate))
    offset = first / utt.sampling_rate
    text = utt.text.split()
    part = replace(
        utt,
        utt_id=f"{utt.utt_id}#{number}",
        start_sample=utt.start_sample + first,
        num_samples=last - first,
        text=" ".join(text[position] for position, _ in words),
        words=(),
    )
    spikes = tuple((begin - offset, stop - offset) for _, (begin, stop) in words)
    return Piece(part, offset, tuple(position for position, _ in words), spikes)


def rough_edges(frames: Frames, spikes: Sequence[Spikes], hop_seconds: float) -> Ints:
    """First and last frame (exclusive) of each word (W, 2): cut at the least energy between spikes, quiet ends off."""
    level_T = np.convolve(frames.values_TF[:, 0], np.ones(_SMOOTH_FRAMES), mode="same")
    peaks_W2 = np.clip(np.round(np.asarray(spikes) / hop_seconds).astype(np.int64), 0, len(frames) - 1)
    cuts = [0]
    for left, right in zip(peaks_W2[:-1, 1], peaks_W2[1:, 0], strict=True):
        left = max(left, cuts[-1])
        cuts.append(int(left + np.argmin(level_T[left : max(left, right) + 1])))
    cuts.append(len(frames))
    edges_W2 = np.stack([cuts[:-1], cuts[1:]], axis=1)
    for row in edges_W2:
        loud = np.flatnonzero(frames.is_loud_T[row[0] : row[1]])
        if len(loud):
            row[:] = row[0] + loud[0], row[0] + loud[-1] + 1
    return edges_W2


def first_states(frames: Frames, chain: Chain, edges_W2: Ints) -> Ints:
    """States to start training from: each word's states share its frames evenly, the rest is pauses."""
    pauses_S = np.flatnonzero(chain.word_S < 0)
    word_T = np.searchsorted(edges_W2[:, 1], np.arange(len(frames)), side="right")
    states_T = pauses_S[np.minimum(word_T, len(pauses_S) - 1)]
    for word, (start, end) in enumerate(edges_W2.tolist()):
        own_S = np.flatnonzero(chain.word_S == word)
        states_T[start:end] = own_S[np.arange(end - start) * len(own_S) // max(1, end - start)]
    return states_T


def merge(utt: Utterance, heard: Heard, pieces: Sequence[Piece], found: Mapping[str, Outcome]) -> Outcome:
    """One alignment from those of the pieces.

    The confidence is the geometric mean of CTC's and the Gaussian models'. Words of a piece without boundaries lie
    between the neighbouring spikes, words that are left out between their neighbours, both with confidence 0.
    """
    text = utt.text.split()
    edges: dict[int, Spikes] = {}
    confidence = dict.fromkeys(range(len(text)), 0.0)
    reasons = []
    for piece in pieces:
        outcome = found[piece.utterance.utt_id]
        if isinstance(outcome, NotAligned):
            reasons.append(outcome.reason)
            edges.update(_between_spikes(piece))
            continue
        for position, word in zip(piece.positions, outcome.words, strict=True):
            start = piece.offset_seconds + word.start_seconds
            edges[position] = start, start + word.duration_seconds
            confidence[position] = float(np.sqrt(heard.confidence[position] * (word.score or 0.0)))
    if len(reasons) == len(pieces):
        return NotAligned(reasons[0])
    placed = _placed(edges, len(text), utt.duration_seconds)
    words = tuple(
        Word(symbol, round(start, _DIGITS), round(end - start, _DIGITS), round(confidence[position], 4))
        for position, (symbol, (start, end)) in enumerate(zip(text, placed, strict=True))
    )
    return Aligned(words, heard.tokens, heard.log_prob)


def _between_spikes(piece: Piece) -> dict[int, Spikes]:
    middles = [(a[1] + b[0]) / 2 for a, b in pairwise(piece.spikes)]
    cuts = [0.0, *middles, piece.utterance.duration_seconds]
    offset = piece.offset_seconds
    return {
        position: (offset + start, offset + end)
        for position, (start, end) in zip(piece.positions, pairwise(cuts), strict=True)
    }


def _placed(edges: Mapping[int, Spikes], num_words: int, duration_seconds: float) -> list[Spikes]:
    """Edges of all words in order: those left out get a slot behind the word before them."""
    placed: list[Spikes] = []
    at = 0.0
    for position in range(num_words):
        start, end = edges.get(position, (at, at + _SLOT_SECONDS))
        start = max(start, at)
        end = max(end, start + _SLOT_SECONDS)
        placed.append((start, end))
        at = end
    # slots at the end may reach beyond the audio: push back
    for position in range(num_words - 1, -1, -1):
        start, end = placed[position]
        if end <= duration_seconds:
            break
        end = duration_seconds
        placed[position] = min(start, end - _SLOT_SECONDS), end
        duration_seconds = placed[position][0]
    return placed
