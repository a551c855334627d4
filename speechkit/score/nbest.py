"""Oracle error rate: the best candidate of each n-best list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import orjson

from speechkit.errors import SpeechkitError
from speechkit.kernels.edit import align_words
from speechkit.score.summary import percent
from speechkit.score.transcripts import read_bytes
from speechkit.score.wer import Scored


def read_nbest(path: Path) -> dict[str, list[str]]:
    """Candidates by id from JSONL with `id` and `nbest`, a list of texts or of objects with `text`.

    Raises:
        SpeechkitError: with file:line, for a line without them or an id given twice.
    """
    found: dict[str, list[str]] = {}
    for number, line in enumerate(read_bytes(path).split(b"\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            item = orjson.loads(line)
            texts = [c["text"] if isinstance(c, dict) else c for c in item["nbest"]]
            name = item["id"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            raise SpeechkitError(
                "not an n-best list", where=where, expected='{"id": ..., "nbest": [text, ...]}'
            ) from None
        if name in found:
            raise SpeechkitError(f"the id `{name}` occurs twice", where=where)
        if not texts or not all(isinstance(t, str) for t in texts):
            raise SpeechkitError(
                f"the n-best list of `{name}` is empty or holds something that is no text", where=where
            )
        found[name] = texts
    return found


def oracle(scored: Scored, nbest: dict[str, list[str]]) -> dict[str, Any]:
    """Rates when the candidate with the fewest errors is chosen; the first of equals.

    Raises:
        SpeechkitError: utterances have no n-best list.
    """
    lost = [name for name in scored.ids if name not in nbest]
    if lost:
        raise SpeechkitError(f"{len(lost)} utterances have no n-best list", where=lost)
    lists = [nbest[name] for name in scored.ids]
    refs = [scored.ref_words(u) for u, texts in enumerate(lists) for _ in texts]
    errors = align_words(refs, [t.split() for texts in lists for t in texts], ties=scored.ties).counts.sum(axis=1)
    begins = np.cumsum([0, *map(len, lists)])[:-1]
    best = np.minimum.reduceat(errors, begins)
    num_words = int(scored.words[:, 3].sum())
    return {
        "wer": percent(int(best.sum()), num_words),
        "ser": percent(int((best > 0).sum()), len(best)),
        "errors": int(best.sum()),
        "depth": max(map(len, lists)),
    }
