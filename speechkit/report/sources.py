"""What a report rests on: files of `score wer` and `audit eval` with --json, run.json and train.jsonl of artifacts."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from speechkit.artifact import CONFIG_FILE
from speechkit.errors import SpeechkitError
from speechkit.fingerprint import RUN_FILE

HISTORY_FILE = "train.jsonl"
NEEDED = ("wer", "num_ref_words", "sub", "ins", "del", "num_utterances")
AUDIT_NEEDED = ("judged", "truth", "utterances", "faulty", "scores")
PROMPT_NEEDED = ("task", "metric", "num_labels", "systems")
ICL_NEEDED = ("num_demos", "episodes_per_repeat", "tasks")
KINDS = {"rates": NEEDED, "audit": AUDIT_NEEDED, "prompt": PROMPT_NEEDED, "icl": ICL_NEEDED}
_TELLING = {"judged": "audit", "systems": "prompt", "num_demos": "icl"}  # keys that only one kind of file has
AUDIT_ROLE = re.compile(r"scores|log_probs_\d+|exp")
MAX_JSON_BYTES = 16 << 20
NUM_FOLDERS_UP = 3


@dataclass(frozen=True)
class Run:
    """How an artifact was made, from its run.json; `cpu_minutes` includes the model it was made with."""

    command: str
    fingerprint: str
    commit: str
    machine: str
    cpu_minutes: float
    date: str


@dataclass(frozen=True)
class Score:
    """One score file: its path, its short name in the report, its content, and the run that made what is scored."""

    path: Path
    name: str
    result: dict[str, Any]
    run: Run | None = None

    @property
    def kind(self) -> str:
        """What was measured: error `rates`, an `audit` of transcripts, a `prompt`, or `icl`, in-context learning."""
        return kind_of(self.result)

    def rate(self, part: str = "") -> float | None:
        """WER in percent of all texts, or of `seen` or `unseen` ones; None when not measured."""
        inner = self.result.get(part) if part else self.result
        value = inner.get("wer") if isinstance(inner, dict) else None
        return None if value is None else float(value)

    def interval(self, part: str = "") -> tuple[float, float] | None:
        """The interval of `rate`, in percent."""
        inner = self.result.get(part) if part else self.result
        pair = inner.get("ci95") if isinstance(inner, dict) else None
        return (float(pair[0]), float(pair[1])) if pair else None

    @property
    def overlap_percent(self) -> float:
        """Share of the utterances that are known to overlap with training, in percent."""
        overlap = self.result.get("train_overlap")
        return float(overlap.get("percent") or 0.0) if isinstance(overlap, dict) else 0.0

    @property
    def parrot_rate(self) -> float | None:
        """Share of hypotheses on unseen texts that are training texts verbatim, in percent."""
        value = self.result.get("parrot_rate")
        return None if value is None else float(value)


@dataclass(frozen=True)
class Experiment:
    """A folder with a training history: (step, loss) pairs, and its resolved config as text."""

    path: Path
    name: str
    losses: list[tuple[float, float]] = field(default_factory=list)
    config: str = ""
    run: Run | None = None


def kind_of(result: object) -> str:
    """The kind of file that a value seems to come from."""
    keys = result if isinstance(result, dict) else {}
    return next((kind for key, kind in _TELLING.items() if key in keys), "rates")


def read_sources(paths: Sequence[Path]) -> tuple[list[Score], list[Experiment]]:
    """Scores and experiments of the given score files and folders, named by the parts of their paths that differ.

    Raises:
        SpeechkitError: a path is missing, a file is no score file, or a folder holds nothing to report.
    """
    files: list[Path] = []
    folders: list[Path] = []
    for path in paths:
        if path.is_dir():
            scores, histories = _scores_below(path), sorted(path.rglob(HISTORY_FILE))
            if not scores and not histories:
                raise SpeechkitError(
                    f"`{path}` holds no score file and no {HISTORY_FILE}",
                    expected="files of `score wer`, `audit eval` or `prompt eval` with --json, or folders of `train`",
                )
            files += scores
            folders += [history.parent for history in histories]
        else:
            files.append(path)
    files, folders = list(dict.fromkeys(files)), list(dict.fromkeys(folders))
    names = short_names([file.with_suffix("") for file in files])
    scores_read = [_read_score(file, name) for file, name in zip(files, names, strict=True)]
    experiments = [read_experiment(f, n) for f, n in zip(folders, short_names(folders), strict=True)]
    return scores_read, experiments


def _scores_below(folder: Path) -> list[Path]:
    found = []
    for path in sorted(folder.rglob("*.json")):
        if path.name != RUN_FILE and path.stat().st_size <= MAX_JSON_BYTES:
            try:
                value = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue  # other programs' files may lie in an experiment folder
            if isinstance(value, dict) and all(key in value for key in KINDS[kind_of(value)]):
                found.append(path)
    return found


def _read_score(path: Path, name: str) -> Score:
    expected = "a file of `speechkit score wer`, `audit eval`, `prompt eval` or `prompt icl`"
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SpeechkitError(f"score file `{path}` does not exist", expected=expected) from None
    except json.JSONDecodeError as error:
        raise SpeechkitError(
            f"not valid JSON: {error.msg}", where=f"{path}:{error.lineno}", expected=expected
        ) from None
    except UnicodeDecodeError:
        raise SpeechkitError(f"`{path}` is not text", expected=expected) from None
    absent = [key for key in KINDS[kind_of(result)] if not isinstance(result, dict) or key not in result]
    if absent:
        raise SpeechkitError(f"`{path}` lacks {', '.join(absent)}", expected=expected)
    score = Score(path, name, result, run_behind(path, result))
    return replace(score, name=name + overlap_mark(score.overlap_percent))


def overlap_mark(percent: float) -> str:
    """What stands beside the name of a system that was scored on what it was trained on."""
    return f" ({percent:.1f} % in training)" if percent else ""


def run_behind(path: Path, result: dict[str, Any]) -> Run | None:
    """The run that made what a file scores: its `hyp` or `judged` entry, else the nearest run.json above the file."""
    starts = [path.parent]
    starts[:0] = [Path(result[key]) for key in ("hyp", "judged") if isinstance(result.get(key), str)]
    for start in starts:
        for folder in [start, *start.parents][:NUM_FOLDERS_UP]:
            if (folder / RUN_FILE).is_file():
                return read_run(folder)
    return None


def read_run(folder: Path) -> Run | None:
    """The run.json of an artifact; a decoding names the training that its model came from, an audit counts its models.

    Raises:
        SpeechkitError: run.json is not one of speechkit's.
    """
    own = _load_run(folder)
    if own is None:
        return None
    model = own.get("inputs", {}).get("exp", {}).get("path")
    trained = _load_run(Path(model)) if isinstance(model, str) else None
    behind = [trained] if trained is not None else list(_runs_behind_audit(own).values())
    seconds = sum(float(run.get("cpu_seconds", 0.0)) for run in (own, *behind))
    shown = trained or own
    return Run(
        command=shown_command(shown.get("argv", [])),
        fingerprint=str(shown.get("fingerprint", ""))[:12],
        commit=str(shown.get("commit") or ""),
        machine=str(shown.get("machine") or ""),
        cpu_minutes=round(seconds / 60.0, 2),
        date=str(own.get("started", ""))[:10],
    )


def _runs_behind_audit(run: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The scores, log-probs and models that an audit came from, by their folders."""
    found: dict[str, dict[str, Any]] = {}
    waiting = [run]
    while waiting:
        inputs = waiting.pop().get("inputs", {}).items()
        paths = [given.get("path") for role, given in inputs if AUDIT_ROLE.fullmatch(role) and isinstance(given, dict)]
        made = {path: _load_run(Path(path)) for path in paths if isinstance(path, str) and path not in found}
        new = {path: run for path, run in made.items() if run is not None}
        found |= new
        waiting += new.values()
    return found


