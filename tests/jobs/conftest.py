"""A real two-node Slurm on this machine, with and without accounting."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import subprocess
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from job_site import Site, wait_until
from source_code import REPO

MODES = ["plain", "dbd"]


def sandbox_tool() -> Path:
    return Path(os.environ.get("SPEECHKIT_SLURM_SANDBOX") or REPO.parent / "shared" / "tools" / "slurm-sandbox")


def why_no_slurm() -> str:
    """Why no Slurm can be started here, or nothing."""
    if not sandbox_tool().is_file():
        return "no slurm-sandbox: set SPEECHKIT_SLURM_SANDBOX to the script"
    if os.geteuid() != 0:
        return "only root can start a Slurm that launches jobs"
    has_all = all(shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") for name in ("slurmctld", "slurmd"))
    if not has_all and shutil.which("apt-get") is None:
        return "Slurm is not installed and there is no apt-get"
    return ""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "slurm_mode" in metafunc.fixturenames:
        # with `-n 4 --dist loadgroup` each half of the tests has a worker and a cluster for each mode
        half = zlib.crc32(metafunc.function.__name__.encode()) % 2
        has_groups = metafunc.config.pluginmanager.hasplugin("xdist")
        params = [pytest.param(m, marks=[pytest.mark.xdist_group(f"{m}-{half}")] if has_groups else []) for m in MODES]
        metafunc.parametrize("slurm_mode", params, scope="session")


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Starting and stopping edit /etc/hosts, and may install packages."""
    with (Path(tempfile.gettempdir()) / "speechkit-slurm-sandbox.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def sandbox(slurm_mode: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    """A running Slurm: its folder and its environment."""
    why = why_no_slurm()
    if why:
        pytest.skip(why)
    tool, folder = str(sandbox_tool()), str(tmp_path_factory.mktemp(f"slurm-{slurm_mode}"))
    words = ["--dbd"] if slurm_mode == "dbd" else []
    with one_at_a_time():
        command = [tool, "start", folder, "--nodes", "2", *words]
        started = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if started.returncode != 0:
        pytest.skip(f"no Slurm starts here: {started.stderr.strip().splitlines()[-1:]}")
    conf = re.search(r"SLURM_CONF=(\S+)", started.stdout)
    assert conf, started.stdout
    yield folder, {**os.environ, "SLURM_CONF": conf[1], "SPEECHKIT_JOB_HEARTBEAT": "1", "OMP_NUM_THREADS": "1"}
    with one_at_a_time():
        subprocess.run([tool, "stop", folder], capture_output=True, timeout=120, check=False)


def _end(site: Site) -> None:
    for runner in site.runners:
        if runner.poll() is None:
            os.killpg(runner.pid, signal.SIGKILL)
            runner.wait()
        for stream in (runner.stdout, runner.stderr):
            if stream is not None:
                stream.close()


@pytest.fixture
def cluster(
    sandbox: tuple[str, dict[str, str]], slurm_mode: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Site]:
    """An empty folder on the login node of the sandbox; no job is left behind."""
    folder, env = sandbox
    site = Site(tmp_path, env, slurm_mode, (str(sandbox_tool()), folder))
    yield site
    _end(site)
    site.call("scancel", "--user=root")
    wait_until(lambda: not site.queue(), 60)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    """An empty folder without any Slurm."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SPEECHKIT"))}
    site = Site(tmp_path, {**env, "SPEECHKIT_JOB_HEARTBEAT": "0.2"})
    yield site
    _end(site)
