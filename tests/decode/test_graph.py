"""Word graph search against enumeration of every frame path and every way to read it as words."""

from __future__ import annotations

import itertools
import math
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from speechkit.decode.graph import GraphPath, WordGraph, graph_decode, sentence_list, word_loop
from speechkit.errors import SpeechkitError
from speechkit.kernels import token_passing

Weights = dict[tuple[str, ...], float]  # allowed word sequences


def collapse(path: tuple[int, ...], blank_id: int) -> tuple[int, ...]:
    return tuple(label for label, _ in itertools.groupby(path) if label != blank_id)


def slow_decode(
    log_probs_TV: Tensor, lexicon: dict[str, list[list[int]]], allowed: Weights, blank_id: int
) -> GraphPath:
    """Best (words, score) by trying all paths."""
    spelled: dict[tuple[int, ...], tuple[float, tuple[str, ...]]] = {}
    for words, weight in allowed.items():
        for choice in itertools.product(*(lexicon[word] for word in words)):
            tokens = tuple(itertools.chain(*choice))
            spelled[tokens] = max(spelled.get(tokens, (-math.inf, ())), (weight, words))
    rows = log_probs_TV.tolist()
    best = GraphPath((), -math.inf)
    for path in itertools.product(range(log_probs_TV.shape[1]), repeat=len(rows)):
        weight, words = spelled.get(collapse(path, blank_id), (-math.inf, ()))
        score = weight + sum(row[label] for row, label in zip(rows, path, strict=True))
        if score > best.log_prob:
            best = GraphPath(words, score)
    return best


def bigram_weight(words: tuple[str, ...], bigram: dict[tuple[str, str], float]) -> float:
    return sum(bigram.get(pair, -math.inf) for pair in itertools.pairwise(("<s>", *words, "</s>")))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Tensor, dict[str, list[list[int]]], WordGraph, Weights, int]:
    """Log-probs with T <= 5, V = 4, a lexicon with repeats and homophones, and one of the three kinds of graph."""
    rng = random.Random(draw(st.integers(0, 10**6)))
    blank_id = rng.randrange(4)
    others = [label for label in range(4) if label != blank_id]
    lexicon = {
        name: [[rng.choice(others) for _ in range(rng.randint(1, 3))] for _ in range(rng.randint(1, 2))]
        for name in "abc"[: rng.randint(1, 3)]
    }
    num_frames = rng.randint(0, 5)
    generator = torch.Generator().manual_seed(rng.randrange(10**6))
    values = (torch.randn(num_frames, 4, generator=generator) * 2).log_softmax(-1)
    sequences = [words for n in range(num_frames + 1) for words in itertools.product(lexicon, repeat=n)]
    kind = draw(st.sampled_from(["loop", "bigram", "sentences"]))
    if kind == "loop":
        return values, lexicon, word_loop(lexicon), dict.fromkeys(sequences, 0.0), blank_id
    if kind == "bigram":
        pairs = itertools.product(["<s>", *lexicon], [*lexicon, "</s>"])
        bigram = {pair: -3 * rng.random() for pair in pairs if rng.random() < 0.7} | {("a", "</s>"): -0.5}
        weights = {words: bigram_weight(words, bigram) for words in sequences}
        return values, lexicon, word_loop(lexicon, bigram=bigram), weights, blank_id
    weights = {rng.choice(sequences): -3 * rng.random() for _ in range(5)}
    graph = sentence_list(lexicon, [" ".join(words) for words in weights], log_weights=[*weights.values()])
    return values, lexicon, graph, weights, blank_id


@settings(max_examples=80, deadline=None)
@given(cases())
def test_search_equals_enumeration(
    case: tuple[Tensor, dict[str, list[list[int]]], WordGraph, Weights, int],
) -> None:
    values, lexicon, graph, allowed, blank_id = case
    expected = slow_decode(values, lexicon, allowed, blank_id)
    found = graph_decode(values, graph, blank_id=blank_id)
    assert found.log_prob == pytest.approx(expected.log_prob, abs=1e-5)
    if found.log_prob > -math.inf:  # words may tie (homophones): what was found must be worth its score
        again = slow_decode(values, lexicon, {found.words: allowed[found.words]}, blank_id)
        assert again.log_prob == pytest.approx(expected.log_prob, abs=1e-5)


def peaked(*labels: int, vocab_size: int = 5) -> Tensor:
    """Log-probs that nearly spell the labels, one a frame."""
    values = torch.full((len(labels), vocab_size), -4.0)
    values[torch.arange(len(labels)), torch.tensor(labels)] = 4.0
    return values.log_softmax(-1)


def test_two_equal_words_in_a_row_need_a_blank_between() -> None:
    graph = word_loop({"one": [[1]], "two": [[2, 3]]})
    assert graph_decode(peaked(1, 1, 2, 3), graph).words == ("one", "two")
    assert graph_decode(peaked(1, 0, 1, 2, 2, 0, 3), graph).words == ("one", "one", "two")


