"""Whether a score may be believed: what the scored set shares with the training of the model.

`decode` notes beside its hypotheses what the model has heard of the set; with cuts as reference and `--train-text`
the two are compared directly. See `speechkit.data.overlap` for what counts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from speechkit.data.stream import CUTS_FILE
from speechkit.errors import SpeechkitError
from speechkit.score.transcripts import HYP_FILE, guess_format, read_transcripts

SUMMARY_FILE = "summary.json"


def train_overlap(
    ref: Path, hyp: Path, train_text: Path | None = None, *, allowed: bool = False
) -> dict[str, Any] | None:
    """What the scored set shares with training, None when nothing says what the model was trained on.

    Returns:
        `num_overlapping`, `percent` and `note` of whichever source knows of more; `model` and `train_text` as those
        two say it.
    Raises:
        CheckFailed: they overlap, and that is not allowed.
    """
    sources = {"model": _noted_by_decode(hyp), "train_text": _against_texts(ref, train_text)}
    known = [summary for summary in sources.values() if summary is not None]
    if not known:
        return None
    worst = max(known, key=lambda summary: (summary["percent"], summary["num_overlapping"]))
    note = ""
    if worst["num_overlapping"]:
        from speechkit.data.overlap import describe_overlap, refuse_overlap

        refuse_overlap(worst, f"`{ref}` scored with `{hyp}`", allowed=allowed)
        note = describe_overlap(worst)
    return {"num_overlapping": worst["num_overlapping"], "percent": worst["percent"], "note": note, **sources}


def mark(overlap: dict[str, Any] | None) -> str:
    """What stands beside every rate: nothing, or the share of utterances that overlap with training."""
    return f"  {overlap['percent']:.1f} % in training" if overlap and overlap["num_overlapping"] else ""


def _noted_by_decode(hyp: Path) -> dict[str, Any] | None:
    path = hyp / SUMMARY_FILE if hyp.is_dir() else hyp.with_name(SUMMARY_FILE)
    if not path.is_file() or (not hyp.is_dir() and hyp.name != HYP_FILE):
        return None
    try:
        summary = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError:
        raise SpeechkitError(f"`{path}` is not valid JSON", hint="decode again") from None
    found = summary.get("train_overlap") if isinstance(summary, dict) else None
    return found if isinstance(found, dict) else None


def _against_texts(ref: Path, train_text: Path | None) -> dict[str, Any] | None:
    if train_text is None or not _is_cuts(ref):
        return None
    from speechkit.data.overlap import find_overlap, heard_of_manifest, training_set, training_texts

    scored = list(heard_of_manifest(ref))
    if _is_cuts(train_text):
        return find_overlap(scored, training_set(heard_of_manifest(train_text), scored)).summary()
    return find_overlap(scored, training_texts(read_transcripts(train_text).texts(), scored)).summary()


def _is_cuts(path: Path) -> bool:
    if path.is_dir():
        return (path / CUTS_FILE).is_file() and not (path / HYP_FILE).is_file()
    return path.is_file() and guess_format(path) == "cuts"
