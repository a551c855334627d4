"""What units are worth: how many are used, bits per second, and how well they agree with words, phones or speakers.

Purity and normalised mutual information: Hsu et al. 2021 (HuBERT), section IV-C.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speechkit.units.unit_file import UnitSet


def entropy_bits(counts: NDArray[Any]) -> float:
    """Entropy of the distribution that counts stand for, in bits."""
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum()) + 0.0  # no -0.0


def describe(units: UnitSet) -> dict[str, Any]:
    """Counts, entropies, bitrates and run lengths; rates are per second of frames."""
    merged = units.merged()
    num_frames = int(merged.runs.sum())
    seconds = num_frames / units.times.frames_per_second
    by_frame = np.bincount(merged.units, weights=merged.runs, minlength=units.k)
    by_unit = np.bincount(merged.units, minlength=units.k)
    rate = len(merged.units) / seconds
    unigram, bigram = entropy_bits(by_unit), _bigram_bits(merged)
    run_bits = entropy_bits(np.bincount(merged.runs))
    return {
        "num_utterances": len(units.ids),
        "num_frames": num_frames,
        "num_units": len(merged.units),
        "seconds": round(seconds, 3),
        "k": units.k,
        "used": int((by_frame > 0).sum()),
        "units_per_second": round(rate, 3),
        "frames_per_unit": round(num_frames / len(merged.units), 4),
        "entropy_bits": {
            "frames": round(entropy_bits(by_frame), 4),
            "units": round(unigram, 4),
            "given_last_unit": round(bigram, 4),
            "uniform": round(float(np.log2(units.k)), 4),
        },
        "perplexity": {"units": round(2**unigram, 3), "given_last_unit": round(2**bigram, 3)},
        "bits_per_second": {
            "uniform": round(rate * float(np.log2(units.k)), 2),
            "units": round(rate * unigram, 2),
            "given_last_unit": round(rate * bigram, 2),
            "runs": round(rate * run_bits, 2),
        },
        "run_lengths": _run_lengths(merged.runs),
    }


def _bigram_bits(merged: UnitSet) -> float:
    """Entropy of a unit when the one before it is known; 0 without any pair."""
    is_pair = np.ones(max(0, len(merged.units) - 1), bool)
    is_pair[merged.offsets[1:-1] - 1] = False  # from one utterance to the next
    last, following = merged.units[:-1][is_pair].astype(np.int64), merged.units[1:][is_pair]
    if len(last) == 0:
        return 0.0
    pairs = np.unique(last * merged.k + following, return_counts=True)[1]
    return max(0.0, entropy_bits(pairs) - entropy_bits(np.bincount(last)))


def _run_lengths(runs: NDArray[np.int32]) -> dict[str, Any]:
    lengths, counts = np.unique(runs, return_counts=True)
    return {
        "mean": round(float(runs.mean()), 4),
        "median": float(np.median(runs)),
        "p90": float(np.percentile(runs, 90)),
        "max": int(runs.max()),
        "counts": {str(length): int(count) for length, count in zip(lengths, counts, strict=True)},
    }


@dataclass(frozen=True)
class Labelled:
    """Frames that bear a label.

    units, labels: int (N,), labels index `names`; num_unlabelled: frames without one.
    """

    units: NDArray[np.int64]
    labels: NDArray[np.int64]
    names: Sequence[str]
    num_unlabelled: int


def agreement(found: Labelled, k: int) -> dict[str, Any]:
    """How well units tell labels.

    `purity`: share of frames with the most frequent label of their unit. `majority`: share of the most frequent
    label, which a single unit reaches. `unit_purity`: share of frames with the most frequent unit of their label.
    `nmi`: mutual information over the mean of both entropies; `label_nmi`: over the entropy of the labels.
    """
    num, num_labels = len(found.labels), len(found.names)
    by_label = np.bincount(found.labels, minlength=num_labels)
    # pairs that occur, not all: with texts as labels there may be many
    pairs, counts = np.unique(found.labels * k + found.units, return_counts=True)
    best_of_unit, best_of_label = np.zeros(k, np.int64), np.zeros(num_labels, np.int64)
    np.maximum.at(best_of_unit, pairs % k, counts)
    np.maximum.at(best_of_label, pairs // k, counts)
    label_bits, unit_bits = entropy_bits(by_label), entropy_bits(np.bincount(found.units))
    shared = max(0.0, label_bits + unit_bits - entropy_bits(counts))
    return {
        "num_labels": int((by_label > 0).sum()),
        "num_frames": num,
        "num_unlabelled_frames": found.num_unlabelled,
        "purity": round(float(best_of_unit.sum()) / num, 4),
        "majority": round(float(by_label.max()) / num, 4),
        "unit_purity": round(float(best_of_label.sum()) / num, 4),
        "mutual_information_bits": round(shared, 4),
        "nmi": round(shared / ((label_bits + unit_bits) / 2), 4) if label_bits + unit_bits > 0 else 0.0,
        "label_nmi": round(shared / label_bits, 4) if label_bits > 0 else 0.0,
    }
