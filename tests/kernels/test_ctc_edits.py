"""All single edits of a transcript against torch, one edited transcript at a time, and against all paths."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from speechkit.errors import SpeechkitError
from speechkit.kernels import ctc_edits, ctc_slots
from speechkit.kernels.ctc_edits import EditLexicon, Edits, single_edits

Words = list[list[int]]


def log_probs_of(num_frames: int, vocab_size: int, *, seed: int, scale: float) -> np.ndarray:
    logits = torch.from_numpy(np.random.default_rng(seed).normal(size=(num_frames, vocab_size)) * scale)
    return logits.log_softmax(-1).numpy().astype(np.float32)


def joined(words: Words, separator: int | None) -> tuple[list[int], list[tuple[int, int]]]:
    tokens: list[int] = []
    ranges = []
    for position, word in enumerate(words):
        tokens += [separator] if position and separator is not None else []
        ranges.append((len(tokens), len(tokens) + len(word)))
        tokens += word
    return tokens, ranges


def edited(words: Words, lexicon: Words, separator: int | None, star: int) -> dict[str, list[list[int]]]:
    """The tokens of every edited transcript, by the field of Edits, row by row."""
    tokens, ranges = joined(words, separator)
    starts = [start for start, _ in ranges] + [len(tokens)]

    def with_words(first: int, end: int, new: Words) -> list[int]:
        return joined([*words[:first], *new, *words[end:]], separator)[0]

    places, gaps = range(len(words)), range(len(words) + 1)
    return {
        "log_prob": [tokens],
        "delete_W": [with_words(i, i + 1, []) for i in places],
        "star_W": [with_words(i, i + 1, [[star]]) for i in places],
        "replace_WL": [with_words(i, i + 1, [word]) for i in places for word in lexicon],
        "gap_star_G": [[*tokens[: starts[g]], star, *tokens[starts[g] :]] for g in gaps],
        "insert_GL": [with_words(g, g, [word]) for g in gaps for word in lexicon],
    }


def by_torch(log_probs_TV: np.ndarray, texts: list[list[int]], star_penalty: float = 0.0) -> np.ndarray:
    """Float64 log-prob of each text, the star in a last column."""
    with_star = np.pad(log_probs_TV.astype(np.float64), ((0, 0), (0, 1)), constant_values=-star_penalty)
    frames = torch.tensor([len(log_probs_TV)])
    losses = [
        torch.nn.functional.ctc_loss(
            torch.from_numpy(with_star)[:, None], torch.tensor([text]).long(), frames, torch.tensor([len(text)])
        ).item()
        * max(1, len(text))
        for text in texts
    ]
    return -np.array(losses)


def by_enumeration(log_probs_TV: np.ndarray, texts: list[list[int]]) -> np.ndarray:
    with_star = np.pad(log_probs_TV.astype(np.float64), ((0, 0), (0, 1)))
    num_frames, num_labels = with_star.shape
    totals = dict.fromkeys(map(tuple, texts), -math.inf)
    for path in itertools.product(range(num_labels), repeat=num_frames):
        text = tuple(label for label, _ in itertools.groupby(path) if label)
        if text in totals:
            totals[text] = np.logaddexp(totals[text], with_star[range(num_frames), path].sum())
    return np.array([totals[tuple(text)] for text in texts])


def assert_equal(edits: Edits, expected: dict[str, np.ndarray]) -> None:
    for name, values in expected.items():
        found = np.ravel(getattr(edits, name))
        np.testing.assert_allclose(found, values, rtol=1e-6, atol=1e-6, err_msg=name)


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, Words, Words, int | None]:
    """Few symbols, so that neighbours are often equal; some with fewer frames than an edit needs."""
    separator = draw(st.sampled_from([None, 1]))
    symbols = st.integers(1 if separator is None else 2, 3)
    word = st.lists(symbols, min_size=1, max_size=3)
    words = draw(st.lists(word, min_size=1, max_size=3))
    lexicon = draw(st.lists(word, max_size=3))
    tokens, _ = joined(words, separator)
    num_frames = max(1, len(tokens) + draw(st.sampled_from([-1, 0, 1, 2, 5, 20])))
    scale = draw(st.sampled_from([1.0, 6.0, 40.0]))
    return log_probs_of(num_frames, 4, seed=draw(st.integers(0, 10**6)), scale=scale), words, lexicon, separator


@settings(max_examples=60, deadline=None)
@given(cases())
def test_every_edit_equals_torch(case: tuple[np.ndarray, Words, Words, int | None]) -> None:
    values, words, lexicon, separator = case
    penalty = 0.4 * (len(values) % 3)
    lexicon_tokens = EditLexicon(lexicon, separator)
    edits = single_edits(values, *joined(words, separator), lexicon=lexicon_tokens, star_frame_penalty=penalty)
    texts = edited(words, lexicon, separator, star=4)
    assert_equal(edits, {name: by_torch(values, rows, penalty) for name, rows in texts.items()})


@pytest.mark.parametrize("separator", [None, 1])
@pytest.mark.parametrize("words", [[[2]], [[2, 2]], [[2], [2]], [[3, 2], [2]]])
def test_every_edit_equals_the_sum_over_all_paths(words: Words, separator: int | None) -> None:
    lexicon = [[2], [3], [2, 2]]
    values = log_probs_of(6, 4, seed=3, scale=2.0)
    edits = single_edits(values, *joined(words, separator), lexicon=EditLexicon(lexicon, separator))
    texts = edited(words, lexicon, separator, star=4)
    assert_equal(edits, {name: by_enumeration(values, rows) for name, rows in texts.items()})


def test_improbable_words_far_below_the_range_of_float64() -> None:
    words, lexicon = [[2, 3], [3, 2]], [[1, 1, 2], [2, 3], [1]]
    values = np.full((12, 4), -300.0, dtype=np.float32)
    values[range(12), [0, 2, 2, 3, 0, 0, 0, 3, 3, 2, 0, 0]] = 0.0
    edits = single_edits(values, *joined(words, None), lexicon=EditLexicon(lexicon))
    assert edits.replace_WL[0, 1] == pytest.approx(edits.log_prob, abs=1e-9)
    assert edits.replace_WL.min() < -1000
    texts = edited(words, lexicon, None, star=4)
    assert_equal(edits, {name: by_torch(values, rows) for name, rows in texts.items()})


def test_a_dear_star_far_below_the_range_of_float64() -> None:
    values = log_probs_of(30, 4, seed=4, scale=1.0)
    edits = single_edits(values, [1], [(0, 1)], star_frame_penalty=1000.0)
    assert edits.star_W[0] < -900
    assert edits.star_W[0] == pytest.approx(by_torch(values, [[4]], 1000.0)[0])


def test_frames_outside_the_reach_do_not_count() -> None:
    """Far from its place a word is not looked for, unless nothing near it is probable."""
    gen = np.random.default_rng(5)
    labels_T = np.repeat(gen.integers(2, 6, size=60), 5)
    labels_T[::5] = 0
    logits = gen.normal(size=(300, 6))
    logits[range(300), labels_T] += 25.0
    values = torch.from_numpy(logits).log_softmax(-1).numpy()
    words = [[int(labels_T[5 * i + 1])] for i in range(60)]
    lexicon = [[2], [3], [4, 5], [5, 4, 3, 2, 5, 4]]
    edits = single_edits(values, *joined(words, None), lexicon=EditLexicon(lexicon))
    texts = edited(words, lexicon, None, star=6)
    for name, rows in (("replace_WL", texts["replace_WL"][100:124]), ("insert_GL", texts["insert_GL"][100:124])):
        found = getattr(edits, name)[25:31].ravel()
        np.testing.assert_allclose(found, by_torch(values, rows), rtol=1e-9, atol=1e-9)


def test_words_sums_agree_in_probabilities_and_logarithms() -> None:
    values = log_probs_of(40, 5, seed=2, scale=3.0)
    labels_S = np.array([0, 2, 0, 3, 0, 4, 0])
    alpha_TS, beta_TS = np.empty((40, 7)), np.empty((40, 7))
    ctc_slots.prefixes(values, labels_S, alpha_TS)
    ctc_slots.suffixes(values, labels_S, beta_TS)
    slot_RT, spans = np.empty((ctc_slots.ROWS, 40)), np.empty((2, 2), np.int64)
    bound = ctc_slots.open_slot(alpha_TS, beta_TS, np.array([1, 2]), slot_RT)
    ctc_slots.scale_exits(slot_RT, bound, spans)
    word = np.array([1, 1, 4])
    whole = np.array([0, 40])
    probs_CT = np.ascontiguousarray(np.exp(values.astype(np.float64)).T)
    for rows in ((4, 6), (5, 7)):
        linear = bound + math.log(ctc_slots.word_sum(probs_CT, word, slot_RT, rows, whole))
        assert ctc_slots.word_log_sum(values, word, 0, slot_RT, rows) == pytest.approx(linear, abs=1e-9)


def test_an_empty_text_has_one_gap_and_no_words() -> None:
    values = log_probs_of(5, 3, seed=1, scale=2.0)
    edits = single_edits(values, [], [], lexicon=EditLexicon([[2]], 1))
    expected = by_torch(values, [[], [3], [2]])
    assert (edits.delete_W.shape, edits.replace_WL.shape) == ((0,), (0, 1))
    found = [edits.log_prob, edits.gap_star_G[0], edits.insert_GL[0, 0]]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_too_few_frames_are_impossible_not_wrong() -> None:
    values = log_probs_of(3, 3, seed=1, scale=1.0)
    edits = single_edits(values, [1, 2, 1, 2], [(0, 2), (2, 4)], lexicon=EditLexicon([[1], [2, 2]]))
    assert edits.log_prob == -math.inf
    assert np.isfinite(edits.delete_W).all()
    assert np.isfinite(edits.star_W).all()
    assert edits.replace_WL[:, 0].tolist() == pytest.approx(by_torch(values, [[1, 1, 2], [1, 2, 1]]).tolist())
    assert edits.gap_star_G.tolist() == [-math.inf] * 3


def test_a_probability_of_zero_is_no_nan() -> None:
    values = log_probs_of(6, 3, seed=1, scale=1.0)
    values[:, 1] = -np.inf
    edits = single_edits(values, [1], [(0, 1)], lexicon=EditLexicon([[1], [2]]))
    assert edits.log_prob == -math.inf
    assert edits.delete_W[0] == pytest.approx(values[:, 0].sum(dtype=np.float64), abs=1e-6)
    assert edits.replace_WL[0, 0] == -math.inf
    assert math.isfinite(edits.replace_WL[0, 1])


def test_the_lexicon_does_not_change_other_edits_and_float64_is_taken() -> None:
    values = log_probs_of(20, 4, seed=9, scale=2.0).astype(np.float64)
    plain = single_edits(values, [2, 1, 3], [(0, 1), (2, 3)])
    rich = single_edits(values, [2, 1, 3], [(0, 1), (2, 3)], lexicon=EditLexicon([[2], [3, 3]], 1))
    assert plain.replace_WL.shape == (2, 0)
    assert plain.insert_GL.shape == (3, 0)
    for name in ("log_prob", "delete_W", "star_W", "gap_star_G"):
        assert np.array_equal(getattr(plain, name), getattr(rich, name))


def test_faults_are_named() -> None:
    with pytest.raises(SpeechkitError, match="no frames"):
        single_edits(np.empty((0, 3), np.float32), [1], [(0, 1)])
    with pytest.raises(SpeechkitError, match="word 1 of the lexicon has no tokens"):
        EditLexicon([[1], []])


def test_warm_compiles_for_float32() -> None:
    ctc_edits.warm()
    assert ctc_slots.prefixes.signatures
