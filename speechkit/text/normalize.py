"""When two transcripts are the same prompt: letter case, punctuation, spacing and Unicode forms do not count."""

from __future__ import annotations

import unicodedata

_APOSTROPHES = {0x2019: "'", 0x02BC: "'", 0xFF07: "'", 0x0060: "'", 0x00B4: "'"}
_INSIDE_WORDS = "'"


def prompt_key(text: str) -> str:
    """The text as a prompt: NFKC, case folded, punctuation to blanks (apostrophes inside words stay), single blanks.

    Two texts with the same key differ in nothing that is heard. A text of punctuation alone has an empty key.
    """
    folded = text.translate(_APOSTROPHES)
    if not text.isascii():
        folded = unicodedata.normalize("NFKC", folded)
    return without_punctuation(unicodedata.normalize("NFKC", folded.casefold()))


def without_punctuation(text: str) -> str:
    """The text with punctuation as blanks (apostrophes inside words stay), single blanks, and its case."""
    if not text.replace(" ", "").isalnum():
        text = "".join(c if c in _INSIDE_WORDS or _is_heard(c) else " " for c in text.translate(_APOSTROPHES))
        return " ".join(filter(None, (word.strip(_INSIDE_WORDS) for word in text.split())))
    return " ".join(text.split())


def _is_heard(character: str) -> bool:
    # letters, marks on letters, digits, and symbols such as + and $, which are read aloud
    return unicodedata.category(character)[0] in "LNMS"
