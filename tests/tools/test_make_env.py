"""tools/make_env.sh: which Python it takes, when it installs, and what it says without one."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from source_code import REPO

NEEDED = ("cat", "cksum", "dirname", "touch", "rm", "mkdir", "cp", "chmod")
FAKE_PYTHON = """#!/bin/sh
echo "{name} $*" >>"$CALLS"
case "$*" in
  *version_info*) exit {status} ;;
  "-m venv --clear .venv") mkdir -p .venv/bin; cp "$0" .venv/bin/python; chmod +x .venv/bin/python ;;
esac
"""


@pytest.fixture
def run_make_env(tmp_path: Path) -> Callable[..., tuple[subprocess.CompletedProcess[str], list[str]]]:
    """`run(fits={"python3": False, ...})`: the result, and the calls of the pythons on PATH."""
    checkout, bin_folder, calls = tmp_path / "checkout", tmp_path / "bin", tmp_path / "calls"
    (checkout / "tools").mkdir(parents=True)
    bin_folder.mkdir()
    shutil.copy(REPO / "tools" / "make_env.sh", checkout / "tools")
    (checkout / "requirements.lock").write_text("x==1\n")
    (checkout / "pyproject.toml").write_text("")
    for name in NEEDED:
        (bin_folder / name).symlink_to(str(shutil.which(name)))

    def run(*args: str, fits: dict[str, bool]) -> tuple[subprocess.CompletedProcess[str], list[str]]:
        for name, status in fits.items():
            python = bin_folder / name
            python.write_text(FAKE_PYTHON.format(name=name, status=0 if status else 1))
            python.chmod(0o755)
        calls.write_text("")
        done = subprocess.run(
            [str(shutil.which("sh")), "tools/make_env.sh", *args],
            cwd=checkout,
            env={"PATH": str(bin_folder), "CALLS": str(calls)},
            capture_output=True,
            text=True,
            check=False,
        )
        return done, calls.read_text().splitlines()

    return run


def test_without_a_fitting_python_it_says_what_to_do(run_make_env: Callable[..., tuple]) -> None:
    done, _ = run_make_env(fits={"python3": False})
    assert done.returncode == 1
    assert "is not a Python 3.10, 3.11, 3.12 or 3.13" in done.stderr
    assert "make PYTHON=" in done.stderr


def test_a_named_python_that_does_not_fit_is_not_replaced_by_another(run_make_env: Callable[..., tuple]) -> None:
    done, _ = run_make_env("python3.9", fits={"python3.9": False, "python3": True})
    assert done.returncode == 1
    assert "python3.9 is not" in done.stderr


def test_the_first_python_that_fits_makes_the_environment(run_make_env: Callable[..., tuple]) -> None:
    done, calls = run_make_env(fits={"python3": False, "python3.12": True})
    assert done.returncode == 0, done.stderr
    assert "python3.12 -m venv --clear .venv" in calls
    installs = [call for call in calls if " install " in call]
    assert [call.split("version-check ")[1] for call in installs] == ["-r requirements.lock", "--no-deps -e ."]
    assert not any("index" in call for call in calls), "the user's settings choose the index"


def test_a_second_time_nothing_is_installed_until_the_lock_changes(
    run_make_env: Callable[..., tuple], tmp_path: Path
) -> None:
    run_make_env(fits={"python3": True})
    done, calls = run_make_env(fits={"python3": True})
    assert (done.returncode, done.stderr) == (0, "")
    assert not [call for call in calls if "pip" in call or "venv --clear" in call]
    (tmp_path / "checkout" / "requirements.lock").write_text("x==2\n")
    _, calls = run_make_env(fits={"python3": True})
    assert any("-r requirements.lock" in call for call in calls)
    assert not any("venv --clear" in call for call in calls)
