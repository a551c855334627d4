"""Tables of files of `prompt eval` and `prompt icl`: prompts beside what they have to beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from speechkit.report.sources import Score
from speechkit.report.tables import NOTHING, Table, number


def prompt_tables(scores: Sequence[Score]) -> list[Table]:
    """A table for each file of `prompt eval`, one for all files of `prompt icl`."""
    evals = [score for score in scores if score.kind == "prompt"]
    icl = [score for score in scores if score.kind == "icl"]
    curves = [curve for score in evals if (curve := _length_table(score)) is not None]
    slots = [table for score in evals if (table := _slot_table(score)) is not None]
    return [*(_eval_table(score) for score in evals), *curves, *slots, *([_icl_table(icl)] if icl else [])]


def _eval_table(score: Score) -> Table:
    result = score.result
    columns = ["system", f"{result['metric']} %", "SD", "runs", "lowest", "highest", "trained", "% of LM", "CPU s"]
    rows = [
        [
            row["name"], number(row["mean"]), number(row["sd"]), str(len(row["values"])),
            number(min(row["values"])), number(max(row["values"])), str(row["parameters"]),
            number(row["share_percent"]), number(row["train_cpu_seconds"], 1),
        ]
        for row in result["systems"]
    ]  # fmt: skip
    shots = "" if result["shots"] is None else f", {result['shots']} training utterances per class"
    title = (
        f"{result['task']}, {_place(score)}: {result['num_labels']} labels, {result['num_test']} test utterances{shots}"
    )
    return Table(title, columns, rows)


def _length_table(score: Score) -> Table | None:
    """Errors by the length of the reference, of the first seed of each system of a sequence task."""
    result = score.result
    curves = {row["name"]: row["details"] for row in result["systems"] if row.get("details")}
    if result["kind"] != "sequence" or not curves:
        return None
    rows = [
        [name, _range(point), str(point["num_utterances"]), number(point["rate"]), _interval(point["interval"]),
         number(point["exact"])]
        for name, curve in curves.items()
        for point in curve
    ]  # fmt: skip
    columns = ["system", "labels", "utterances", "error rate %", "95 % interval", "all right %"]
    return Table(f"{result['task']}, {_place(score)}: errors by the length of the reference, first seed", columns, rows)


def _slot_table(score: Score) -> Table | None:
    """F1 of each slot, of the first seed of each system of a slot task."""
    result = score.result
    found = {row["name"]: row["details"] for row in result["systems"] if row.get("details")}
    if result["kind"] != "slots" or not found:
        return None
    names = list(next(iter(found.values()))["slots"])
    rows = [
        [name, number(own["f1"]), *(number(own["slots"][slot]["f1"]) for slot in names)] for name, own in found.items()
    ]
    return Table(
        f"{result['task']}, {_place(score)}: F1 of slots in percent, first seed", ["system", "all", *names], rows
    )


def _place(score: Score) -> str:
    """What tells files of one task apart: the folder of `prompt eval`, or the name of its --json."""
    return score.path.parent.name if score.path.stem == "report" else score.path.stem


def _range(point: Mapping[str, Any]) -> str:
    low, high = point["min_length"], point["max_length"]
    return str(low) if low == high else f"{low}-{high}"


def _interval(pair: Sequence[float] | None) -> str:
    return f"{pair[0]:.2f} to {pair[1]:.2f}" if pair else NOTHING


def _icl_table(scores: Sequence[Score]) -> Table:
    keys = ("accuracy", "guessing_rate", "accuracy_among_shown")
    rows = []
    for score in scores:
        for name, task in score.result["tasks"].items():
            title = name if task.get("unseen", True) else f"{name} (seen)"
            for system, row in task["systems"].items():
                rows.append([score.name, title, system, *(_mean_and_sd(row.get(key)) for key in keys)])
    columns = ["run", "task", "system", "accuracy %", "shown labels %", "accuracy among shown %"]
    demos = {f"{score.result['num_demos']} demonstrations" for score in scores}
    return Table(f"In-context learning, {', '.join(sorted(demos))}; mean and SD over repeats", columns, rows, 3)


def _mean_and_sd(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return NOTHING
    return number(found["mean"], 1) + ("" if found["sd"] is None else f" ({found['sd']:.1f})")
