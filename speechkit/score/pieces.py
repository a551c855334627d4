"""CTM against CTM: channels are cut into short pieces that hold the same stretch of time on both sides.

Where the cuts lie decides which words can be aligned, so the places are those of sclite (SCTK, ctm2ctm.c): at most
50 words, then back to the last place where both sides have a gap between words and the gaps overlap.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from speechkit.score.timed import Item, check_channels, read_ctm

_WORDS_PER_PIECE = 50
_NEVER = 999999.99
Mark = tuple[float, float, bool]  # start, end, whether it belongs to alternatives


@dataclass(frozen=True)
class Piece:
    """Words of both sides of one channel that are aligned with each other."""

    name: str
    ref: list[Item]
    hyp: list[Item]


def cut_channels(ref: Path, hyp: Path, *, missing: str = "error") -> list[Piece]:
    """Pieces `<file>-<channel>-<number>` of two CTM files.

    Raises:
        SpeechkitError: as `read_ctm`, and for channels on one side only unless `missing` says otherwise.
    """
    sides = read_ctm(ref), read_ctm(hyp)
    check_channels(*sides, (ref, hyp), missing)
    pieces = []
    for channel in sides[0]:
        if missing != "skip" or channel in sides[1]:
            parts = cut(sides[0][channel], sides[1].get(channel, []))
            pieces += [Piece(f"{channel[0]}-{channel[1]}-{k:04d}", r, h) for k, (r, h) in enumerate(parts)]
    return pieces


def cut(ref: list[Item], hyp: list[Item]) -> list[tuple[list[Item], list[Item]]]:
    """Both sides of a channel in pieces; every word is in one."""
    sides = _Side(ref), _Side(hyp)
    pieces = []
    begins = (0, 0)
    while begins[0] < len(sides[0].marks) or begins[1] < len(sides[1].marks):
        limit, ends = _WORDS_PER_PIECE, None
        while ends is None:
            ends = _Search(sides, begins, limit).ends()
            limit *= 2
        pieces.append((sides[0].items(begins[0], ends[0]), sides[1].items(begins[1], ends[1])))
        begins = ends[0] + 1, ends[1] + 1
    return pieces


class _Side:
    """The lines of one side: alternatives are several of them, as in the file."""

    def __init__(self, items: list[Item]) -> None:
        self.marks: list[Mark] = []
        self.item_at: dict[int, Item] = {}
        for item in items:
            self.item_at[len(self.marks)] = item
            is_single = item.num_lines == 1
            self.marks += [(item.start, item.end, False) if is_single else (0.0, 0.0, True)] * item.num_lines

    def items(self, begin: int, end: int) -> list[Item]:
        """The items that begin at the lines from `begin` to `end`, both included."""
        return [self.item_at[k] for k in range(begin, end + 1) if k in self.item_at]


class _Search:
    """The last place below a number of words where both sides can be cut; `at` holds the last line of each side."""

    def __init__(self, sides: tuple[_Side, _Side], begins: tuple[int, int], limit: int) -> None:
        self.marks = sides[0].marks, sides[1].marks
        self.begins = begins
        self.last = len(self.marks[0]) - 1, len(self.marks[1]) - 1
        self.fits = all(last - begin < limit for last, begin in zip(self.last, begins, strict=True))
        self.at = [min(begin + limit, last) for last, begin in zip(self.last, begins, strict=True)]

    def ends(self) -> tuple[int, int] | None:
        """The last line of the piece on either side; None if there is no place to cut."""
        if self.fits:
            return self.last
        for side in (0, 1):
            self._leave_alternatives(side)
        self._meet()
        while self.at[0] > self.begins[0] and self.at[1] > self.begins[1]:
            gaps = self._gap(0), self._gap(1)
            if min(gaps[0][1], gaps[1][1]) >= max(gaps[0][0], gaps[1][0]):
                return self.at[0], self.at[1]
            self._retreat()
        found = self.at[0], self.at[1]
        return found if any(end > begin for end, begin in zip(found, self.begins, strict=True)) else None

    def _mark(self, side: int) -> Mark:
        at = self.at[side]
        return self.marks[side][at] if at >= 0 else (0.0, 0.0, False)

    def _gap(self, side: int) -> tuple[float, float]:
        at = self.at[side]
        after = _NEVER if at == self.last[side] else self.marks[side][at + 1][0]
        return self.marks[side][at][1], after

    def _later(self) -> int | None:
        """The side whose word starts later, None if they start together."""
        starts = self._mark(0)[0], self._mark(1)[0]
        return None if starts[0] == starts[1] else int(starts[1] > starts[0])

    def _is_apart(self) -> bool:
        ref, hyp = self._mark(0), self._mark(1)
        return min(ref[1], hyp[1]) < max(ref[0], hyp[0])

    def _leave_alternatives(self, side: int) -> bool:
        before = self.at[side]
        while self.at[side] >= self.begins[side] and self._mark(side)[2]:
            self.at[side] -= 1
        return self.at[side] < before

    def _step(self, side: int) -> bool:
        """One word back; whether alternatives of the reference were passed, after which sclite looks anew."""
        self.at[side] -= 1
        return self._leave_alternatives(side) and side == 0

    def _follow(self, side: int) -> bool:
        """Back on one side while its word lies wholly after that of the other."""
        while self.at[side] >= self.begins[side] and self._later() == side and self._is_apart():
            if self._step(side):
                return True
        return False

    def _meet(self) -> None:
        side = self._later()
        while side is not None and self._follow(side):
            side = self._later()

    def _retreat(self) -> None:
        """One word back on the later side, then the other side follows."""
        looks_anew = True
        while looks_anew:
            looks_anew = False
            side = 0 if self._later() == 0 else 1
            if self.at[side] > self.begins[side]:
                looks_anew = self._step(side)
            looks_anew = looks_anew or self._follow(1 - side)
