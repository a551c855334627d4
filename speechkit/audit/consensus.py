"""What was said, and how good each labeler is, from several transcripts (Dawid & Skene 1979, on word networks).

A labeler writes a said word rightly, as another word, or not at all, and writes a word where none was said: two
rows of a confusion matrix, whose cells for single words are tied. A wrong word is any of the vocabulary alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from speechkit.audit.network import Slot, build_networks

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

RIGHT, SUB, DEL, INS, SILENT = range(5)  # what a labeler does; the last two where nothing was said
_ANOTHER = "\0"  # a word that nobody has written
_PRIOR = 2.0  # pooled counts that each row of a labeler gets
_SMALL = 1e-6
_CONVERGED = 1e-6
_MAX_ROUNDS = 100
_START = (0.9, 0.05, 0.05, 0.05, 0.95)


@dataclass(frozen=True)
class Consensus:
    """Words and quality.

    words, posteriors: of each utterance; a posterior for each word.  p_right: (U,) that the whole text is right,
    if the alignments are; where labelers err much they are not, and it is too high.
    rates: (L, 5) probabilities of what a labeler does.  errors, said: (U, L) expected errors of a labeler in an
    utterance, and words that were said there; 0 where it has no transcript.
    """

    words: list[list[str]]
    posteriors: list[list[float]]
    p_right: Floats
    rates: Floats
    errors: Floats
    said: Floats
    num_rounds: int


@dataclass(frozen=True)
class _Table:
    """Candidates of all slots, and what each labeler did if a candidate was said.

    slot_starts: (S,) first candidate of each slot.  words: (C,) with "" for nothing, the last of a slot `_ANOTHER`.
    slot_of: (C,).  unit: (S,) utterance of each slot.  candidate, labeler, event: (E,).
    """

    slot_starts: Ints
    words: list[str]
    slot_of: Ints
    unit: Ints
    candidate: Ints
    labeler: Ints
    event: Ints


def find_consensus(transcripts: Sequence[Mapping[int, Sequence[str]]], num_labelers: int) -> Consensus:
    """Expectation-maximisation from a majority vote.

    Args:
        transcripts: of each utterance the words by number of labeler.
    """
    networks = build_networks(transcripts)
    table = _table(networks, transcripts)
    vocabulary = len({word for texts in transcripts for words in texts.values() for word in words})
    rates = np.tile(np.array(_START), (num_labelers, 1))
    silent = 0.05  # share of the slots where nothing was said
    posterior = np.zeros(0)
    num_rounds = 0
    for num_rounds in range(1, _MAX_ROUNDS + 1):
        updated = _expect(table, rates, silent, max(2, vocabulary))
        if num_rounds > 1 and np.abs(updated - posterior).max(initial=0.0) < _CONVERGED:
            break
        posterior = updated
        rates, silent = _maximise(table, posterior, num_labelers)
    return _result(table, posterior, rates, len(transcripts), num_rounds)


def _table(networks: Sequence[Sequence[Slot]], transcripts: Sequence[Mapping[int, Sequence[str]]]) -> _Table:
    words: list[str] = []
    starts: list[int] = []
    slot_of: list[int] = []
    unit: list[int] = []
    events: list[tuple[int, int, int]] = []
    for number, (network, texts) in enumerate(zip(networks, transcripts, strict=True)):
        for slot in network:
            starts.append(len(words))
            for word in [*sorted(set(slot.values())), "", _ANOTHER]:
                events += [(len(words), labeler, _event(word, slot.get(labeler, ""))) for labeler in texts]
                words.append(word)
                slot_of.append(len(unit))
            unit.append(number)
    columns = np.array(events, np.int64).reshape(-1, 3)
    return _Table(
        np.array(starts, np.int64),
        words,
        np.array(slot_of, np.int64),
        np.array(unit, np.int64),
        *(columns[:, k] for k in range(3)),
    )


def _event(said: str, written: str) -> int:
    if not said:
        return INS if written else SILENT
    return RIGHT if written == said else SUB if written else DEL


def _expect(table: _Table, rates: Floats, silent: float, vocabulary: int) -> Floats:
    """(C,) the probability that a candidate was said in its slot."""
    log_rates = np.log(rates)
    log_rates[:, [SUB, INS]] -= np.log(vocabulary - 1)
    is_word = np.array([bool(word) for word in table.words], np.bool_)
    score = np.where(is_word, np.log(1 - silent) - np.log(vocabulary), np.log(silent))
    score[[word == _ANOTHER for word in table.words]] += np.log(vocabulary - 1)  # any of those that nobody wrote
    score += np.bincount(table.candidate, log_rates[table.labeler, table.event], len(table.words))
    if not len(score):
        return np.zeros(0)
    score -= np.maximum.reduceat(score, table.slot_starts)[table.slot_of]
    weight = np.exp(score)
    return np.asarray(weight / np.add.reduceat(weight, table.slot_starts)[table.slot_of], np.float64)


def _maximise(table: _Table, posterior: Floats, num_labelers: int) -> tuple[Floats, float]:
    """The rates of each labeler, pulled towards those of all, and the share of slots where nothing was said."""
    cell = table.labeler * 5 + table.event
    counts = np.bincount(cell, posterior[table.candidate], num_labelers * 5).reshape(num_labelers, 5)
    rates = np.empty_like(counts)
    for row in ([RIGHT, SUB, DEL], [INS, SILENT]):
        pooled = counts[:, row].sum(axis=0) + 1.0
        own = counts[:, row] + _PRIOR * pooled / pooled.sum()
        rates[:, row] = own / own.sum(axis=1, keepdims=True)
    is_silent = np.array([not word for word in table.words], np.bool_)
    share = (posterior[is_silent].sum() + 1) / (len(table.unit) + 2)
    return np.maximum(rates, _SMALL), float(np.clip(share, _SMALL, 1 - _SMALL))


def _result(table: _Table, posterior: Floats, rates: Floats, num_units: int, num_rounds: int) -> Consensus:
    words: list[list[str]] = [[] for _ in range(num_units)]
    posteriors: list[list[float]] = [[] for _ in range(num_units)]
    log_right = np.zeros(num_units)
    ends = np.append(table.slot_starts[1:], len(table.words))
    for slot, (start, end) in enumerate(zip(table.slot_starts.tolist(), ends.tolist(), strict=True)):
        best = start + int(posterior[start : end - 1].argmax())
        unit = int(table.unit[slot])
        log_right[unit] += np.log(max(posterior[best], _SMALL))
        if table.words[best]:
            words[unit].append(table.words[best])
            posteriors[unit].append(float(posterior[best]))
    num_labelers = len(rates)
    weight = posterior[table.candidate]
    cell = table.unit[table.slot_of[table.candidate]] * num_labelers + table.labeler
    shape = (num_units, num_labelers)
    is_error, is_word = np.isin(table.event, [SUB, DEL, INS]), np.isin(table.event, [RIGHT, SUB, DEL])
    errors, said = (
        np.asarray(np.bincount(cell, weight * keep, num_units * num_labelers).reshape(shape), np.float64)
        for keep in (is_error, is_word)
    )
    log_right -= _num_lost(said, rates)
    return Consensus(words, posteriors, np.exp(log_right), rates, errors, said, num_rounds)


def _num_lost(said: Floats, rates: Floats) -> Floats:
    """(U,) expected number of words that every labeler of the utterance has left out."""
    by_all = np.exp(np.where(said > 0, np.log(rates[:, DEL]), 0.0).sum(axis=1))
    return np.asarray(said.max(axis=1) * by_all / np.maximum(1 - by_all, _SMALL), np.float64)


__all__ = ["DEL", "INS", "RIGHT", "SILENT", "SUB", "Consensus", "find_consensus"]
