"""What is counted: words, characters, or words of ASCII letters mixed with single other characters.

`char` is sclite's `-c`, `mixed` its `-c NOASCII`: what code-switched Mandarin and English is scored in. Spaces are
no characters here.
"""

from __future__ import annotations

import re

from speechkit.score.transcripts import Transcripts, split_words

NAMES = {"word": "word", "char": "character", "mixed": "mixed"}
_MIXED = re.compile(r"[\x00-\x7f]+|[^\x00-\x7f]")


def split_word(word: str, unit: str) -> list[str]:
    """The units of one word."""
    if unit == "word":
        return [word]
    return list(word) if unit == "char" else _MIXED.findall(word)


def split_text(text: str, unit: str) -> str:
    """The units of a text, separated by spaces."""
    return text if unit == "word" else " ".join(part for word in split_words(text) for part in split_word(word, unit))


def split_transcripts(texts: Transcripts, unit: str, *, keep: list[bool] | None = None) -> Transcripts:
    """The same utterances in other units; `keep` marks texts that stay as they are."""
    if unit == "word":
        return texts
    kept = keep or [False] * len(texts)
    return texts.with_texts(
        [text if stays else split_text(text, unit) for text, stays in zip(texts.texts(), kept, strict=True)]
    )
