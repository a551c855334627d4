"""Oracle error rate: the best candidate of each n-best list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import orjson

from speechkit import log
from speechkit.errors import SpeechkitError
from speechkit.kernels.edit import align_words
from speechkit.score.bootstrap import rate_interval
from speechkit.score.intervals import rounded
from speechkit.score.summary import percent
from speechkit.score.transcripts import check_bytes, read_bytes, split_words
from speechkit.score.wer import Scored

_EXPECTED = '{"id": ..., "nbest": [text, ...]} or {"id": ..., "nbest": [{"text": ..., "rank": 1}, ...]}'


def read_nbest(path: Path) -> dict[str, list[str]]:
    """Candidates by id from JSONL with `id` and `nbest`, a list of texts or of objects with `text`.

    Objects may have a `rank`, from 1; then all have one, and they may stand in any order.

    Raises:
        SpeechkitError: with file:line, for every line that is no such list, and ids given twice.
    """
    data = read_bytes(path)
    check_bytes(data, path)
    found: dict[str, list[str]] = {}
    faults = []
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        item = _parse(line)
        if isinstance(item, str):
            faults.append(f"{path}:{number}  {item}")
        elif item[0] in found:
            faults.append(f"{path}:{number}  the id `{item[0]}` occurs twice")
        else:
            found[item[0]] = item[1]
    if faults:
        raise SpeechkitError(f"{len(faults)} lines are no n-best lists", where=faults, expected=_EXPECTED)
    if not found:
        raise SpeechkitError(f"`{path}` holds no n-best lists", expected=_EXPECTED)
    return found


def _parse(line: bytes) -> tuple[str, list[str]] | str:
    """Id and texts of a line, best first, or what is wrong with it."""
    try:
        item = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return f"not valid JSON: {error.msg}"
    if not isinstance(item, dict) or not isinstance(item.get("id"), str):
        return "the field `id` is missing or no text"
    name, candidates = item["id"], item.get("nbest")
    if not isinstance(candidates, list) or not candidates:
        return f"the list `nbest` of `{name}` is missing or empty"
    objects = [c if isinstance(c, dict) else {"text": c} for c in candidates]
    if not all(isinstance(c.get("text"), str) for c in objects):
        return f"a candidate of `{name}` has no text"
    ranks = [c["rank"] for c in objects if "rank" in c]
    if ranks:
        if sorted(map(str, ranks)) != sorted(str(k + 1) for k in range(len(objects))):
            return f"the ranks of `{name}` are {', '.join(map(str, ranks))}, not 1 to {len(objects)}"
        objects.sort(key=lambda c: int(c["rank"]))
    return name, [c["text"] for c in objects]


def oracle(
    scored: Scored, nbest: dict[str, list[str]], *, source: str = "", level: float = 0.95, **options: Any
) -> dict[str, Any]:
    """Rates when the candidate with the fewest errors is chosen; the first of equals.

    Raises:
        SpeechkitError: utterances have no n-best list.
    """
    lost = [name for name in scored.ids if name not in nbest]
    if lost:
        raise SpeechkitError(f"{len(lost)} utterances have no n-best list in `{source}`", where=lost)
    num_extra = len(nbest) - len(scored)
    if num_extra:
        log.warn(f"{num_extra} n-best lists of `{source}` belong to no scored utterance and are left out")
    lists = [nbest[name] for name in scored.ids]
    refs = [scored.ref_words(u) for u, texts in enumerate(lists) for _ in texts]
    errors = align_words(refs, [split_words(t) for texts in lists for t in texts], ties=scored.ties).counts.sum(axis=1)
    begins = np.cumsum([0, *map(len, lists)])[:-1]
    best = np.minimum.reduceat(errors, begins)
    num_words = scored.words[:, 3]
    return {
        "wer": percent(int(best.sum()), int(num_words.sum())),
        "ci": {"level": level, "wer": rounded(rate_interval(best, num_words, level=level, **options))},
        "ser": percent(int((best > 0).sum()), len(best)),
        "errors": int(best.sum()),
        "depth": max(map(len, lists)),
    }
