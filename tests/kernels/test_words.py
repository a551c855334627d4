"""Words in byte strings, 64 bytes at a time: equal to Python's own splitting, across every border."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from speechkit.kernels.words import (
    PADDING,
    common_end,
    common_start,
    count_words,
    end_of_word,
    find_words,
    is_hashed,
    line_shape,
    may_loop,
    word_key,
)

LINES = st.lists(
    st.one_of(st.sampled_from(["a", "b", "ab", " ", "  ", "\t", "caf\u00e9"]), st.text("ab", min_size=1, max_size=70)),
    max_size=40,
).map(lambda parts: " ".join(parts).encode())


def buffer(*lines: bytes) -> tuple[np.ndarray, list[int]]:
    """The lines behind each other, 80 bytes of another word before the first, and where each begins."""
    starts, data = [], b"z" * 80
    for line in lines:
        starts.append(len(data))
        data += line + b"("  # what follows a line need not be white space
    return np.frombuffer(data + b" " * PADDING, np.uint8).copy(), starts


@settings(deadline=None)
@given(line=LINES)
def test_words_are_found_as_python_finds_them(line: bytes) -> None:
    data, (start,) = buffer(line)
    end = start + len(line)
    bounds = np.empty(2 * len(line) + 4, np.int64)
    num = find_words(data, start, end, bounds, 0)
    found = [data[a:b].tobytes() for a, b in bounds[: 2 * num].reshape(-1, 2)]
    assert found == line.split()
    assert count_words(data, start, end) == num
    assert end_of_word(data, start, end) == (int(bounds[1]) if num else end)


@settings(deadline=None)
@given(line=LINES)
def test_the_shape_of_a_line_is_that_of_its_joined_words(line: bytes) -> None:
    line = line.strip()
    joined = b" ".join(line.split()).decode()
    data, (start,) = buffer(line)
    expected = (len(line.split()), len(joined), joined.encode() == line and joined.isascii())
    assert line_shape(data, start, start + len(line)) == expected


@settings(deadline=None, max_examples=300)
@given(shared=LINES, rests=st.tuples(LINES, LINES), tail=LINES)
def test_common_ends_are_whole_words_and_as_many_as_bytes_allow(
    shared: bytes, rests: tuple[bytes, bytes], tail: bytes
) -> None:
    lines = [(shared + rest + tail).strip() for rest in rests]
    data, (a, b) = buffer(*lines)
    spans = (a, a + len(lines[0]), b, b + len(lines[1]))
    size, num = common_start(data, data, spans)
    equal = num_equal(*lines)
    places = [k for k in range(equal + 1) if all(is_border(line, k) for line in lines)]
    assert lines[0][:size] == lines[1][:size] and size in places
    assert lines[0][:size].split() == lines[0][: places[-1]].split()
    assert num == len(lines[0][:size].split())
    size = common_end(data, data, spans)
    assert size <= num_equal(*(line[::-1] for line in lines))
    assert all(is_border(line, len(line) - size) for line in lines)
    longer = [k for k in range(size + 1, min(map(len, lines)) + 1) if lines[0][-k:] == lines[1][-k:]]
    whole = [k for k in longer if all(is_border(line, len(line) - k) for line in lines)]
    assert all(lines[0][-k:].split() == lines[0][len(lines[0]) - size :].split() for k in whole)


def num_equal(a: bytes, b: bytes) -> int:
    """How many bytes two lines share at their start."""
    return next((k for k, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def is_border(line: bytes, place: int) -> bool:
    """Whether no word of the line goes on across the place."""
    return place in (0, len(line)) or line[place - 1] <= 0x20 or line[place] <= 0x20


def test_keys_tell_words_apart() -> None:
    source = random.Random(1)
    words = {bytes(source.choices(range(0x21, 0x100), k=source.randint(1, 40))) for _ in range(3000)}
    words |= {b"a" * size for size in range(1, 100)}
    keys = {}
    for word in words:
        data, (start,) = buffer(word)
        low, high = word_key(data, start, start + len(word))
        assert is_hashed(np.uint64(high)) == (len(word) > 16)
        keys[int(low), int(high)] = word
    assert len(keys) == len(words)


def test_loops_are_found_wherever_they_stand() -> None:
    texts = [b"x" * 60 + b" no no no no", b"a b a b a b", b"a b c", b"", b"longer-than-sixteen " * 4]
    data, starts = buffer(*texts)
    spans = np.array([[a, a + len(text)] for a, text in zip(starts, texts, strict=True)])
    assert may_loop(data, spans, np.array([4, 3])).tolist() == [True, True, False, False, True]
