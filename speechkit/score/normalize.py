"""Rewrite both sides before they are compared: letter case, punctuation, Unicode form, and word rules.

A rule file has one rule per line, `;;` or `#` starts a comment. `from => to` replaces whole words, the longest match
first; `from => to / left __ right` only between these words. `@lower`, `@nfkc`, `@no-punctuation`, `@split-hyphens`
switch on what their names say, in any rule file. Files of NIST (`.glm`, or with headers such as `* case_sensitive`)
follow their own rules, see `glm`. A right side may hold alternatives `{ a / b }`, which need NIST markup.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from speechkit.errors import SpeechkitError
from speechkit.score.glm import Glm, is_glm, read_glm
from speechkit.score.transcripts import Transcripts, check_bytes, read_bytes, split_words

DIRECTIVES = ("@lower", "@nfkc", "@no-punctuation", "@split-hyphens")
_CONTEXT = re.compile(r"/([^/{}]*?)_{2,}([^/{}]*)$")
_HYPHEN = re.compile(r"(?<=[^\s(])-(?=[^\s)])")


class Change(NamedTuple):
    """What words become, if these words stand before and after them."""

    words: str
    left: tuple[str, ...] = ()
    right: tuple[str, ...] = ()


@dataclass
class Normalizer:
    """What is done to a text, in this order: Unicode form, case, punctuation, rules, hyphens.

    case: `keep`, `ascii` (a-z only, as sclite without an encoding) or `unicode`.
    rules: changes by the words they replace, in the order of the file.
    """

    case: str = "keep"
    nfkc: bool = False
    no_punctuation: bool = False
    split_hyphens: bool = False
    rules: dict[tuple[str, ...], list[Change]] = field(default_factory=dict)
    glm: Glm | None = None

    def is_idle(self) -> bool:
        """Whether texts stay as they are."""
        return self.case == "keep" and not (
            self.nfkc or self.no_punctuation or self.split_hyphens or self.rules or self.glm
        )

    def for_input(self, kind: str, side: str) -> Normalizer:
        """The same without the rules of a GLM that are meant for other formats, or for the other side (ref, hyp)."""
        kind = kind if kind in ("stm", "ctm", "trn") else "txt"
        return self if self.glm is None else replace(self, glm=self.glm.for_input(kind, side))

    @property
    def has_alternatives(self) -> bool:
        """Whether a rule writes `{ a / b }`."""
        if self.glm is not None:
            return self.glm.has_alternatives
        changes = [change for found in self.rules.values() for change in found]
        return any("{" in change.words and "/" in change.words for change in changes)

    def text(self, text: str) -> str:
        """The normalised text."""
        if self.nfkc:
            text = unicodedata.normalize("NFKC", text)
        text = self._small(text)
        if self.no_punctuation:
            text = " ".join(filter(None, map(strip_punctuation, split_words(text))))
        if self.glm is not None:
            text = self._small(self.glm.text(text))
        words = split_words(text)
        if self.rules:
            words = self._replace(words)
        return " ".join(_HYPHEN.sub(" ", word) if self.split_hyphens else word for word in words)

    def _small(self, text: str) -> str:
        if self.case == "unicode":
            return text.lower()
        return text.translate(_ASCII_LOWER) if self.case == "ascii" else text

    def _replace(self, words: list[str]) -> list[str]:
        longest = max(map(len, self.rules))
        keys = tuple(words if self.case == "keep" else [w.lower() for w in words])
        out: list[str] = []
        at = 0
        while at < len(words):
            for size in range(min(longest, len(words) - at), 0, -1):
                found = _fitting(self.rules.get(keys[at : at + size], []), keys, at, at + size)
                if found is not None:
                    out += found.words.split()
                    at += size
                    break
            else:
                out.append(words[at])
                at += 1
        return out

    def transcripts(self, texts: Transcripts) -> Transcripts:
        """The same utterances with normalised texts."""
        return texts if self.is_idle() else texts.with_texts([self.text(t) for t in texts.texts()])


def _fitting(changes: list[Change], words: tuple[str, ...], begin: int, end: int) -> Change | None:
    for change in changes:
        left = words[max(0, begin - len(change.left)) : begin]
        if left == change.left and words[end : end + len(change.right)] == change.right:
            return change
    return None


_ASCII_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


def strip_punctuation(word: str) -> str:
    """A word without punctuation marks; apostrophes and hyphens inside it stay."""
    kept = "".join(c for c in word if c in "'-" or not unicodedata.category(c).startswith("P"))
    return kept.strip("'-")


def read_normalizer(path: Path | None, case: str = "keep") -> Normalizer:
    """The normaliser of a rule file, or one that only changes the case.

    Raises:
        SpeechkitError: a line is no rule or a directive is unknown; with file:line.
    """
    found = Normalizer(case=case)
    if path is None:
        return found
    data = read_bytes(path)
    check_bytes(data, path)
    lines = data.decode().splitlines()
    if is_glm(lines, path.name):
        for line in map(str.strip, lines):
            if line in DIRECTIVES:
                _read_line(line, found)
        glm = read_glm(["" if line.strip() in DIRECTIVES else line for line in lines], str(path))
        return replace(found, glm=glm if found.case == "keep" else glm.ignoring_case())
    bad = []
    for number, line in enumerate(lines, start=1):
        problem = _read_line(line.strip(), found)
        if problem:
            bad.append(f"{path}:{number}  {problem}")
    if bad:
        raise SpeechkitError(
            f"{len(bad)} lines are no rules",
            where=bad,
            expected=f"`from => to`, `from => to / left __ right`, or one of {', '.join(DIRECTIVES)}",
        )
    if found.case != "keep":
        found.rules = {_lower(words): list(map(_lower_change, changes)) for words, changes in found.rules.items()}
    return found


def _lower(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word.lower() for word in words)


def _lower_change(change: Change) -> Change:
    return Change(change.words.lower(), _lower(change.left), _lower(change.right))


def _read_line(line: str, into: Normalizer) -> str:
    """Read one line; the result says what is wrong with it."""
    if not line or line.startswith((";;", "# ")) or line == "#":
        return ""
    if line in DIRECTIVES:
        into.case = "unicode" if line == "@lower" else into.case
        into.nfkc |= line == "@nfkc"
        into.no_punctuation |= line == "@no-punctuation"
        into.split_hyphens |= line == "@split-hyphens"
        return ""
    left, arrow, right = re.sub(r"\s;;.*$", "", line).partition("=>")
    if not arrow or not left.strip("[] \t"):
        return line
    context = _CONTEXT.search(right)
    before, after = (tuple(_bare(side).split()) for side in context.groups()) if context else ((), ())
    change = Change(_bare(right[: context.start()] if context else right), before, after)
    if "/" in change.words.split() and "{" not in change.words:
        return f"`/` opens a context, `left __ right`, or parts alternatives, `{{ a / b }}`: {line}"
    into.rules.setdefault(tuple(_bare(left).split()), []).append(change)
    return ""


def _bare(side: str) -> str:
    side = side.strip()
    return side[1:-1].strip() if side.startswith("[") and side.endswith("]") else side


__all__ = ["Change", "Normalizer", "read_normalizer", "strip_punctuation"]
