"""Evidence about one transcript from stored log-probs: edits, forced alignment, hypothesis and the scores of them.

The names of the scores and what they are: `SCORES`. What needs the whole corpus is in `audit/corpus.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from speechkit.align.ctc import tokens_of
from speechkit.audit.evidence import Evidence, Floats, Ints
from speechkit.audit.logprobs import Emission, greedy_tokens
from speechkit.audit.score_file import read_scores as read_scores
from speechkit.errors import SpeechkitError
from speechkit.kernels.ctc import required_frames
from speechkit.kernels.ctc_align import align_tokens
from speechkit.kernels.ctc_edits import NO_WORDS, EditLexicon, Edits, single_edits, text_log_prob
from speechkit.kernels.ctc_star import StarPosteriors, star_graph, star_posteriors
from speechkit.kernels.edit import align_words
from speechkit.text.tokenizer import SPACE, Tokenizer

STAR_PENALTY = 6.0
STAR_FRAME_PENALTY = 0.3  # of each frame: a star that costs nothing there would also take its neighbours' frames
_DOUBT_PENALTY = 9.0  # of stars that compete, for many faults at once
_MAX_ODDS = 700.0
_MAX_CELLS = 20_000_000  # frames times tokens: 0.3 GB for each of two passes
_WINDOW_FRAMES = 15
_LOW_QUANTILE = 0.2
SCORES = {
    "nll_per_char": "S1: -log P(text) per character",
    "nll_per_token": "S1: the same per token",
    "llr_free": "S2: best label of each frame over log P(text)",
    "llr_hyp": "S3: log P(hypothesis) - log P(text)",
    "cer_hyp": "S4: character errors of the hypothesis, as a share of the text",
    "wer_hyp": "S4: word errors",
    "segment_max": "S5: worst word or gap, free path over forced alignment",
    "edit_lse": "S7: log-odds that one word or gap is wrong: deletions and stars, each at prior 1",
    "edits_any": "log-odds that any words and gaps are wrong, one or many",
    "edit_lexicon": "S7 with words of the lexicon",
    "min_confidence": "S8: least confidence of a word, negated",
    "quantile_confidence": "S8: the confidence that a fifth of the words do not reach, negated",
    "min_window": "S8: worst mean log-prob of 15 frames of the forced alignment, negated",
    "blank_run": "S9: seconds of the longest run of blanks",
    "trailing": "S9: seconds from the last token of the text to the last one that is heard",
    "cleanlab_self_confidence": "baseline: least posterior of a given word among those of the lexicon, negated",
    "cleanlab_normalized_margin": "baseline: least margin of a given word over the best other one, negated",
}


@dataclass(frozen=True)
class Lexicon:
    """Words that may replace or be inserted; one object for many transcripts, as it remembers their tokens."""

    words: tuple[str, ...]
    _known: dict[int, _Known] = field(default_factory=dict, repr=False, compare=False)

    def for_tokenizer(self, tokenizer: Tokenizer) -> _Known:
        """The words that a tokenizer can spell, ready for the kernel."""
        found = self._known.get(id(tokenizer))
        if found is None:
            found = self._known[id(tokenizer)] = _spell(self.words, tokenizer)
        return found


class _Known(NamedTuple):
    """numbers_L: which words of the lexicon they are; unknown: those that the tokenizer can not spell."""

    edits: EditLexicon
    numbers_L: Ints
    position: dict[str, int]
    unknown: tuple[str, ...]
    tokenizer: Tokenizer  # held, so that its id is not given to another one


def _spell(words: Sequence[str], tokenizer: Tokenizer) -> _Known:
    separator = tokenizer.tokens.index(SPACE) if SPACE in tokenizer.tokens else None
    spelled, unknown = [], []
    for number, word in enumerate(words):
        try:
            spelled.append((number, word, tokens_of([word], tokenizer)[0]))
        except SpeechkitError:
            unknown.append(word)
    edits = EditLexicon([tokens for _, _, tokens in spelled], separator)
    position = {word: place for place, (_, word, _) in enumerate(spelled)}
    numbers_L = np.array([number for number, _, _ in spelled], dtype=np.int64)
    return _Known(edits, numbers_L, position, tuple(unknown), tokenizer)


def gather(
    emission: Emission,
    words: Sequence[str],
    *,
    lexicon: Lexicon | None = None,
    star_penalty: float = STAR_PENALTY,
) -> Evidence:
    """Evidence about the words as the transcript of an utterance.

    Raises:
        SpeechkitError: no words, one that the tokenizer does not know, too few or too many frames, or no probability.
    """
    tokens, ranges = _spelled(emission, words)
    values_TV = emission.log_probs_TV
    known = lexicon.for_tokenizer(emission.tokenizer) if lexicon is not None else None
    spelled = NO_WORDS if known is None else known.edits
    edits = single_edits(values_TV, tokens, ranges, lexicon=spelled, star_frame_penalty=STAR_FRAME_PENALTY)
    if not math.isfinite(edits.log_prob):
        raise SpeechkitError(f"the model gives its text no probability: log-prob {edits.log_prob}")
    aligned = _align(values_TV, tokens, ranges)
    replace_W, replacement_W = _best_words(edits.replace_WL, known, words)
    insert_G, insertion_G = _best_words(edits.insert_GL, known, ())
    step, first = emission.step_seconds, emission.first_seconds
    doubt = _doubt(values_TV, tokens, ranges)
    evidence = Evidence(
        words=tuple(words),
        log_prob=edits.log_prob,
        delete_W=edits.delete_W - edits.log_prob,
        star_W=edits.star_W - edits.log_prob,
        replace_W=replace_W - edits.log_prob,
        replacement_W=replacement_W,
        gap_star_G=edits.gap_star_G - edits.log_prob,
        insert_G=insert_G - edits.log_prob,
        insertion_G=insertion_G,
        doubt_W=np.clip(doubt.word_W, -_MAX_ODDS, _MAX_ODDS),
        doubt_G=np.clip(doubt.gap_G, -_MAX_ODDS, _MAX_ODDS),
        segment_W=aligned.segment_W,
        segment_G=aligned.segment_G,
        confidence_W=aligned.confidence_W,
        start_seconds_W=np.maximum(0.0, first + step * (aligned.spans_W2[:, 0] - 0.5)),
        end_seconds_W=np.maximum(0.0, first + step * (aligned.spans_W2[:, 1] - 0.5)),
        hypothesis=emission.hypothesis,
    )
    scores = _likelihood_scores(evidence, values_TV, tokens)
    scores |= _distances(evidence.hypothesis, words)
    scores |= _edit_scores(evidence, star_penalty, has_lexicon=known is not None)
    scores["edits_any"] = _log_odds(doubt.log_prob, edits.log_prob)
    scores |= _alignment_scores(evidence, aligned, values_TV, step)
    if known is not None and len(known.numbers_L):
        scores |= _cleanlab_scores(edits, known, words)
    evidence.scores.update(scores)
    return evidence


def _spelled(emission: Emission, words: Sequence[str]) -> tuple[list[int], list[tuple[int, int]]]:
    """Tokens of the words, and first and end index of those of each, if they can be scored."""
    if not words:
        raise SpeechkitError("it has no words")
    tokens, ranges = tokens_of(words, emission.tokenizer)
    silent = [word for word, (start, end) in zip(words, ranges, strict=True) if start == end]
    if silent:
        raise SpeechkitError(f"the model has no token for `{silent[0]}`")
    num_frames, needed = len(emission.log_probs_TV), required_frames(tokens)
    if num_frames < needed:
        raise SpeechkitError(f"too short for its text: {num_frames} encoder frames, {needed} needed")
    if num_frames * len(tokens) > _MAX_CELLS:
        raise SpeechkitError(f"too long to score: {num_frames} encoder frames, {len(tokens)} tokens; cut it up")
    return tokens, ranges


def _doubt(values_TV: np.ndarray, tokens: Sequence[int], ranges: Sequence[tuple[int, int]]) -> StarPosteriors:
    star_T1 = np.full((len(values_TV), 1), -STAR_FRAME_PENALTY, dtype=values_TV.dtype)
    graph = star_graph(
        tokens, ranges, word_weights=[-_DOUBT_PENALTY] * len(ranges), gap_weight=-_DOUBT_PENALTY,
        star_id=values_TV.shape[1],
    )  # fmt: skip
    return star_posteriors(np.concatenate([values_TV, star_T1], axis=1), graph)


def _log_odds(log_prob_all: float, log_prob_text: float) -> float:
    """That it is not the text, which is one of all."""
    surplus = max(log_prob_all - log_prob_text, 1e-12)
    return min(surplus + math.log(-math.expm1(-surplus)), _MAX_ODDS)


class _Aligned(NamedTuple):
    """aligned_T: log-prob of the frame's label on the forced alignment; spans_W2: first and end frame."""

    aligned_T: Floats
    spans_W2: Ints
    segment_W: Floats
    segment_G: Floats
    confidence_W: Floats


