"""When two transcripts are the same prompt: letter case, punctuation, spacing and Unicode forms do not count."""

from __future__ import annotations

import unicodedata

_APOSTROPHES = {0x2019: "'", 0x02BC: "'", 0xFF07: "'", 0x0060: "'", 0x00B4: "'"}
_INSIDE_WORDS = "'"


def prompt_key(text: str) -> str:
    """The text as a prompt: NFKC, case folded, punctuation to blanks (apostrophes inside words stay), single blanks.

    Two texts with the same key differ in nothing that is heard. A text of punctuation alone has an empty key.
    """
    if text.isascii():  # the same at a third of the time
        return without_punctuation(text.replace("`", "'").lower())
    folded = unicodedata.normalize("NFKC", text.translate(_APOSTROPHES))
    return without_punctuation(unicodedata.normalize("NFKC", folded.casefold()))


def without_punctuation(text: str) -> str:
    """The text with punctuation as blanks (apostrophes inside words stay), single blanks, and its case."""
    if not text.replace(" ", "").isalnum():
        text = text.translate(_HEARD)
        return " ".join(filter(None, (word.strip(_INSIDE_WORDS) for word in text.split())))
    return " ".join(text.split()) if "  " in text or text[0] == " " or text[-1] == " " else text


class _Heard(dict[int, str]):
    """What a character becomes, by its number; filled as characters occur."""

    def __missing__(self, code: int) -> str:
        # letters, marks on letters, digits, and symbols such as + and $, which are read aloud
        is_heard = chr(code) in _INSIDE_WORDS or unicodedata.category(chr(code))[0] in "LNMS"
        self[code] = heard = chr(code) if is_heard else " "
        return heard


_HEARD = _Heard(_APOSTROPHES)
