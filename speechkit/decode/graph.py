"""Closed-vocabulary decoding: the best word sequence that a small word graph allows, given CTC log-probs.

The graphs (a word loop, with or without bigram weights, or a list of sentences) hold token arcs that carry
the word they start. `graph_decode` searches them exactly in numba; `decode/k2_graph.py` gives the same
words and scores through k2. Needs only numpy, torch (1.13 or newer) and numba.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from speechkit.errors import SpeechkitError
from speechkit.kernels.token_passing import best_graph_path

# word -> its pronunciations, each a sequence of token ids
Lexicon = Mapping[str, Sequence[Sequence[int]]]

SENTENCE_START = "<s>"
SENTENCE_END = "</s>"


class GraphPath(NamedTuple):
    """The best path: its words, and its log-prob with graph weights; -inf and no words when nothing fits."""

    words: tuple[str, ...]
    log_prob: float


@dataclass(frozen=True, eq=False)
class WordGraph:
    """A token acceptor without empty arcs; state 0 is the start.

    src, dst, token, word: (E,) int64; word is an index into `words`, 0 on the later tokens of a word.
    weight (E,), final (N,): float64 natural logs; final is -inf where a path can not end.
    """

    src: NDArray[np.int64]
    dst: NDArray[np.int64]
    token: NDArray[np.int64]
    word: NDArray[np.int64]
    weight: NDArray[np.float64]
    final: NDArray[np.float64]
    words: tuple[str, ...]


def word_loop(lexicon: Lexicon, *, bigram: Mapping[tuple[str, str], float] | None = None) -> WordGraph:
    """Any sequence of the lexicon's words, also none.

    Args:
        bigram: log-probs of (word, next word), with `<s>` and `</s>` at the ends; only the pairs given are
            allowed. Without it all words weigh 0.
    Raises:
        SpeechkitError: a word without tokens, a bigram word that the lexicon lacks, no pair that ends.
    """
    _check_words([*lexicon] if bigram is None else _bigram_words(bigram), lexicon)
    build = _Builder(lexicon)
    if bigram is None:
        for word in lexicon:
            build.add_word(0, word, dst=0)
        build.final[0] = 0.0
        return build.graph()
    after = {SENTENCE_START: 0} | {word: build.add_state() for word in _bigram_words(bigram)}
    for (left, right), log_prob in bigram.items():
        if right == SENTENCE_END:
            build.final[after[left]] = log_prob
        else:
            build.add_word(after[left], right, dst=after[right], weight=log_prob)
    return build.graph()


def sentence_list(
    lexicon: Lexicon, sentences: Sequence[str], *, log_weights: Sequence[float] | None = None
) -> WordGraph:
    """Exactly one of the sentences (words split at blanks), each with a log weight (0 by default).

    Raises:
        SpeechkitError: no sentences, a word that the lexicon lacks or that has no tokens, or another number
            of weights.
    """
    weights = [0.0] * len(sentences) if log_weights is None else list(log_weights)
    if not sentences or len(weights) != len(sentences):
        raise SpeechkitError(
            f"{len(sentences)} sentences and {len(weights)} weights", expected="one or more, as many of each"
        )
    _check_words([word for sentence in sentences for word in sentence.split()], lexicon)
    build = _Builder(lexicon)
    prefixes: dict[tuple[int, str], int] = {}
    for sentence, weight in zip(sentences, weights, strict=True):
        state = 0
        for word in sentence.split():
            if (state, word) not in prefixes:
                prefixes[state, word] = build.add_word(state, word)
            state = prefixes[state, word]
        build.final[state] = max(build.final[state], weight)
    return build.graph()


def graph_decode(log_probs_TV: Tensor, graph: WordGraph, *, blank_id: int = 0) -> GraphPath:
    """Best word sequence of the graph, exact (no beam).

    Args:
        log_probs_TV: natural log, read as float32.
    Returns:
        GraphPath; of word sequences that share their tokens and score, any one.
    Raises:
        SpeechkitError: the graph holds the blank or a token outside the vocabulary, or a log-prob is NaN.
    Cost: O(T (arcs + states)) time, 4 T (arcs + states) bytes.  Source: token passing, Young et al. 1989.
    """
    values = check_fit(log_probs_TV, graph, blank_id)
    arcs = graph.src, graph.dst, graph.token, graph.weight
    score, places_T = best_graph_path(values, arcs, graph.final, blank_id)
    if score == -math.inf:
        return GraphPath((), -math.inf)
    entered = places_T[np.flatnonzero(np.diff(places_T, prepend=-1))] - len(graph.final)
    word_ids = graph.word[entered[entered >= 0]]
    return GraphPath(tuple(graph.words[i] for i in word_ids if i > 0), float(score))


def check_fit(log_probs_TV: Tensor, graph: WordGraph, blank_id: int) -> NDArray[np.float32]:
    """The log-probs as an array, once they and the graph are known to fit.  Raises: SpeechkitError."""
    values: NDArray[np.float32] = log_probs_TV.detach().float().cpu().contiguous().numpy()
    vocab_size = values.shape[1]
    bad = graph.token[(graph.token < 0) | (graph.token >= vocab_size) | (graph.token == blank_id)]
    if len(bad):
        raise SpeechkitError(
            f"the graph's tokens do not fit the log-probs: token {bad[0]}",
            expected=f"tokens in [0, {vocab_size}) other than the blank {blank_id}",
        )
    if np.isnan(values).any():
        frame = int(np.flatnonzero(np.isnan(values).any(axis=1))[0])
        raise SpeechkitError("the log-probs hold NaN", where=f"frame {frame}")
    return values


@dataclass
class _Builder:
    """States and arcs while a graph grows."""

    lexicon: Lexicon
    arcs: list[tuple[int, int, int, int, float]] = field(default_factory=list)
    final: list[float] = field(default_factory=lambda: [-math.inf])
    words: dict[str, int] = field(default_factory=dict)
    chains: dict[tuple[str, int, int], int] = field(default_factory=dict)

    def add_state(self) -> int:
        self.final.append(-math.inf)
        return len(self.final) - 1

    def add_word(self, src: int, word: str, *, dst: int | None = None, weight: float = 0.0) -> int:
        """Arcs of every pronunciation from src to dst (a new state by default); returns dst."""
        end = self.add_state() if dst is None else dst
        word_id = self.words.setdefault(word, len(self.words) + 1)
        for index, tokens in enumerate(self.lexicon[word]):
            rest = end if len(tokens) == 1 else self._chain((word, index, end), tokens[1:])
            self.arcs.append((src, rest, int(tokens[0]), word_id, weight))
        return end

    def _chain(self, key: tuple[str, int, int], tokens: Sequence[int]) -> int:
        """First state of the path through the tokens after a word's first; shared by all that enter the word."""
        if key not in self.chains:
            states = [self.add_state() for _ in tokens]
            self.chains[key] = states[0]
            for src, dst, token in zip(states, [*states[1:], key[2]], tokens, strict=True):
                self.arcs.append((src, dst, int(token), 0, 0.0))
        return self.chains[key]

    def graph(self) -> WordGraph:
        ids = np.array([arc[:4] for arc in self.arcs], dtype=np.int64).reshape(-1, 4)
        src, dst, token, word = (np.ascontiguousarray(column) for column in ids.T)
        weight = np.array([arc[4] for arc in self.arcs], dtype=np.float64)
        final = np.array(self.final, dtype=np.float64)
        return WordGraph(src, dst, token, word, weight, final, ("", *self.words))