def _align(values_TV: np.ndarray, tokens: Sequence[int], ranges: Sequence[tuple[int, int]]) -> _Aligned:
    path = align_tokens(values_TV, tokens)
    num_frames = len(values_TV)
    labels_T = np.zeros(num_frames, np.int64)
    position_T = np.searchsorted(path.start_frames_U, np.arange(num_frames), side="right") - 1
    is_token_T = (position_T >= 0) & (np.arange(num_frames) < path.end_frames_U[position_T])
    labels_T[is_token_T] = np.asarray(tokens)[position_T[is_token_T]]
    aligned_T = values_TV[np.arange(num_frames), labels_T].astype(np.float64)
    surplus_T = np.concatenate([[0.0], np.cumsum(values_TV.max(axis=1) - aligned_T)])
    peaks_U = np.maximum.reduceat(
        np.append(aligned_T, -np.inf), np.stack([path.start_frames_U, path.end_frames_U], axis=1).ravel()
    )[::2]
    ranges_W2 = np.array(ranges)
    spans_W2 = np.stack([path.start_frames_U[ranges_W2[:, 0]], path.end_frames_U[ranges_W2[:, 1] - 1]], axis=1)
    edges_G = np.concatenate([[0], spans_W2[:, 1]]), np.concatenate([spans_W2[:, 0], [num_frames]])
    sums_U = np.concatenate([[0.0], np.cumsum(peaks_U)])
    mean_W = (sums_U[ranges_W2[:, 1]] - sums_U[ranges_W2[:, 0]]) / (ranges_W2[:, 1] - ranges_W2[:, 0])
    return _Aligned(
        aligned_T,
        spans_W2,
        surplus_T[spans_W2[:, 1]] - surplus_T[spans_W2[:, 0]],
        surplus_T[edges_G[1]] - surplus_T[edges_G[0]],
        np.exp(np.minimum(mean_W, 0.0)),
    )


