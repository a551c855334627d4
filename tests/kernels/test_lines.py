"""Counting from bytes: equal to splitting in Python, whatever the bytes are."""

from __future__ import annotations

import random
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechkit.errors import ConfigError
from speechkit.kernels.confusions import count_confusions
from speechkit.kernels.edit import COR, DEL, INS, TIES, align_words
from speechkit.kernels.lines import PADDING, LineCounts, count_lines

Buffers = tuple[np.ndarray, np.ndarray]
ODD_WORDS = [
    "a",
    "b",
    "ab",
    "eightchr",
    "ninechars",
    "ninechart",
    "caf\u00e9",
    "\u5929\u5730",
    "\U0001f600",
    "{",
    "{a",
    "%hesitation",
    "@",
    "a\u00a0b",
]
WORDS = st.one_of(
    st.sampled_from(ODD_WORDS), st.text(st.characters(min_codepoint=0x21, codec="utf-8"), min_size=1, max_size=20)
)
SPACES = st.sampled_from([" ", "  ", "\t", " \r"])


def pack(texts: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    packed = [text.encode() for text in texts]
    ends = np.cumsum([len(text) + 1 for text in packed], dtype=np.int64) - 1
    data = np.frombuffer(b"\n".join(packed) + b" " * PADDING, np.uint8).copy()
    return data, ends - np.array([len(text) for text in packed], np.int64), ends


def count(
    refs: list[str], hyps: list[str], ties: str = "kaldi", num_threads: int = 1
) -> tuple[LineCounts, Buffers, np.ndarray]:
    (ref, *ref_spans), (hyp, *hyp_spans) = pack(refs), pack(hyps)
    spans = np.stack([*ref_spans, *hyp_spans], axis=1)
    return count_lines((ref, hyp), spans, ties=ties, num_threads=num_threads), (ref, hyp), spans


def split(text: str) -> list[str]:
    return [word.decode() for word in text.encode().split()]


def starts(text: str) -> list[int]:
    return [word.start() for word in re.finditer(rb"[^\x00-\x20]+", text.encode())]


def check(refs: list[str], hyps: list[str], ties: str) -> None:
    found, buffers, spans = count(refs, hyps, ties)
    words = [[split(text) for text in side] for side in (refs, hyps)]
    expected = align_words(*words, ties=ties)
    assert found.words[:, :3].tolist() == expected.counts.tolist()
    assert found.words[:, 3:].tolist() == [[len(r), len(h)] for r, h in zip(*words, strict=True)]
    characters = [[" ".join(w) for w in side] for side in words]
    assert found.chars[:, 0].tolist() == align_words(*characters).counts.sum(axis=1).tolist()
    assert found.chars[:, 1:].tolist() == [[len(r), len(h)] for r, h in zip(*characters, strict=True)]
    table = count_confusions(buffers, spans, found.errors)
    rows = zip(table.pairs.tolist(), table.counts.tolist(), strict=True)
    pairs = {(table.word(r), table.word(h)): count for (r, h), count in rows}
    wanted: list[tuple[str | None, str | None]] = []
    places: list[list[int]] = []
    for u, (ref, hyp) in enumerate(zip(*words, strict=True)):
        left, right = (iter([*zip(side, starts(text), strict=True)]) for side, text in ((ref, refs[u]), (hyp, hyps[u])))
        for op in expected.ops_of(u).tolist():
            r, start = next(left) if op != INS else (None, -1 - spans[u, 0])
            h, hyp_start = next(right) if op != DEL else (None, -1 - spans[u, 2])
            if op != COR:
                wanted.append((r, h))
                places.append([u, start + spans[u, 0], hyp_start + spans[u, 2]])
    assert list(pairs.items()) == list(Counter(wanted).items())
    assert found.errors.tolist() == places


@pytest.mark.parametrize("ties", TIES)
@settings(deadline=None, max_examples=60)
@given(
    pairs=st.lists(
        st.tuples(st.lists(WORDS, max_size=7), st.lists(WORDS, max_size=7), st.lists(WORDS, max_size=2), SPACES),
        max_size=6,
    )
)
def test_counts_equal_those_of_split_words(ties: str, pairs: list[tuple[list[str], list[str], list[str], str]]) -> None:
    refs = [space.join(shared + ref + shared) for ref, _, shared, space in pairs]
    hyps = [" ".join(shared + hyp + shared) for _, hyp, shared, _ in pairs]
    check(refs, hyps, ties)


@pytest.mark.parametrize("ties", TIES)
def test_long_lines_are_counted_as_short_ones(ties: str) -> None:
    source = random.Random(2)
    refs = [" ".join(source.choices(ODD_WORDS, k=size)) for size in (70, 300, 0)]
    check(refs, [" ".join(w for w in ref.split(" ") if source.random() > 0.2) for ref in refs], ties)


def odd_text(source: random.Random) -> list[str]:
    """Words of one letter to 130, as many as fit a machine word, one more, or far more."""
    sizes = source.choices([0, 1, 2, 5, 12, 20, 63, 64, 65, 130], [2, 3, 4, 8, 8, 8, 1, 1, 1, 1])
    kinds = [
        lambda: source.choice(["a", "b", "the", "of"]),
        lambda: "".join(source.choices("ab", k=source.choice([7, 8, 9, 16, 17, 24]))),
        lambda: "x" * source.choice([63, 64, 65, 130]) + source.choice("ab"),
        lambda: source.choice(ODD_WORDS),
    ]
    return [source.choices(kinds, [12, 4, 1, 2])[0]() for _ in range(sizes[0])]


def noisy(words: list[str], rate: float, source: random.Random) -> list[str]:
    out: list[str] = []
    for word in words:
        luck = source.random() / rate
        out += (
            ["of"] if luck < 0.5 else [] if luck < 0.7 else [word, source.choice(["a", word])] if luck < 1 else [word]
        )
    return out


@pytest.mark.parametrize("ties", TIES)
def test_words_and_lines_of_any_length_are_counted_as_split_ones(ties: str) -> None:
    source = random.Random(6)
    for _ in range(60):
        refs, hyps = [], []
        for _ in range(source.choice([1, 8])):
            words = odd_text(source)
            refs.append(source.choice(["", " "]) + source.choice([" ", " ", "  ", "\t"]).join(words))
            hyps.append("".join(w + source.choice([" "] * 9 + ["  "]) for w in noisy(words, 0.2, source)))
        check(refs, hyps, ties)


def test_long_lines_of_many_different_characters_have_their_distance() -> None:
    source = random.Random(7)
    ideographs = [chr(0x4E00 + k) for k in range(400)]
    refs = ["".join(source.choices("ab ", k=size)) for size in (1500, 2100, 5000)]
    refs += ["".join(source.choices(ideographs, k=size)) for size in (30, 600, 2500)]
    check(refs, [noisy_letters(ref, source) for ref in refs], "kaldi")


@pytest.mark.parametrize("num", [254, 255, 256, 257])
def test_characters_of_the_reference_only_are_told_from_those_of_the_hypothesis_only(num: int) -> None:
    check(*(["".join(chr(first + k) for k in range(num))] for first in (0x4E00, 0x5E00)), "kaldi")


def noisy_letters(text: str, source: random.Random) -> str:
    return "".join(source.choice(["", letter, "c"]) if source.random() < 0.2 else letter for letter in text)


@pytest.mark.parametrize("ties", TIES)
def test_unlike_white_space_does_not_change_the_alignment_of_repeated_words(ties: str) -> None:
    source = random.Random(8)
    words = [[source.choices("ab", k=source.randint(0, 5)) for _ in range(2)] for _ in range(2000)]
    lines = [["".join(w + source.choice([" ", "  ", "\t"]) for w in side) for side in pair] for pair in words]
    check([ref for ref, _ in lines], [hyp for _, hyp in lines], ties)


def test_a_shared_start_does_not_change_the_alignment() -> None:
    source = random.Random(3)
    for _ in range(2000):
        shared, ref, hyp = (source.choices("ab", k=source.randrange(5)) for _ in range(3))
        whole = align_words([shared + ref], [shared + hyp]).ops_of(0).tolist()
        assert whole == [0] * len(shared) + align_words([ref], [hyp]).ops_of(0).tolist()


@pytest.mark.parametrize("ties", ["kaldi", "sclite"])
def test_threads_do_not_change_anything(ties: str) -> None:
    source = random.Random(4)
    refs, hyps = ([" ".join(source.choices("abcdef", k=3)) for _ in range(45_000)] for _ in range(2))
    one, _, _ = count(refs, hyps, ties)
    three, _, _ = count(refs, hyps, ties, num_threads=3)
    assert (one.words == three.words).all() and (one.chars == three.chars).all() and (one.errors == three.errors).all()


def test_an_unknown_tie_rule_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown tie rule"):
        count(["a"], ["a"], "best")
