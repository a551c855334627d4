"""Fixtures that all tests share: real corpora, golden files and the command line in process."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples in every run, so that a failure repeats; HYPOTHESIS_PROFILE=default looks for new ones.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

REPO = Path(__file__).resolve().parents[1]
GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="Rewrite the files in tests/golden.")


@pytest.fixture(scope="session")
def corpus_root() -> Path:
    """The folder of real corpora: $SPEECHKIT_DATA, else ../shared/data; skips when absent."""
    root = Path(os.environ.get("SPEECHKIT_DATA") or REPO.parent / "shared" / "data")
    if not root.is_dir():
        pytest.skip("no real corpora: set SPEECHKIT_DATA to the folder that holds fsdd/, so762/, ...")
    return root


@pytest.fixture
def check_golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """`check_golden(name, text)`: the text equals tests/golden/<name>; `--update-golden` rewrites it."""

    def check(name: str, text: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.is_file(), f"{path} is missing: `pytest --update-golden` writes it"
        assert text == path.read_text(encoding="utf-8"), f"differs from {path}: if meant, `pytest --update-golden`"

    return check


@dataclass(frozen=True)
class CliResult:
    """What one run of the program left behind."""

    exit_code: int
    stdout: str
    stderr: str


@pytest.fixture
def run_speechkit(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., CliResult]:
    """`run_speechkit("score", "wer", ...)` runs the program in this process."""
    from speechkit.cli import main

    monkeypatch.delenv("SPEECHKIT_DEBUG", raising=False)

    def run(*args: object) -> CliResult:
        capsys.readouterr()
        with pytest.raises(SystemExit) as leaving:
            main([str(arg) for arg in args])
        captured = capsys.readouterr()
        code = leaving.value.code
        return CliResult(code if isinstance(code, int) else int(bool(code)), captured.out, captured.err)

    return run


@pytest.fixture
def full_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A file system of 64 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0:
        pytest.skip("a full disk is tried on a tmpfs, which only root can mount")
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("cannot mount a tmpfs here")
    request.addfinalizer(lambda: subprocess.run(["umount", "-l", str(disk)], check=False))
    return disk
