"""tools/k2_wheel.py on a page like upstream's; install_k2.sh and test_k2.sh with stand-in interpreters."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"
PAGE = """<html><body>
<a href="https://k2.example/k2-1.24.4.dev20241127%2Bcpu.torch2.5.1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl">1</a>
<a href="./k2-1.24.4.dev20250304+cpu.torch2.5.1-cp311-cp311-manylinux_2_17_x86_64.whl">2</a>
<a href="./k2-1.24.4.dev20250304+cpu.torch2.5.1-cp311-cp311-macosx_11_0_arm64.whl">3</a>
<a href="./k2-1.24.4.dev20250304+cpu.torch2.5.1-cp312-cp312-manylinux_2_17_x86_64.whl">4</a>
<a href="./k2-1.24.4.dev20250715+cuda12.4.torch2.5.1-cp311-cp311-manylinux_2_17_x86_64.whl">5</a>
<a href="./k2-1.24.4.dev20250715+cpu.torch2.7.0-cp311-cp311-win_amd64.whl">6</a>
</body></html>
"""


@pytest.fixture(scope="module")
def k2_wheel() -> ModuleType:
    spec = importlib.util.spec_from_file_location("k2_wheel", TOOLS / "k2_wheel.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["k2_wheel"] = module
    spec.loader.exec_module(module)
    return module


def choose(k2_wheel: ModuleType, torch: str, python: str, device: str, platform: str) -> str:
    wheel = k2_wheel.choose(k2_wheel.list_wheels(PAGE), k2_wheel.Wheel("", device, torch, python, platform))
    return f"{wheel.version} {wheel.device}"


def test_the_newest_wheel_of_the_torch_python_device_and_platform_is_chosen(k2_wheel: ModuleType) -> None:
    assert choose(k2_wheel, "2.5.1", "cp311", "cpu", "linux-x86_64") == "1.24.4.dev20250304 cpu"
    assert choose(k2_wheel, "2.5.1", "cp311", "cuda12.4", "linux-x86_64") == "1.24.4.dev20250715 cuda12.4"
    assert choose(k2_wheel, "2.5.1", "cp311", "cpu", "macosx-arm64") == "1.24.4.dev20250304 cpu"
    assert choose(k2_wheel, "2.7.0", "cp311", "cpu", "win-amd64") == "1.24.4.dev20250715 cpu"


@pytest.mark.parametrize(
    ("torch", "python", "device", "platform", "reason"),
    [
        ("2.11.0", "cp311", "cpu", "linux-x86_64", "torch 2.11.0; with the rest equal the page has: 2.5.1, 2.7.0"),
        ("2.5.1", "cp313", "cpu", "linux-x86_64", "python cp313; with the rest equal the page has: cp311, cp312"),
        ("2.5.1", "cp312", "cuda12.4", "linux-x86_64", "device cuda12.4; with the rest equal the page has: cpu"),
        ("2.7.0", "cp311", "cpu", "linux-x86_64", "platform linux-x86_64; with the rest equal the page has: win_amd64"),
    ],
)
def test_a_missing_wheel_is_explained(
    k2_wheel: ModuleType, torch: str, python: str, device: str, platform: str, reason: str
) -> None:
    with pytest.raises(LookupError, match=reason):
        choose(k2_wheel, torch, python, device, platform)


@pytest.fixture
def stand_in_python(tmp_path: Path) -> Path:
    """An interpreter that claims torch 2.5.1 for CPU and Python 3.11; pip only writes down its arguments."""
    script = tmp_path / "python"
    script.write_text(
        "#!/bin/sh\n"
        'case "$1 $2" in\n'
        f'  "-m pip") echo "$@" > {tmp_path}/pip.txt ;;\n'
        f'  *torch.version.cuda*) echo "${{FACTS:-2.5.1 cp311 cpu linux-x86_64}}" ;;\n'
        f'  "-c "*) test -f {tmp_path}/pip.txt ;;\n'
        f'  *) exec {sys.executable} "$@" ;;\n'
        "esac\n"
    )
    script.chmod(0o755)
    return script


def install(python: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if name != "K2_FIND_LINKS"} | environment
    command = ["bash", str(TOOLS / "install_k2.sh"), "--python", str(python), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=env, check=False)


def test_install_asks_pip_for_the_chosen_wheel_on_the_page_alone(stand_in_python: Path, tmp_path: Path) -> None:
    page = tmp_path / "cpu.html"
    page.write_text(PAGE)
    done = install(stand_in_python, K2_FIND_LINKS=str(page))
    assert done.returncode == 0, done.stderr
    asked = (tmp_path / "pip.txt").read_text().split()
    assert asked[2:] == [
        "install", "--no-deps", "--no-index", "--find-links", str(page), "k2==1.24.4.dev20250304+cpu.torch2.5.1",
    ]  # fmt: skip


def test_install_without_a_page_says_where_to_look(stand_in_python: Path, tmp_path: Path) -> None:
    done = install(stand_in_python)
    assert done.returncode == 2
    assert "error: no page to look for k2 with torch 2.5.1, cp311, cpu, linux-x86_64" in done.stderr
    assert 'section "From pre-compiled wheels"' in done.stderr
    assert not (tmp_path / "pip.txt").exists()


def test_install_takes_the_registry_for_python_310_with_torch_1131(stand_in_python: Path, tmp_path: Path) -> None:
    assert install(stand_in_python, FACTS="1.13.1 cp310 cuda11.7 linux-x86_64").returncode == 0
    assert (tmp_path / "pip.txt").read_text().split()[2:] == ["install", "--no-deps", "k2==1.23.4"]


def test_install_fails_when_the_page_has_nothing_that_fits(stand_in_python: Path, tmp_path: Path) -> None:
    (tmp_path / "cpu.html").write_text(PAGE)
    done = install(stand_in_python, "--find-links", str(tmp_path / "cpu.html"), "--device", "cuda11.8")
    assert done.returncode == 1
    assert "no k2 wheel for device cuda11.8; with the rest equal the page has: cpu, cuda12.4" in done.stderr
    assert "error: nothing was installed for torch 2.5.1" in done.stderr
    assert install(stand_in_python, "--find-links", str(tmp_path / "absent.html")).returncode == 1


def test_install_refuses_unknown_options_and_missing_values(stand_in_python: Path) -> None:
    assert install(stand_in_python, "--pages", "x").returncode == 2
    assert install(stand_in_python, "--find-links").returncode == 2


def test_k2_tests_are_skipped_with_a_reason_without_python_310(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    shutil.copy(TOOLS / "test_k2.sh", tmp_path / "tools")
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    for name in ("dirname", "cksum", "cat", "bash"):
        (bin_folder / name).symlink_to(str(shutil.which(name)))
    env = {"PATH": str(bin_folder), "HOME": str(tmp_path), "PYENV_ROOT": str(tmp_path)}
    command = [str(bin_folder / "bash"), str(tmp_path / "tools" / "test_k2.sh")]
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("skipped: no Python 3.10")
    assert not (tmp_path / ".venv-k2").exists()
