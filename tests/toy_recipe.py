"""A tiny recipe in a temporary project: the real tools/recipe.sh, the real program with three toy commands."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]

# The toy commands stand beside the real ones, so exit codes, leases and messages are those of the product.
PROGRAM = """#!{python}
import os, sys, time
from pathlib import Path
from typing import Annotated
import typer
from speechkit import log
from speechkit.artifact import make_artifact
from speechkit.cli import app, main
from speechkit.config import Config
from speechkit.errors import CheckFailed, Requeue, SpeechkitError

class WordConfig(Config):
    word: str

@app.command()
def copy(source: Path, out: Annotated[Path, typer.Option()], word: Annotated[str, typer.Option()] = "a") -> None:
    "Copy a text and add a word; waits while a file `hold` lies in the present folder."
    def build(folder: Path) -> None:
        with open("built.txt", "a") as stream:
            stream.write(str(out) + "\\n")
        text = source.read_text() if source.is_file() else (source / "text").read_text()
        (folder / "text").write_text(text + word)
        log.info("copied " + str(source))
        Path("holding").touch()
        while Path("hold").exists():
            time.sleep(0.01)
    make_artifact(out, command="copy", config=WordConfig(word=word), inputs={{"source": source}}, build=build)

@app.command()
def fail(code: int) -> None:
    "Leave with an exit code."
    for kind in (SpeechkitError, CheckFailed, Requeue):
        if kind.exit_code == code:
            raise kind("it went wrong")
    raise typer.Exit(code)

@app.command()
def show(words: list[str]) -> None:
    "Print each word between angle brackets."
    for word in words:
        print("<" + word + ">")

main()
"""


@dataclass(frozen=True)
class Recipe:
    """A project folder with one recipe at egs/toy."""

    project: Path

    @property
    def folder(self) -> Path:
        return self.project / "egs" / "toy"

    @property
    def script(self) -> Path:
        return self.folder / "run.sh"

    @property
    def environment(self) -> dict[str, str]:
        path = f"{self.project / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "PYTHONDONTWRITEBYTECODE": "1"}

    def write(self, body: str, options: str = "") -> None:
        head = '#!/usr/bin/env bash\n# A toy.\n\nset -euo pipefail\n. "$(dirname "$0")/../../tools/recipe.sh"\n'
        self.script.write_text(f'{head}{options}\noptions "$@"\n{body}', encoding="utf-8")
        self.script.chmod(0o755)

    def run(self, *args: str, script: str | None = None, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [script or str(self.script), *args],
            cwd=cwd or self.project,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def start(self, *args: str) -> subprocess.Popen[str]:
        """Start it in a process group of its own, as a terminal does."""
        return subprocess.Popen(
            [str(self.script), *args],
            cwd=self.project,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


def make_toy(project: Path) -> Recipe:
    """An empty recipe in a new project that has tools/recipe.sh and the toy program on its PATH."""
    (project / "tools").mkdir(parents=True)
    shutil.copy(REPO / "tools" / "recipe.sh", project / "tools")
    program = project / "bin" / "speechkit"
    program.parent.mkdir()
    program.write_text(PROGRAM.format(python=sys.executable), encoding="utf-8")
    program.chmod(0o755)
    toy = Recipe(project)
    toy.folder.mkdir(parents=True)
    return toy
