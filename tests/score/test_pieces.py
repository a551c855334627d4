"""CTM against CTM: where channels are cut, and sclite's counts in every piece of NIST's own input."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from speechkit.score import pieces
from speechkit.score.config import WerConfig
from speechkit.score.normalize import Normalizer
from speechkit.score.pieces import Mark
from speechkit.score.run import score_files
from speechkit.score.timed import read_ctm
from speechkit.score.wer import Scored

# correct, sub, del, ins of each piece in NIST's results since it mended the cutting (usnistgov/SCTK@82955db, test13)
NIST_WORDS = (
    "29 8 2 3|35 12 3 2|28 17 2 6|29 16 6 0|26 6 8 0|35 10 6 0|39 8 4 1|39 9 3 3|24 11 7 1|24 9 3 2|24 13 6 2|"
    "16 25 3 3|12 10 3 0|30 4 1 4|28 6 2 2|28 14 5 2|12 12 5 0|27 7 5 0|15 24 6 4|20 11 4 4|22 13 6 2|21 10 15 9"
)
NIST_TIMES = (
    "29 9 2 2|33 13 4 3|25 19 4 7|27 16 8 2|22 9 9 1|32 11 8 2|39 8 4 1|38 8 5 5|22 12 8 2|22 12 2 1|23 12 9 4|"
    "14 23 8 7|12 10 3 0|29 5 2 4|28 5 3 3|28 14 5 2|11 11 8 2|27 6 6 1|15 22 8 6|18 11 7 6|21 14 6 2|16 19 11 5"
)


class SearchBefore2022(pieces._Search):
    """The fault that NIST mended in 2022, and that Debian's sclite has.

    When the reference follows the hypothesis, the hypothesis word lasts as long as the word of the same number in
    the REFERENCE file.
    """

    ref_lines: tuple[Mark, ...] = ()
    num_before = 0
    is_wrong = False

    def _retreat(self) -> None:
        self.is_wrong = True
        super()._retreat()
        self.is_wrong = False

    def _follow(self, side: int) -> bool:
        self.side = side
        return super()._follow(side)

    def _is_apart(self) -> bool:
        if not self.is_wrong or self.side == 1:
            return super()._is_apart()
        ref, hyp = self._mark(0), self._mark(1)
        other = self.ref_lines[self.at[1] + self.num_before]
        return min(ref[1], hyp[0] + other[1] - other[0]) < max(ref[0], hyp[0])


def counts(scored: Scored) -> dict[str, str]:
    rows = zip(scored.ids, scored.words.tolist(), strict=True)
    return {name: f"{num_ref - sub - dele} {sub} {dele} {ins}" for name, (sub, dele, ins, num_ref, _) in rows}


def score_nist(folder: Path, *, by_time: bool = False) -> dict[str, str]:
    config = WerConfig(ties="sclite", case="ascii")
    found = score_files(
        folder / "tima_ref.ctm", folder / "tima_hyp.ctm", config, Normalizer(case="ascii"), by_time=by_time
    )
    return counts(found)


@pytest.mark.parametrize(("expected", "by_time"), [(NIST_WORDS, False), (NIST_TIMES, True)], ids=["words", "times"])
def test_every_piece_has_the_counts_of_nists_own_results(corpus_root: Path, expected: str, by_time: bool) -> None:
    found = score_nist(corpus_root / "scoring" / "sctk", by_time=by_time)
    assert "|".join(found.values()) == expected


@pytest.mark.parametrize(("run", "by_time"), [("ctm_ctm_time", False), ("ctm_ctm_timemediated", True)])
def test_with_the_fault_of_older_sclites_every_piece_has_their_counts(
    corpus_root: Path, monkeypatch: pytest.MonkeyPatch, run: str, by_time: bool
) -> None:
    folder = corpus_root / "scoring" / "sctk"
    sides = [
        {c: pieces._Side(items) for c, items in read_ctm(folder / f"tima_{s}.ctm").items()} for s in ("ref", "hyp")
    ]
    lines = tuple(mark for side in sides[0].values() for mark in side.marks)

    class Search(SearchBefore2022):
        ref_lines = lines

        def __init__(self, both: tuple[pieces._Side, pieces._Side], begins: tuple[int, int], limit: int) -> None:
            super().__init__(both, begins, limit)
            is_second = both[1].marks[0] == sides[1]["5555", "b"].marks[0]
            self.num_before = len(sides[1]["5555", "a"].marks) if is_second else 0

    monkeypatch.setattr(pieces, "_Search", Search)
    text = (folder / "expected" / f"{run}.pra").read_text(errors="replace")
    expected = dict(re.findall(r"id: \((.*?)\)\nFile: .*\nChannel: .*\nScores: \(#C #S #D #I\) (.*)\n", text))
    assert len(expected) == 22 and score_nist(folder, by_time=by_time) == expected
