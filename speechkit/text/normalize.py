"""When two transcripts are the same prompt: letter case, punctuation, spacing and Unicode forms do not count."""

from __future__ import annotations

import unicodedata

_APOSTROPHES = {0x2019: "'", 0x02BC: "'", 0xFF07: "'", 0x0060: "'", 0x00B4: "'"}
_INSIDE_WORDS = "'"


def prompt_key(text: str) -> str:
    """The text as a prompt: NFKC, case folded, punctuation to blanks (apostrophes inside words stay), single blanks.

    Two texts with the same key differ in nothing that is heard. A text of punctuation alone has an empty key.
    """
    if text.isascii():
        folded = text.lower()
    else:
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text.translate(_APOSTROPHES)).casefold())
    if not folded.replace(" ", "").isalnum():
        folded = "".join(c if c in _INSIDE_WORDS or _is_heard(c) else " " for c in folded)
        return " ".join(filter(None, (word.strip(_INSIDE_WORDS) for word in folded.split())))
    return " ".join(folded.split())


def _is_heard(character: str) -> bool:
    # letters, marks on letters, digits, and symbols such as + and $, which are read aloud
    return unicodedata.category(character)[0] in "LNMS"
