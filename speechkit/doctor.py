"""What this machine has and lacks: one line per check, with the cure of each problem.

Nothing here imports a heavy package unless the check is about it; versions come from the installed metadata.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from speechkit import __version__, artifact
from speechkit.errors import CheckFailed

Status = Literal["ok", "missing", "PROBLEM"]

# kernel modules with a warm() that compiles them for the types in use; a test compares this with the folder
WARM = (
    "speechkit.kernels.confusions",
    "speechkit.kernels.ctc",
    "speechkit.kernels.ctc_edits",
    "speechkit.kernels.ctc_star",
    "speechkit.kernels.edit",
    "speechkit.kernels.hmm",
    "speechkit.kernels.line_index",
    "speechkit.kernels.lines",
    "speechkit.kernels.paste",
    "speechkit.kernels.resample",
    "speechkit.kernels.segments",
    "speechkit.kernels.snippets",
    "speechkit.kernels.tally",
    "speechkit.kernels.token_passing",
    "speechkit.kernels.words",
)
SLURM_COMMANDS = ("sbatch", "squeue", "sacct", "scancel")
FORMATS = ("WAV", "FLAC", "OGG", "MP3")
MIN_FREE_GB = 2.0
MIN_MEMORY_GB = 4.0


@dataclass(frozen=True)
class Check:
    """One line of the report; `missing` is something optional, a `PROBLEM` has a cure and fails the command."""

    name: str
    status: Status
    detail: str
    cure: str = ""


def run(*, warm: bool = False, json_file: Path | None = None) -> None:
    """Print every check, and with `warm` compile the kernels and print the seconds each took.

    Raises:
        CheckFailed: at least one check found a problem; its cure is in the message.
    """
    checks = [check() for check in CHECKS]
    for check in checks:
        print(render(check))
    seconds = warm_kernels() if warm else {}
    for name, value in seconds.items():
        print(f"warm  {name}  {value:.2f} s")
    if json_file is not None:
        problems = sum(check.status == "PROBLEM" for check in checks)
        artifact.write_json(
            json_file,
            {"num_problems": problems, "checks": [asdict(check) for check in checks], "warm_seconds": seconds},
        )
    faults = [f"{check.name}: {check.detail}; {check.cure}" for check in checks if check.status == "PROBLEM"]
    if faults:
        raise CheckFailed(f"{len(faults)} problem{'s' if len(faults) > 1 else ''} on this machine", where=faults)


def render(check: Check) -> str:
    """The line of one check; a cure stands in the line below."""
    status = "missing (optional)" if check.status == "missing" else check.status
    line = f"{check.name:<12} {status:<18} {check.detail}".rstrip()
    return line + (f"\n{'':<12} cure: {check.cure}" if check.cure else "")


def warm_kernels() -> dict[str, float]:
    """Compile every kernel, or load it from numba's cache; wall seconds by module."""
    seconds = {}
    for name in WARM:
        start = time.perf_counter()
        importlib.import_module(name).warm()
        seconds[name.rsplit(".", 1)[-1]] = round(time.perf_counter() - start, 3)
    return seconds


def check_python() -> Check:
    """The interpreter is one of those tested."""
    detail = f"{platform.python_version()}, speechkit {__version__}, {platform.platform(terse=True)}"
    if (3, 10) <= sys.version_info[:2] <= (3, 13):
        return Check("python", "ok", detail)
    return Check("python", "PROBLEM", detail, "use Python 3.10, 3.11, 3.12 or 3.13")


def check_packages() -> Check:
    """Every package that speechkit requires is installed."""
    try:
        required = importlib.metadata.requires("speechkit") or []
    except importlib.metadata.PackageNotFoundError:
        return Check("packages", "PROBLEM", "speechkit itself is not installed", "pip install --no-deps -e .")
    names = [re.split(r"[^\w.-]", text)[0] for text in required if "extra ==" not in text and _is_for_us(text)]
    absent = [name for name in names if version_of(name) is None]
    if absent:
        return Check("packages", "PROBLEM", f"missing: {', '.join(absent)}", f"pip install {' '.join(absent)}")
    shown = ("lhotse", "numpy", "numba", "sentencepiece")
    return Check("packages", "ok", ", ".join(f"{name} {version_of(name)}" for name in shown))


def _is_for_us(requirement: str) -> bool:
    """False for what only an older Python needs, `...; python_version < "3.11"`."""
    below = re.search(r'python_version < "(\d+)\.(\d+)"', requirement)
    return below is None or sys.version_info[:2] < (int(below[1]), int(below[2]))