def _best_words(log_probs_XL: Floats, known: _Known | None, given: Sequence[str]) -> tuple[Floats, Ints]:
    """The best word of each row other than the given one, and its number in the lexicon."""
    if known is None or not len(known.numbers_L):
        return np.full(len(log_probs_XL), -np.inf), np.full(len(log_probs_XL), -1)
    others_XL = log_probs_XL.copy()
    for row, word in enumerate(given):
        if word in known.position:
            others_XL[row, known.position[word]] = -np.inf
    best_X = others_XL.argmax(axis=1)
    value_X = others_XL[np.arange(len(best_X)), best_X]
    return value_X, np.where(np.isfinite(value_X), known.numbers_L[best_X], -1)


def _likelihood_scores(evidence: Evidence, values_TV: np.ndarray, tokens: Sequence[int]) -> dict[str, float]:
    hypothesis = greedy_tokens(values_TV)
    log_prob_hyp = evidence.log_prob
    if hypothesis != tokens:
        log_prob_hyp = text_log_prob(values_TV, hypothesis)
    return {
        "nll_per_char": -evidence.log_prob / len(" ".join(evidence.words)),
        "nll_per_token": -evidence.log_prob / len(tokens),
        "llr_free": float(values_TV.max(axis=1).sum(dtype=np.float64)) - evidence.log_prob,
        "llr_hyp": log_prob_hyp - evidence.log_prob,
    }


def _distances(hypothesis: str, words: Sequence[str]) -> dict[str, float]:
    text = " ".join(words)
    counts_2 = align_words([list(text), words], [list(hypothesis), hypothesis.split()]).counts.sum(axis=1)
    return {"cer_hyp": float(counts_2[0] / len(text)), "wer_hyp": float(counts_2[1] / len(words))}


def _edit_scores(evidence: Evidence, star_penalty: float, *, has_lexicon: bool) -> dict[str, float]:
    open_ones = [evidence.delete_W, evidence.star_W - star_penalty, evidence.gap_star_G - star_penalty]
    scores = {"edit_lse": float(np.logaddexp.reduce(np.concatenate(open_ones)))}
    if has_lexicon:
        every = [*open_ones, evidence.replace_W, evidence.insert_G]
        scores["edit_lexicon"] = float(np.logaddexp.reduce(np.concatenate(every)))
    return scores


def _alignment_scores(
    evidence: Evidence, aligned: _Aligned, values_TV: np.ndarray, step_seconds: float
) -> dict[str, float]:
    sums_T = np.concatenate([[0.0], np.cumsum(aligned.aligned_T)])
    width = min(_WINDOW_FRAMES, len(aligned.aligned_T))
    is_blank_T = values_TV.argmax(axis=1) == 0
    speech = np.flatnonzero(~is_blank_T)
    runs = np.diff(np.concatenate([[-1], speech, [len(is_blank_T)]])) - 1
    return {
        "segment_max": float(max(evidence.segment_W.max(), evidence.segment_G.max())),
        "min_confidence": -float(evidence.confidence_W.min()),
        "quantile_confidence": -float(np.quantile(evidence.confidence_W, _LOW_QUANTILE)),
        "min_window": -float((sums_T[width:] - sums_T[:-width]).min() / width),
        "blank_run": float(runs.max()) * step_seconds,
        "trailing": max(0, int(speech[-1]) + 1 - int(aligned.spans_W2[-1, 1])) * step_seconds if len(speech) else 0.0,
    }


def _cleanlab_scores(edits: Edits, known: _Known, words: Sequence[str]) -> dict[str, float]:
    """Each word as a label among those of the lexicon; a word beyond the lexicon is a class of its own."""
    log_probs_WL = np.concatenate([edits.replace_WL, np.full((len(words), 1), -np.inf)], axis=1)
    own_W = np.array([known.position.get(word, log_probs_WL.shape[1] - 1) for word in words])
    rows = np.arange(len(words))
    log_probs_WL[rows, own_W] = edits.log_prob
    probs_WL = np.exp(log_probs_WL - log_probs_WL.max(axis=1, keepdims=True))
    probs_WL /= probs_WL.sum(axis=1, keepdims=True)
    own = probs_WL[rows, own_W].copy()
    probs_WL[rows, own_W] = 0.0
    margin_W = (own - probs_WL.max(axis=1) + 1.0) / 2.0
    return {"cleanlab_self_confidence": -float(own.min()), "cleanlab_normalized_margin": -float(margin_W.min())}
