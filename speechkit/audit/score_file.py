"""`scores.jsonl` of `speechkit audit score`: a row for each utterance, in the order of the manifest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from speechkit.audit.evidence import Evidence
from speechkit.data.stream import stream_rows
from speechkit.errors import SpeechkitError

if TYPE_CHECKING:
    from speechkit.audit.k2_edits import EditPosteriors

SCORES_FILE, LEFT_OUT_FILE, META_FILE = "scores.jsonl", "left_out.jsonl", "meta.json"
_DIGITS = 5


@dataclass(frozen=True)
class ScoredWord:
    """Log ratios of the edits of a word and its doubt, see `Evidence`; -inf where there is none; times in seconds."""

    word: str
    start: float
    end: float
    delete: float
    star: float
    replace: float
    best: str | None
    doubt: float
    segment: float
    confidence: float
    k2_error: float | None = None


@dataclass(frozen=True)
class ScoredGap:
    """Log ratios of the edits of a gap."""

    star: float
    insert: float
    best: str | None
    doubt: float
    segment: float
    k2_missing: float | None = None


@dataclass(frozen=True)
class Scored:
    """What `audit score` says of an utterance; `seconds` are those of its frames."""

    utt_id: str
    part: int
    speaker: str
    text: str
    seconds: float
    log_prob: float
    hypothesis: str
    words: tuple[ScoredWord, ...]
    gaps: tuple[ScoredGap, ...]
    scores: dict[str, float]


def row_of(
    utt_id: str, evidence: Evidence, lexicon: Sequence[str], *, part: int, speaker: str, seconds: float
) -> dict[str, Any]:
    """The row of an utterance; null stands for -inf and for a word that does not exist."""
    words = [
        {
            "word": word,
            "start": _plain(evidence.start_seconds_W[w]),
            "end": _plain(evidence.end_seconds_W[w]),
            "delete": _plain(evidence.delete_W[w]),
            "star": _plain(evidence.star_W[w]),
            "replace": _plain(evidence.replace_W[w]),
            "best": _word(lexicon, int(evidence.replacement_W[w])),
            "doubt": _plain(evidence.doubt_W[w]),
            "segment": _plain(evidence.segment_W[w]),
            "confidence": _plain(evidence.confidence_W[w]),
        }
        for w, word in enumerate(evidence.words)
    ]
    gaps = [
        {
            "star": _plain(evidence.gap_star_G[g]),
            "insert": _plain(evidence.insert_G[g]),
            "best": _word(lexicon, int(evidence.insertion_G[g])),
            "doubt": _plain(evidence.doubt_G[g]),
            "segment": _plain(evidence.segment_G[g]),
        }
        for g in range(len(evidence.gap_star_G))
    ]
    return {
        "id": utt_id,
        "part": part,
        "speaker": speaker,
        "text": " ".join(evidence.words),
        "seconds": _plain(seconds),
        "log_prob": _plain(evidence.log_prob),
        "hypothesis": evidence.hypothesis,
        "words": words,
        "gaps": gaps,
        "scores": {name: _plain(value) for name, value in evidence.scores.items()},
    }


def add_posteriors(row: dict[str, Any], posteriors: EditPosteriors) -> None:
    """Put what k2 says beside what the row says: probabilities of a wrong word, of a missing one, of any edit."""
    for word, keep in zip(row["words"], posteriors.keep_W, strict=True):
        word["k2_error"] = _plain(1.0 - keep)
    for gap, star in zip(row["gaps"], posteriors.gap_star_G, strict=True):
        gap["k2_missing"] = _plain(star)
    row["scores"]["edits_k2"] = _plain(posteriors.log_total - row["log_prob"])


def _plain(value: float) -> float | None:
    return round(float(value), _DIGITS) + 0.0 if math.isfinite(value) else None  # no -0.0


def _word(lexicon: Sequence[str], number: int) -> str | None:
    return lexicon[number] if number >= 0 else None


def read_scores(folder: Path) -> list[Scored]:
    """The rows of a folder of `speechkit audit score`, in order.

    Raises:
        SpeechkitError: the file is missing, or a line is no row of scores; with file:line.
    """
    found = []
    for where, row in stream_rows(folder / SCORES_FILE):
        try:
            found.append(_parse(row))
        except (KeyError, TypeError, ValueError) as error:
            raise SpeechkitError("not a row of `speechkit audit score`", where=f"{where}  {error!r}") from None
    return found


def _parse(row: dict[str, Any]) -> Scored:
    words = tuple(ScoredWord(**{key: _full(key, value) for key, value in word.items()}) for word in row["words"])
    gaps = tuple(ScoredGap(**{key: _full(key, value) for key, value in gap.items()}) for gap in row["gaps"])
    return Scored(
        row["id"], row["part"], row["speaker"], row["text"], row["seconds"], row["log_prob"], row["hypothesis"],
        words, gaps, {name: _full(name, value) for name, value in row["scores"].items()},
    )  # fmt: skip


def _full(key: str, value: Any) -> Any:
    is_text = key in ("best", "word")
    if value is not None and (not isinstance(value, str) if is_text else isinstance(value, bool | str | list | dict)):
        raise TypeError(f"{key}: {value!r:.40}")
    return -math.inf if value is None and key != "best" else value


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """A JSONL file inside an artifact that is being made."""
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
