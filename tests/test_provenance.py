"""What run.json says of the program and the machine."""

from __future__ import annotations

import re
import socket
import sys
from pathlib import Path

import pytest

from speechkit import provenance


def test_commit_is_unknown_outside_git(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "speechkit" / "provenance.py"))
    assert provenance.git_commit() is None


def test_program_libraries_and_machine_are_named() -> None:
    known = provenance.provenance()
    assert known["argv"] == sys.argv
    assert re.fullmatch(r"2\.11\.\d+", str(dict(known["libraries"])["torch"]))  # type: ignore[call-overload]
    assert re.fullmatch(r"\d+ x .+", str(known["machine"]))


def test_the_kind_of_machine_does_not_name_the_machine() -> None:
    assert socket.gethostname() not in str(provenance.provenance()["machine"])
