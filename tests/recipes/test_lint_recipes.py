"""tools/lint_recipes.py finds every planted fault by file and line."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

REPO = Path(__file__).resolve().parents[2]
SCRIPT = """#!/usr/bin/env bash
# A toy.

set -euo pipefail
. "$(dirname "$0")/../../tools/recipe.sh"
options "$@"

if stage 0 "one"; then
  speechkit prompt eval x  # `eval` as a word is fine, `sed` in a comment, too
fi
if stage 1 "two"; then
  true
fi
"""


@pytest.fixture(scope="module")
def lint_recipes() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lint_recipes", REPO / "tools" / "lint_recipes.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def egs(tmp_path: Path) -> Path:
    add_recipe(tmp_path / "egs", "toy", SCRIPT)
    return tmp_path / "egs"


def add_recipe(egs: Path, name: str, text: str) -> Path:
    recipe = egs / name
    recipe.mkdir(parents=True)
    (recipe / "README.md").touch()
    (recipe / "RESULTS.md").touch()
    (recipe / "run.sh").write_text(text)
    (recipe / "run.sh").chmod(0o755)
    return recipe


def test_a_good_recipe_has_no_faults(lint_recipes: ModuleType, egs: Path) -> None:
    assert lint_recipes.lint(egs) == ([], [])


FAULTS: dict[str, tuple[Callable[[str], str], str]] = {
    "description": (lambda s: s.replace("# A toy.", ""), "2: expected a comment that says what the recipe does"),
    "source": (lambda s: s.replace("../../tools", "../tools"), "1: does not source tools/recipe.sh"),
    "set": (lambda s: s.replace("set -euo", "set -eu"), "1: `set -euo pipefail` is missing"),
    "eval": (lambda s: s.replace("  true", "  true && eval $x"), "12: `eval` runs what an option holds"),
    "awk": (lambda s: s.replace("  true", "  n=$(awk x)"), "12: nothing is computed here: it belongs into a"),
    "sed": (lambda s: s.replace("  true", "  cat x | sed s/a/b/"), "12: nothing is computed here"),
    "gap": (lambda s: s.replace("stage 1", "stage 2"), "11: stage 2, expected 1"),
    "start": (lambda s: s.replace("stage 1", "stage 2").replace("stage 0", "stage 1"), "8: stage 1, expected 0"),
    "title": (lambda s: s.replace('"two"', "$two"), '11: expected the form: if stage 1 "title"; then'),
    "form": (lambda s: s.replace("  true", "  stage 2 x && true"), '12: expected the form: if stage 2 "title"; then'),
    "none": (lambda s: s.split("if stage")[0], "1: has no stages"),
    "long": (lambda s: s + "# more\n" * 108, "121: 121 lines, at most 120"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_run_sh_is_found_with_its_line(lint_recipes: ModuleType, egs: Path, name: str) -> None:
    change, message = FAULTS[name]
    script = egs / "toy" / "run.sh"
    script.write_text(change(SCRIPT))
    errors, _ = lint_recipes.lint(egs)
    assert len(errors) == 1
    assert errors[0].startswith(f"{script}:{message}")


def test_a_script_above_the_normal_length_is_a_warning(lint_recipes: ModuleType, egs: Path) -> None:
    script = egs / "toy" / "run.sh"
    script.write_text(SCRIPT + "# more\n" * 107)
    assert lint_recipes.lint(egs) == ([], [f"{script}:61: 120 lines, 60 are normal"])


@pytest.mark.parametrize("name", ["README.md", "RESULTS.md", "run.sh"])
def test_a_missing_file_is_named(lint_recipes: ModuleType, egs: Path, name: str) -> None:
    (egs / "toy" / name).unlink()
    assert lint_recipes.lint(egs)[0] == [f"{egs / 'toy' / name}:1: is missing"]


def test_a_script_that_cannot_be_started_is_named(lint_recipes: ModuleType, egs: Path) -> None:
    (egs / "toy" / "run.sh").chmod(0o644)
    assert lint_recipes.lint(egs)[0] == [f"{egs / 'toy' / 'run.sh'}:1: is not executable: chmod +x"]


def test_much_python_is_an_error_but_not_what_a_run_made(lint_recipes: ModuleType, egs: Path) -> None:
    for folder, num_lines in [("local", 60), ("exp", 500), ("data", 500)]:
        (egs / "toy" / folder).mkdir()
        for name in ("a.py", "b.py"):
            (egs / "toy" / folder / name).write_text("".join(f"{name[0]}{n} = 1\n" for n in range(num_lines)))
    where = egs / "toy" / "local" / "a.py"
    assert lint_recipes.lint(egs)[0] == [f"{where}:1: 120 lines of Python in the recipe, at most 100"]


def test_copied_passages_are_found(lint_recipes: ModuleType, egs: Path) -> None:
    other = SCRIPT.replace("speechkit prompt eval x", "speechkit doctor").replace("two", "deux")
    recipe = add_recipe(egs, "other", other)
    assert lint_recipes.lint(egs) == ([], [])  # 4 lines of form in common
    (recipe / "run.sh").write_text(SCRIPT)
    errors, _ = lint_recipes.lint(egs)
    assert errors == [
        f"{recipe / 'run.sh'}:4: starts a copied passage",
        f"{egs / 'toy' / 'run.sh'}:4: starts a copied passage",
        f"{egs}:1: 100.0 % of 18 lines are copies, at most 10 %",
    ]


def test_the_program_leaves_with_3_or_2_or_0(egs: Path) -> None:
    def run(folder: Path) -> tuple[int, str, str]:
        command = [sys.executable, str(REPO / "tools" / "lint_recipes.py"), str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    assert run(egs) == (0, f"recipes in order: {egs}\n", "")
    shutil.rmtree(egs / "toy")
    (egs / "empty").mkdir()
    assert run(egs) == (3, "", f"error: {egs / 'empty' / 'run.sh'}:1: is missing\n")
    assert run(egs / "nowhere")[0] == 2


def test_the_template_keeps_the_rules(lint_recipes: ModuleType, tmp_path: Path) -> None:
    shutil.copytree(REPO / "speechkit" / "templates" / "recipe", tmp_path / "egs" / "template")
    assert lint_recipes.lint(tmp_path / "egs") == ([], [])


@pytest.mark.skipif(not (REPO / "egs").is_dir(), reason="this checkout has no recipes")
def test_the_recipes_of_this_checkout_keep_the_rules(lint_recipes: ModuleType) -> None:
    errors, _ = lint_recipes.lint(REPO / "egs")
    assert errors == []
