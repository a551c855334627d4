"""Scores that need the whole corpus: n-grams without the utterance, ranks, durations, voices."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from speechkit.audit.corpus import Corpus, Item, Ngrams, speaker_distances


def test_ngrams_are_a_distribution() -> None:
    model = Ngrams([["a", "b", "a"], ["b", "b"], ["a", "b"], ["c"]])
    texts = [list(words) for size in range(7) for words in itertools.product(["a", "b", "c", "other"], repeat=size)]
    total = sum(math.exp(-(len(words) + 1) * model.nll(words)) for words in texts)
    assert 0.9 < total < 1.0  # the rest is longer


def test_an_utterance_is_measured_by_the_others() -> None:
    texts = [["a", "b", "a"], ["b", "b"], ["a", "b"], ["c", "b", "a"]]
    model = Ngrams(texts)
    for number, own in enumerate(texts[:3]):  # without them the vocabulary is the same
        others = Ngrams(texts[:number] + texts[number + 1 :])
        assert model.nll(own, left_out=own) == pytest.approx(others.nll(own))
        assert model.nll(own, left_out=own) > model.nll(own)


def test_ranks_and_durations() -> None:
    items = [Item(("one",), "anna", 0.3 + 0.001 * i, {"edit_lse": float(i)}) for i in range(9)]
    corpus = Corpus(items)
    for item in items:
        corpus.complete(item)
    ranks = [item.scores["rank"] for item in items]
    assert ranks == sorted(ranks)
    assert ranks[4] == pytest.approx(0.0)
    assert ranks[8] == pytest.approx(math.log(17))
    injected = Item(("one",), "anna", 3.0, {"edit_lse": 3.5})
    corpus.complete(injected, ["one", "two"])
    assert injected.scores["rank"] == pytest.approx(math.log(4 / 5))
    assert injected.scores["duration_z"] > 5 > items[0].scores["duration_z"]


def test_a_stranger_among_the_utterances_of_a_speaker_is_far_from_them() -> None:
    gen = np.random.default_rng(0)
    voices = {"anna": gen.normal(size=20), "bert": gen.normal(size=20)}
    speakers = ["anna", "bert"] * 10 + ["carl"]
    truth = [*speakers[:-1], "anna"]
    truth[4] = "bert"
    spectra = np.stack([voices[name] + 0.3 * gen.normal(size=20) for name in truth])
    distances = speaker_distances(spectra, speakers)
    assert int(distances.argmax()) == 4
    assert distances[-1] == 0.0
