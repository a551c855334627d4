"""Texts that must never be made: those of the test sets, however they are written."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from speechkit.data.texts import read_texts


def text_key(text: str) -> str:
    """What two spellings of a text share: its letters, marks and digits, folded; no case, blanks or punctuation.

    Blanks do not count, so that `to day` is `today`: rather one text too many excluded than a test text made.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return "".join(c for c in folded if unicodedata.category(c)[0] in "LMN")


class Exclusion:
    """A set of texts compared by `text_key`; `count` says how often one of them was met."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.keys = {text_key(text) for text in texts} - {""}
        self.count = 0

    def hits(self, text: str) -> bool:
        """Whether a text is one of them; counted."""
        if not self.keys or text_key(text) not in self.keys:
            return False
        self.count += 1
        return True


def read_exclusion(paths: Sequence[Path]) -> Exclusion:
    """The texts of cuts manifests and text files.

    Raises:
        SpeechkitError: a file is missing, empty, not UTF-8, or a cut has no text.
    """
    return Exclusion(read_texts(paths))
