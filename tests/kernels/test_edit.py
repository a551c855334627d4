"""Edit distance: a slow reference, kaldialign, rapidfuzz; short, long and odd pairs."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_edit import kaldi_ops, rapidfuzz_ops, sclite_ops

from speechkit.errors import ConfigError
from speechkit.kernels.edit import COR, DEL, INS, SUB, align_ids, align_words

Words = list[str]
RULES: dict[str, Callable[[Sequence[object], Sequence[object]], list[int]]] = {
    "kaldi": kaldi_ops,
    "rapidfuzz": rapidfuzz_ops,
    "sclite": sclite_ops,
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


@pytest.mark.parametrize("size, vocab, rate", [(3000, 50, 0.3), (4000, 20, 0.6)])
def test_pairs_that_rapidfuzz_halves_have_its_alignment(size: int, vocab: int, rate: float) -> None:
    distance = pytest.importorskip("rapidfuzz.distance")
    source = random.Random(size)
    ref = [str(source.randrange(vocab)) for _ in range(size)]
    hyp = noisy(ref, vocab, rate, source)
    ops: list[int] = []
    for step in distance.Levenshtein.opcodes(ref, hyp):
        code = {"equal": COR, "replace": SUB, "delete": DEL, "insert": INS}[step.tag]
        ops += [code] * max(step.src_end - step.src_start, step.dest_end - step.dest_start)
    assert align_words([ref], [hyp], ties="rapidfuzz").ops_of(0).tolist() == ops


def test_a_long_pair_under_sclites_weights_is_consistent_and_no_dearer_than_another_alignment() -> None:
    source = random.Random(8)
    ref = [str(source.randrange(400)) for _ in range(4500)]
    hyp = noisy(ref, 400, 0.5, source)
    found = align_words([ref], [hyp], ties="sclite")
    num_sub, num_del, num_ins = found.counts[0].tolist()
    assert num_del - num_ins == len(ref) - len(hyp)
    ops = found.ops_of(0).tolist()
    assert [ops.count(k) for k in (SUB, DEL, INS)] == [num_sub, num_del, num_ins]
    pair = iter(zip_ops(ops, ref, hyp))
    assert all((r == h) == (op == COR) for op, r, h in pair)
    assert 4 * num_sub + 3 * (num_del + num_ins) <= 4 * num_sub_of(ref, hyp)[0] + 3 * sum(num_sub_of(ref, hyp)[1:])


def zip_ops(ops: list[int], ref: Words, hyp: Words) -> list[tuple[int, str | None, str | None]]:
    left, right = iter(ref), iter(hyp)
    return [(op, next(left) if op != INS else None, next(right) if op != DEL else None) for op in ops]


def num_sub_of(ref: Words, hyp: Words) -> list[int]:
    counts: list[int] = align_words([ref], [hyp]).counts[0].tolist()
    return counts


def test_a_pair_whose_matrix_is_not_kept_has_the_alignment_of_the_whole_matrix() -> None:
    kaldialign = pytest.importorskip("kaldialign")
    source = random.Random(5)  # unrelated words: the band is as wide as the pair, about 500,000 stored words
    ref, hyp = ([str(source.randrange(9)) for _ in range(size)] for size in (5000, 6000))
    found = align_words([ref], [hyp])
    ops = [INS if r == "*" else DEL if h == "*" else SUB if r != h else COR for r, h in kaldialign.align(ref, hyp, "*")]
    assert found.ops_of(0).tolist() == ops


def test_a_narrow_band_goes_on_from_a_checkpoint_in_the_column_where_it_leaves_a_block() -> None:
    distance = pytest.importorskip("rapidfuzz.distance")
    source = random.Random(6)
    size, spots = 16_864, (100, 12_000)  # of this size: column 7710
    ref = [str(source.randrange(400)) for _ in range(size)]
    hyp = ["x", *("y" if source.random() < 0.05 else word for word in ref[1:])]
    hyp = [*hyp[: spots[0]], *hyp[spots[0] + 20 : spots[1]], *["z"] * 20, *hyp[spots[1] :]]
    found = align_words([ref], [hyp])
    assert found.counts.sum() == distance.Levenshtein.distance(ref, hyp)
    assert all((r == h) == (op == COR) for op, r, h in zip_ops(found.ops_of(0).tolist(), ref, hyp))


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


@pytest.mark.parametrize("ties", RULES)
@pytest.mark.parametrize("size", [64, 65, 2048, 3000])
def test_one_empty_side_of_any_length_is_deletions_or_insertions(ties: str, size: int) -> None:
    words = [str(k % 7) for k in range(size)]
    found = align_words([words, [], ["x", *words], ["x"]], [[], words, ["x"], ["x", *words]], ties=ties)
    assert found.counts.tolist() == [[0, size, 0], [0, 0, size], [0, size, 0], [0, 0, size]]
    assert set(found.ops_of(0).tolist()) == {DEL} and set(found.ops_of(1).tolist()) == {INS}


def test_a_path_outside_the_first_band_is_found_if_it_costs_less() -> None:
    num, rest = 34, [f"c{k}" for k in range(18)]  # 68 gaps at 3 outside a band of 33, 52 substitutions at 4 inside it
    ref, hyp = [f"d{k}" for k in range(num)] + rest, rest + [f"i{k}" for k in range(num)]
    sides = ([ref, [*ref, "e"], ref], [hyp, hyp, [*hyp, "e"]])
    assert align_words(*sides, ties="sclite").counts.tolist() == [[0, 34, 34], [1, 34, 33], [0, 34, 35]]


def test_an_unknown_tie_rule_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown tie rule"):
        align_words([["a"]], [["a"]], ties="best")


LONG_PAIR = """
import resource, sys
import numpy as np
from speechkit.kernels.edit import align_ids

gen = np.random.default_rng(0)
ref = gen.integers(0, 20000, 100_000).astype(np.int32)
hyp = ref.copy()
hyp[gen.random(len(hyp)) < 0.03] = 7
hyp = np.delete(hyp, gen.integers(0, len(hyp), 1000))
few = np.array([0, 10])
align_ids(ref[:10], few, hyp[:10], few, vocab_size=20000, ties=sys.argv[1])  # compiled and warm
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
ends = [np.array([0, len(words)]) for words in (ref, hyp)]
align_ids(ref, ends[0], hyp, ends[1], vocab_size=20000, ties=sys.argv[1])
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize("ties", ["kaldi", "rapidfuzz", "sclite"])
def test_a_pair_of_100_000_words_takes_at_most_100_mb(ties: str) -> None:
    done = subprocess.run([sys.executable, "-c", LONG_PAIR, ties], capture_output=True, text=True, check=True)
    assert int(done.stdout) <= 100
