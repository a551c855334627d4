"""How many different texts a corpus really has, and what of another corpus it has never said.

Entropies count every utterance, so a sentence read 30 times weighs 30. Sources: exp(H) and 1/sum p^2 are the Hill
numbers of order 1 and 2 (Hill 1973, Diversity and evenness); conditional entropy: Shannon 1951, Prediction and
entropy of printed English. Sets that are compared share one vocabulary (see `count_texts`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from speechkit.text.counts import Int64, Texts, Vocabulary, ngram_counts, used_words, vocabulary_base

ORDERS = (1, 2, 3, 4)


@dataclass(frozen=True)
class Diversity:
    """The text-diversity table of one set.  Let c_j be the utterances of text j, p_j = c_j / N, T words, V types.

    num_utterances: N.  num_texts: U.  num_prompts: different texts when case and punctuation do not count.
    unique_ratio: U / N.
    effective_texts: exp(-sum p_j ln p_j); so many equally frequent texts would be as diverse.
    simpson_texts: 1 / sum p_j^2; counts the frequent texts only.
    num_words, num_types, type_token_ratio: T, V, V / T.  The ratio falls with size: it compares nothing.
    bigram_types: different pairs of neighbouring words.
    conditional_entropy_bits: H(w2|w1) = -sum p(w1,w2) log2 p(w2|w1); 0 when each word has one successor.
    zlib_ratio: size of zlib level 9 over size of the texts joined by newlines; falls with repetition.
    """

    num_utterances: int
    num_texts: int
    num_prompts: int
    unique_ratio: float
    effective_texts: float
    simpson_texts: float
    num_words: int
    num_types: int
    type_token_ratio: float
    bigram_types: int
    conditional_entropy_bits: float
    zlib_ratio: float


def diversity(texts: Texts) -> Diversity:
    """All measures of one set; zeros where there is no text or no word."""
    bigram_types, entropy = _bigrams(texts)
    num_types = len(used_words(texts))
    return Diversity(
        num_utterances=texts.num_utterances,
        num_texts=texts.num_texts,
        num_prompts=len(np.unique(texts.prompts)),
        unique_ratio=texts.num_texts / max(1, texts.num_utterances),
        effective_texts=effective_number(texts.counts),
        simpson_texts=simpson_number(texts.counts),
        num_words=texts.num_tokens,
        num_types=num_types,
        type_token_ratio=num_types / max(1, texts.num_tokens),
        bigram_types=bigram_types,
        conditional_entropy_bits=entropy,
        zlib_ratio=texts.zlib_ratio,
    )


def effective_number(counts: npt.ArrayLike) -> float:
    """exp(H), H the entropy in nats of the shares of the counts; 0 without any."""
    shares = _shares(counts)
    return float(np.exp(-(shares @ np.log(shares)))) if len(shares) else 0.0


def simpson_number(counts: npt.ArrayLike) -> float:
    """1 / sum p^2 of the shares p of the counts; 0 without any."""
    shares = _shares(counts)
    return float(1.0 / (shares @ shares)) if len(shares) else 0.0


def _shares(counts: npt.ArrayLike) -> npt.NDArray[np.float64]:
    values = np.asarray(counts, np.float64)
    values = values[values > 0]
    return values / values.sum() if len(values) else values


def _bigrams(texts: Texts) -> tuple[int, float]:
    """Bigram types, and H(w2|w1) in bits."""
    num_types, total, weighted = 0, 0, 0.0
    for codes, counts in ngram_counts([texts], 2):
        pairs = counts[:, 0].astype(np.float64)
        first = codes // vocabulary_base([texts])  # a piece holds all pairs of its first words
        context = np.bincount(first - first[0], weights=pairs)[first - first[0]]
        weighted -= float(pairs @ np.log2(pairs / context))
        total += int(counts.sum())
        num_types += len(codes)
    return num_types, weighted / total if total else 0.0


@dataclass(frozen=True)
class NgramOverlap:
    """What of another set's n-grams a set has.  Types count each n-gram once, tokens as often as it is spoken."""

    order: int
    types: int
    shared_types: int
    tokens: int
    unseen_rate: float


@dataclass(frozen=True)
class Overlap:
    """What another set shares with this one.

    shared_texts, shared_prompts: different texts (prompts) of the other set that occur here.
    utterance_share, prompt_utterance_share: share of the other set's utterances that say them.
    own_utterance_share: share of this set's utterances whose text occurs in the other set.
    oov_rate: share of the other set's words that this set never says: the unseen rate of order 1.
    unseen_bigram_rate: share of its word pairs that this set never says.
    junction_coverage: share of its word boundaries (last symbol, first symbol of the next word) that occur here.
    ngrams: orders 1 to 4.
    examples: the shared texts that most utterances of the other set say.
    """

    shared_texts: int
    shared_prompts: int
    utterance_share: float
    prompt_utterance_share: float
    own_utterance_share: float
    oov_rate: float
    unseen_bigram_rate: float
    junction_coverage: float
    ngrams: tuple[NgramOverlap, ...]
    examples: tuple[str, ...]


