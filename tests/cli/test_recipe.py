"""`speechkit recipe new` and `recipe list`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from speechkit import recipes
from speechkit.errors import ConfigError, SpeechkitError
from speechkit.recipes import list_recipes, new_recipe
from speechkit.train.config import TrainConfig

REPO = Path(__file__).resolve().parents[2]
FILES = ["README.md", "RESULTS.md", "conf/ctc.yaml", "run.sh"]


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def start(script: Path, *args: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [str(script), *args], env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )


def test_a_new_recipe_stands_in_egs_and_shares_the_shell_library(here: Path) -> None:
    assert new_recipe("mine") == Path("egs/mine")
    assert files_in(here) == [*(f"egs/mine/{name}" for name in FILES), "tools/recipe.sh"]
    assert (here / "tools" / "recipe.sh").read_text() == (REPO / "tools" / "recipe.sh").read_text()
    assert not (here / "tools" / "recipe.sh").is_symlink()
    assert "# mine\n" in (here / "egs" / "mine" / "README.md").read_text()
    assert not [name for name in files_in(here) if "@name@" in (here / name).read_text()]


def test_a_hidden_folder_of_the_user_is_left_alone(here: Path) -> None:
    mine = here / "egs" / ".mine.partial" / "thesis.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    new_recipe("mine")
    assert mine.read_text() == "mine"


def test_an_existing_shell_library_is_left_alone(here: Path) -> None:
    (here / "tools").mkdir()
    (here / "tools" / "recipe.sh").write_text("# mine\n")
    new_recipe("mine")
    assert (here / "tools" / "recipe.sh").read_text() == "# mine\n"


def test_a_recipe_elsewhere_carries_the_shell_library(here: Path) -> None:
    new_recipe("mine", here / "some" / "where")
    assert files_in(here) == [f"some/where/{name}" for name in sorted([*FILES, "recipe.sh"])]
    assert start(here / "some" / "where" / "run.sh", "--list").returncode == 0


def test_the_new_script_runs_up_to_its_first_command(here: Path) -> None:
    script = new_recipe("mine") / "run.sh"
    listed = start(script, "--list")
    assert (listed.returncode, listed.stdout) == (0, "0  data\n1  training\n2  decoding\n3  scores\n")
    helped = start(script, "--help")
    assert helped.returncode == 0
    assert "--corpus" in helped.stdout
    failed = start(script)
    assert failed.returncode in (1, 2)
    assert "data/raw.tsv" in failed.stderr
    assert "error: stage 0 failed" in failed.stderr
    assert not (here / "egs" / "mine" / "data").exists() or files_in(here / "egs" / "mine" / "data") == []


def test_the_configs_of_the_template_are_valid() -> None:
    text = (recipes.TEMPLATES / "recipe" / "conf" / "ctc.yaml").read_text()
    TrainConfig.model_validate(yaml.safe_load(text))


@pytest.mark.parametrize("name", ["", "a b", "a/b", "../a", ".hidden", "-x", "é", "a\nb", "$(x)"])
def test_a_wrong_name_is_refused_and_nothing_is_written(here: Path, name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        new_recipe(name)
    assert str(caught.value) == (
        f"error: `{name}` is not a name for a recipe\n"
        "expected: letters, digits, `_`, `-` and `.`, for example my-digits"
    )
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("kind", ["folder", "file", "broken link"])
def test_what_exists_is_never_touched(here: Path, kind: str) -> None:
    (here / "egs").mkdir()
    path = here / "egs" / "mine"
    if kind == "folder":
        path.mkdir()
    elif kind == "file":
        path.write_text("x")
    else:
        path.symlink_to("nowhere")
    with pytest.raises(SpeechkitError) as caught:
        new_recipe("mine")
    assert caught.value.what == "`egs/mine` exists already"
    assert [p.name for p in here.rglob("*")] == ["egs", "mine"]


def test_a_failure_in_the_middle_leaves_no_recipe(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, *args: Any, **options: Any) -> int:
        raise OSError("no space")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="no space"):
        new_recipe("mine")
    assert files_in(here) == []
    assert list((here / "egs").iterdir()) == []


def test_recipes_are_listed_with_their_purpose(here: Path) -> None:
    new_recipe("zebra")
    new_recipe("ape")
    (here / "egs" / "ape" / "run.sh").write_text("#!/bin/sh\n#  For  apes. \n")
    (here / "egs" / "no-recipe").mkdir()
    (here / "egs" / "short").mkdir()
    (here / "egs" / "short" / "run.sh").write_text("true\n")
    listed = list_recipes()
    assert [name for name, _ in listed] == ["ape", "short", "zebra"]
    assert listed[0][1] == "For  apes."
    assert listed[1][1] == ""
    assert listed[2][1].startswith("A CTC recogniser")


@pytest.mark.skipif(not (REPO / "egs").is_dir(), reason="this checkout has no recipes")
def test_without_egs_here_those_of_the_checkout_are_listed(here: Path) -> None:
    assert [name for name, _ in list_recipes()] == sorted(p.parent.name for p in (REPO / "egs").glob("*/run.sh"))


def test_a_missing_folder_is_named(here: Path) -> None:
    with pytest.raises(SpeechkitError, match="there is no folder `nowhere`"):
        list_recipes(Path("nowhere"))


def test_the_commands_print_the_folder_and_the_list(run_speechkit: Callable[..., Any]) -> None:
    made = run_speechkit("recipe", "new", "mine")
    assert (made.exit_code, made.stdout, made.stderr) == (0, "egs/mine\n", "")
    again = run_speechkit("recipe", "new", "mine")
    assert (again.exit_code, again.stdout) == (1, "")
    assert run_speechkit("recipe", "new", "a b").exit_code == 2
    listed = run_speechkit("recipe", "list")
    purpose = "A CTC recogniser from a table of recordings, with an honest WER on seen and unseen texts."
    assert (listed.exit_code, listed.stdout) == (0, f"mine  {purpose}\n")
