""".ci/run ends with the summary of the main run, and fails when a part of it fails."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from source_code import REPO

SUMMARY = "====== 5 passed, 1 skipped in 61.20s (0:01:01) ======"


def run_ci(folder: Path, *, test: str, k2: str, slurm: str = "true") -> subprocess.CompletedProcess[str]:
    (folder / ".ci").mkdir()
    (folder / "tools").mkdir()
    shutil.copy(REPO / ".ci" / "run", folder / ".ci" / "run")
    (folder / "Makefile").write_text(f"test:\n\t@{test}\ntest-slurm:\n\t@{slurm}\n")
    (folder / "tools" / "test_k2.sh").write_text(k2 + "\n")
    return subprocess.run(["bash", ".ci/run"], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("k2", ["echo 'skipped: no Python 3.10'", "echo '12 passed in 3.00s'"])
def test_the_last_line_is_the_summary_of_the_main_run(k2: str, tmp_path: Path) -> None:
    done = run_ci(tmp_path, test=f"echo 'first 3 passed'; echo '{SUMMARY}'", k2=k2)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == SUMMARY


@pytest.mark.parametrize("test, k2", [("exit 1", "true"), (f"echo '{SUMMARY}'", "exit 1"), ("echo nothing", "true")])
def test_a_failed_part_or_a_run_without_tests_fails_the_whole(test: str, k2: str, tmp_path: Path) -> None:
    assert run_ci(tmp_path, test=test, k2=k2).returncode != 0


def test_failed_jobs_under_slurm_fail_the_whole(tmp_path: Path) -> None:
    assert run_ci(tmp_path, test=f"echo '{SUMMARY}'", k2="true", slurm="exit 1").returncode != 0
