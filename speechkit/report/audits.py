"""Tables of files of `audit eval --json`: how well wrong transcripts, words and gaps were found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from speechkit.report.sources import Score
from speechkit.report.tables import NOTHING, Table, number

RANKINGS = ("rank", "p_error")  # what an audit sorts utterances by
SPOT_SCORES = ("doubt", "log_odds")  # what it sorts words and gaps by
INTERVAL = "95 % interval"
_LEVEL = 0.95


@dataclass(frozen=True)
class Measure:
    """A column: its name, where its value stands, its interval if it has one, and how it is shown."""

    name: str
    value: Callable[[Mapping[str, Any]], float | None]
    interval: Callable[[Mapping[str, Any]], Sequence[float] | None] | None = None
    digits: int = 3

    def shown(self, value: float | None) -> str:
        """The value with the digits of the measure."""
        return number(value, self.digits)

    def pair(self, low: float, high: float) -> str:
        """An interval or a range."""
        return f"{self.shown(low)} to {self.shown(high)}"


def _ranking(result: Mapping[str, Any]) -> Mapping[str, Any]:
    scores = result["scores"]
    return next((scores[name] for name in RANKINGS if name in scores), {})


def _over_baseline(result: Mapping[str, Any]) -> Mapping[str, Any]:
    return _ranking(result).get("ap_over_baseline") or {}


def _local(result: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    return (result.get(kind) or {}).get("local") or {}


def _spot_ap(result: Mapping[str, Any], kind: str) -> float | None:
    scores = _local(result, kind).get("scores") or {}
    return next((scores[name]["ap"] for name in SPOT_SCORES if name in scores), None)


def _best_word_f1(result: Mapping[str, Any]) -> float | None:
    values = [row["best_f1"] for row in (_local(result, "words").get("scores") or {}).values()]
    return max((value for value in values if value is not None), default=None)


def _auto(result: Mapping[str, Any], key: str) -> float | None:
    value = (_local(result, "words").get("auto") or {}).get(key)
    return None if value is None else float(value)


def _percent(value: float | None) -> float | None:
    return None if value is None else 100.0 * value


MEASURES = (
    Measure("AP", lambda r: _ranking(r).get("ap"), lambda r: (_ranking(r).get("ci") or {}).get("ap")),
    Measure("AP over it", lambda r: _over_baseline(r).get("difference"), lambda r: _over_baseline(r).get("interval")),
    Measure("word AP", lambda r: _spot_ap(r, "words")),
    Measure("gap AP", lambda r: _spot_ap(r, "gaps")),
    Measure("best word F1", _best_word_f1),
    Measure("word F1 as flagged", lambda r: _auto(r, "f1")),
    Measure("% of best F1", lambda r: _percent(_auto(r, "share_of_best_f1")), digits=1),
    Measure("ECE", lambda r: r.get("ece")),
    Measure("suggestions right %", lambda r: _percent((r.get("suggestions") or {}).get("accuracy")), digits=1),
    Measure("inspection SD", lambda r: (r.get("inspections") or {}).get("sd"), digits=2),
    Measure("inspection coverage %", lambda r: (r.get("inspections") or {}).get("coverage"), digits=1),
)
BASELINE_AT = 1  # the measure before which the name of the best baseline stands


def audit_table(audits: Sequence[Score]) -> Table:
    """One row per file; columns that nobody measured are left out."""
    columns, rows = ["system", "utterances", "faulty"], []
    for position, measure in enumerate(MEASURES):
        columns += ["best baseline"] if position == BASELINE_AT else []
        columns += [measure.name, INTERVAL] if measure.interval else [measure.name]
    for audit in audits:
        row = [audit.name, str(audit.result["utterances"]), str(audit.result["faulty"])]
        for position, measure in enumerate(MEASURES):
            row += [_over_baseline(audit.result).get("baseline") or NOTHING] if position == BASELINE_AT else []
            row.append(measure.shown(measure.value(audit.result)))
            if measure.interval:
                pair = measure.interval(audit.result)
                row.append(measure.pair(*pair) if pair else NOTHING)
        rows.append(row)
    kept = [i for i in range(len(columns)) if any(row[i] != NOTHING for row in rows)]
    return Table("Label-noise audit", [columns[i] for i in kept], [[row[i] for i in kept] for row in rows])


def audit_means(groups: Mapping[str, Sequence[Score]]) -> Table:
    """A row per group and measure: mean over runs, its t-interval and the range; every file counts the same."""
    rows = []
    for name, group in groups.items():
        for measure in MEASURES:
            values = [value for audit in group if (value := measure.value(audit.result)) is not None]
            if values:
                title = "AP over the best baseline" if measure is MEASURES[BASELINE_AT] else measure.name
                mean, inner = t_interval(values)
                shown = measure.pair(*inner) if inner else NOTHING
                outer = measure.pair(min(values), max(values))
                rows.append([name, title, str(len(values)), measure.shown(mean), shown, outer])
    columns = ["systems", "measure", "runs", "mean", "95 % t-interval", "range"]
    return Table("Label-noise audit: means over runs", columns, rows, 2)


def t_interval(values: Sequence[float]) -> tuple[float, tuple[float, float] | None]:
    """Mean of runs, and the 95 % interval of Student's t around it; none for one run."""
    from scipy.special import stdtrit

    mean = fmean(values)
    if len(values) < 2:
        return mean, None
    half = float(stdtrit(len(values) - 1, (1 + _LEVEL) / 2)) * stdev(values) / len(values) ** 0.5
    return mean, (mean - half, mean + half)
