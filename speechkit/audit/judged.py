"""Scores or an audit as columns of numbers, over utterances, words and gaps: what is measured against a truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from speechkit.audit.score_file import LEFT_OUT_FILE, SCORES_FILE, Scored, read_scores
from speechkit.audit.verdict import AUDIT_FILE, Verdict, read_verdicts
from speechkit.data.stream import stream_rows
from speechkit.errors import SpeechkitError

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Spots:
    """Words, or gaps, of all utterances.

    unit: (M,) number of the utterance.  place: (M,) index in its text.  scores: by name (M,), more is more suspicious.
    flags: (M,) whether the audit calls it suspicious, None for scores.
    """

    unit: Ints
    place: Ints
    scores: dict[str, Floats]
    flags: Bools | None = None


@dataclass(frozen=True)
class Judged:
    """What is measured: ids and texts, scores of utterances by name, words and gaps."""

    ids: list[str]
    texts: list[str]
    scores: dict[str, Floats]
    words: Spots
    gaps: Spots
    verdicts: list[Verdict] = field(default_factory=list)


def read_judged(path: Path, star_penalty: float) -> Judged:
    """Scores or an audit, from its folder or file.

    Raises:
        SpeechkitError: neither is there.
    """
    name = path.name if path.is_file() else AUDIT_FILE if (path / AUDIT_FILE).is_file() else SCORES_FILE
    folder = path if path.is_dir() else path.parent
    if name == SCORES_FILE and (folder / name).is_file():
        return _of_scores(read_scores(folder), star_penalty)
    if path.is_file() or name == AUDIT_FILE:
        return _of_verdicts(read_verdicts(path))
    raise SpeechkitError(
        f"`{path}` holds neither {AUDIT_FILE} nor {SCORES_FILE}",
        expected="a folder made by `speechkit audit score` or `speechkit audit calibrate`",
    )


def left_out_ids(path: Path) -> set[str]:
    """Cuts that could not be scored."""
    found = (path if path.is_dir() else path.parent) / LEFT_OUT_FILE
    return {str(row.get("id")) for _, row in stream_rows(found)} if found.is_file() else set()


def _of_scores(rows: Sequence[Scored], penalty: float) -> Judged:
    names = list(dict.fromkeys(name for row in rows for name in row.scores))
    words = [word for row in rows for word in row.words]
    gaps = [gap for row in rows for gap in row.gaps]
    word_scores = {
        "doubt": _column([w.doubt for w in words]),
        "log_odds": _log_sum([w.delete for w in words], [w.star - penalty for w in words], [w.replace for w in words]),
        "log_odds_open": _log_sum([w.delete for w in words], [w.star - penalty for w in words]),
        "segment": _column([w.segment for w in words]),
        "confidence": -_column([w.confidence for w in words]),
    }
    gap_scores = {
        "doubt": _column([g.doubt for g in gaps]),
        "log_odds": _log_sum([g.star - penalty for g in gaps], [g.insert for g in gaps]),
        "log_odds_open": _column([g.star - penalty for g in gaps]),
        "segment": _column([g.segment for g in gaps]),
    }
    return Judged(
        ids=[row.utt_id for row in rows],
        texts=[row.text for row in rows],
        scores={name: _column([row.scores.get(name, -np.inf) for row in rows]) for name in names},
        words=_spots([len(row.words) for row in rows], word_scores),
        gaps=_spots([len(row.gaps) for row in rows], gap_scores),
    )


def _of_verdicts(rows: Sequence[Verdict]) -> Judged:
    words = [word for row in rows for word in row.words]
    gaps = [gap for row in rows for gap in row.gaps]
    return Judged(
        ids=[row.id for row in rows],
        texts=[row.text for row in rows],
        scores={"rank": -_column([row.rank for row in rows]), "p_error": _column([row.p_error for row in rows])},
        words=_spots(
            [len(row.words) for row in rows],
            {"log_odds": _column([w.log_odds for w in words]), "p_error": _column([w.p_error for w in words])},
            [w.suspicious for w in words],
        ),
        gaps=_spots(
            [len(row.gaps) for row in rows],
            {"log_odds": _column([g.log_odds for g in gaps]), "p_missing": _column([g.p_missing for g in gaps])},
            [g.suspicious for g in gaps],
        ),
        verdicts=list(rows),
    )


def _column(values: Sequence[float]) -> Floats:
    return np.array(values, np.float64)


def _log_sum(*columns: Sequence[float]) -> Floats:
    return np.asarray(np.logaddexp.reduce([_column(column) for column in columns], axis=0), np.float64)


def _spots(sizes: Sequence[int], scores: dict[str, Floats], flags: Sequence[bool] | None = None) -> Spots:
    unit = np.repeat(np.arange(len(sizes)), sizes)
    place = np.concatenate([np.arange(size) for size in sizes]) if len(sizes) else np.zeros(0, np.int64)
    return Spots(unit, place, scores, None if flags is None else np.array(flags, np.bool_))
