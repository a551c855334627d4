"""What one rate hides: errors of sequences by their length, and slots one by one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from speechkit.kernels.edit import align_words
from speechkit.prompt.tasks import Values
from speechkit.score.bootstrap import rate_interval
from speechkit.score.intervals import rounded

MAX_LENGTHS = 12  # lengths of their own; more are put into so many groups of about as many utterances
EMPTY = ("", "none")


def length_curve(
    refs: Sequence[Values], hyps: Sequence[Values], *, max_rows: int = MAX_LENGTHS, seed: int = 0
) -> list[dict[str, Any]]:
    """Errors of label sequences against the length of the reference, shortest first.

    Returns:
        For each length or group of lengths: `min_length`, `max_length`, `num_utterances`, `sub`, `del`, `ins`,
        `num_labels` of the references, `rate` in percent with `interval` (95 %, bootstrap over utterances; None
        where references are empty), `exact` in percent.
    """
    if not refs:
        return []
    counts_N3 = align_words(refs, hyps).counts
    lengths_N = np.array([len(ref) for ref in refs])
    is_exact_N = np.array([tuple(ref) == tuple(hyp) for ref, hyp in zip(refs, hyps, strict=True)])
    rows = []
    for low, high in _groups(lengths_N, max_rows):
        own = (lengths_N >= low) & (lengths_N <= high)
        errors, labels = counts_N3[own].sum(axis=1), lengths_N[own].astype(np.int64)
        sub, deleted, inserted = counts_N3[own].sum(axis=0).tolist()
        rows.append({
            "min_length": low,
            "max_length": high,
            "num_utterances": int(own.sum()),
            "sub": sub,
            "del": deleted,
            "ins": inserted,
            "num_labels": int(labels.sum()),
            "rate": round(100.0 * int(errors.sum()) / int(labels.sum()), 4) if labels.sum() else None,
            "interval": rounded(rate_interval(errors, labels, seed=seed)),
            "exact": round(100.0 * float(is_exact_N[own].mean()), 4),
        })  # fmt: skip
    return rows


def _groups(lengths_N: np.ndarray, max_rows: int) -> list[tuple[int, int]]:
    """Ranges of lengths that occur, without overlap; few lengths stand alone."""
    lengths, counts = np.unique(lengths_N, return_counts=True)
    if len(lengths) <= max_rows:
        return [(int(length), int(length)) for length in lengths]
    # the group of a length is that of the utterance in the middle of it
    middle = counts.cumsum() - counts / 2
    group = np.minimum(middle * max_rows / len(lengths_N), max_rows - 1).astype(np.int64)
    return [(int(own.min()), int(own.max())) for own in (lengths[group == number] for number in np.unique(group))]


def curve_table(rows: Sequence[dict[str, Any]], metric: str) -> str:
    """The curve as lines."""
    lines = [f"length    utterances  {metric.upper():>7}          95 %   exact"]
    for row in rows:
        low, high = row["min_length"], row["max_length"]
        name = f"{low}" if low == high else f"{low}-{high}"
        rate = f"{row['rate']:>7.2f}" if row["rate"] is not None else f"{'-':>7}"
        interval = row["interval"]
        shown = f"{interval[0]:>6.2f}-{interval[1]:<6.2f}" if interval else f"{'-':>13}"
        lines.append(f"{name:<8}  {row['num_utterances']:>10}  {rate} {shown} {row['exact']:>6.1f} %")
    return "\n".join(lines)


def slot_scores(
    names: Sequence[str], refs: Sequence[Values], hyps: Sequence[Values], *, empty: Collection[str] = EMPTY
) -> dict[str, Any]:
    """Slots all right (`exact`), F1 over all filled slots (`f1`), and `f1` and `accuracy` of each; in percent.

    A slot is found where reference and hypothesis have the same value and it is none of `empty`.
    """
    refs_NS, hyps_NS = (np.array([list(row) for row in rows], dtype=object) for rows in (refs, hyps))
    if not len(refs):
        return {"num_utterances": 0, "exact": None, "f1": None, "slots": {}}
    is_same_NS = refs_NS == hyps_NS
    is_given_NS, is_found_NS = (~np.isin(rows.astype(str), sorted(empty)) for rows in (refs_NS, hyps_NS))
    hits_S = (is_same_NS & is_given_NS).sum(axis=0)
    given_S, found_S = is_given_NS.sum(axis=0), is_found_NS.sum(axis=0)
    slots = {
        name: {
            "accuracy": round(100.0 * float(is_same_NS[:, place].mean()), 4),
            **_f1(int(hits_S[place]), int(given_S[place]), int(found_S[place])),
        }
        for place, name in enumerate(names)
    }
    return {
        "num_utterances": len(refs),
        "exact": round(100.0 * float(is_same_NS.all(axis=1).mean()), 4),
        **_f1(int(hits_S.sum()), int(given_S.sum()), int(found_S.sum())),
        "slots": slots,
    }


def _f1(num_hits: int, num_given: int, num_found: int) -> dict[str, float | None]:
    """Precision, recall and their harmonic mean; None without anything to find."""
    if not num_given:
        return {"precision": None, "recall": None, "f1": None}
    precision = num_hits / num_found if num_found else 0.0
    recall = num_hits / num_given
    both = 2 * num_hits / (num_given + num_found)
    return {
        name: round(100.0 * value, 4)
        for name, value in zip(("precision", "recall", "f1"), (precision, recall, both), strict=True)
    }
