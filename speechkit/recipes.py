"""Recipes: a numbered run.sh with its configs. Start one from the template, list those of a project."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from speechkit.artifact import publish_file
from speechkit.errors import ConfigError, SpeechkitError

TEMPLATES = Path(__file__).parent / "templates"
_SHELL = "recipe.sh"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_TWO_UP = '"$(dirname "$0")/../../tools/recipe.sh"'
_BESIDE = '"$(dirname "$0")/recipe.sh"'


def new_recipe(name: str, out: Path | None = None) -> Path:
    """Write a working recipe for a table of recordings.

    Below a folder `egs`, recipes share `tools/recipe.sh` of the project, which is added when absent; a recipe
    anywhere else carries its own copy beside run.sh.

    Args:
        name: letters, digits, `_`, `-` and `.`; stands in the texts of the recipe.
        out: the new folder, `egs/<name>` unless given.
    Returns:
        The new folder.
    Raises:
        ConfigError: not a name. SpeechkitError: the folder exists. In both cases nothing is written.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"`{name}` is not a name for a recipe", expected="letters, digits, `_`, `-` and `.`, for example my-digits"
        )
    out = Path("egs", name) if out is None else out
    if out.exists() or out.is_symlink():
        raise SpeechkitError(f"`{out}` exists already", hint="choose another name or --out, or move it away yourself")
    is_shared = out.absolute().parent.name == "egs"
    partial = out.with_name(f".{out.name}.speechkit-partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        _write_recipe(partial, name, source=_TWO_UP if is_shared else _BESIDE)
        shell = out.absolute().parents[1] / "tools" / _SHELL if is_shared else partial / _SHELL
        if not shell.exists():
            with publish_file(shell) as stream:
                stream.write((TEMPLATES / _SHELL).read_text(encoding="utf-8"))
        partial.rename(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return out


def _write_recipe(folder: Path, name: str, *, source: str) -> None:
    root = TEMPLATES / "recipe"
    for template in sorted(path for path in root.rglob("*") if path.is_file()):
        path = folder / template.relative_to(root)
        path.parent.mkdir(exist_ok=True)
        text = template.read_text(encoding="utf-8").replace("@name@", name).replace(_TWO_UP, source)
        path.write_text(text, encoding="utf-8")
        if path.suffix == ".sh":
            path.chmod(path.stat().st_mode | 0o111)  # a wheel does not keep the mode


def list_recipes(folder: Path | None = None) -> list[tuple[str, str]]:
    """Name and one-line description (the comment in line 2 of run.sh) of each recipe, sorted by name.

    Args:
        folder: holds one folder per recipe; unless given, `egs` here, else `egs` of the checkout that runs.
    Raises:
        SpeechkitError: there is no such folder.
    """
    candidates = [folder] if folder else [Path("egs"), Path(__file__).resolve().parents[1] / "egs"]
    found = next((path for path in candidates if path.is_dir()), None)
    if found is None:
        raise SpeechkitError(
            f"there is no folder `{candidates[0]}`", hint="`speechkit recipe new NAME` starts a recipe"
        )
    scripts = sorted(found.glob("*/run.sh"))
    return [(script.parent.name, _description(script)) for script in scripts]


def _description(script: Path) -> str:
    lines = script.read_text(encoding="utf-8", errors="replace").splitlines()
    line = lines[1] if len(lines) > 1 and lines[1].startswith("#") else ""
    return line.lstrip("# ").rstrip()
