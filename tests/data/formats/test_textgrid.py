"""TextGrid: both forms and encodings are read, what is written comes back, what can not be held is refused."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from speechkit.data.formats.textgrid import read_textgrid, write_textgrid
from speechkit.data.store import Word
from speechkit.errors import SpeechkitError

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\r"), min_size=1, max_size=6).filter(str.strip)
SHORT = """File type = "ooTextFile short"
"TextGrid"

0.5
2.25
<exists>
2
"IntervalTier"
"words"
0.5
2.25
3
0.5
1
""
1
1.75
"say ""it"" ! [3] 7"
1.75
2.25
""
"TextTier"
"clicks"
0.5
2.25
1
1.5
"t"
"""


@st.composite
def tier_lists(draw: st.DrawFn) -> list[Word]:
    edges = sorted(draw(st.sets(st.integers(0, 10**4), max_size=10)))
    kept = [span for span in pairwise(edges) if draw(st.booleans())]
    return [Word(draw(NAMES), low / 1000, (high - low) / 1000) for low, high in kept]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(tiers=st.dictionaries(NAMES, tier_lists(), max_size=3))
def test_tiers_come_back_as_they_were(tiers: dict[str, list[Word]], tmp_path: Path) -> None:
    path = tmp_path / "a.TextGrid"
    write_textgrid(path, tiers, end_seconds=10.5)
    grid = read_textgrid(path)
    assert (grid.start_seconds, grid.end_seconds, grid.tiers) == (0.0, 10.5, tiers)


def test_the_long_form_is_as_praat_writes_it(tmp_path: Path) -> None:
    write_textgrid(
        tmp_path / "a.TextGrid", {"word": [Word('a "b"', 0.5, 0.25)], "tap": [Word("t", 0.1, 0)]}, end_seconds=1
    )
    text = (tmp_path / "a.TextGrid").read_text()
    assert text.startswith(
        'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = 1.00\ntiers? <exists>\n'
    )
    assert (
        "        intervals: size = 3\n        intervals [1]:\n            xmin = 0.00\n            xmax = 0.50\n"
        in text
    )
    assert '            text = "a ""b"""\n' in text
    assert '        class = "TextTier"\n        name = "tap"\n' in text
    assert read_textgrid(tmp_path / "a.TextGrid").tiers["tap"] == [Word("t", 0.1, 0)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_the_short_form_is_read_in_every_encoding(tmp_path: Path, encoding: str, newline: str) -> None:
    path = tmp_path / "a.TextGrid"
    path.write_bytes(SHORT.replace("\n", newline).encode(encoding))
    grid = read_textgrid(path)
    assert (grid.start_seconds, grid.end_seconds) == (0.5, 2.25)
    assert grid.tiers == {"words": [Word('say "it" ! [3] 7', 1.0, 0.75)], "clicks": [Word("t", 1.5, 0.0)]}


def test_tiers_of_one_name_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.TextGrid"
    path.write_text(SHORT.replace('"clicks"', '"words"'))
    assert list(read_textgrid(path).tiers) == ["words", "words 2"]


@pytest.mark.parametrize(
    "words, problem",
    [
        ([Word("a", 0, 0.5), Word("b", 0.4, 0.2)], "`b` starts at 0.4 s, the item before ends at 0.5 s"),
        ([Word("a", 0.8, 0.5)], "`a` ends after 1 s"),
        ([Word("", 0, 0.5)], "is empty"),
        ([Word("a", 0, 0.5), Word("b", 0.5, 0)], "`b` has no duration"),
        ([Word("a", -0.5, 1)], "`a` starts at -0.5 s"),
    ],
)
def test_items_that_a_tier_can_not_hold_are_refused(tmp_path: Path, words: list[Word], problem: str) -> None:
    with pytest.raises(SpeechkitError, match=problem):
        write_textgrid(tmp_path / "a.TextGrid", {"word": words}, end_seconds=1)
    assert not list(tmp_path.iterdir())


def test_neighbours_that_overlap_by_rounding_are_held(tmp_path: Path) -> None:
    write_textgrid(tmp_path / "a.TextGrid", {"w": [Word("a", 0, 0.5), Word("b", 0.4999999, 0.5)]}, end_seconds=1)
    assert [w.start_seconds for w in read_textgrid(tmp_path / "a.TextGrid").tiers["w"]] == [0.0, 0.5]


@pytest.mark.parametrize(
    "content, problem",
    [
        (SHORT[:120].encode(), "it ends too early"),
        (SHORT.replace("TextGrid", "Pitch 1").encode(), "it holds a Pitch 1"),
        (SHORT.replace("IntervalTier", "Other").encode(), "a tier of class Other"),
        (SHORT.replace('1\n1.75\n"say', 'x\n1.75\n"say').encode(), "stand where numbers are expected"),
        (b"\xff\x00ooBinaryFile", "neither UTF-8 nor UTF-16"),
        (b"hello", "it ends too early"),
    ],
)
def test_a_file_that_is_no_textgrid_is_refused(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "a.TextGrid"
    path.write_bytes(content)
    with pytest.raises(SpeechkitError, match=problem):
        read_textgrid(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpeechkitError, match="does not exist"):
        read_textgrid(tmp_path / "a.TextGrid")
