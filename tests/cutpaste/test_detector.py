"""The classifier of joins: detectable joins are found, clean ones and other words are not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechkit.cutpaste.detector import area_under_curve, balance, detectability
from speechkit.cutpaste.quality import window_features

RATE = 8000


@given(st.lists(st.integers(0, 5), min_size=1, max_size=12), st.lists(st.integers(0, 5), min_size=1, max_size=12))
def test_the_area_is_the_share_of_ordered_pairs(positive: list[int], negative: list[int]) -> None:
    pairs = [(p > n) + 0.5 * (p == n) for p in positive for n in negative]
    assert area_under_curve(np.array(positive), np.array(negative)) == pytest.approx(sum(pairs) / len(pairs))


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 3)), min_size=1, max_size=8), st.integers(0, 99))
def test_a_weight_counts_as_copies(scored: list[tuple[int, int]], seed: int) -> None:
    negative = np.random.default_rng(seed).integers(0, 5, 7)
    scores, copies = (np.array(column) for column in zip(*scored, strict=True))
    copied = area_under_curve(np.repeat(scores, copies), negative)
    assert area_under_curve(scores, negative, (copies.astype(float), np.ones(7))) == pytest.approx(copied)
    copied = area_under_curve(negative, np.repeat(scores, copies))
    assert area_under_curve(negative, scores, (np.ones(7), copies.astype(float))) == pytest.approx(copied)


def _places(kind: str, num: int, seed: int) -> np.ndarray:
    gen = np.random.default_rng(seed)
    rows = []
    for _ in range(num):
        samples = gen.normal(size=6400).astype(np.float32) * 0.05
        if kind == "gap":
            samples[3100:3300] = 0.0
        rows.append(window_features(samples, np.array([3200]), RATE)[0])
    return np.array(rows)


def test_gaps_of_digital_silence_are_found_and_equal_sounds_are_not() -> None:
    names = [str(i // 2) for i in range(60)]
    gaps, first, second = _places("gap", 60, 0), _places("noise", 60, 1), _places("noise", 60, 2)
    assert detectability(gaps, first, names, names) > 0.95
    assert 0.3 < detectability(second, first, names, names) < 0.7


def test_rows_of_one_text_are_never_on_both_sides() -> None:
    # rows that are equal within a text and random between: a leak would find all of them
    gen = np.random.default_rng(0)
    rows = np.repeat(gen.normal(size=(40, 50)), 5, axis=0)
    names = [str(i // 5) for i in range(100)]
    assert 0.25 < detectability(rows[:100], rows[100:], names, names) < 0.75


@pytest.mark.parametrize("num_texts", [40, 41, 43])
def test_a_text_of_both_sides_is_never_learned_and_tested(num_texts: int) -> None:
    gen = np.random.default_rng(0)
    texts = np.repeat(np.arange(num_texts), 4)
    own = gen.normal(size=(num_texts, 60))  # what each text sounds like, the same at joins and elsewhere
    joins, natural = (own[texts] + 0.1 * gen.normal(size=(len(texts), 60)) for _ in range(2))
    names = [f"text {number}" for number in texts]
    assert 0.4 < detectability(joins, natural, names, names) < 0.6


def _frequencies(words: list[str], weights: np.ndarray) -> dict[str, float]:
    return {word: float(weights[[own == word for own in words]].sum()) for word in "abc"}


def test_balanced_places_have_their_words_equally_often() -> None:
    gen = np.random.default_rng(0)
    joins = [(str(left), str(right)) for left, right in gen.choice(list("abc"), (90, 2))]
    natural = [("a", "b"), ("b", "c"), ("c", "a"), ("a", "c"), ("b", "a")] * 9
    own, others = balance([*joins, ("d", "a"), ("a", "")], [*natural, ("a", "e")])
    assert own[90:].tolist() == [0, 0] and others[45] == 0  # words of one side only, and unknown
    assert own.sum() == pytest.approx(1) and others.sum() == pytest.approx(1)
    for side in (0, 1):
        found = _frequencies([pair[side] for pair in joins], own[:90])
        assert found == pytest.approx(_frequencies([pair[side] for pair in natural], others[:45]), abs=1e-6)
        assert min(found.values()) > 0.1


def test_other_words_are_no_joins() -> None:
    # places say which word is before them, nothing else; joins have other words than natural boundaries
    gen = np.random.default_rng(0)
    before = [gen.choice(list("ab"), 300, p=share) for share in ([0.8, 0.2], [0.2, 0.8])]
    rows = [np.stack([own == "a", gen.normal(size=300)], axis=1).astype(float) for own in before]
    texts = [str(number) for number in range(300)]
    pairs = [[(str(word), "c") for word in own] for own in before]
    assert detectability(*rows, texts, texts) > 0.75
    assert 0.4 < detectability(*rows, texts, texts, balance(*pairs)) < 0.6
    rows[0][:, 1] += 2.0  # what the joins do have is found all the same
    assert detectability(*rows, texts, texts, balance(*pairs)) > 0.85


def test_nothing_to_compare_is_no_area() -> None:
    rows = np.zeros((4, 2))
    assert np.isnan(detectability(rows, rows, list("abcd"), ["one text"] * 4))
    some = (np.ones(4), np.array([1.0, 1.0, 1.0, 0.0]))
    assert np.isnan(detectability(rows, rows, list("abcd"), list("abcd"), some))
    unlike = balance([("a", "b")] * 4, [("c", "d")] * 4)
    assert np.isnan(detectability(rows, rows, list("abcd"), list("abcd"), unlike))
