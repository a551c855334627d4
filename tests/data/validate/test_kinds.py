"""The table of kinds, and the page that documents it."""

from __future__ import annotations

import re

from source_code import REPO

from speechkit.data.validate.kinds import KINDS, Remedy
from speechkit.data.validate.run import SET_CHECKS

SOURCES = "".join(path.read_text() for path in (REPO / "speechkit" / "data" / "validate").glob("*.py"))


def test_every_kind_is_documented() -> None:
    page = (REPO / "docs" / "validate.md").read_text(encoding="utf-8").splitlines()
    rows = [
        f"| `{kind.name}` | {kind.group} | {'fault' if kind.is_fault else 'note'} | {kind.remedy.value}"
        f" | {kind.cause} | {kind.cure} |"
        for kind in KINDS.values()
    ]
    assert [line for line in page if line.startswith("| `") and line.count("|") == 7] == rows


def test_every_kind_is_used_and_every_used_kind_is_in_the_table() -> None:
    made = {f"audio-{fault}" for fault in ("missing", "empty", "unreadable", "truncated", "damaged", "not-finite")}
    made |= {"audio-no-samples"}
    table = (REPO / "speechkit" / "data" / "validate" / "kinds.py").read_text()
    code = SOURCES.replace(table, "")
    unused = [name for name in KINDS if f'"{name}"' not in code and name not in made]
    assert unused == []
    groups = "|".join(sorted({name.split("-")[0] for name in KINDS} - {"no", "not"}))
    called = set(re.findall(rf'"((?:{groups})-[a-z0-9-]+)"', code))
    assert called - set(KINDS) - {"utf-8", "line-by-line"} == set()


def test_groups_are_those_of_the_checks() -> None:
    assert {kind.group for kind in KINDS.values()} == {*SET_CHECKS, "leaks"}


def test_every_remedy_is_one_that_fix_carries_out() -> None:
    assert {kind.remedy for kind in KINDS.values()} == set(Remedy)
    assert all(kind.remedy is not Remedy.DROP for kind in KINDS.values() if not kind.is_fault)