def _bigram_words(bigram: Mapping[tuple[str, str], float]) -> list[str]:
    """The pairs' words in order of appearance, without the sentence ends.  Raises: SpeechkitError."""
    faults = [f"{pair}" for pair in bigram if pair[0] == SENTENCE_END or pair[1] == SENTENCE_START]
    if faults or all(right != SENTENCE_END for _, right in bigram):
        raise SpeechkitError(
            "the bigram does not start or end a sentence rightly",
            where=faults or f"no pair (word, {SENTENCE_END})",
            expected=f"{SENTENCE_START} only on the left of a pair, {SENTENCE_END} only on the right",
        )
    words = dict.fromkeys(word for pair in bigram for word in pair)
    return [word for word in words if word not in (SENTENCE_START, SENTENCE_END)]


def _check_words(words: Sequence[str], lexicon: Lexicon) -> None:
    distinct = dict.fromkeys(words)
    faults = [f"`{word}` is not in the lexicon" for word in distinct if word not in lexicon]
    faults += [
        f"`{word}` has a pronunciation without tokens"
        for word in distinct
        if word in lexicon and (not lexicon[word] or not all(len(tokens) for tokens in lexicon[word]))
    ]
    if faults:
        raise SpeechkitError(
            f"{len(faults)} words of the graph have no usable pronunciation",
            where=faults,
            expected="each word with one or more pronunciations of one or more tokens",
        )
