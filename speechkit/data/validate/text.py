"""What is wrong with one transcript, and how it is repaired; style: letter case, punctuation, digits."""

from __future__ import annotations

import html
import operator
import re
import unicodedata
from collections.abc import Iterator, Sequence

# bits of a style
LOWER, UPPER, PUNCTUATED, DIGITS = 1, 2, 4, 8
MIXED = LOWER | UPPER
CASE_NAMES = {LOWER: "lower case", UPPER: "upper case", MIXED: "mixed case"}

_NOT_VISIBLE = "\u00ad\u180e\u200b\u200e\u200f\u202a-\u202e\u2060\ufeff"  # joiners (200c, 200d) are letters' business
_ODD_SPACES = re.compile(f"[\t\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000{_NOT_VISIBLE}]")
_INVISIBLE = re.compile(f"[{_NOT_VISIBLE}]")
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f]")
_ENTITY = re.compile(r"&(?:amp|lt|gt|quot|apos|nbsp|#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6});")
_TAG = re.compile(r"<[^<>\s]*>|\[[^\[\]\s]*\]")  # <noise> and [laughter] follow rules of their own
_END_MARKS = '!?;:"()\u2026\u201c\u201d\u201e\u00ab\u00bb\u2014\u2013\u3001\u3002\uff0c\uff01\uff1f\uff1a\uff1b'
_PUNCTUATION = re.compile(rf"[{_END_MARKS}\u00bf\u00a1]|[.,](?!\w)|(?<!\w)[.,]")  # not the point of 3.5
_MARKS = re.compile(rf"[{_END_MARKS}\u00bf\u00a1.,]")  # the same, where it may stand: fast
_DIGIT = re.compile("[0-9]")
_SYLLABIC = re.compile("[\u3040-\u30ff\uac00-\ud7a3]")
_IDEOGRAPH = re.compile("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003134f]")
_LATIN = re.compile("[A-Za-z\u00c0-\u024f]")
_LOOKALIKES = re.compile("[\u0370-\u03ff\u0400-\u04ff]")  # Greek and Cyrillic
_PLACEHOLDERS = {"NaN", "nan", "#N/A", "N/A", "n/a", "<NA>", "#NAME?", "#REF!", "undefined"}
_CODE_PAGES = ("cp1252", "latin-1")
_SHOWN_CHARACTERS = 60


def check_text(text: str) -> Iterator[tuple[str, str]]:
    """Kind and detail of every fault that one transcript shows by itself."""
    if not any(map(str.isalnum, text)):
        yield "text-empty", show(text) if text else ""
        return
    if text in _PLACEHOLDERS:
        yield "text-placeholder", show(text)
    if text[0] == " " or text[-1] == " " or "  " in text:
        yield "text-blanks", show(text)
    if "&" in text and (entity := _ENTITY.search(text)):
        yield "text-markup", f"{entity[0]} in {show(text)}"
    if not (text.isascii() and text.isprintable()):
        yield from _check_characters(text)


def _check_characters(text: str) -> Iterator[tuple[str, str]]:
    if found := _ODD_SPACES.search(text):
        yield "text-spaces", f"{_name(found[0])} in {show(text)}"
    if found := _CONTROL.search(text):
        yield "text-control", f"{_name(found[0])} in {show(text)}"
    if "\ufffd" in text:
        yield "text-encoding", f"{_name(chr(0xFFFD))} in {show(text)}"
    elif (read := _without_mojibake(text)) != text:
        yield "text-encoding", f"{show(text)}, which was {show(read)} in UTF-8"
    if not unicodedata.is_normalized("NFC", text):
        yield "text-composition", show(text)
    if _LOOKALIKES.search(text):
        mixed = [word for word in text.split() if _LOOKALIKES.search(word) and _LATIN.search(word)]
        if mixed:
            yield "text-scripts", " ".join(f"{word} ({_letters(word)})" for word in mixed[:3])


def _letters(word: str) -> str:
    return ", ".join(sorted({_name(letter) for letter in word if _LOOKALIKES.match(letter)}))


def _without_mojibake(text: str) -> str:
    """What the text was before its UTF-8 bytes were taken for a code page; the text itself if that did not happen."""
    for page in _CODE_PAGES:
        try:
            return text.encode(page).decode("utf-8")
        except UnicodeError:
            continue
    return text


def style_of(text: str) -> int:
    """LOWER, UPPER or both, with PUNCTUATED and DIGITS; 0 for a text without any."""
    if "<" in text or "[" in text:
        text = _TAG.sub("", text)
    case = LOWER if text.islower() else UPPER if text.isupper() else 0
    if not case and text.lower() != text.upper():
        case = MIXED
    letters = text.replace(" ", "")
    if letters.isalpha():
        return case
    is_punctuated = not letters.isalnum() and _MARKS.search(text) and _PUNCTUATION.search(text)
    return case | PUNCTUATED * bool(is_punctuated) | DIGITS * bool(_DIGIT.search(text))


def num_symbols(text: str) -> int:
    """Letters and digits as a measure of speaking time: a Latin letter is one, a kana two, an ideograph four."""
    size = len(text) - text.count(" ")
    return size if text.isascii() else size + len(_SYLLABIC.findall(text)) + 3 * len(_IDEOGRAPH.findall(text))


def needed_frames(tokens: Sequence[object]) -> int:
    """Frames that CTC needs: one for each token, and a blank between equal neighbours."""
    num_repeats: int = sum(map(operator.eq, tokens, tokens[1:]))
    return len(tokens) + num_repeats


def repair_text(text: str, *, case: int, without_punctuation: bool) -> str:
    """The text as nearly all others of its set are written; what it says stays.

    Args:
        case: LOWER or UPPER to change it, 0 to keep it.
    """
    text = html.unescape(text) if _ENTITY.search(text) else text
    text = _CONTROL.sub(" ", _INVISIBLE.sub("", text))
    text = unicodedata.normalize("NFC", " ".join(text.split()))
    if without_punctuation and _PUNCTUATION.search(text):
        text = " ".join(map(_without_punctuation, text.split()))
    if case:
        change = str.lower if case == LOWER else str.upper
        text = "".join(part if _TAG.fullmatch(part) else change(part) for part in re.split(f"({_TAG.pattern})", text))
    return " ".join(text.split())


def _without_punctuation(word: str) -> str:
    return word if _TAG.fullmatch(word) else _PUNCTUATION.sub(" ", word)


def show(text: str) -> str:
    """The text for a message: short, in quotes, invisible characters as escapes."""
    short = text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."
    return '"' + "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in short) + '"'


def _name(character: str) -> str:
    return f"U+{ord(character):04X} {unicodedata.name(character, 'control character').lower()}"
