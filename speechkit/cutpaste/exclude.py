"""Texts that must never be made: those of the test sets, however they are written."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence, Set
from pathlib import Path

from speechkit import log
from speechkit.data.texts import read_texts
from speechkit.errors import SpeechkitError
from speechkit.score.transcripts import HYP_FILE, guess_format, read_transcripts

_TIMED = ("stm", "ctm")


def text_key(text: str) -> str:
    """What two spellings of a text share: its letters, marks and digits, folded; no case, blanks or punctuation.

    Blanks do not count, so that `to day` is `today`: rather one text too many excluded than a test text made.
    A text of symbols alone, such as `+ %`, is told by its symbols.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    key = "".join(c for c in folded if unicodedata.category(c)[0] in "LMN")
    return key or "".join(folded.split())


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


def read_exclusion(paths: Sequence[Path], words: Iterable[str]) -> Exclusion:
    """The texts of cuts manifests, Kaldi `text`, `.trn`, JSONL and plain files; a warning counts those with odd words.

    Args:
        words: those that texts are made of.
    Raises:
        SpeechkitError: a file is missing, empty or not UTF-8, a cut has no text, or not one text of a file can be said
            with `words`: then it would exclude nothing.
    """
    known = {text_key(word) for word in words} - {""}
    return Exclusion([text for path in paths for text in _texts_of(path, known)])


def _texts_of(path: Path, known: Set[str]) -> list[str]:
    readings = _readings(path, known)
    odd = [own[0] for own in readings if not any(_can_be_said(text, known) for text in own)]
    if len(odd) == len(readings):
        raise SpeechkitError(
            f"not one text of `{path}` can be said with the words of the inventory: nothing would be excluded",
            where=[f"{path}  {text}" for text in odd],
            expected="a manifest, Kaldi `text`, `.trn`, JSONL with `id` and `text`, or one sentence a line",
            hint="spell the words as the recordings do; if they are others, nothing can be made of it: leave it out",
        )
    if odd:
        log.warn(
            f"{len(odd)} of {len(readings)} texts of `{path}` hold words that no recording has, such as {odd[0]!r:.60};"
            " spelt otherwise there, they are not excluded"
        )
    return [text for own in readings for text in own]


def _readings(path: Path, known: Set[str]) -> list[list[str]]:
    """What each line may say. A first word may be an id: then the line counts with and without it."""
    if path.is_dir() and not (path / HYP_FILE).is_file():
        return [[text] for text in read_texts([path])]
    kind = "jsonl" if path.is_dir() else guess_format(path)
    if kind in _TIMED:
        raise SpeechkitError(f"`{path}` is time-marked", expected="texts: a manifest, `.trn`, or one sentence a line")
    if kind == "cuts":
        return [[text] for text in read_texts([path])]
    if kind not in ("text", "lines"):
        return [[text] for text in read_transcripts(path, kind).texts()]
    found = []
    for text in read_transcripts(path, "lines").texts():
        first, _, rest = text.partition(" ")
        may_be_id = rest and (kind == "text" or text_key(first) not in known)
        found.append([text, rest] if may_be_id else [text])
    return found


def _can_be_said(text: str, known: Set[str]) -> bool:
    """Whether the key of a text is made of keys of words."""
    key, sizes = text_key(text), {len(word) for word in known}
    is_end = [True]
    for end in range(1, len(key) + 1):
        is_end.append(any(size <= end and is_end[end - size] and key[end - size : end] in known for size in sizes))
    return is_end[-1]
