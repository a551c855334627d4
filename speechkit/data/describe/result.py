"""The result of `data describe` as plain values: what `--json` writes and what the tables and the page show.

Shares and rates are in 0..1, times in the unit of their name. Keys are never removed or renamed, only added.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from speechkit.data.describe.collect import Collected, Tally
from speechkit.data.describe.verdict import judge_overlap, judge_texts
from speechkit.report.histogram import Histogram, histogram
from speechkit.text.counts import Texts
from speechkit.text.diversity import Edges, diversity, effective_number, junctions, overlap

PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
MAX_LISTED = 1000
_NUM_TEXTS = 20
_MIN_NAMES = 20
_DIGITS = 6


def result_of(own: Collected, others: Sequence[Collected], *, edges: Edges) -> dict[str, Any]:
    """Everything about a set, and what each other set shares with it; see the README for the keys."""
    texts = diversity(own.texts)
    result = {
        "set": own.name,
        "num_utterances": len(own.seconds),
        "hours": own.hours,
        "durations": _durations(own),
        "speakers": _speakers(own),
        "fields": {name: _field(tally, len(own.seconds)) for name, tally in own.fields.items()},
        "texts": {
            **asdict(texts),
            "num_without_text": own.num_without_text,
            "speakers_per_text": own.num_readings / max(1, texts.num_texts),
            "words_per_utterance": texts.num_words / max(1, texts.num_utterances),
            "junctions": asdict(junctions(own.texts, edges=edges)),
            "most_frequent": _most_frequent(own.texts),
        },
        "verdict": asdict(judge_texts(texts, len(own.speaker_values))),
        "against": [_against(own, other, edges) for other in others],
    }
    return {key: _rounded(value) for key, value in result.items()}


def _durations(own: Collected) -> dict[str, Any]:
    shown: Histogram = histogram(own.seconds)
    low, high = (float(own.seconds.min()), float(own.seconds.max())) if len(own.seconds) else (0.0, 0.0)
    quantiles = np.percentile(own.seconds, PERCENTILES).tolist() if len(own.seconds) else [0.0] * len(PERCENTILES)
    return {
        "min_seconds": low,
        "mean_seconds": own.hours * 3600 / max(1, len(own.seconds)),
        "max_seconds": high,
        "percentile_seconds": {str(p): value for p, value in zip(PERCENTILES, quantiles, strict=True)},
        "histogram": {"edges_seconds": shown.edges, "counts": shown.counts},
    }


def _speakers(own: Collected) -> dict[str, Any]:
    values = own.speaker_values
    seconds = np.array([seconds for _, seconds in values.values()] or [0.0])
    ordered = sorted(values.items(), key=lambda item: (-item[1][1], item[0]))
    return {
        "num": len(values),
        "effective": effective_number(seconds),
        "num_without_speaker": len(own.seconds) - own.speakers.utterances,
        "hours_each": {
            "min": float(seconds.min()) / 3600,
            "median": float(np.median(seconds)) / 3600,
            "max": float(seconds.max()) / 3600,
        },
        "list": [
            {"speaker": name, "num_utterances": int(number), "hours": total / 3600}
            for name, (number, total) in ordered[:MAX_LISTED]
        ],
    }


def _field(tally: Tally, num_utterances: int) -> dict[str, Any]:
    values = tally.values
    shown = None
    # a field with a value of its own for most utterances names them, as a file name does: it groups nothing
    if values is not None and not (len(values) > _MIN_NAMES and len(values) > tally.utterances / 2):
        ordered = sorted(values.items(), key=lambda item: (-item[1][1], item[0]))
        shown = [
            {"value": name, "num_utterances": int(number), "hours": total / 3600} for name, (number, total) in ordered
        ]
    measured = _range(values) if values is not None else None
    return {
        "num_without_value": num_utterances - tally.utterances,
        "num_values": None if values is None else len(values),
        "range": measured,
        "values": None if measured else shown,
    }


def _range(values: Mapping[str, object]) -> list[float] | None:
    """Lowest and highest value of a field of many numbers, not all whole ones: a measure, which groups nothing."""
    if len(values) <= _MIN_NAMES or all(name.lstrip("-").isdecimal() for name in values):
        return None
    try:
        numbers = [float(name) for name in values]
    except ValueError:
        return None
    return [min(numbers), max(numbers)] if all(map(math.isfinite, numbers)) else None


def _most_frequent(texts: Texts) -> list[dict[str, Any]]:
    names = list(texts.index)
    order = np.argsort(-texts.counts, kind="stable")[:_NUM_TEXTS].tolist()
    return [{"text": names[k], "num_utterances": int(texts.counts[k])} for k in order]


def _against(own: Collected, other: Collected, edges: Edges) -> dict[str, Any]:
    found = overlap(own.texts, other.texts, edges=edges)
    shared = sorted(own.speaker_values.keys() & other.speaker_values.keys())
    return {
        "set": other.name,
        "num_utterances": len(other.seconds),
        "hours": other.hours,
        "num_texts": other.texts.num_texts,
        "num_speakers": len(other.speaker_values),
        "shared_speakers": len(shared),
        "shared_speaker_ids": shared[:MAX_LISTED],
        **{key: list(value) if isinstance(value, tuple) else value for key, value in asdict(found).items()},
        "verdict": asdict(judge_overlap(found, len(shared))),
    }


def _rounded(value: Any) -> Any:
    """The same value with numbers of at most six decimals, so that files are short and equal on every machine."""
    if isinstance(value, float):
        return round(value, _DIGITS)
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value
