"""The command `score multi`: error rates of conversations, where nobody knows which output belongs to which speaker.

The metrics are those of the package meeteval (von Neumann et al. 2023): cpwer concatenates each speaker and finds the
best assignment, orcwer assigns each reference turn to an output stream, mimower does so for several speakers and
streams; the tc ones also ask that words be said at about the right time.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from speechkit import log
from speechkit.errors import ConfigError, SpeechkitError, missing_package
from speechkit.score.bootstrap import rate_interval
from speechkit.score.config import MultiConfig
from speechkit.score.normalize import Normalizer, read_normalizer
from speechkit.score.summary import percent
from speechkit.score.turns import Turn, kind_of, read_turns

SCHEMA = 1
MAX_ROWS = 50
MIN_SESSIONS = 2
Sessions = dict[str, list[Turn]]


class Metric(NamedTuple):
    """Name of the function in `meeteval.wer.api`, and whether it asks for times and a collar."""

    function: str
    is_timed: bool


METRICS = {
    "cpwer": Metric("cpwer", False),
    "orcwer": Metric("orcwer", False),
    "mimower": Metric("mimower", False),
    "dicpwer": Metric("greedy_dicpwer", False),
    "greedy-orcwer": Metric("greedy_orcwer", False),
    "tcpwer": Metric("tcpwer", True),
    "tcorcwer": Metric("tcorcwer", True),
    "tcmimower": Metric("tcmimower", True),
    "ditcpwer": Metric("greedy_ditcpwer", True),
    "greedy-tcorcwer": Metric("greedy_tcorcwer", True),
}


def score_multi(ref: Path, hyp: Path, config: MultiConfig) -> dict[str, Any]:
    """Score two files; the value is what `--json` writes.

    Raises:
        SpeechkitError: a file cannot be read, sessions differ, or turns lack times; ConfigError: meeteval is absent.
    """
    if not config.metrics:
        raise ConfigError("there is no metric", expected=f"some of {', '.join(METRICS)}")
    normalizer = read_normalizer(config.normalize, config.case)
    if normalizer.has_alternatives:
        normalizer = _without_alternatives(normalizer, ref, hyp, config)
    sides = _read(ref, normalizer, "ref"), _read(hyp, normalizer, "hyp")
    missing, num_extra = _compare_sessions(sides, (ref, hyp), config.missing)
    if config.missing == "skip":
        sides = {name: turns for name, turns in sides[0].items() if name not in missing}, sides[1]
    if not any(turn.words for turns in sides[0].values() for turn in turns):
        raise SpeechkitError("no reference has a word, so there is no error rate", where=str(ref))
    if any(METRICS[name].is_timed for name in config.metrics):
        _refuse_untimed(sides)
    return {
        "schema": SCHEMA,
        "ref": str(ref),
        "hyp": str(hyp),
        "missing_policy": config.missing,
        "missing": len(missing),
        "extra": num_extra,
        "collar_seconds": config.collar_seconds,
        "bootstrap": {"unit": "session", "num_replicates": config.num_replicates, "seed": config.seed},
        "metrics": {name: _metric(name, sides, config) for name in config.metrics},
    }


def _without_alternatives(normalizer: Normalizer, ref: Path, hyp: Path, config: MultiConfig) -> Normalizer:
    for path, side in ((ref, "ref"), (hyp, "hyp")):
        if normalizer.for_input(kind_of(path), side).has_alternatives:
            raise ConfigError(
                f"the rules of `{config.normalize}` write alternatives `{{ a / b }}`, which these metrics do not know"
            )
    return normalizer


def _read(path: Path, normalizer: Normalizer, side: str) -> Sessions:
    clean = normalizer.for_input(kind_of(path), side)
    found: Sessions = defaultdict(list)
    for turn in read_turns(path):
        found[turn.session].append(replace(turn, words=clean.text(turn.words)))
    return dict(found)


def _compare_sessions(sides: tuple[Sessions, Sessions], paths: tuple[Path, Path], policy: str) -> tuple[set[str], int]:
    """Sessions without hypothesis, and how many have no reference."""
    missing, extra = set(sides[0]) - set(sides[1]), set(sides[1]) - set(sides[0])
    if len(missing) == len(sides[0]):
        raise SpeechkitError(
            "no session of the reference has a hypothesis",
            where=[f"{path}: {', '.join(list(side)[:3])}, ..." for path, side in zip(paths, sides, strict=True)],
            hint="are these files of the same test set?",
        )
    if policy == "error" and (missing or extra):
        where = [f"{sides[0][name][0].where}  {name}  no hypothesis" for name in sorted(missing)]
        where += [f"{sides[1][name][0].where}  {name}  no reference" for name in sorted(extra)]
        raise SpeechkitError(
            f"{len(missing)} sessions have no hypothesis, {len(extra)} have no reference",
            where=where,
            hint="--missing delete counts missing words as deletions, --missing skip leaves those sessions out",
        )
    if missing or extra:
        action = "counted as deletions" if policy == "delete" else "left out"
        log.warn(f"{len(missing)} sessions without hypothesis {action}; {len(extra)} without reference left out")
    return missing, len(extra)


def _refuse_untimed(sides: tuple[Sessions, Sessions]) -> None:
    untimed = [turn.where for side in sides for turns in side.values() for turn in turns if turn.start is None]
    if untimed:
        raise SpeechkitError(
            f"{len(untimed)} turns have no times, which time-constrained metrics need",
            where=untimed,
            hint="add `start_time` and `end_time`, or choose --metric cpwer, orcwer or mimower",
        )


def _metric(name: str, sides: tuple[Sessions, Sessions], config: MultiConfig) -> dict[str, Any]:
    rows = []
    for session, turns in sides[0].items():
        others = sides[1].get(session)
        rows.append(_lost(session, turns) if others is None else _session(name, session, (turns, others), config))
    errors, words = (np.array([row[key] for row in rows], np.int64) for key in ("errors", "num_ref_words"))
    interval = None
    if len(rows) >= MIN_SESSIONS:
        interval = rate_interval(
            errors, words, level=config.ci_level, num_replicates=config.num_replicates, seed=config.seed
        )
    sums = {key: sum(row[key] for row in rows) for key in ("errors", "num_ref_words", "sub", "del", "ins")}
    return {
        "rate": percent(sums["errors"], sums["num_ref_words"]),
        **sums,
        "num_sessions": len(rows),
        "ci": {"level": config.ci_level, "rate": interval and [round(value, 4) for value in interval]},
        "sessions": rows,
    }


def _lost(session: str, turns: list[Turn]) -> dict[str, Any]:
    num = sum(len(turn.words.split()) for turn in turns)
    return {"session": session, "rate": percent(num, num), **_counts(num, num, (0, num, 0)), "is_missing": True}


def _counts(errors: int, num_words: int, counts: tuple[int, int, int]) -> dict[str, int]:
    sub, dele, ins = counts
    return {"errors": errors, "num_ref_words": num_words, "sub": sub, "del": dele, "ins": ins}


def _session(name: str, session: str, sides: tuple[list[Turn], list[Turn]], config: MultiConfig) -> dict[str, Any]:
    try:
        from meeteval.io import SegLST
        from meeteval.wer import api
    except ImportError:
        raise missing_package("meeteval", "meeteval", "score multi") from None
    metric = METRICS[name]
    options = {"collar": config.collar_seconds} if metric.is_timed else {}
    segments = [SegLST([_segment(turn) for turn in turns]) for turns in sides]
    try:
        found = getattr(api, metric.function)(segments[0], segments[1], **options)[session]
    except (ValueError, RuntimeError, MemoryError) as error:
        raise SpeechkitError(
            f"{name} can not be computed for session `{session}`",
            where=" ".join(str(error).split())[:300],
            hint="many speakers or streams make orcwer and mimower too large: try cpwer or greedy-orcwer",
        ) from None
    row: dict[str, Any] = {"session": session, "rate": percent(found.errors, found.length)}
    row |= _counts(found.errors, found.length, (found.substitutions, found.deletions, found.insertions))
    if hasattr(found, "missed_speaker"):
        row |= {"missed_speakers": found.missed_speaker, "false_alarm_speakers": found.falarm_speaker}
        row["assignment"] = [list(pair) for pair in found.assignment]
    return row


def _segment(turn: Turn) -> dict[str, Any]:
    found: dict[str, Any] = {"session_id": turn.session, "speaker": turn.speaker, "words": turn.words}
    return found if turn.start is None else {**found, "start_time": turn.start, "end_time": turn.end}


def table(result: dict[str, Any]) -> str:
    """One line per metric and, below it, per session."""
    heads = ("words", "rate%", "interval", "sub", "del", "ins")
    lines = [f"{'metric, session':<34}" + "".join(head.rjust(w) for head, w in zip(heads, _WIDTHS, strict=True))]
    for name, metric in result["metrics"].items():
        lines.append(_row(name, metric, metric["ci"]["rate"]))
        lines += [_row(f"  {row['session']}", row, None) for row in metric["sessions"][:MAX_ROWS]]
        if len(metric["sessions"]) > MAX_ROWS:
            lines.append(f"  ... and {len(metric['sessions']) - MAX_ROWS} more sessions, see --json")
    first = next(iter(result["metrics"].values()))
    level = f"{100 * first['ci']['level']:g} % bootstrap intervals by session ({first['num_sessions']})"
    lines.append(f"{level}; missing hypotheses: {result['missing']} ({result['missing_policy']})")
    return "\n".join(lines)


_WIDTHS = (8, 9, 18, 7, 7, 7)


def _row(title: str, part: dict[str, Any], interval: list[float] | None) -> str:
    rate = "-" if part["rate"] is None else f"{part['rate']:.2f}"
    shown = f"[{interval[0]:.2f}, {interval[1]:.2f}]" if interval else ""
    cells = (str(part["num_ref_words"]), rate, shown, str(part["sub"]), str(part["del"]), str(part["ins"]))
    return f"{title:<34}" + "".join(" " + cell.rjust(w - 1) for cell, w in zip(cells, _WIDTHS, strict=True))


__all__ = ["METRICS", "score_multi", "table"]