def version_of(package: str) -> str | None:
    """The installed version of a package, None when it is absent."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def check_torch() -> Check:
    """torch and torchaudio load, and are of one release and one build (CPU or one CUDA)."""
    try:
        import torch
        import torchaudio
    except (ImportError, OSError) as error:
        reason = " ".join(str(error).split())
        return Check(
            "torch", "PROBLEM", reason, "install torch and torchaudio of one release: pip install -r requirements.lock"
        )
    builds = torch.__version__, torchaudio.__version__
    detail = f"torch {builds[0]}, torchaudio {builds[1]}"
    if same_build(*builds):
        return Check("torch", "ok", detail)
    return Check("torch", "PROBLEM", detail, f"pip install torchaudio=={builds[0].split('+')[0]} of the same build")


def same_build(torch_version: str, torchaudio_version: str) -> bool:
    """True when release and build tag agree; a version without a tag agrees with any tag."""
    release, _, tag = torch_version.partition("+")
    other_release, _, other_tag = torchaudio_version.partition("+")
    return release == other_release and (tag == other_tag or not tag or not other_tag)


def check_soundfile() -> Check:
    """The audio library loads and reads the formats that corpora come in."""
    try:
        import soundfile
    except (ImportError, OSError) as error:
        return Check("soundfile", "PROBLEM", str(error), "pip install soundfile, or install libsndfile 1.1 or newer")
    known = soundfile.available_formats()
    absent = [name for name in FORMATS if name not in known]
    detail = f"libsndfile {soundfile.__libsndfile_version__}: {', '.join(n.lower() for n in FORMATS if n in known)}"
    if absent:
        return Check("soundfile", "PROBLEM", f"{detail}; not {', '.join(absent)}", "install libsndfile 1.1 or newer")
    return Check("soundfile", "ok", detail)


def check_espeak() -> Check:
    """The voice of `speechkit data synth` (extra `synth`)."""
    version = version_of("espeakng-loader")
    if version is None:
        return Check("espeak", "missing", "for `speechkit data synth`: in the checkout, pip install -e '.[synth]'")
    return Check("espeak", "ok", f"espeakng-loader {version}")


def check_meeteval() -> Check:
    """The metrics of `speechkit score multi` (extra `meeteval`)."""
    version = version_of("meeteval")
    if version is None:
        cure = "in the checkout, with a C++ compiler, pip install -e '.[meeteval]'"
        return Check("meeteval", "missing", f"for `speechkit score multi`: {cure}")
    return Check("meeteval", "ok", f"meeteval {version}")


def check_k2() -> Check:
    """k2 for composed word graphs and lattices, built for the torch in use."""
    from speechkit.decode.k2_info import k2_status

    status = k2_status()
    if not status["installed"]:
        return Check("k2", "missing", f"it {status['adds']}: {status['install']}")
    torch_version = (version_of("torch") or "").split("+")[0]
    built_for = str(status["built_for_torch"])
    detail = f"{status['version']}, built for torch {built_for or '?'}"
    if built_for and built_for.split("+")[0] != torch_version:
        return Check("k2", "PROBLEM", f"{detail}, but torch is {torch_version}", f"{status['install']} --force")
    return Check("k2", "ok", detail)


def check_cpu() -> Check:
    """Cores this process may use, and the thread settings it inherits."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = os.environ.get("OMP_NUM_THREADS")
    return Check("cpu", "ok", f"{usable} cores" + (f", OMP_NUM_THREADS={threads}" if threads else ""))


def check_memory() -> Check:
    """Memory that is free or can be freed, as the kernel counts it."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return Check("memory", "ok", "unknown on this system")
    kilobytes = {name: int(value) for name, value in re.findall(r"^(\w+):\s+(\d+) kB", text, flags=re.MULTILINE)}
    total, free = kilobytes["MemTotal"] / 1e6, kilobytes["MemAvailable"] / 1e6
    detail = f"{free:.1f} of {total:.1f} GB available"
    if total < MIN_MEMORY_GB:
        return Check("memory", "PROBLEM", detail, f"speechkit needs {MIN_MEMORY_GB:.0f} GB to train a small model")
    return Check("memory", "ok", detail)


def check_disk() -> Check:
    """Free space where the command runs, and for temporary files."""
    places = {"here": Path.cwd(), "temporary": Path(tempfile.gettempdir())}
    free = {name: shutil.disk_usage(path).free / 1e9 for name, path in places.items()}
    detail = ", ".join(f"{gigabytes:.1f} GB free ({name})" for name, gigabytes in free.items())
    if min(free.values()) < MIN_FREE_GB:
        return Check("disk", "PROBLEM", detail, "free some space, or set TMPDIR to a larger disk")
    return Check("disk", "ok", detail)


def check_gpu() -> Check:
    """A GPU that torch can use."""
    try:
        import torch
    except (ImportError, OSError):
        return Check("gpu", "missing", "torch does not load")
    if not torch.cuda.is_available():
        return Check("gpu", "missing", "training and decoding run on the CPU")
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return Check("gpu", "ok", f"{', '.join(names)}, CUDA {torch.version.cuda}")


def check_slurm() -> Check:
    """The Slurm commands that `--cmd slurm` calls."""
    found = [name for name in SLURM_COMMANDS if shutil.which(name)]
    if len(found) == len(SLURM_COMMANDS):
        return Check("slurm", "ok", ", ".join(found))
    if not found:
        return Check("slurm", "missing", "recipes run on this machine")
    absent = ", ".join(name for name in SLURM_COMMANDS if name not in found)
    return Check("slurm", "PROBLEM", f"found {', '.join(found)}, but not {absent}", "put them all on PATH")


def check_numba_cache() -> Check:
    """Compiled kernels can be kept, so that they compile once and not in every process."""
    given = os.environ.get("NUMBA_CACHE_DIR")
    kernels = Path(__file__).parent / "kernels"
    place = Path(given) if given else kernels / "__pycache__"
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            return Check("numba cache", "ok", f"writable: {place}")
    except OSError as error:
        reason = f"{place} is not writable: {(error.strerror or str(error)).lower()}"
        return Check("numba cache", "PROBLEM", reason, "set NUMBA_CACHE_DIR to a folder you can write to")


CHECKS: tuple[Callable[[], Check], ...] = (
    check_python,
    check_packages,
    check_torch,
    check_soundfile,
    check_espeak,
    check_meeteval,
    check_k2,
    check_cpu,
    check_memory,
    check_disk,
    check_gpu,
    check_slurm,
    check_numba_cache,
)
