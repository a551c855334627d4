#!/usr/bin/env python3
"""Keep recipes short, alike in form and free of copied code. Usage: tools/lint_recipes.py [EGS_FOLDER]

Per recipe: run.sh is executable, has a description in line 2, at most 120 lines (60 is normal), stages numbered
from 0 without gaps, no `eval` and nothing computed by awk or sed; README.md and RESULTS.md exist; at most 100
lines of Python. Over all recipes: at most 10 % of the lines of shell and Python stand in runs of 8 lines that
occur elsewhere, too. Exit 3 if a rule is broken; warnings alone leave with 0.
"""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from pathlib import Path

NORMAL_LINES, MAX_LINES = 60, 120
MAX_PYTHON_LINES = 100
SHINGLE, MAX_DUPLICATE_PERCENT = 8, 10.0
MADE = {"data", "exp", "__pycache__"}  # folders that a run of a recipe makes
STAGE = re.compile(r"^if stage (\d+) (?:\"[^\"$]+\"); then")
STAGE_CALL = re.compile(r"(?:^\s*|[;&|]\s*|if\s+)stage\s")
AS_COMMAND = r"(?:^|[;&|({`!]\s*|\b(?:then|do|else|if|while|xargs)\s+)"
FORBIDDEN = [
    (re.compile(AS_COMMAND + r"eval\s"), "`eval` runs what an option holds"),
    (
        re.compile(AS_COMMAND + r"(?:awk|gawk|mawk|sed|bc|expr|perl)\s"),
        "nothing is computed here: it belongs into a `speechkit` command",
    ),
]
SOURCE = re.compile(r'^\. "\$\(dirname "\$0"\)/\.\./\.\./tools/recipe\.sh"')


def code_lines(path: Path) -> list[tuple[int, str]]:
    """Line number and text of each line that is neither blank nor a comment."""
    lines = enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
    return [(number, line.strip()) for number, line in lines if line.strip() and not line.strip().startswith("#")]


def recipe_files(recipe: Path, suffix: str) -> list[Path]:
    """Files of a recipe with this suffix, without what its runs have made."""
    found = sorted(recipe.rglob(f"*{suffix}"))
    return [path for path in found if path.is_file() and not MADE & set(path.relative_to(recipe).parts[:-1])]


def check_script(script: Path) -> tuple[list[str], list[str]]:
    """Errors and warnings about one run.sh, each with file:line."""
    lines = script.read_text(encoding="utf-8").splitlines()
    errors, warnings = [], []
    if not os.access(script, os.X_OK):
        errors.append(f"{script}:1: is not executable: chmod +x")
    if len(lines) < 2 or not re.match(r"# \S", lines[1]):
        errors.append(f"{script}:2: expected a comment that says what the recipe does")
    if not any(SOURCE.match(line) for line in lines):
        errors.append(f"{script}:1: does not source tools/recipe.sh")
    if "set -euo pipefail" not in lines:
        errors.append(f"{script}:1: `set -euo pipefail` is missing")
    if len(lines) > MAX_LINES:
        errors.append(f"{script}:{MAX_LINES + 1}: {len(lines)} lines, at most {MAX_LINES}")
    elif len(lines) > NORMAL_LINES:
        warnings.append(f"{script}:{NORMAL_LINES + 1}: {len(lines)} lines, {NORMAL_LINES} are normal")
    for number, line in code_lines(script):
        errors += [f"{script}:{number}: {why}" for pattern, why in FORBIDDEN if pattern.search(line)]
    return errors + check_stages(script), warnings


def check_stages(script: Path) -> list[str]:
    """Errors in the numbers and the form of the stages."""
    errors, expected = [], 0
    for number, line in enumerate(script.read_text(encoding="utf-8").splitlines(), start=1):
        match = STAGE.match(line)
        if match and int(match[1]) != expected:
            errors.append(f"{script}:{number}: stage {match[1]}, expected {expected}")
        if match:
            expected = int(match[1]) + 1
        elif STAGE_CALL.search(line) and not line.lstrip().startswith("#"):
            errors.append(f'{script}:{number}: expected the form: if stage {expected} "title"; then')
    return errors if expected else [*errors, f"{script}:1: has no stages"]


def check_recipe(recipe: Path) -> tuple[list[str], list[str]]:
    """Errors and warnings about one folder in egs/."""
    script = recipe / "run.sh"
    if not script.is_file():
        return [f"{script}:1: is missing"], []
    errors, warnings = check_script(script)
    errors += [
        f"{recipe / name}:1: is missing" for name in ("README.md", "RESULTS.md") if not (recipe / name).is_file()
    ]
    python = recipe_files(recipe, ".py")
    num_lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in python)
    if num_lines > MAX_PYTHON_LINES:
        errors.append(f"{python[0]}:1: {num_lines} lines of Python in the recipe, at most {MAX_PYTHON_LINES}")
    return errors, warnings


def duplicate_lines(files: list[Path]) -> tuple[list[tuple[Path, int]], int]:
    """Lines inside runs of 8 that occur more than once, and the number of all lines."""
    texts = {path: code_lines(path) for path in files}
    runs: Counter[tuple[str, ...]] = Counter()
    for lines in texts.values():
        runs.update(_runs(lines))
    duplicates = []
    for path, lines in texts.items():
        inside = {
            start + offset for start, run in enumerate(_runs(lines)) for offset in range(SHINGLE) if runs[run] > 1
        }
        duplicates += [(path, lines[index][0]) for index in sorted(inside)]
    return duplicates, sum(map(len, texts.values()))


def _runs(lines: list[tuple[int, str]]) -> list[tuple[str, ...]]:
    return [tuple(text for _, text in lines[start : start + SHINGLE]) for start in range(len(lines) - SHINGLE + 1)]


def check_duplicates(recipes: list[Path]) -> list[str]:
    """One error when too many lines are copies, with the first places."""
    files = [path for recipe in recipes for suffix in (".sh", ".py") for path in recipe_files(recipe, suffix)]
    duplicates, total = duplicate_lines(files)
    percent = 100.0 * len(duplicates) / max(total, 1)
    if percent <= MAX_DUPLICATE_PERCENT:
        return []
    first: dict[Path, int] = {}
    for path, number in duplicates:
        first.setdefault(path, number)
    where = [f"{path}:{number}: starts a copied passage" for path, number in first.items()]
    summary = f"{percent:.1f} % of {total} lines are copies, at most {MAX_DUPLICATE_PERCENT:.0f} %"
    return [*where, f"{files[0].parents[1]}:1: {summary}"]


def lint(egs: Path) -> tuple[list[str], list[str]]:
    """Errors and warnings about all recipes of a folder."""
    recipes = sorted(path for path in egs.iterdir() if path.is_dir() and not path.name.startswith("."))
    errors, warnings = check_duplicates(recipes), []
    for recipe in recipes:
        more_errors, more_warnings = check_recipe(recipe)
        errors += more_errors
        warnings += more_warnings
    return errors, warnings


def main() -> None:
    """Print what is wrong and leave with 3, or say how many recipes are in order."""
    egs = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1] / "egs"
    if not egs.is_dir():
        print(f"error: there is no folder `{egs}`", file=sys.stderr)
        sys.exit(2)
    errors, warnings = lint(egs)
    for line in warnings:
        print(f"warning: {line}", file=sys.stderr)
    for line in errors:
        print(f"error: {line}", file=sys.stderr)
    if errors:
        sys.exit(3)
    print(f"recipes in order: {egs}")


if __name__ == "__main__":
    main()