Edges = Callable[[str], tuple[str, str]]  # first and last symbol of a word


def letter_edges(word: str) -> tuple[str, str]:
    """First and last letter: what stands for the first and last phone when there is no lexicon."""
    return word[0], word[-1]


def overlap(own: Texts, other: Texts, *, edges: Edges = letter_edges, num_examples: int = 5) -> Overlap:
    """What `other`, usually a test set, shares with `own`, usually the training set; both share a vocabulary."""
    ids = np.fromiter((other.index.get(text, -1) for text in own.index), np.int64, own.num_texts)
    shared = ids[ids >= 0]
    of_prompts = _is_in(other.prompts, own.prompts)
    names = list(other.index)
    frequent = shared[np.argsort(-other.counts[shared], kind="stable")][:num_examples]
    ngrams = tuple(_ngram_overlap(own, other, order) for order in ORDERS)
    covered, total = _junctions_shared(own, other, edges)
    num_other, num_own = max(1, other.num_utterances), max(1, own.num_utterances)
    return Overlap(
        shared_texts=len(shared),
        shared_prompts=len(np.unique(other.prompts[of_prompts])),
        utterance_share=int(other.counts[shared].sum()) / num_other,
        prompt_utterance_share=int(other.counts[of_prompts].sum()) / num_other,
        own_utterance_share=int(own.counts[ids >= 0].sum()) / num_own,
        oov_rate=ngrams[0].unseen_rate,
        unseen_bigram_rate=ngrams[1].unseen_rate,
        junction_coverage=covered / total if total else 0.0,
        ngrams=ngrams,
        examples=tuple(names[k] for k in frequent),
    )


def _is_in(values: npt.NDArray[np.uint64], known: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """As np.isin, which takes five times the memory."""
    ordered = np.append(np.sort(known), np.uint64(0))
    places = np.searchsorted(ordered[:-1], values)
    found: npt.NDArray[np.bool_] = (ordered[places] == values) & (places < len(known))
    return found


def _ngram_overlap(own: Texts, other: Texts, order: int) -> NgramOverlap:
    types, shared, tokens, unseen = 0, 0, 0, 0
    for _, counts in ngram_counts([own, other], order):
        is_there = counts[:, 1] > 0
        is_known = is_there & (counts[:, 0] > 0)
        types += int(is_there.sum())
        shared += int(is_known.sum())
        tokens += int(counts[:, 1].sum())
        unseen += int(counts[is_there & ~is_known, 1].sum())
    return NgramOverlap(order, types, shared, tokens, unseen / tokens if tokens else 0.0)


@dataclass(frozen=True)
class Junctions:
    """Word boundaries of a set: the pairs (last symbol of a word, first symbol of the next) that occur.

    possible: pairs of any last and any first symbol of the words of the set.
    coverage: share of the possible ones that occur.
    """

    types: int
    possible: int
    coverage: float


def junctions(texts: Texts, *, edges: Edges = letter_edges) -> Junctions:
    """Which word boundaries a set holds of those that its words could make."""
    words = _words_by_number(texts.vocabulary)
    used = [words[k] for k in used_words(texts).tolist()]
    firsts, lasts = {edges(w)[0] for w in used}, {edges(w)[1] for w in used}
    types = len(_junction_counts(texts, edges))
    possible = len(firsts) * len(lasts)
    return Junctions(types, possible, types / possible if possible else 0.0)


def _junctions_shared(own: Texts, other: Texts, edges: Edges) -> tuple[int, int]:
    known = _junction_counts(own, edges)
    counts = _junction_counts(other, edges)
    return sum(n for pair, n in counts.items() if pair in known), sum(counts.values())


def _junction_counts(texts: Texts, edges: Edges) -> Mapping[tuple[str, str], int]:
    words = _words_by_number(texts.vocabulary)
    firsts, first_of = _numbered([edges(w)[0] if w else "" for w in words])
    lasts, last_of = _numbered([edges(w)[1] if w else "" for w in words])
    table = np.zeros((len(lasts), len(firsts)), np.int64)
    for codes, counts in ngram_counts([texts], 2):
        before, after = np.divmod(codes, vocabulary_base([texts]))
        np.add.at(table, (last_of[before], first_of[after]), counts[:, 0])
    return {(lasts[i], firsts[j]): int(table[i, j]) for i, j in zip(*np.nonzero(table), strict=True)}


def _words_by_number(vocabulary: Vocabulary) -> list[str]:
    return ["", *vocabulary]  # numbers are given in the order of insertion


def _numbered(symbols: Sequence[str]) -> tuple[list[str], Int64]:
    names = sorted(set(symbols))
    place = {name: k for k, name in enumerate(names)}
    return names, np.array([place[s] for s in symbols], np.int64)
