"""NIST's global mapping files (GLM): `A => B / C __ D` rewrites A as B where C stands before it and D after it.

A, B, C and D are strings, not words: a rule without context also fires inside words, `[ ]` as context means a space.
At each place of the text the first rule of the file that fits is applied, and contexts are those of the text before
any rule. Brackets or double quotes keep spaces at the ends of a string. `;; INPUT_DEPENDENT_APPLICATION = "hyp"`
limits the rules after it to a kind of input (stm, ctm, trn, txt) or a side (ref, hyp).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from speechkit.errors import SpeechkitError
from speechkit.score.transcripts import split_words

_HEADER = re.compile(r"^\*\s*(name|desc|format|max_nrules|copy_no_hit|case_sensitive)\b", re.IGNORECASE)
_ONLY_FOR = re.compile(r'^;;\s+INPUT_DEPENDENT_APPLICATION\s*=\s*"([^"]*)"')
_QUOTED = re.compile(r"""["']([^"']*)["']""")
_OPTIONAL = re.compile(r"\(\s*([^()]*?)\s*\)")
_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


class Rule(NamedTuple):
    """One rewriting rule; `only_for` is the pattern of inputs it is meant for, "" for all."""

    source: str
    target: str
    left: str
    right: str
    only_for: str


@dataclass(frozen=True)
class Glm:
    """The rules of a file in their order.

    is_case_sensitive: whether the letter case must fit, too (a-z only).
    copies: whether characters that no rule rewrites are kept.
    """

    rules: tuple[Rule, ...]
    is_case_sensitive: bool = True
    copies: bool = True

    def for_input(self, kind: str, side: str) -> Glm:
        """The rules that are meant for such an input: kind stm, ctm, trn or txt; side ref or hyp."""
        names = (kind, side)
        kept = [r for r in self.rules if not r.only_for or any(re.search(r.only_for, name) for name in names)]
        return replace(self, rules=tuple(kept))

    def ignoring_case(self) -> Glm:
        """The same rules for texts whose letters were made small."""
        return replace(self, is_case_sensitive=False)

    @property
    def has_alternatives(self) -> bool:
        """Whether a rule writes `{ a / b }`."""
        return any("{" in rule.target and "/" in rule.target for rule in self.rules)

    @cached_property
    def _by_source(self) -> dict[str, list[Rule]]:
        found: dict[str, list[Rule]] = {}
        for rule in self.rules:
            cased = Rule(*map(self._cased, rule))._replace(target=rule.target)
            found.setdefault(cased.source, []).append(cased)
        found.pop("", None)
        return found

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        """One alternative per rule; rules that begin alike stand together, in the order of the file."""
        by_letter: dict[str, list[str]] = {}
        for rule in (Rule(*map(self._cased, r)) for r in self.rules if r.source):
            before = f"(?<={re.escape(rule.left + rule.source)})" if rule.left else ""
            after = f"(?={re.escape(rule.right)})" if rule.right else ""
            by_letter.setdefault(rule.source[0], []).append(re.escape(rule.source[1:]) + before + after)
        return re.compile("|".join(f"{re.escape(first)}(?:{'|'.join(rests)})" for first, rests in by_letter.items()))

    def _cased(self, text: str) -> str:
        return text if self.is_case_sensitive else text.translate(_LOWER)

    def text(self, text: str) -> str:
        """The rewritten text, words separated by single spaces; `(two words)` are optional one by one."""
        if not self._by_source:
            return text
        spaced = " " + " ".join(split_words(text.replace("(", "( ").replace(")", " )"))) + " "
        cased = self._cased(spaced)
        out, at = [], 0
        for match in self._pattern.finditer(cased):
            out.append(spaced[at : match.start()] if self.copies else "")
            out.append(self._target(cased, match))
            at = match.end()
        out.append(spaced[at:] if self.copies else "")
        return " ".join(split_words(_OPTIONAL.sub(_each_optional, "".join(out))))

    def _target(self, cased: str, match: re.Match[str]) -> str:
        begin, end = match.span()
        for rule in self._by_source[match.group()]:
            if cased[:begin].endswith(rule.left) and cased.startswith(rule.right, end):
                return rule.target
        raise AssertionError(match.group())


def _each_optional(match: re.Match[str]) -> str:
    return " ".join(f"({word})" for word in match.group(1).split())


def is_glm(lines: list[str], name: str) -> bool:
    """Whether a rule file is one of NIST's: by its name, or by a header such as `* case_sensitive = 'F'`."""
    return name.removesuffix(".gz").endswith(".glm") or any(_HEADER.match(line) for line in lines)


def read_glm(lines: list[str], source: str) -> Glm:
    """The rules of a file.

    Raises:
        SpeechkitError: with file:line, for lines that are neither rule, header nor comment.
    """
    first = lines[0].split(None, 1)[:1] if lines else []
    comment = first[0] if first and "=>" not in lines[0] and not lines[0].startswith(("*", " ", "\t")) else ";;"
    header = {"CASE_SENSITIVE": "T", "COPY_NO_HIT": "T"}
    rules, faults, only_for = [], [], ""
    for number, line in enumerate(lines, start=1):
        limit = _ONLY_FOR.match(line)
        if limit:
            only_for = limit.group(1).lower()
            if not _is_pattern(only_for):
                faults.append(f"{source}:{number}  `{only_for}` is no regular expression")
        if line.startswith("*"):
            value = _QUOTED.search(line)
            header |= {key: value.group(1).upper() for key in header if value and key in line.upper()}
            continue
        text = line.split(comment, 1)[0].rstrip()
        if not text.strip():
            continue
        rule = _parse(text, only_for)
        if rule is None:
            faults.append(f"{source}:{number}  {line.strip()[:80]}")
        else:
            rules.append(rule)
    if faults:
        raise SpeechkitError(
            f"{len(faults)} lines are no rules of a GLM", where=faults, expected="`A => B` or `A => B / C __ D`"
        )
    is_true = {key: value in ("T", "TRUE", "YES") for key, value in header.items()}
    return Glm(tuple(rules), is_true["CASE_SENSITIVE"], is_true["COPY_NO_HIT"])


def _is_pattern(text: str) -> bool:
    try:
        re.compile(text)
    except re.error:
        return False
    return True


def _parse(line: str, only_for: str) -> Rule | None:
    left, arrow, right = line.partition("=>")
    if not arrow or not left.strip():
        return None
    before = after = ""
    slash = right.rfind("/")
    context = right[slash + 1 :]
    is_enclosed = "]" in context and "[" not in context.partition("]")[0]
    if slash >= 0 and not is_enclosed and "_" in context:
        right = right[:slash]
        before, _, after = context.partition("_")
        after = re.sub(r"^\S+", "", after)
    return Rule(_bare(left), _bare(right), _bare(before), _bare(after), only_for)


def _bare(text: str) -> str:
    """A string without the brackets or quotes that keep its spaces."""
    text = text.strip()
    if text.startswith("[{") and "]" not in text:  # a slip in NIST's own English files
        return text[1:]
    is_bounded = len(text) > 1 and (text[0] + text[-1] in ("[]", '""'))
    return text[1:-1] if is_bounded else text


__all__ = ["Glm", "Rule", "is_glm", "read_glm"]
