"""Rewrite both sides before they are compared: letter case, punctuation, Unicode form, and word rules.

A rule file has one rule per line, `;;` or `#` starts a comment. `from => to` replaces whole words, the longest match
first; NIST GLM lines such as `[A LOT] => [ALOT] / [ ] __ [ ]` are read, too. `@lower`, `@nfkc`, `@no-punctuation`
switch on what their names say. A right side may hold alternatives `{ a / b }`, which need `--markup nist`.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

from speechkit.errors import SpeechkitError
from speechkit.score.transcripts import Transcripts, check_bytes, from_texts, read_bytes

DIRECTIVES = ("@lower", "@nfkc", "@no-punctuation")
_EMPTY_CONTEXT = re.compile(r"\s*/\s*(\[\s*\]\s*)?_*\s*(\[\s*\]\s*)?$")


@dataclass
class Normalizer:
    """What is done to a text, in this order: Unicode form, case, punctuation, word rules.

    case: `keep`, `ascii` (a-z only, as sclite without an encoding) or `unicode`.
    rules: replacement by the words it replaces.
    """

    case: str = "keep"
    nfkc: bool = False
    no_punctuation: bool = False
    rules: dict[tuple[str, ...], str] = field(default_factory=dict)

    def is_idle(self) -> bool:
        """Whether texts stay as they are."""
        return self.case == "keep" and not (self.nfkc or self.no_punctuation or self.rules)

    def text(self, text: str) -> str:
        """The normalised text."""
        if self.nfkc:
            text = unicodedata.normalize("NFKC", text)
        if self.case == "unicode":
            text = text.lower()
        elif self.case == "ascii":
            text = text.translate(_ASCII_LOWER)
        words = text.split()
        if self.no_punctuation:
            words = [w for w in map(strip_punctuation, words) if w]
        return " ".join(self._replace(words) if self.rules else words)

    def _replace(self, words: list[str]) -> list[str]:
        longest = max(map(len, self.rules))
        keys = words if self.case == "keep" else [w.lower() for w in words]
        out: list[str] = []
        at = 0
        while at < len(words):
            for size in range(min(longest, len(words) - at), 0, -1):
                found = self.rules.get(tuple(keys[at : at + size]))
                if found is not None:
                    out += found.split()
                    at += size
                    break
            else:
                out.append(words[at])
                at += 1
        return out

    def transcripts(self, texts: Transcripts) -> Transcripts:
        """The same utterances with normalised texts."""
        return texts if self.is_idle() else texts.with_texts([self.text(t) for t in texts.texts()])


_ASCII_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


def strip_punctuation(word: str) -> str:
    """A word without punctuation marks; apostrophes and hyphens inside it stay."""
    kept = "".join(c for c in word if c in "'-" or not unicodedata.category(c).startswith("P"))
    return kept.strip("'-")


def read_normalizer(path: Path | None, case: str = "keep") -> Normalizer:
    """The normaliser of a rule file, or one that only changes the case.

    Raises:
        SpeechkitError: a line is no rule, a directive is unknown, or a rule has a context; with file:line.
    """
    found = Normalizer(case=case)
    if path is None:
        return found
    data = read_bytes(path)
    check_bytes(data, path)
    bad = []
    for number, line in enumerate(data.decode().splitlines(), start=1):
        problem = _read_line(line.strip(), found)
        if problem:
            bad.append(f"{path}:{number}  {problem}")
    if bad:
        raise SpeechkitError(
            f"{len(bad)} lines are no rules", where=bad, expected=f"`from => to`, or one of {', '.join(DIRECTIVES)}"
        )
    if found.case != "keep":
        found.rules = {tuple(w.lower() for w in words): to.lower() for words, to in found.rules.items()}
    return found


def _read_line(line: str, into: Normalizer) -> str:
    """Read one line; the result says what is wrong with it."""
    if not line or line.startswith((";;", "# ", "* ")) or line == "#":
        return ""
    if line in DIRECTIVES:
        into.case = "unicode" if line == "@lower" else into.case
        into.nfkc |= line == "@nfkc"
        into.no_punctuation |= line == "@no-punctuation"
        return ""
    left, arrow, right = re.sub(r"\s;;.*$", "", line).partition("=>")
    if not arrow or not left.strip("[] \t"):
        return line
    right, slash, context = right.partition("/") if "{" not in right else (right, "", "")
    if slash and not _EMPTY_CONTEXT.match(slash + context):
        return f"a rule with a context is not supported: {line}"
    words = tuple(_bare(left).split())
    into.rules.setdefault(words, _bare(right))
    return ""


def _bare(side: str) -> str:
    side = side.strip()
    return side[1:-1].strip() if side.startswith("[") and side.endswith("]") else side


__all__ = ["Normalizer", "from_texts", "read_normalizer", "strip_punctuation"]
