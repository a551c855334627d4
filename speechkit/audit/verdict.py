"""What an audit says about each transcript (`audit.jsonl`), and what a person decided (`decisions.jsonl`)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from speechkit.data.stream import stream_rows
from speechkit.errors import SpeechkitError

AUDIT_FILE, CALIBRATION_FILE = "audit.jsonl", "calibration.json"
RUN_FOLDER = "audit"  # where `audit run` keeps it
DECISIONS = ("wrong", "right", "unsure")
STRATA = ("top", "middle", "rest")

Probability = Annotated[float, pydantic.Field(ge=0.0, le=1.0)]


@dataclass(frozen=True)
class WordVerdict:
    """A word of the given transcript; times in seconds from the start of the cut.

    Args:
        log_odds: that it is wrong, as learnt from indicators, counted from the audit's threshold: ranks without ties.
        best: what stands there instead by the best edit; empty when the word should go.
    """

    word: str
    start: float
    end: float
    p_error: Probability
    log_odds: float = 0.0
    best: str = ""
    suspicious: bool = False


@dataclass(frozen=True)
class GapVerdict:
    """The place before a word, or after the last one: is a said word missing there?"""

    p_missing: Probability
    log_odds: float = 0.0
    best: str = ""
    suspicious: bool = False


@dataclass(frozen=True)
class Verdict:
    """One row of `audit.jsonl`.

    Args:
        rank: 1 for the most suspicious utterance of the corpus.
        p_error: calibrated probability that the transcript is wrong; 1 - `weight`.
        types: probability of each kind of error, if there is one.
        suggestion: the transcript after the best single edit; empty without one.
    """

    id: str
    rank: Annotated[int, pydantic.Field(ge=1)]
    p_error: Probability
    suspicious: bool
    text: str
    speaker: str = ""
    weight: Probability = 1.0
    types: dict[str, Probability] = field(default_factory=dict)
    suggestion: str = ""
    suggestion_log_odds: float = 0.0
    words: tuple[WordVerdict, ...] = ()
    gaps: tuple[GapVerdict, ...] = ()


@dataclass(frozen=True)
class Decision:
    """What a person decided about one transcript; None: drawn for inspection but not decided yet."""

    id: str
    decision: Literal["wrong", "right", "unsure"] | None = None
    text: str | None = None
    stratum: Literal["top", "middle", "rest"] | None = None


_VERDICT = pydantic.TypeAdapter(Verdict)
_DECISION = pydantic.TypeAdapter(Decision)


def find_audit(audit: Path) -> Path:
    """The file of an audit: given itself, by the folder of `audit calibrate`, or by that of `audit run`."""
    if not audit.is_dir():
        return audit
    inside = audit / RUN_FOLDER / AUDIT_FILE
    return inside if inside.is_file() and not (audit / AUDIT_FILE).is_file() else audit / AUDIT_FILE


def read_verdicts(audit: Path) -> list[Verdict]:
    """The rows of an audit, a folder or the file itself, the most suspicious first.

    Raises:
        SpeechkitError: missing, empty, an id or rank twice, or a row of another form; with file:line.
    """
    path = find_audit(audit)
    if not path.is_file():
        raise SpeechkitError(
            f"`{path}` does not exist", expected="a folder made by `speechkit audit calibrate`, or its audit.jsonl"
        )
    found: dict[str, Verdict] = {}
    for where, verdict in _parsed(path, _VERDICT):
        if verdict.id in found:
            raise SpeechkitError(f"the id `{verdict.id}` occurs twice", where=where)
        if verdict.words and len(verdict.gaps) != len(verdict.words) + 1:
            raise SpeechkitError(
                f"`{verdict.id}` has {len(verdict.words)} words and {len(verdict.gaps)} gaps",
                where=where,
                expected="one gap more than words",
            )
        found[verdict.id] = verdict
    if not found:
        raise SpeechkitError(f"`{path}` holds no utterances", hint="`speechkit audit calibrate` makes it")
    return sorted(found.values(), key=lambda verdict: (verdict.rank, verdict.id))


def read_upper_rate(audit: Path) -> float | None:
    """The share of wrong transcripts at most, as far as the calibration tells; None for an audit without one."""
    path = (audit if audit.is_dir() else audit.parent) / CALIBRATION_FILE
    try:
        return float(json.loads(path.read_text(encoding="utf-8"))["utterances"]["upper_rate"])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def read_decisions(path: Path, known: set[str], audit: Path) -> dict[str, Decision]:
    """Decisions by id, in the order of the file.

    Args:
        known: the ids of the audit, `audit` its name for the message.

    Raises:
        SpeechkitError: missing, an id that the audit does not have or that is decided twice, or a value that is no
            decision; every fault with file:line.
    """
    found: dict[str, Decision] = {}
    faults = []
    for where, decision in _parsed(path, _DECISION):
        if decision.id not in known:
            faults.append(f"{where}  `{decision.id}` is not in the audit")
        elif decision.id in found:
            faults.append(f"{where}  `{decision.id}` is decided twice")
        elif decision.text is not None and not decision.text.strip():
            faults.append(f"{where}  `{decision.id}` is corrected to an empty text")
        found[decision.id] = decision
    if faults:
        raise SpeechkitError(
            f"decisions that do not fit `{audit}`: {len(faults)} of {len(found)}",
            where=faults,
            expected="decisions about this audit, each id once, a text that is not empty or none",
        )
    return found


def _parsed(path: Path, adapter: pydantic.TypeAdapter[Any]) -> Iterator[tuple[str, Any]]:
    for where, row in stream_rows(path):
        try:
            yield where, adapter.validate_python(row)
        except pydantic.ValidationError as error:
            problems = [_problem(where, item) for item in error.errors()]
            raise SpeechkitError(f"not a row as `{path.name}` should hold it", where=problems) from None


def _problem(where: str, item: Any) -> str:
    key = ".".join(map(str, item["loc"])) or "the row"
    given = "" if item["type"] == "missing" else f", not {item['input']!r:.60}"
    message = "is missing" if item["type"] == "missing" else item["msg"][:1].lower() + item["msg"][1:]
    return f"{where}  `{key}`: {message}{given}"
