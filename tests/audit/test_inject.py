"""Faults of transcripts: what each kind makes of a text, and whether its truth is true."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechkit.audit.inject import (
    OTHER_TEXT_KINDS,
    TEXT_KINDS,
    Fault,
    Vocabulary,
    compare,
    inject_text,
    inject_words,
)
from speechkit.kernels.edit import align_words
from speechkit.rng import rng

DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
TEXTS = [["one", "two", "three", "four"], DIGITS, ["cats", "cat", "one"]]


def vocabulary(**fields: object) -> Vocabulary:
    return Vocabulary.of_texts(TEXTS, **fields)  # type: ignore[arg-type]


def inject(words: list[str], kind: str, *names: object, **fields: object) -> Fault | None:
    return inject_text(words, kind, gen=rng(0, *names), vocabulary=vocabulary(), **fields)  # type: ignore[arg-type]


def rest(fault: Fault) -> list[str]:
    return [word for k, word in enumerate(fault.words) if k not in fault.wrong_words]


def errors(said: list[str], given: tuple[str, ...]) -> int:
    return int(align_words([said], [given]).counts.sum())


@settings(deadline=None)
@given(st.lists(st.sampled_from(DIGITS), max_size=6), st.sampled_from(TEXT_KINDS), st.integers(0, 99))
def test_every_fault_changes_the_text_and_marks_all_that_is_wrong(words: list[str], kind: str, seed: int) -> None:
    fault = inject(words, kind, seed, other=["five", "five", "one"])
    if fault is None:
        return
    assert fault.kind == kind
    assert fault.words
    assert list(fault.words) != words
    assert fault.wrong_words or fault.wrong_gaps
    assert list(fault.wrong_words) == sorted(set(fault.wrong_words))
    assert all(0 <= g <= len(fault.words) for g in fault.wrong_gaps)
    if not fault.wrong_gaps:  # without the wrong words only what was said is left, in order
        said = iter(words)
        assert all(word in said for word in rest(fault))
    if not fault.wrong_words:
        said = iter(words)
        assert all(word in said for word in fault.words)


@pytest.mark.parametrize("kind", ["sub", "confusable", "pairflip", "ins", "del", "del-frequent"])
def test_a_single_edit_is_one_word_error(kind: str) -> None:
    for seed in range(30):
        fault = inject(DIGITS, kind, seed)
        assert fault is not None
        assert errors(DIGITS, fault.words) == 1
        assert len(fault.wrong_words) + len(fault.wrong_gaps) == 1


def test_the_same_generator_gives_the_same_fault() -> None:
    assert inject(DIGITS, "sub", "utt") == inject(DIGITS, "sub", "utt")
    assert len({inject(DIGITS, "sub", k) for k in range(20)}) > 10


def test_a_substitution_stands_where_it_says_and_is_even_over_the_vocabulary() -> None:
    found = Counter()
    for seed in range(3000):
        fault = inject(["one"], "sub", seed)
        assert fault is not None
        assert fault.wrong_words == (0,)
        found[fault.words[0]] += 1
    assert "one" not in found
    assert len(found) == len(vocabulary().words) - 1
    assert max(found.values()) < 1.35 * 3000 / len(found)


def test_a_missing_word_is_marked_as_the_gap_it_left() -> None:
    fault = inject(["one", "two"], "del", 3)
    assert fault in (Fault("del", ("two",), (), (0,)), Fault("del", ("one",), (), (1,)))
    assert inject(["one"], "del") is None


def test_short_and_frequent_words_are_left_out_more_often() -> None:
    words = ["one", "seven"]  # counts 3 and 1, lengths 3 and 5
    lost = Counter()
    for seed in range(400):
        fault = inject(words, "del-frequent", seed)
        assert fault is not None
        lost[fault.words] += 1
    assert lost[("seven",)] / 400 == pytest.approx(1 / (1 + 1 / 5), abs=0.05)


def test_an_insertion_never_stands_beside_its_like() -> None:
    for seed in range(200):
        fault = inject(["one", "two"], "ins", seed)
        assert fault is not None
        (spot,) = fault.wrong_words
        assert fault.words[spot] not in ("one", "two") or fault.words in (
            ("two", "one", "two"),
            ("one", "two", "one"),
        )


def test_equal_neighbours_are_not_transposed() -> None:
    assert inject(["one", "one"], "transpose") is None
    assert inject(["one", "one", "two"], "transpose") == Fault("transpose", ("one", "two", "one"), (1, 2), ())


def test_a_swapped_text_is_compared_word_by_word() -> None:
    fault = inject(["one", "two", "three"], "swap", other=["one", "four", "three", "five"])
    assert fault == Fault("swap", ("one", "four", "three", "five"), (1, 3), ())
    assert compare("swap", ["one", "two"], ["two"]) == Fault("swap", ("two",), (), (0,))
    assert inject(["one"], "swap", other=["one"]) is None
    assert all(inject(["one"], kind) is None for kind in OTHER_TEXT_KINDS)


def test_confusable_words_are_the_nearest_in_letters_or_those_of_a_list() -> None:
    assert set(vocabulary().neighbours("cats")) >= {"cat"}
    assert vocabulary().neighbours("cats")[0] == "cat"
    assert vocabulary().neighbours("five")[0] == "nine"
    listed = vocabulary(confusions={"one": ("nine",)})
    for seed in range(20):
        fault = inject_text(["one", "uno"], "confusable", gen=rng(seed), vocabulary=listed)
        assert fault is not None
        if fault.wrong_words == (0,):
            assert fault.words[0] == "nine"


def test_neighbours_are_those_of_the_slow_way() -> None:
    words = vocabulary().words
    for word in (*words, "seventy"):
        share = {
            other: align_words([word], [other]).counts.sum() / max(len(word), len(other))
            for other in words
            if other != word
        }
        nearest = sorted(share, key=lambda other: (share[other], words.index(other)))[:3]
        assert vocabulary().neighbours(word) == tuple(nearest)


def test_partners_are_fixed_by_the_seed_and_no_word_is_its_own() -> None:
    partners = vocabulary(seed=5).partners
    assert partners == vocabulary(seed=5).partners
    assert partners != vocabulary(seed=6).partners
    assert sorted(partners.values()) == sorted(partners)
    assert all(word != partner for word, partner in partners.items())
    assert not Vocabulary.of_texts([["one"]]).partners


def test_forms_are_numerals_and_words_in_both_directions() -> None:
    assert inject(["two"], "form") == Fault("form", ("2",), (0,), ())
    assert inject(["20"], "form") == Fault("form", ("twenty",), (0,), ())
    assert inject(["cat"], "form") is None
    doctor = vocabulary(forms={"dr": ("doctor no",)})
    fault = inject_text(["one", "dr"], "form", gen=rng(0), vocabulary=doctor)
    assert fault == Fault("form", ("one", "doctor", "no"), (1, 2), ())


def test_misreadings_repeat_restart_stop_early_or_change_the_ending() -> None:
    found = {inject(["cat", "one"], "misread", seed) for seed in range(60)}
    texts = {" ".join(fault.words): fault for fault in found if fault is not None}
    assert set(texts) == {"cat cat one", "cat one one", "cat one cat one", "cat", "cats one", "cat ones"}
    assert texts["cat one cat one"].wrong_words == (0, 1)
    assert texts["cat"].wrong_gaps == (1,)
    assert texts["cats one"].wrong_words == (0,)


@pytest.mark.parametrize("kind", ["sub", "pairflip", "ins", "del"])
def test_each_word_is_wrong_by_itself_at_the_rate(kind: str) -> None:
    vocab, num_wrong = vocabulary(), 0
    for k in range(300):
        fault = inject_words(DIGITS, {kind: 1.0}, 0.3, gen=rng(1, k), vocabulary=vocab)
        if fault is None:
            continue
        num_wrong += errors(DIGITS, fault.words)
        if kind in ("sub", "pairflip"):
            wrong = [k for k, (a, b) in enumerate(zip(DIGITS, fault.words, strict=True)) if a != b]
            assert list(fault.wrong_words) == wrong
    assert num_wrong / 3000 == pytest.approx(0.3, abs=0.03)


def test_a_text_never_becomes_empty_and_kinds_are_mixed() -> None:
    fault = inject_words(["one", "two"], {"del": 1.0}, 1.0, gen=rng(0), vocabulary=vocabulary())
    assert fault == Fault("del", ("one",), (), (1,))
    assert inject_words(["one"], {"del": 1.0}, 1.0, gen=rng(0), vocabulary=vocabulary()) is None
    assert inject_words(DIGITS, {"sub": 1.0}, 0.0, gen=rng(0), vocabulary=vocabulary()) is None
    mixed = inject_words(DIGITS * 20, {"sub": 1.0, "del": 1.0}, 0.5, gen=rng(0), vocabulary=vocabulary())
    assert mixed is not None
    assert mixed.kind == "del+sub"
    assert mixed.wrong_words
    assert mixed.wrong_gaps
