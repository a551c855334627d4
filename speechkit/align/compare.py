"""`speechkit align compare`: how far the word boundaries of one manifest lie from those of another.

JSON: `num_utterances`, `num_words`, `missing` (utterances of REF that HYP lacks), `different` (utterances whose words
differ), `boundary_error_ms` {mean, median, p90, start_bias, end_bias}, `within_percent` {10, 20, 50, 100},
`iou` {mean, min, num_below_0.3}, and with `--by` the same per group under `groups`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from speechkit import log
from speechkit.data.store import Word, load_cuts, tiers_of
from speechkit.errors import CheckFailed, SpeechkitError, counted

if TYPE_CHECKING:
    from lhotse import MonoCut

WITHIN_MS = (10, 20, 50, 100)
LOW_IOU = 0.3
_Edges = tuple[float, float, float, float]  # start and end of REF, start and end of HYP, seconds


@dataclass
class Compared:
    """Pairs of the same word in both manifests, by group, and what has no pair."""

    edges: dict[str, list[_Edges]] = field(default_factory=dict)
    num_utterances: int = 0
    missing: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)


def compare_files(ref: Path, hyp: Path, *, tier: str = "word", by: str = "") -> dict[str, Any]:
    """The figures described at the top of this file.

    Raises:
        SpeechkitError: REF has no such tier or no field `by`, or no utterance is in both.
    """
    compared = compare(load_cuts(ref), load_cuts(hyp), tier=tier, by=by)
    if not compared.num_utterances:
        examples = [f"not in {hyp}: {utt_id}" for utt_id in compared.missing]
        examples += [f"other words: {utt_id}" for utt_id in compared.different]
        raise SpeechkitError(f"`{ref}` and `{hyp}` share no utterance with the same `{tier}` alignment", where=examples)
    for kind, ids in (("missing in HYP", compared.missing), ("with other words in HYP", compared.different)):
        if ids:
            log.warn(f"{counted(len(ids), 'utterance')} {kind}, such as {', '.join(ids[:3])}")
    everything = [edges for group in compared.edges.values() for edges in group]
    result: dict[str, Any] = {
        "num_utterances": compared.num_utterances,
        "missing": len(compared.missing),
        "different": len(compared.different),
        **figures(everything),
    }
    if by:
        result["groups"] = {name: figures(edges) for name, edges in sorted(compared.edges.items())}
    return result


def compare(ref: Iterable[MonoCut], hyp: Iterable[MonoCut], *, tier: str = "word", by: str = "") -> Compared:
    """Pair the words of the utterances that are in both; empty symbols are silence and do not count."""
    others = {cut.id: _words(cut, tier) for cut in hyp}
    compared = Compared()
    for cut in ref:
        words = _words(cut, tier)
        if not words:
            raise SpeechkitError(f"the reference has no alignment `{tier}`", where=cut.id)
        found = others.get(cut.id)
        if found is None:
            compared.missing.append(cut.id)
        elif [word.symbol for word in words] != [word.symbol for word in found]:
            compared.different.append(cut.id)
        else:
            compared.num_utterances += 1
            group = compared.edges.setdefault(_group_of(cut, by), [])
            group += [(*_edges(a), *_edges(b)) for a, b in zip(words, found, strict=True)]
    return compared


def _words(cut: MonoCut, tier: str) -> list[Word]:
    words = [word for word in tiers_of(cut).get(tier, []) if word.symbol]
    backward = [word.symbol for word in words if word.duration_seconds < 0]
    if backward:
        raise SpeechkitError(f"`{backward[0]}` ends before it starts in the alignment `{tier}`", where=cut.id)
    return words


def _edges(word: Word) -> tuple[float, float]:
    return word.start_seconds, word.start_seconds + word.duration_seconds


def _group_of(cut: MonoCut, by: str) -> str:
    if not by:
        return ""
    supervision = cut.supervisions[0]
    value = getattr(supervision, by, None) if by in ("speaker", "gender", "language") else None
    value = (supervision.custom or {}).get(by) if value is None else value
    if value is None:
        raise SpeechkitError(f"`{cut.id}` has no field `{by}`", hint="--by speaker, gender, language or a custom field")
    return str(value)


def figures(edges: Iterable[_Edges]) -> dict[str, Any]:
    """Boundary errors in ms, shares within limits in percent, and overlap (intersection over union) of words."""
    table = np.array(list(edges), dtype=np.float64).reshape(-1, 4)
    start_ms, end_ms = 1000.0 * (table[:, 2] - table[:, 0]), 1000.0 * (table[:, 3] - table[:, 1])
    error_ms = np.abs(np.concatenate([start_ms, end_ms]))
    shared = np.clip(np.minimum(table[:, 1], table[:, 3]) - np.maximum(table[:, 0], table[:, 2]), 0, None)
    union = np.maximum(table[:, 1], table[:, 3]) - np.minimum(table[:, 0], table[:, 2])
    iou = shared / np.maximum(union, 1e-9)
    return {
        "num_words": len(table),
        "boundary_error_ms": {
            "mean": _rounded(error_ms.mean()),
            "median": _rounded(np.median(error_ms)),
            "p90": _rounded(np.percentile(error_ms, 90)),
            "start_bias": _rounded(np.median(start_ms)),
            "end_bias": _rounded(np.median(end_ms)),
        },
        # a float that should be 20 may be 20.0000001
        "within_percent": {str(limit): _rounded(100 * np.mean(error_ms <= limit + 1e-6)) for limit in WITHIN_MS},
        "iou": {
            "mean": _rounded(iou.mean(), 3),
            "min": _rounded(iou.min(), 3),
            f"num_below_{LOW_IOU}": int((iou < LOW_IOU).sum()),
        },
    }


def _rounded(value: Any, digits: int = 2) -> float:
    return round(float(value), digits)


def table(result: Mapping[str, Any]) -> str:
    """One line for all words and one per group."""
    rows = [("all", result), *result.get("groups", {}).items()]
    width = max(len("group"), *(len(name) for name, _ in rows))
    head = f"{'group':<{width}}  words   median    mean     p90 ms  " + "".join(f" <={ms:>3} ms" for ms in WITHIN_MS)
    lines = [head + f"  mean IoU  IoU<{LOW_IOU}"]
    for name, row in rows:
        error, within, iou = row["boundary_error_ms"], row["within_percent"], row["iou"]
        lines.append(
            f"{name:<{width}} {row['num_words']:>6} {error['median']:>8.1f} {error['mean']:>7.1f} {error['p90']:>7.1f}"
            + " " * 5
            + "".join(f" {within[str(ms)]:>6.1f} %" for ms in WITHIN_MS)
            + f"  {iou['mean']:>8.3f} {iou[f'num_below_{LOW_IOU}']:>8}"
        )
    return "\n".join(lines)


def check_limit(result: Mapping[str, Any], fail_above: float | None) -> None:
    """Raise CheckFailed when the median boundary error is above so many ms, or not that of all utterances."""
    if fail_above is None:
        return
    unknown = result["missing"] + result["different"]
    if unknown:
        raise CheckFailed(
            f"the boundary error of {counted(unknown, 'utterance')} of REF is not known",
            where=f"{result['missing']} missing in HYP, {result['different']} with other words there",
            hint="compare with a REF that holds only what HYP should hold",
        )
    median = result["boundary_error_ms"]["median"]
    if median > fail_above:
        raise CheckFailed(f"the median boundary error is {median:g} ms, above {fail_above:g} ms")