def _load_run(folder: Path) -> dict[str, Any] | None:
    path = folder / RUN_FILE
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        return None
    except ValueError:
        run = None
    if not isinstance(run, dict) or "fingerprint" not in run:
        raise SpeechkitError(f"`{path}` was not written by speechkit", hint="make the artifact again")
    return run


def shown_command(argv: Sequence[str]) -> str:
    """A command line without the folders of one machine: paths relative to here, others by their last two parts."""
    return " ".join(["speechkit", *(_shown_word(word) for word in argv[1:])])


def _shown_word(word: str) -> str:
    match = re.fullmatch(r"(--[\w-]+=)?(/.+)", word)
    if match is None:
        return word if re.fullmatch(r"[\w./=:,@%+-]+", word) else "'" + word.replace("'", "'\\''") + "'"
    relative = os.path.relpath(match[2])
    if relative.startswith("../../.."):
        relative = "/".join(["...", *Path(match[2]).parts[-2:]])
    return (match[1] or "") + relative


def read_experiment(folder: Path, name: str) -> Experiment:
    """The training history of a folder: lines of train.jsonl that have a finite loss.

    Raises:
        SpeechkitError: a line is not JSON; the message names file:line.
    """
    path = folder / HISTORY_FILE
    losses = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise SpeechkitError(f"not valid JSON: {error.msg}", where=f"{path}:{number}") from None
        loss, step = (record.get("loss"), record.get("step")) if isinstance(record, dict) else (None, None)
        if isinstance(loss, int | float) and isinstance(step, int | float) and math.isfinite(loss):
            losses.append((float(step), float(loss)))
    config = folder / CONFIG_FILE
    text = config.read_text(encoding="utf-8") if config.is_file() else ""
    return Experiment(folder, name, losses, text, read_run(folder))


def short_names(paths: Sequence[Path]) -> list[str]:
    """Names from the parts of the paths that differ; a lone path keeps its last two parts."""
    parts = [list(path.parts) for path in paths]
    if len(parts) < 2:
        return ["/".join(p[-2:]) for p in parts]
    while all(len(p) > 1 and p[0] == parts[0][0] for p in parts):
        parts = [p[1:] for p in parts]
    while all(len(p) > 1 and p[-1] == parts[0][-1] for p in parts):
        parts = [p[:-1] for p in parts]
    return ["/".join(p) for p in parts]
