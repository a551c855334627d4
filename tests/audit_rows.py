"""Small audits for tests: rows of `audit.jsonl`, and cuts with audio that belong to them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from make import make_cut, make_wav

from speechkit.data.store import save_cuts


def audit_row(utt_id: str, rank: int, text: str, *, p_error: float = 0.1, **fields: Any) -> dict[str, Any]:
    """A row without faults; words take a quarter of a second each."""
    words = text.split()
    row = {
        "id": utt_id,
        "rank": rank,
        "p_error": p_error,
        "suspicious": p_error >= 0.5,
        "weight": 1.0 - p_error,
        "speaker": "anna",
        "text": text,
        "types": {"sub": p_error},
        "suggestion": "",
        "suggestion_log_odds": 0.0,
        "words": [
            {"word": word, "start": 0.25 * i, "end": 0.25 * (i + 1), "p_error": 0.01, "log_odds": -9.0, "best": ""}
            for i, word in enumerate(words)
        ],
        "gaps": [{"p_missing": 0.01, "log_odds": -9.0, "best": ""} for _ in range(len(words) + 1)],
    }
    return row | fields


def mark(row: dict[str, Any], *, words: Mapping[int, str] | None = None, gaps: Sequence[int] = ()) -> dict[str, Any]:
    """The row with suspicious words (index to what they should be) and gaps."""
    for index, best in (words or {}).items():
        row["words"][index] |= {"p_error": 0.9, "log_odds": 5.0, "best": best, "suspicious": True}
    for index in gaps:
        row["gaps"][index] |= {"p_missing": 0.8, "log_odds": 4.0, "best": "nine", "suspicious": True}
    return row


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """JSONL."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_audit(folder: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """The folder of an audit."""
    write_rows(folder / "audit.jsonl", rows)
    return folder


def write_cuts(folder: Path, rows: Sequence[Mapping[str, Any]], *, name: str = "cuts.jsonl.gz") -> Path:
    """Cuts of the rows, a tone as long as their words."""
    cuts = []
    for number, row in enumerate(rows):
        audio = make_wav(folder / "audio" / f"{number}.wav", 0.25 * max(1, len(row["words"])), frequency=200 + number)
        cuts.append(make_cut(row["id"], audio, text=row["text"], speaker=row["speaker"]))
    save_cuts(cuts, folder / name)
    return folder / name
