"""The letters of words: what a model without a lexicon takes for their sounds."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

_SILENT = ("C", "P", "S", "Z")  # Unicode categories: controls, punctuation, symbols, blanks


@lru_cache(maxsize=1 << 16)
def letters_of(word: str) -> tuple[str, ...]:
    """Letters, digits and vowel signs in lower case; punctuation and symbols have no sound."""
    composed = unicodedata.normalize("NFC", word.casefold())
    return tuple(char for char in composed if unicodedata.category(char)[0] not in _SILENT)
