"""Edit distance: a slow reference, kaldialign, rapidfuzz; short, long and odd pairs."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_edit import kaldi_ops, rapidfuzz_ops

from speechkit.errors import ConfigError
from speechkit.kernels.edit import COR, DEL, INS, SUB, align_ids, align_words

Words = list[str]
RULES: dict[str, Callable[[Sequence[object], Sequence[object]], list[int]]] = {
    "kaldi": kaldi_ops,
    "rapidfuzz": rapidfuzz_ops,
}


def noisy(words: Words, vocab: int, rate: float, source: random.Random) -> Words:
    out: Words = []
    for word in words:
        draw = source.random() / rate
        if draw < 0.6:
            out.append(str(source.randrange(vocab)))
        elif draw < 0.8 or draw >= 1.0:
            out += [word] if draw >= 1.0 else [word, str(source.randrange(vocab))]
    return out


def corpus(num: int, vocab: int, longest: int, rate: float, seed: int = 1) -> tuple[list[Words], list[Words]]:
    source = random.Random(seed)
    refs = [[str(source.randrange(vocab)) for _ in range(source.randint(0, longest))] for _ in range(num)]
    return refs, [noisy(words, vocab, rate, source) for words in refs]


@pytest.mark.parametrize("ties", RULES)
@settings(deadline=None)  # the first example may compile
@given(
    pairs=st.lists(
        st.tuples(st.lists(st.sampled_from("abc"), max_size=9), st.lists(st.sampled_from("abcd"), max_size=9)),
        max_size=8,
    )
)
def test_alignments_equal_the_slow_reference(ties: str, pairs: list[tuple[Words, Words]]) -> None:
    found = align_words([r for r, _ in pairs], [h for _, h in pairs], ties=ties)
    for pair, (ref, hyp) in enumerate(pairs):
        expected = RULES[ties](ref, hyp)
        assert found.ops_of(pair).tolist() == expected
        assert found.counts[pair].tolist() == [expected.count(k) for k in (SUB, DEL, INS)]


@pytest.mark.parametrize("ties", RULES)
@pytest.mark.parametrize("sizes", [(63, 64), (64, 64), (65, 64), (128, 129), (200, 20), (20, 200), (300, 310), (1, 90)])
def test_alignments_equal_the_slow_reference_around_block_borders(ties: str, sizes: tuple[int, int]) -> None:
    source = random.Random(str(sizes))
    for vocab in (2, 30):
        ref, hyp = ([str(source.randrange(vocab)) for _ in range(size)] for size in sizes)
        assert align_words([ref], [hyp], ties=ties).ops_of(0).tolist() == RULES[ties](ref, hyp)


def test_counts_and_alignments_equal_kaldialign() -> None:
    kaldialign = pytest.importorskip("kaldialign")
    for refs, hyps in (corpus(600, 6, 20, 0.5), corpus(30, 8, 200, 0.3)):
        found = align_words(refs, hyps)
        for pair, (ref, hyp) in enumerate(zip(refs, hyps, strict=True)):
            peer = kaldialign.edit_distance(ref, hyp)
            assert found.counts[pair].tolist() == [peer["sub"], peer["del"], peer["ins"]]
            ops = [
                INS if r == "*" else DEL if h == "*" else SUB if r != h else COR
                for r, h in kaldialign.align(ref, hyp, "*")
            ]
            assert found.ops_of(pair).tolist() == ops


def test_counts_equal_rapidfuzz() -> None:
    distance = pytest.importorskip("rapidfuzz.distance")
    for refs, hyps in (corpus(600, 6, 20, 0.5), corpus(30, 8, 200, 0.3)):
        found = align_words(refs, hyps, ties="rapidfuzz")
        for pair, (ref, hyp) in enumerate(zip(refs, hyps, strict=True)):
            tags = [op.tag for op in distance.Levenshtein.editops(ref, hyp)]
            assert found.counts[pair].tolist() == [tags.count(t) for t in ("replace", "delete", "insert")]


def test_a_pair_whose_matrix_is_not_kept_has_the_alignment_of_the_whole_matrix() -> None:
    kaldialign = pytest.importorskip("kaldialign")
    source = random.Random(5)  # unrelated words: the band is as wide as the pair, about 500,000 stored words
    ref, hyp = ([str(source.randrange(9)) for _ in range(size)] for size in (5000, 6000))
    found = align_words([ref], [hyp])
    ops = [INS if r == "*" else DEL if h == "*" else SUB if r != h else COR for r, h in kaldialign.align(ref, hyp, "*")]
    assert found.ops_of(0).tolist() == ops


def test_the_result_does_not_depend_on_the_number_of_threads() -> None:
    refs, hyps = corpus(10_000, 50, 6, 0.3)
    ids: dict[str, int] = {}
    flat = [np.array([ids.setdefault(w, len(ids)) for words in side for w in words]) for side in (refs, hyps)]
    offsets = [np.cumsum([0, *map(len, side)]) for side in (refs, hyps)]
    one, two = (align_ids(flat[0], offsets[0], flat[1], offsets[1], vocab_size=len(ids), num_threads=n) for n in (1, 2))
    assert (one.counts == two.counts).all()
    assert all(one.ops_of(u).tolist() == two.ops_of(u).tolist() for u in range(0, 10_000, 7))


def test_empty_sides_are_deletions_and_insertions() -> None:
    found = align_words([["a", "b"], [], []], [[], ["c"], []])
    assert found.counts.tolist() == [[0, 2, 0], [0, 0, 1], [0, 0, 0]]


def test_an_unknown_tie_rule_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown tie rule"):
        align_words([["a"]], [["a"]], ties="best")
