"""Made score files and experiments."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def rates(wer: float, **more: Any) -> dict[str, Any]:
    """The keys of one part of a score file."""
    counts = {"sub": 7, "ins": 2, "del": 1, "num_ref_words": 100, "num_utterances": 20}
    return {"wer": wer, "ci95": [wer - 1, wer + 1], **counts, **more}


@pytest.fixture
def write_score(tmp_path: Path) -> Callable[..., Path]:
    """`write_score("plain/seed1", 12.5, unseen=rates(20))` writes <name>/score.json below tmp_path."""

    def write(name: str, wer: float, **more: Any) -> Path:
        path = tmp_path / name / "score.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(rates(wer, **more)), encoding="utf-8")
        return path

    return write


@pytest.fixture
def write_run() -> Callable[..., Path]:
    """`write_run(folder, argv, cpu_seconds=60)` writes the run.json of an artifact."""

    def write(folder: Path, argv: list[str], *, cpu_seconds: float = 60.0, exp: Path | None = None) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        run = {
            "fingerprint": "0123456789abcdef",
            "argv": ["/somewhere/bin/speechkit", *argv],
            "commit": "c0ffee",
            "machine": "2 x CPU",
            "cpu_seconds": cpu_seconds,
            "started": "2026-01-02T03:04:05+0000",
            "inputs": {"exp": {"path": str(exp)}} if exp else {},
        }
        (folder / "run.json").write_text(json.dumps(run), encoding="utf-8")
        return folder

    return write
