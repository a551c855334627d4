"""What the documents promise: every `speechkit` command in a code block or recipe parses, the fast ones run.

A block that opens with "```sh fast" is run, in order and in one empty folder.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import parse
from source_code import REPO

DOCUMENTS = [
    p for p in [REPO / "README.md", REPO / "CONTRIBUTING.md", *sorted(REPO.glob("egs/*/README.md"))] if p.exists()
]
RECIPES = sorted(REPO.glob("egs/*/run.sh"))
BLOCK = re.compile(r"^```(.*?)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def _commands(shell: str) -> list[str]:
    """The `speechkit ...` command lines of a piece of shell, continued lines joined."""
    lines = re.sub(r"\\\n\s*", " ", shell).splitlines()
    found = [re.search(r"(?:^\s*(?:\$ )?|-- )(speechkit\s.*)", line) for line in lines]
    return [match.group(1) for match in found if match and "..." not in match.group(1)]


def _words(command: str) -> list[str]:
    """Split as a shell would; pipes and redirections end the command."""
    words = []
    for word in shlex.split(command, comments=True):
        if word in ("|", ">", "||", "&&", "2>", ";", "<", "&") or word.startswith(">"):
            break
        words.append(word.rstrip(";"))
    return words


def _check(source: Path, shell: str) -> list[str]:
    faults = []
    for command in _commands(shell):
        try:
            parse(_words(command))
        except Exception as error:
            message = error.format_message() if hasattr(error, "format_message") else str(error)
            faults.append(f"{source.relative_to(REPO)}: `{command}`: {message}")
    return faults


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(REPO)))
def test_commands_in_documents_parse(document: Path) -> None:
    blocks = BLOCK.findall(document.read_text(encoding="utf-8"))
    faults = [fault for _, body in blocks for fault in _check(document, body)]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda p: p.parent.name)
def test_recipe_options_in_its_readme_are_accepted(recipe: Path) -> None:
    shell = "".join(body for _, body in BLOCK.findall((recipe.parent / "README.md").read_text(encoding="utf-8")))
    lines = [line for line in re.sub(r"\\\n\s*", " ", shell).splitlines() if line.startswith("./run.sh")]
    assert lines
    for line in lines:
        words = _words(line)
        done = subprocess.run(["bash", str(recipe), *words[1:], "--list"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}: {done.stderr}"


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda p: p.parent.name)
def test_every_command_that_a_recipe_runs_is_accepted(recipe: Path, tmp_path: Path) -> None:
    record = tmp_path / "commands"
    empty_options = re.findall(r'^option\s+(\w+)\s+""', recipe.read_text(encoding="utf-8"), flags=re.MULTILINE)
    # an exported function goes before the program on PATH: it notes the words and does nothing
    stub = f"() {{ printf '%s\\037' speechkit \"$@\" >>'{record}'; printf '\\036' >>'{record}'; }}"
    done = subprocess.run(
        ["bash", str(recipe), *(word for name in empty_options for word in (f"--{name}", "given"))],
        env={**os.environ, "BASH_FUNC_speechkit%%": stub},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    commands = [command.split("\x1f")[:-1] for command in record.read_text(encoding="utf-8").split("\x1e")[:-1]]
    assert len(commands) >= 4
    for words in commands:
        try:
            parse(words)
        except Exception as error:
            pytest.fail(f"{recipe.relative_to(REPO)}: `{shlex.join(words)}`: {error}")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(REPO)))
def test_fast_blocks_run(
    document: Path, run_speechkit: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for info, body in BLOCK.findall(document.read_text(encoding="utf-8")):
        if "fast" in info.split():
            for command in _commands(body):
                result = run_speechkit(*_words(command)[1:])
                assert result.exit_code == 0, f"`{command}` left with {result.exit_code}\n{result.stderr}"


def test_make_targets_in_documents_exist() -> None:
    targets = set(
        re.findall(r"^([\w.-]+)(?: [\w./-]+)*:", (REPO / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    )
    faults = []
    for document in DOCUMENTS:
        for name in re.findall(r"(?:^|`)make ([a-z][\w.-]*)", document.read_text(encoding="utf-8"), flags=re.MULTILINE):
            if name not in targets:
                faults.append(f"{document.relative_to(REPO)}: make {name}")
    assert not faults, "\n".join(faults)


def test_links_to_files_of_the_checkout_lead_somewhere() -> None:
    faults = []
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8")):
            if not (document.parent / target).exists():
                faults.append(f"{document.relative_to(REPO)}: {target}")
    assert not faults, "\n".join(faults)


def test_command_lines_are_found_and_split() -> None:
    shell = 'job --nj 2 -- speechkit data split "e/c" \\\n  --out data | tee x  # why\nspeechkit doctor\n'
    first, second = _commands(shell)
    assert _words(first) == ["speechkit", "data", "split", "e/c", "--out", "data"]
    assert _words(second) == ["speechkit", "doctor"]
