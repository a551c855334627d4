"""What every corpus hands back: the cuts, what could not be used, and what the user should know."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # lhotse takes 500 MB; tables are read without it
    from lhotse import MonoCut

_MAX_NAME_BYTES = 200  # file systems take 255, with the suffix


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
        left_out: what the corpus holds by design and is no utterance with a text; listed, never counted as a fault.
        notes: counted remarks for the log, such as files of which only the first channel is used.
    """

    cuts: list[MonoCut] = field(default_factory=list)
    bad: list[BadItem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    left_out: list[BadItem] = field(default_factory=list)


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


def is_file_name(name: str) -> bool:
    """True when a name out of data may be part of a path: it stays below its folder, on any system."""
    is_plain = not name.startswith(".") and ".." not in name and not re.search(r"[/\\\x00-\x1f\x7f]", name)
    return is_plain and 0 < len(name.encode("utf-8", "replace")) <= _MAX_NAME_BYTES
