"""The job folder: how elements ended and who runs them, as small files that appear whole.

A status file is the only truth about an element; Slurm is asked to explain a missing one.
"""

from __future__ import annotations

import itertools
import json
import os
import socket
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from speechkit.artifact import publish_file
from speechkit.config import build_config
from speechkit.errors import SpeechkitError
from speechkit.fingerprint import RUN_FILE, fingerprint_of_states, hash_of
from speechkit.jobs.config import JobSpec
from speechkit.jobs.shard import shards_folder

SPEC_FILE, SCRIPT_FILE, SUBMITTED_FILE = "spec.json", "job.sh", "submitted.json"
STATUS_FOLDER, LEASE_FOLDER = "status", "lease"
FINAL = ("done", "failed")
_OUTPUT_OPTIONS = {"--out", "--json", "--html", "--update", "--report"}


@dataclass(frozen=True)
class Status:
    """How an attempt at an element ended; `requeue`: it goes on when it is started again."""

    state: str  # done, failed or requeue
    rc: int
    attempt: int
    reason: str = ""
    signal: int | None = None
    host: str = ""
    node: str = ""
    job: str = ""
    start: float = 0.0
    end: float = 0.0
    maxrss_mb: float = 0.0
    argv_sha: str = ""
    inputs_sha: str = ""


