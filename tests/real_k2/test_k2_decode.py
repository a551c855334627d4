"""The word graph search through k2 against our own: the same words, the same scores."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from speechkit.decode.graph import GraphPath, WordGraph, graph_decode, sentence_list, word_loop
from speechkit.decode.k2_graph import k2_decode
from speechkit.decode.k2_info import import_k2, k2_status

k2 = pytest.importorskip("k2")
pytestmark = pytest.mark.k2

VOCAB = 12
Measure = Callable[[str, float], float]


def random_log_probs(num_frames: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(num_frames, VOCAB, generator=generator) * 3).log_softmax(-1)


def random_lexicon(rng: random.Random, blank_id: int, *, num_tokens: int = 2) -> dict[str, list[list[int]]]:
    """Words of one length and without homophones, so that tokens tell the words; some repeat a token."""
    others = [label for label in range(VOCAB) if label != blank_id]
    spellings = rng.sample([*itertools.product(others, repeat=num_tokens)], 18)
    return {f"w{i}": [list(spellings[2 * i]), list(spellings[2 * i + 1])] for i in range(9)}


def random_graph(rng: random.Random, kind: str, lexicon: dict[str, list[list[int]]]) -> WordGraph:
    if kind == "loop":
        return word_loop(lexicon)
    if kind == "bigram":
        pairs = itertools.product(["<s>", *lexicon], [*lexicon, "</s>"])
        bigram = {pair: -4 * rng.random() for pair in pairs if rng.random() < 0.6} | {("w0", "</s>"): -0.5}
        return word_loop(lexicon, bigram=bigram)
    sentences = {" ".join(rng.choices([*lexicon], k=rng.randint(0, 8))) for _ in range(30)}
    return sentence_list(lexicon, sorted(sentences), log_weights=[-2 * rng.random() for _ in sentences])


def check_equal(ours: GraphPath, theirs: GraphPath, measure: Measure, name: str) -> None:
    assert theirs.words == ours.words
    if ours.log_prob == -math.inf:
        assert theirs.log_prob == -math.inf
        return
    assert measure(name, abs(ours.log_prob - theirs.log_prob)) < 1e-3


@pytest.mark.parametrize("kind", ["loop", "bigram", "sentences"])
@pytest.mark.parametrize("blank_id", [0, 5])
def test_words_and_scores_are_equal(kind: str, blank_id: int, measure: Measure) -> None:
    for seed in range(8):
        rng = random.Random(seed)
        graph = random_graph(rng, kind, random_lexicon(rng, blank_id))
        values = random_log_probs(rng.randint(1, 60), seed)
        ours = graph_decode(values, graph, blank_id=blank_id)
        check_equal(ours, k2_decode(values, graph, blank_id=blank_id), measure, f"{kind}, exact search")


@pytest.mark.parametrize("kind", ["loop", "bigram", "sentences"])
def test_a_wide_beam_is_exact_and_a_narrow_one_is_never_better(kind: str, measure: Measure) -> None:
    for seed in range(8):
        rng = random.Random(100 + seed)
        graph = random_graph(rng, kind, random_lexicon(rng, 0))
        values = random_log_probs(50, seed)
        ours = graph_decode(values, graph)
        check_equal(ours, k2_decode(values, graph, search_beam=1e4), measure, f"{kind}, wide beam")
        assert k2_decode(values, graph, search_beam=2.0, max_active=20).log_prob <= ours.log_prob + 1e-3


def test_a_hundred_words_over_a_long_utterance_agree(measure: Measure) -> None:
    rng = random.Random(3)
    spellings = rng.sample([*itertools.product(range(1, VOCAB), repeat=3)], 100)
    graph = word_loop({f"w{i}": [list(spelling)] for i, spelling in enumerate(spellings)})
    values = random_log_probs(400, 3)
    check_equal(graph_decode(values, graph), k2_decode(values, graph), measure, "100 words, 400 frames")


def test_utterances_that_do_not_fit_give_no_words_in_both() -> None:
    short = sentence_list({"a": [[1, 1]]}, ["a a"])
    for values in (random_log_probs(3, 0), random_log_probs(0, 0)):
        assert k2_decode(values, short) == graph_decode(values, short) == GraphPath((), -math.inf)
    no_way_out = word_loop({"a": [[1]], "b": [[2]]}, bigram={("<s>", "a"): 0.0, ("b", "</s>"): 0.0})
    values = random_log_probs(4, 0)
    assert k2_decode(values, no_way_out) == graph_decode(values, no_way_out) == GraphPath((), -math.inf)


def test_a_graph_of_silence_only_agrees() -> None:
    values = random_log_probs(4, 1)
    silence = sentence_list({}, [""])
    ours, theirs = graph_decode(values, silence), k2_decode(values, silence)
    assert theirs.words == ours.words == ()
    assert theirs.log_prob == pytest.approx(ours.log_prob, abs=1e-4)


def test_status_knows_the_installed_k2() -> None:
    status = k2_status()
    assert status["installed"] is True
    assert str(status["built_for_torch"]).split("+")[0] == torch.__version__.split("+")[0]
    assert str(status["version"])[0].isdigit()
    assert import_k2("a test") is k2