@pytest.mark.parametrize("spellings", [[[1], [2]], [[2], [1]]])
def test_the_second_best_spelling_goes_on_when_the_best_would_repeat_its_token(spellings: list[list[int]]) -> None:
    values = peaked(2, 2, 3)
    values[0, 1] = values[0, 2] - 0.1  # `a` sounds more like its spelling 2, but 2 2 would need a blank between
    found = graph_decode(values, sentence_list({"a": spellings, "c": [[2, 3]]}, ["a c"]))
    assert found.words == ("a", "c")
    assert found.log_prob == pytest.approx(float(values[0, 1] + values[1, 2] + values[2, 3]), abs=1e-5)


def test_bigram_weights_decide_between_close_words() -> None:
    lexicon = {"go": [[1]], "left": [[2]], "lift": [[3]]}
    values = torch.zeros(3, 5)
    values[0, 1], values[1, 0], values[2, 2], values[2, 3] = 9.0, 9.0, 5.0, 5.2
    values = values.log_softmax(-1)
    assert graph_decode(values, word_loop(lexicon)).words == ("go", "lift")
    bigram = {
        ("<s>", "go"): 0.0,
        ("go", "left"): -0.1,
        ("go", "lift"): -2.0,
        ("left", "</s>"): 0.0,
        ("lift", "</s>"): 0.0,
    }
    assert graph_decode(values, word_loop(lexicon, bigram=bigram)).words == ("go", "left")


def test_sentences_outside_the_list_are_never_found() -> None:
    lexicon = {"a": [[1]], "b": [[2]], "c": [[3], [4]]}
    graph = sentence_list(lexicon, ["a b c", "a c", "b"])
    assert graph_decode(peaked(1, 2, 4), graph).words == ("a", "b", "c")
    assert graph_decode(peaked(1, 2, 2, 2), graph).words in {("a", "b", "c"), ("b",), ("a", "c")}


def test_too_few_frames_give_no_words_and_minus_infinity() -> None:
    graph = sentence_list({"a": [[1, 1]]}, ["a a"])
    assert graph_decode(peaked(1, 0, 1), graph) == GraphPath((), -math.inf)
    assert graph_decode(torch.zeros(0, 5), graph) == GraphPath((), -math.inf)


def test_sentences_with_a_common_start_share_its_states() -> None:
    lexicon = {"a": [[1, 2]], "b": [[3]], "c": [[4]]}
    graph = sentence_list(lexicon, ["a b", "a c"])
    assert len(graph.src) == 4


def test_unknown_and_empty_words_are_named_all_at_once() -> None:
    with pytest.raises(SpeechkitError) as caught:
        sentence_list({"a": [[1]], "b": []}, ["a b x", "y a"])
    assert caught.value.where == [
        "`x` is not in the lexicon",
        "`y` is not in the lexicon",
        "`b` has a pronunciation without tokens",
    ]


def test_a_bigram_that_never_ends_and_one_that_goes_on_after_the_end_are_refused() -> None:
    with pytest.raises(SpeechkitError, match="no pair"):
        word_loop({"a": [[1]]}, bigram={("<s>", "a"): 0.0})
    with pytest.raises(SpeechkitError, match="only on the left"):
        word_loop({"a": [[1]]}, bigram={("<s>", "a"): 0.0, ("a", "</s>"): 0.0, ("</s>", "a"): 0.0})


def test_weights_that_do_not_match_the_sentences_are_refused() -> None:
    with pytest.raises(SpeechkitError, match="2 sentences and 1 weights"):
        sentence_list({"a": [[1]]}, ["a", "a a"], log_weights=[0.0])
    with pytest.raises(SpeechkitError, match="0 sentences"):
        sentence_list({"a": [[1]]}, [])


@pytest.mark.parametrize("token", [0, 5, -1])
def test_tokens_that_do_not_fit_the_log_probs_are_refused(token: int) -> None:
    with pytest.raises(SpeechkitError, match=f"token {token}"):
        graph_decode(peaked(1, 2), word_loop({"a": [[token]]}))


def test_nan_is_refused_with_its_frame() -> None:
    values = peaked(1, 2)
    values[1, 3] = float("nan")
    with pytest.raises(SpeechkitError, match="frame 1"):
        graph_decode(values, word_loop({"a": [[1]]}))


def test_warm_compiles_the_types_that_decoding_uses() -> None:
    token_passing.warm()
    compiled = len(token_passing.best_graph_path.signatures)  # type: ignore[attr-defined]
    graph_decode(peaked(1, 2), word_loop({"a": [[1]]}))
    assert len(token_passing.best_graph_path.signatures) == compiled  # type: ignore[attr-defined]