class JobFolder:
    """Reads and writes the files of one job."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self) -> None:
        """Make the folder and those inside."""
        for name in (STATUS_FOLDER, LEASE_FOLDER):
            (self.path / name).mkdir(parents=True, exist_ok=True)

    def save_spec(self, spec: JobSpec) -> None:
        """Write spec.json."""
        with publish_file(self.path / SPEC_FILE) as stream:
            stream.write(spec.model_dump_json(indent=1) + "\n")

    def load_spec(self) -> JobSpec:
        """Read spec.json.

        Raises:
            SpeechkitError: there is none, or it is no spec.
        """
        path = self.path / SPEC_FILE
        try:
            tree = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise SpeechkitError(
                f"`{self.path}` is no job folder: {(error.strerror or '').lower()}", expected="a folder with spec.json"
            ) from None
        except ValueError as error:
            raise SpeechkitError(f"`{path}` is not JSON: {error}") from None
        return build_config(JobSpec, tree, {(): str(path)})

    def read_submitted(self) -> dict[str, Any]:
        """What submitted.json says, or nothing when it is absent."""
        try:
            value = json.loads((self.path / SUBMITTED_FILE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise SpeechkitError(f"`{self.path / SUBMITTED_FILE}` is not JSON: {error}") from None
        return value if isinstance(value, dict) else {}

    def write_submitted(self, value: dict[str, Any]) -> None:
        """Write submitted.json."""
        with publish_file(self.path / SUBMITTED_FILE) as stream:
            json.dump(value, stream, indent=1)
            stream.write("\n")

    def status_path(self, element: int) -> Path:
        """The status file of an element."""
        return self.path / STATUS_FOLDER / f"{element}.json"

    def lease_path(self, element: int, attempt: int) -> Path:
        """The file that says who makes this attempt."""
        return self.path / LEASE_FOLDER / f"{element}.{attempt}"

    def listed(self) -> set[int]:
        """Elements that have a status file now; the folder is opened anew, which makes a file server look again."""
        with os.scandir(self.path / STATUS_FOLDER) as entries:
            names = [entry.name for entry in entries]
        return {int(name[:-5]) for name in names if name.endswith(".json") and name[:-5].isdigit()}

    def read_status(self, element: int) -> Status | None:
        """How the element ended, or None while nobody says."""
        try:
            return Status(**json.loads(self.status_path(element).read_bytes()))
        except (OSError, ValueError, TypeError):  # also ESTALE of a file server that has just replaced it
            return None

    def has_ended(self, element: int) -> bool:
        """True when a wrapper has said its last word."""
        status = self.read_status(element)
        return status is not None and status.state in FINAL

    def write_status(self, element: int, status: Status) -> None:
        """Publish how an attempt ended."""
        with publish_file(self.status_path(element)) as stream:
            json.dump(asdict(status), stream)
            stream.write("\n")

    def attempts(self) -> dict[int, int]:
        """The number of the newest attempt of each element that was ever started."""
        newest: dict[int, int] = {}
        with os.scandir(self.path / LEASE_FOLDER) as entries:
            for entry in entries:
                element, _, attempt = entry.name.partition(".")
                if element.isdigit() and attempt.isdigit():
                    newest[int(element)] = max(int(attempt), newest.get(int(element), 0))
        return newest

    def newest_attempt(self, element: int, at_least: int = 0) -> int:
        """The number of the newest attempt of one element, 0 when it was never started."""
        while self.lease_path(element, at_least + 1).exists():
            at_least += 1
        return at_least

    def take_lease(self, element: int, about: dict[str, Any]) -> int:
        """Start an attempt: the first number that nobody has taken."""
        text = json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "start": time.time(), **about})
        attempt = self.newest_attempt(element) + 1
        while True:
            try:
                descriptor = os.open(self.lease_path(element, attempt), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            except FileExistsError:
                attempt += 1
                continue
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(text + "\n")
            return attempt

    def read_lease(self, element: int, attempt: int) -> tuple[dict[str, Any], float]:
        """Who makes an attempt, and the seconds since its last heartbeat."""
        path = self.lease_path(element, attempt)
        try:
            about = json.loads(path.read_text(encoding="utf-8"))
            return (about if isinstance(about, dict) else {}), time.time() - path.stat().st_mtime
        except (OSError, ValueError):
            return {}, float("inf")


def sha_of(commands: list[list[str]], cwd: str) -> str:
    """What an element does, as one hash."""
    return hash_of([commands, cwd])[:32]


def inputs_sha_of(commands: list[list[str]], cwd: str) -> str:
    """State of the files and folders that the commands name, but for those that they make."""
    made = {word for argv in commands for word in _outputs(argv)}
    words = {part for argv in commands for word in argv for part in (word, word.partition("=")[2]) if part} - made
    paths = [Path(cwd, word) for word in sorted(words) if "\0" not in word and len(word) < 4096]
    return fingerprint_of_states(_deciding_file(path) for path in paths if _exists(path))[:32]


def is_current(status: Status | None, commands: list[list[str]], cwd: str) -> bool:
    """True when these commands are done, what they made is there, and what they read has not changed."""
    return (
        status is not None
        and status.state == "done"
        and status.argv_sha == sha_of(commands, cwd)
        and all(_is_made(argv, Path(cwd, word)) for argv in commands for word in _outputs(argv))
        and status.inputs_sha == inputs_sha_of(commands, cwd)
    )


def _is_made(argv: list[str], out: Path) -> bool:
    """True when an output is there, or the part of it that the command made."""
    if _exists(out):
        return True
    for option, value in itertools.pairwise(argv):
        if option == "--shard" and _exists(shards_folder(out) / value.replace("/", "-of-")):
            return True
    return False


def _outputs(argv: list[str]) -> Iterator[str]:
    for option, value in itertools.pairwise(argv):
        if option in _OUTPUT_OPTIONS:
            yield value
    for word in argv:
        option, equals, value = word.partition("=")
        if equals and option in _OUTPUT_OPTIONS:
            yield value


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name too long for a file
        return False


def _deciding_file(path: Path) -> Path:
    run = path / RUN_FILE  # of an artifact; its folder changes when others put something beside
    return run if path.is_dir() and run.is_file() else path


def ranges(elements: Iterable[int]) -> str:
    """Numbers as Slurm writes them: 1-4,7."""
    found: list[list[int]] = []
    for element in sorted(elements):
        if found and element == found[-1][1] + 1:
            found[-1][1] = element
        else:
            found.append([element, element])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in found)


def parse_ranges(text: str) -> list[int]:
    """The numbers of `ranges`; a limit such as %4 and steps such as 1-9:2 are understood."""
    numbers: list[int] = []
    for part in filter(None, text.partition("%")[0].split(",")):
        span, _, step = part.partition(":")
        first, _, last = span.partition("-")
        numbers += range(int(first), int(last or first) + 1, int(step or 1))
    return numbers
