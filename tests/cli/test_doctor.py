"""`speechkit doctor`: what it prints, writes, and how it leaves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from speechkit import doctor
from speechkit.doctor import Check


def test_this_machine_is_checked_and_written_as_json(run_speechkit: Callable[..., Any], tmp_path: Path) -> None:
    result = run_speechkit("doctor", "--json", tmp_path / "d.json")
    written = json.loads((tmp_path / "d.json").read_text())
    assert result.exit_code == (3 if written["num_problems"] else 0), result.stderr
    assert len(written["checks"]) == len(doctor.CHECKS)
    for check in written["checks"]:
        assert check["status"] in ("ok", "missing", "PROBLEM")
        assert check["detail"] in result.stdout
        assert bool(check["cure"]) == (check["status"] == "PROBLEM")


def test_a_problem_leaves_with_3_and_names_its_cure(
    run_speechkit: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty = (lambda: Check("disk", "PROBLEM", "0.1 GB free", "free some space"), doctor.check_cpu)
    monkeypatch.setattr(doctor, "CHECKS", faulty)
    result = run_speechkit("doctor")
    assert result.exit_code == 3
    assert "disk: 0.1 GB free; free some space" in result.stderr
    assert "cores" in result.stdout


def test_something_optional_that_is_missing_is_no_problem(
    run_speechkit: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "CHECKS", (lambda: Check("k2", "missing", "see tools"),))
    result = run_speechkit("doctor")
    assert (result.exit_code, "missing (optional)" in result.stdout) == (0, True)


@pytest.mark.parametrize(
    "versions, same",
    [
        (("2.11.0", "2.11.0"), True),
        (("2.11.0+cu130", "2.11.0+cu130"), True),
        (("2.11.0+cpu", "2.11.0+cu130"), False),
        (("2.11.0", "2.10.0"), False),
        (("2.11.0+cpu", "2.11.0"), True),
    ],
)
def test_torch_and_torchaudio_must_be_of_one_build(versions: tuple[str, str], same: bool) -> None:
    assert doctor.same_build(*versions) is same


def test_a_cache_that_cannot_be_written_is_a_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file" / "cache"))
    check = doctor.check_numba_cache()
    assert check.status == "PROBLEM"
    assert "NUMBA_CACHE_DIR" in check.cure


def test_a_full_disk_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "MIN_FREE_GB", 1e9)
    assert doctor.check_disk().status == "PROBLEM"


def test_half_a_slurm_is_a_problem_and_none_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"sbatch": "/usr/bin/sbatch"}
    monkeypatch.setattr(doctor.shutil, "which", found.get)
    assert doctor.check_slurm().status == "PROBLEM"
    found.clear()
    assert doctor.check_slurm().status == "missing"


def test_an_absent_package_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    real = doctor.version_of
    monkeypatch.setattr(doctor, "version_of", lambda name: None if name == "lhotse" else real(name))
    check = doctor.check_packages()
    assert (check.status, check.cure) == ("PROBLEM", "pip install lhotse")


def test_warm_calls_every_kernel_module_that_can_be_warmed() -> None:
    folder = Path(doctor.__file__).parent / "kernels"
    able = {f"speechkit.kernels.{p.stem}" for p in folder.glob("*.py") if "\ndef warm(" in p.read_text()}
    assert set(doctor.WARM) == able, "add the module to WARM in speechkit/doctor.py"


def test_warm_seconds_are_printed(run_speechkit: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "CHECKS", ())
    monkeypatch.setattr(doctor, "WARM", ("speechkit.kernels.ctc",))
    monkeypatch.setattr("speechkit.kernels.ctc.warm", lambda: None)
    result = run_speechkit("doctor", "--warm")
    assert result.stdout.startswith("warm  ctc  0.")
