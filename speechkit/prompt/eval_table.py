"""The table of `speechkit prompt eval`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from speechkit.errors import counted


def mean_and_sd(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and standard deviation over seeds (n - 1); None of one value."""
    mean = sum(values) / len(values)
    if len(values) < 2:
        return mean, None
    return mean, (sum((value - mean) ** 2 for value in values) / (len(values) - 1)) ** 0.5


def table(report: dict[str, Any]) -> str:
    """The comparison as lines."""
    metric = report["metric"]
    width = max(len(row["name"]) for row in report["systems"])
    shots = "" if report["shots"] is None else f", {report['shots']} training utterances per class"
    lines = [
        f"task {report['task']}: {report['num_labels']} labels, {report['num_test']} test utterances{shots}",
        f"\n{'system':<{width}}  {metric + ' %':>10}     sd  seeds   trained  of the LM  CPU s",
    ]
    for row in report["systems"]:
        sd = f"{row['sd']:>6.2f}" if row["sd"] is not None else f"{'-':>6}"
        share = f"{row['share_percent']:>7.2f} %" if row["share_percent"] is not None else f"{'-':>9}"
        lines.append(
            f"{row['name']:<{width}}  {row['mean']:>10.2f} {sd}  {len(row['values']):>5}  {row['parameters']:>8}  "
            f"{share}  {row['train_cpu_seconds']:>5.1f}"
        )
    if report["missing"]:
        lines.append(f"\nnot compared with: {', '.join(report['missing'])}")
    if report["num_unknown"]:
        lines.append(f"\n{counted(report['num_unknown'], 'test utterance')} with labels that training never saw")
    return "\n".join(lines)
