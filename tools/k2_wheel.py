"""Choose the k2 wheel on an upstream page that fits a Python, a torch and a CUDA.  Used by install_k2.sh.

usage: python tools/k2_wheel.py PAGE torch-version python-tag cuda-version-or-cpu machine
PAGE is an address or a folder of wheels. Prints the requirement to install, or says why there is none (exit 1).
File names: k2-1.24.4.dev20241127+cpu.torch2.5.1-cp311-cp311-manylinux_2_17_x86_64.whl, ...+cuda12.1.torch2.5.1-...
"""

from __future__ import annotations

import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import NamedTuple

NAME = re.compile(
    r"k2-(?P<version>[0-9][^+\s\"'<>/-]*)\+(?P<device>cpu|cuda[0-9.]+)\.torch(?P<torch>[0-9.]+[0-9])"
    r"-(?P<python>cp\d+)-[^-\s\"'<>/]+-(?P<platform>[^\s\"'<>/]+)\.whl"
)


class Wheel(NamedTuple):
    """One file of the page; device is `cpu` or `cuda12.1`, python `cp311`."""

    version: str
    device: str
    torch: str
    python: str
    platform: str


def list_wheels(text: str) -> list[Wheel]:
    """All k2 wheels named in a page or a directory listing, each once."""
    found = (Wheel(**match.groupdict()) for match in NAME.finditer(urllib.parse.unquote(text)))
    return list(dict.fromkeys(found))


def choose(wheels: list[Wheel], wanted: Wheel) -> Wheel:
    """The newest wheel for the wanted torch, python, device and platform (its version is ignored).

    Raises: LookupError that names the first property for which the page has nothing, and what it has.
    """
    left = wheels
    for field in ("torch", "python", "device", "platform"):
        want = getattr(wanted, field)
        fitting = [wheel for wheel in left if _fits(field, getattr(wheel, field), want)]
        if not fitting:
            offered = ", ".join(sorted({getattr(wheel, field) for wheel in left})) or "nothing"
            raise LookupError(f"no k2 wheel for {field} {want}; with the rest equal the page has: {offered}")
        left = fitting
    return max(left, key=lambda wheel: [int(part) for part in re.findall(r"\d+", wheel.version)])


def read_page(page: str) -> str:
    """The page's text; the file names when it is a folder.  Raises: OSError."""
    if Path(page).is_dir():
        return "\n".join(path.name for path in sorted(Path(page).iterdir()))
    if "://" not in page:
        return Path(page).read_text(encoding="utf-8")
    with urllib.request.urlopen(page, timeout=60) as response:
        text: str = response.read().decode("utf-8", errors="replace")
    return text


def _fits(field: str, have: str, want: str) -> bool:
    if field == "platform":  # manylinux_2_17_x86_64.manylinux2014_x86_64, linux_x86_64, macosx_11_0_arm64, win_amd64
        system, machine = want.split("-")
        return system in have and have.endswith(machine)
    return have == want


def main(arguments: list[str]) -> None:
    """Print the requirement; see the module's first lines."""
    page, torch, python, device, platform = arguments
    wanted = Wheel("", device, torch, python, platform)
    try:
        wheels = list_wheels(read_page(page))
        wheel = choose(wheels, wanted)
    except (OSError, urllib.error.URLError) as error:
        sys.exit(f"error: can not read the page {page}: {error}")
    except LookupError as error:
        sys.exit(f"error: {error.args[0]}\n  {page}: {len(wheels)} k2 wheels")
    print(f"k2=={wheel.version}+{wheel.device}.torch{wheel.torch}")


if __name__ == "__main__":
    main(sys.argv[1:])
