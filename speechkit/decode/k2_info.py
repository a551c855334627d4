"""Whether k2 is there, what it adds, and how to get it.  Imports neither k2 nor torch until asked to."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import re
from pathlib import Path
from types import ModuleType

from speechkit.errors import ConfigError

ADDS = "decodes with composed word graphs (CTC topology x lexicon x grammar) and lattices, on CPU and GPU"
INSTALL = "tools/install_k2.sh"


def k2_status() -> dict[str, str | bool]:
    """What `speechkit doctor` says about k2, read from its files without importing it.

    Returns:
        installed, version and built_for_torch ("" when absent), adds, install.
    """
    package = _package_folder()
    version, torch_version = "", ""
    if package is not None:
        torch_version = _built_for(package)
        try:
            version = importlib.metadata.version("k2")
        except importlib.metadata.PackageNotFoundError:
            version = "unknown"  # on the path, but not installed as a package
    return {
        "installed": package is not None,
        "version": version,
        "built_for_torch": torch_version,
        "adds": ADDS,
        "install": INSTALL,
    }


def import_k2(purpose: str) -> ModuleType:
    """The k2 module.  Raises: ConfigError when it is absent or built for another torch."""
    if _package_folder() is None:
        raise ConfigError(f"{purpose} needs the package `k2`, which is not installed", hint=f"run `{INSTALL}`")
    try:
        return importlib.import_module("k2")
    except (ImportError, OSError) as error:  # another torch, another CUDA, a missing shared library
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"{purpose} needs the package `k2`, which does not load",
            where=reason,
            expected="a k2 built for the installed torch",
            hint=f"run `{INSTALL} --force`",
        ) from error


def _package_folder() -> Path | None:
    """Where k2 is installed; None when it is not (a plain folder named k2 on the path does not count)."""
    spec = importlib.util.find_spec("k2")
    return None if spec is None or spec.origin is None else Path(spec.origin).parent


def _built_for(package: Path) -> str:
    """The torch version that k2's own torch_version.py names, or "" when it does not."""
    path = package / "torch_version.py"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    match = re.search(r'^k2_torch_version = "([^"]*)"', text, flags=re.MULTILINE)
    return match.group(1) if match else ""
