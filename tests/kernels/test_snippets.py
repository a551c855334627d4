"""The choice of snippets against all possible chains."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechkit.kernels.snippets import Tables, Weights, choose, join_cost, target_cost

WEIGHTS = Weights(
    mfcc=1.0, f0=1.0, power=0.5, source=0.1, position=0.5, context=0.3, reuse=0.2, temperature=0.0,
    kept_source=1.0, candidates=64, chunks=64,
)  # fmt: skip


def random_tables(gen: np.random.Generator, *, num_words: int = 3, num_sources: int = 4) -> Tables:
    """A corpus of short sentences of two speakers."""
    words, sources, lefts, rights, joined = [], [], [], [], []
    for source in range(num_sources):
        text = gen.integers(0, num_words, gen.integers(1, 5)).tolist()
        words += text
        sources += [source] * len(text)
        lefts += [-1, *text[:-1]]
        rights += [*text[1:], -1]
        joined += [bool(gen.random() < 0.8) for _ in text[1:]] + [False]
    base = num_words + 1
    snippets = []
    for token in range(len(words)):
        for size in (1, 2, 3):
            if token + size <= len(words) and all(joined[token : token + size - 1]):
                run = [*(w + 1 for w in words[token : token + size]), 0, 0][:3]
                snippets.append(((run[0] * base + run[1]) * base + run[2], sources[token] % 2, token))
    snippets.sort()
    edges = gen.standard_normal((len(words), 2, 15)).astype(np.float32)
    edges[gen.random((len(words), 2)) < 0.3, 13] = np.nan
    columns = np.array(snippets, np.int64).T
    int32 = [np.array(values, np.int32) for values in (sources, lefts, rights, gen.integers(0, 3, len(words)))]
    return Tables(
        np.ascontiguousarray(columns[0]), columns[1].astype(np.int32), columns[2].astype(np.int32), *int32,
        np.array(joined), gen.random(len(words)).astype(np.float32), edges,
        np.arange(num_words, dtype=np.int32), np.arange(num_words, dtype=np.int32), base,
    )  # fmt: skip


def chains(tables: Tables, words: list[int], speaker: int) -> list[list[tuple[int, int]]]:
    """Every way to say the words with runs of one to three recorded ones."""
    if not words:
        return [[]]
    found = []
    for size in range(1, min(3, len(words)) + 1):
        run = [*(w + 1 for w in words[:size]), 0, 0][:3]
        key = (run[0] * tables.base + run[1]) * tables.base + run[2]
        fits = (tables.key == key) & ((tables.speaker == speaker) | (speaker < 0))
        rest = chains(tables, words[size:], speaker)
        found += [[(int(t), size), *tail] for t in tables.token[fits] for tail in rest]
    return found


def chain_cost(tables: Tables, words: np.ndarray, pauses: np.ndarray, chain: list[tuple[int, int]]) -> float:
    cost, first = 0.0, 0
    for index, (token, size) in enumerate(chain):
        cost += target_cost(tables, WEIGHTS, words, (first, size, token))
        if index:
            before = sum(chain[index - 1]) - 1
            cost += join_cost(tables, WEIGHTS, before, token, int(pauses[first - 1]))
        first += size
    return cost


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(-1, 1))
def test_the_chain_found_is_the_cheapest_of_all(seed: int, speaker: int) -> None:
    gen = np.random.default_rng(seed)
    tables = random_tables(gen)
    words = gen.integers(0, 3, gen.integers(1, 5)).astype(np.int64)
    pauses = np.where(gen.random(len(words)) < 0.3, 800, 0).astype(np.int64)
    first, sizes, cost = choose(tables, WEIGHTS, words, pauses, (speaker, seed, -1))
    costs = [chain_cost(tables, words, pauses, chain) for chain in chains(tables, words.tolist(), speaker)]
    if not costs:
        assert len(first) == 0 and cost == np.inf
        return
    found = list(zip(first.tolist(), sizes.tolist(), strict=True))
    assert cost == pytest.approx(min(costs), rel=1e-5)
    assert chain_cost(tables, words, pauses, found) == pytest.approx(cost, rel=1e-5)


def test_words_that_were_spoken_together_join_without_cost() -> None:
    tables = random_tables(np.random.default_rng(1))
    for token, is_joined in enumerate(tables.joined):
        if is_joined:
            assert join_cost(tables, WEIGHTS, token, token + 1, 0) == 0
            assert join_cost(tables, WEIGHTS, token, token, 0) > 0
            assert join_cost(tables, WEIGHTS, token, token + 1, 800) == 0  # one recording, and a pause hides the rest
        elif token + 1 < len(tables.joined):
            assert join_cost(tables, WEIGHTS, token, token + 1, 0) > 0


def test_a_join_across_voicing_or_sources_costs_more() -> None:
    tables = random_tables(np.random.default_rng(2))
    tables.edges[:] = 0.0
    joins = [(a, b) for a, b in itertools.permutations(range(len(tables.source)), 2) if b != a + 1]
    a, b = next((a, b) for a, b in joins if tables.source[a] == tables.source[b])
    assert join_cost(tables, WEIGHTS, a, b, 0) == 0
    tables.edges[b, 0, 13] = np.nan
    assert join_cost(tables, WEIGHTS, a, b, 0) == 0.5
    tables.edges[a, 1, 13] = np.nan
    assert join_cost(tables, WEIGHTS, a, b, 0) == 0
    a, b = next((a, b) for a, b in joins if tables.source[a] != tables.source[b])
    tables.edges[:] = 0.0
    assert join_cost(tables, WEIGHTS, a, b, 0) == pytest.approx(0.1)
    tables.edges[b, 0, 0] = 2.0
    assert join_cost(tables, WEIGHTS, a, b, 0) == pytest.approx(0.1 + 2 / np.sqrt(13))
    assert join_cost(tables, WEIGHTS, a, b, 800) == pytest.approx(0.1)


def _copies(num: int) -> Tables:
    """One word recorded `num` times alike."""
    ints = np.zeros(num, np.int32)
    return Tables(
        np.full(num, 4, np.int64), ints, np.arange(num, dtype=np.int32), np.arange(num, dtype=np.int32), ints - 1,
        ints - 1, ints.copy(), np.zeros(num, np.bool_), np.zeros(num, np.float32), np.zeros((num, 2, 15), np.float32),
        ints[:1], ints[:1], 2,
    )  # fmt: skip


def test_the_price_of_reuse_spreads_the_uses() -> None:
    tables = _copies(10)
    word, pause = np.zeros(1, np.int64), np.zeros(1, np.int64)
    for seed in range(100):
        first, _, _ = choose(tables, WEIGHTS, word, pause, (0, seed, -1))
        tables.uses[first] += 1
    assert tables.uses.tolist() == [10] * 10


def test_with_temperature_the_seed_decides_and_all_copies_come() -> None:
    tables = _copies(10)
    warm = WEIGHTS._replace(temperature=0.3)
    word, pause = np.zeros(1, np.int64), np.zeros(1, np.int64)
    picks = [int(choose(tables, warm, word, pause, (0, seed, -1))[0][0]) for seed in range(500)]
    assert picks == [int(choose(tables, warm, word, pause, (0, seed, -1))[0][0]) for seed in range(500)]
    counts = np.bincount(picks, minlength=10)
    assert counts.min() > 25 and counts.max() < 85


def test_of_many_copies_every_one_may_be_looked_at() -> None:
    tables = _copies(100)
    few = WEIGHTS._replace(temperature=0.3, candidates=5)
    word, pause = np.zeros(1, np.int64), np.zeros(1, np.int64)
    picks = {int(choose(tables, few, word, pause, (0, seed, -1))[0][0]) for seed in range(2000)}
    assert len(picks) == 100


def test_the_preferred_recording_is_taken_where_it_fits() -> None:
    tables = _copies(100)
    word, pause = np.zeros(1, np.int64), np.zeros(1, np.int64)
    for source in (0, 42, 99):
        few = WEIGHTS._replace(candidates=2)
        assert choose(tables, few, word, pause, (0, 7, source))[0].tolist() == [source]
