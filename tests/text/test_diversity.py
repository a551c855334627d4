"""Diversity and overlap against plain counting, the table of the toy corpora, and pieces of bounded size."""

from __future__ import annotations

import math
import zlib
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechkit.text import counts as counting
from speechkit.text.counts import Texts, count_texts, ngram_counts
from speechkit.text.diversity import diversity, junctions, overlap

WORDS = st.sampled_from(["a", "b", "ab", "ba", "c", "zoo"])
TEXTS = st.lists(st.lists(WORDS, max_size=6).map(" ".join), max_size=30)


def ngrams_of(texts: list[str], order: int) -> Counter[tuple[str, ...]]:
    lines = [text.split() for text in texts]
    return Counter(tuple(line[k : k + order]) for line in lines for k in range(len(line) - order + 1))


def counted(sets: list[Texts], order: int) -> list[list[int]]:
    return sorted(row for _, counts in ngram_counts(sets, order) for row in counts.tolist())


@given(texts=TEXTS)
def test_every_measure_equals_plain_counting(texts: list[str]) -> None:
    got = diversity(count_texts(texts))
    counts = Counter(" ".join(text.split()) for text in texts)
    shares = [c / len(texts) for c in counts.values()]
    words = [word for text in texts for word in text.split()]
    bigrams = ngrams_of(texts, 2)
    firsts: Counter[str] = Counter()
    for (first, _), number in bigrams.items():
        firsts[first] += number
    total = sum(bigrams.values())
    entropy = -sum(n / total * math.log2(n / firsts[first]) for (first, _), n in bigrams.items())
    assert (got.num_utterances, got.num_texts, got.num_prompts) == (len(texts), len(counts), len(counts))
    assert (got.num_words, got.num_types, got.bigram_types) == (len(words), len(set(words)), len(bigrams))
    assert got.effective_texts == pytest.approx(math.exp(-sum(p * math.log(p) for p in shares)) if texts else 0)
    assert got.simpson_texts == pytest.approx(1 / sum(p * p for p in shares) if texts else 0)
    assert got.conditional_entropy_bits == pytest.approx(entropy)
    assert got.unique_ratio == pytest.approx(len(counts) / max(1, len(texts)))


@given(own=TEXTS, other=TEXTS)
def test_overlap_equals_plain_counting(own: list[str], other: list[str]) -> None:
    first = count_texts(own)
    got = overlap(first, count_texts(other, first.vocabulary))
    assert got.shared_texts == len(set(own) & set(other))
    assert got.utterance_share == pytest.approx(sum(t in own for t in other) / max(1, len(other)))
    assert got.own_utterance_share == pytest.approx(sum(t in other for t in own) / max(1, len(own)))
    for part in got.ngrams:
        mine, theirs = ngrams_of(own, part.order), ngrams_of(other, part.order)
        assert (part.types, part.shared_types) == (len(theirs), len(mine.keys() & theirs.keys()))
        assert part.tokens == sum(theirs.values())
        unseen = sum(n for gram, n in theirs.items() if gram not in mine)
        assert part.unseen_rate == pytest.approx(unseen / max(1, part.tokens))
    assert (got.oov_rate, got.unseen_bigram_rate) == (got.ngrams[0].unseen_rate, got.ngrams[1].unseen_rate)


@given(own=TEXTS, other=TEXTS)
def test_junctions_are_the_pairs_of_letters_at_word_boundaries(own: list[str], other: list[str]) -> None:
    first = count_texts(own)
    pairs = [{(a[-1], b[0]) for a, b in ngrams_of(texts, 2)} for texts in (own, other)]
    words = {word for text in own for word in text.split()}
    got = junctions(first)
    assert got.types == len(pairs[0])
    assert got.possible == len({w[-1] for w in words}) * len({w[0] for w in words})
    theirs = [(a[-1], b[0]) for text in other for a, b in pairwise(text.split())]
    covered = sum(pair in pairs[0] for pair in theirs)
    shared = overlap(first, count_texts(other, first.vocabulary))
    assert shared.junction_coverage == pytest.approx(covered / max(1, len(theirs)))


@given(own=TEXTS, other=TEXTS, order=st.integers(1, 5))
def test_the_size_of_the_pieces_changes_nothing(own: list[str], other: list[str], order: int) -> None:
    first = count_texts(own)
    sets = [first, count_texts(other, first.vocabulary)]
    whole = counted(sets, order)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "_PIECE", 3)
        assert counted(sets, order) == whole
    mine, theirs = ngrams_of(own, order), ngrams_of(other, order)
    assert whole == sorted([mine[gram], theirs[gram]] for gram in mine.keys() | theirs.keys())


def test_zlib_ratio_is_that_of_the_joined_texts() -> None:
    texts = ["the dog sleeps", "a cat", "the dog sleeps"] * 50
    plain = "".join(f"{text}\n" for text in texts).encode()
    assert count_texts(texts).zlib_ratio == pytest.approx(len(zlib.compress(plain, 9)) / len(plain))


def test_twenty_sentences_by_thirty_voices_are_twenty_effective_texts() -> None:
    repeated = [f"say w{k} now" for k in range(20)] * 30
    unique = [f"say w{k} w{k * 7 % 50}" for k in range(600)]
    few, many = diversity(count_texts(repeated)), diversity(count_texts(unique))
    assert few.effective_texts == pytest.approx(20)
    assert few.simpson_texts == pytest.approx(20)
    assert many.effective_texts == pytest.approx(600)
    assert few.unique_ratio == pytest.approx(1 / 30)
    assert few.zlib_ratio < 0.1 < many.zlib_ratio


def test_simpson_counts_the_frequent_texts_only() -> None:
    got = diversity(count_texts(["one"] * 500 + [f"rare {k}" for k in range(500)]))
    assert got.simpson_texts == pytest.approx(1 / (0.25 + 500 / 1000**2))
    assert got.effective_texts > 40


def test_prompts_ignore_case_and_punctuation_but_texts_do_not() -> None:
    first = count_texts(["Hello, world!", "hello world", "good day"])
    assert (diversity(first).num_texts, diversity(first).num_prompts) == (3, 2)
    got = overlap(first, count_texts(["HELLO WORLD", "bye"], first.vocabulary))
    assert (got.shared_texts, got.shared_prompts, got.prompt_utterance_share) == (0, 1, 0.5)


def test_examples_are_the_shared_texts_said_most_often() -> None:
    first = count_texts(["a", "b", "c"])
    got = overlap(first, count_texts(["b", "c", "c", "d"], first.vocabulary), num_examples=1)
    assert got.examples == ("c",)


def test_a_lexicon_can_give_the_edges_of_words() -> None:
    phones = {"know": ("n", "ow"), "owe": ("ow", "ow"), "no": ("n", "ow")}
    texts = count_texts(["know owe", "no owe", "owe know"])
    assert junctions(texts).types == 3  # letters: w-o, o-o, e-k
    got = junctions(texts, edges=phones.__getitem__)
    assert (got.types, got.possible, got.coverage) == (2, 2, 1.0)


def test_sets_without_a_common_vocabulary_are_refused() -> None:
    with pytest.raises(ValueError, match="do not share"):
        overlap(count_texts(["a"]), count_texts(["a"]))


def test_white_space_does_not_count_and_lone_surrogates_are_no_obstacle() -> None:
    assert diversity(count_texts([" a  b", "a b\n", "a\tb"])).num_texts == 1
    assert diversity(count_texts(["\ud800 a"])).num_words == 2
