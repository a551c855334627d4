"""Programs of NIST's SCTK: the judges of counts, significance and rule files."""

from __future__ import annotations

import shutil

import pytest

FOLDER = "/usr/lib/sctk/bin"  # where the package of Debian and Ubuntu puts them, outside PATH


def nist_tool(name: str) -> str:
    """The path of a program; the test is skipped where there is none."""
    found = shutil.which(name) or shutil.which(name, path=FOLDER)
    if found is None:
        pytest.skip(f"no {name}: `apt install sctk` brings it on Debian and Ubuntu")
    return found
