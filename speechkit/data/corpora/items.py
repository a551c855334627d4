"""What every corpus hands back: the cuts, what could not be used, and what the user should know."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from lhotse import MonoCut


@dataclass(frozen=True)
class BadItem:
    """One utterance that can not be used: `file:line`, its id, and why."""

    where: str
    utt_id: str
    reason: str

    def __str__(self) -> str:
        return f"{self.where}  {self.utt_id}  {self.reason}"


@dataclass
class Prepared:
    """Result of reading a corpus.

    Args:
        cuts: usable utterances in the order of the source.
        bad: unusable ones, all of them; what happens to them is not the corpus' decision.
        notes: counted remarks for the log, such as files of which only the first channel is used.
    """

    cuts: list[MonoCut] = field(default_factory=list)
    bad: list[BadItem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def repeated_ids(ids: Iterable[tuple[str, str]]) -> list[BadItem]:
    """The second and later places of every id.

    Args:
        ids: pairs of id and `file:line`.
    """
    first: dict[str, str] = {}
    bad = []
    for utt_id, where in ids:
        if utt_id in first:
            bad.append(BadItem(where, utt_id, f"the id occurs twice, first at {first[utt_id]}"))
        first.setdefault(utt_id, where)
    return bad
