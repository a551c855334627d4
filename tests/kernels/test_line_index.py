"""Lines, ids and texts of a file against Python's own splitting."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechkit.kernels.line_index import (
    FORMAT_LINES,
    FORMAT_TEXT,
    FORMAT_TRN,
    are_equal,
    gather,
    index_lines,
    is_increasing,
    prefix_runs,
    survey,
)
from speechkit.kernels.words import PADDING

KINDS = {"text": FORMAT_TEXT, "trn": FORMAT_TRN, "lines": FORMAT_LINES}
PIECES = st.sampled_from(
    [b"a", b"bc", b" ", b"\t", b"\r\n", b"\n", b"(u-1)", b"(", b")", b";;", b"x" * 70, b"\xc3\xa9"]
)
FILES = st.lists(PIECES, max_size=60).map(b"".join)


def padded(content: bytes) -> np.ndarray:
    return np.frombuffer(content + b" " * PADDING, np.uint8).copy()


def lines_of(content: bytes, kind: str) -> Iterator[tuple[bytes, bytes, int]]:
    for number, line in enumerate(content.split(b"\n"), start=1):
        line = bytes(line).strip(b" \t\r")
        if not line or (kind == "trn" and line.startswith(b";;")):
            continue
        if kind == "lines":
            yield b"", line, number
        elif kind == "text":
            name = line.replace(b"\t", b" ").replace(b"\r", b" ").split(b" ", 1)[0]
            yield name, line[len(name) :].strip(b" \t\r"), number
        elif line.endswith(b")") and b"(" in line:
            text, name = line[:-1].rsplit(b"(", 1)
            yield name, (text.strip(b" \t\r") if name else line), number
        else:
            yield b"", line, number


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=200)
@given(content=FILES)
def test_lines_are_indexed_as_python_splits_them(kind: str, content: bytes) -> None:
    data = padded(content)
    rows = np.empty((5, content.count(b"\n") + 1), np.int64)
    num = index_lines(data, len(content), KINDS[kind], rows)
    found = [(content[a:b], content[c:d] if b > a or kind != "trn" else None, n) for a, b, c, d, n in rows[:, :num].T]
    expected = [(i, t if i or kind != "trn" else None, n) for i, t, n in lines_of(content, kind)]
    assert found == expected


@settings(deadline=None)
@given(content=st.one_of(FILES, st.binary(max_size=200)))
def test_a_survey_counts_lines_and_sees_every_odd_byte(content: bytes) -> None:
    expected = content.count(b"\n"), b"\0" in content, not content.isascii()
    assert survey(padded(content), len(content)) == expected


NAMES = st.lists(
    st.one_of(
        st.sampled_from(["s1-a", "s1-b", "s1", "s10-a", "s1_c", "-", "a" * 64 + "-1"]), st.text("ab-", min_size=1)
    ),
    min_size=1,
    max_size=12,
)


@settings(deadline=None)
@given(names=NAMES)
def test_ids_are_compared_and_their_prefixes_found(names: list[str]) -> None:
    content = " ".join(names).encode()
    data = padded(content)
    sizes = np.array([len(name) for name in names])
    ends = np.cumsum(sizes + 1) - 1
    starts = ends - sizes
    assert is_increasing(data, starts, ends) == all(a < b for a, b in pairwise(names))
    assert gather(data, starts, ends).tobytes().decode().split("\n")[:-1] == names
    firsts, prefix_ends = np.empty(len(names), np.int64), np.empty(len(names), np.int64)
    num = prefix_runs(data, starts, ends, firsts, prefix_ends)
    prefixes = [name.replace("_", "-").split("-")[0] for name in names]
    runs = [k for k in range(len(names)) if k == 0 or prefixes[k] != prefixes[k - 1]]
    found = [content[starts[u] : end].decode() for u, end in zip(firsts[:num], prefix_ends, strict=False)]
    spread = np.repeat(found, np.diff([*firsts[:num], len(names)]))
    assert spread.tolist() == prefixes and set(runs) <= set(firsts[:num].tolist())
    other = padded(content + b"x")
    assert are_equal(data, (starts, ends), other, (starts, ends))
    assert not are_equal(data, (starts, ends), other, (starts, np.append(ends[:-1], ends[-1] + 1)))
