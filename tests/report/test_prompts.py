"""Files of `prompt eval` and `prompt icl` in a report."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

POINT = {
    "min_length": 3, "max_length": 3, "num_utterances": 7, "sub": 1, "del": 1, "ins": 0, "num_labels": 21,
    "rate": 9.5238, "interval": [0.0, 20.0], "exact": 71.4286,
}  # fmt: skip
EVAL = {
    "task": "strings", "kind": "sequence", "metric": "label error rate", "num_test": 40, "num_unknown": 0,
    "num_labels": 10, "shots": None, "missing": [],
    "systems": [
        {"name": "LoRA (x)", "kind": "lora", "mean": 9.5, "sd": 0.7071, "values": [9.0, 10.0], "parameters": 5734,
         "share_percent": 1.4523, "train_cpu_seconds": 53.29, "predict_cpu_seconds": 1.2, "details": [POINT]},
        {"name": "most frequent label", "kind": "majority", "mean": 90.0, "sd": None, "values": [90.0],
         "parameters": 0, "share_percent": None, "train_cpu_seconds": 0.0, "predict_cpu_seconds": 0.0},
    ],
}  # fmt: skip
NUMBERS = {"accuracy": {"mean": 61.25, "sd": 2.5, "values": [59.0, 63.5]}, "guessing_rate": {"mean": 99.0, "sd": None}}
ICL = {
    "num_demos": 4, "classes_per_episode": 4, "unit_len": 50, "repeats": 2, "episodes_per_repeat": 100, "warmups": 1,
    "tasks": {"digits": {"unseen": False, "systems": {"warm-up": NUMBERS}}},
}  # fmt: skip


@pytest.fixture
def report(tmp_path: Path, run_speechkit: Callable[..., Any]) -> Callable[..., Any]:
    """`report(values...)` makes a report of files with these contents."""

    def make(*values: object) -> Any:
        for number, value in enumerate(values):
            (tmp_path / f"r{number}.json").write_text(json.dumps(value))
        files = [tmp_path / f"r{number}.json" for number in range(len(values))]
        return run_speechkit("report", *files, "--out", tmp_path / "p.html", "--update", tmp_path / "RESULTS.md")

    return make


def test_prompts_stand_beside_baselines_and_errors_beside_lengths(report: Callable[..., Any], tmp_path: Path) -> None:
    done = report(EVAL, ICL)
    assert done.exit_code == 0, done.stderr
    text = (tmp_path / "RESULTS.md").read_text()
    assert "### strings, r0: 10 labels, 40 test utterances" in text
    assert "| LoRA (x) | 9.50 | 0.71 | 2 | 9.00 | 10.00 | 5734 | 1.45 | 53.3 |" in text
    assert "| most frequent label | 90.00 | - | 1 | 90.00 | 90.00 | 0 | - | 0.0 |" in text
    assert "| LoRA (x) | 3 | 7 | 9.52 | 0.00 to 20.00 | 71.43 |" in text
    assert "digits (seen) | warm-up | 61.2 (2.5) | 99.0 | - |" in text
    assert "LoRA (x)" in (tmp_path / "p.html").read_text()


def test_the_f1_of_slots_has_a_table(report: Callable[..., Any], tmp_path: Path) -> None:
    f1 = {"exact": 50.0, "f1": 80.0, "slots": {"size": {"f1": 90.0}, "roast": {"f1": None}}}
    systems = [EVAL["systems"][0] | {"details": f1}, EVAL["systems"][1]]  # type: ignore[index]
    done = report(EVAL | {"task": "orders", "kind": "slots", "metric": "exact", "systems": systems})
    assert done.exit_code == 0, done.stderr
    text = (tmp_path / "RESULTS.md").read_text()
    assert "| system | all | size | roast |" in text and "| LoRA (x) | 80.00 | 90.00 | - |" in text


def test_a_file_that_lacks_a_key_is_named(report: Callable[..., Any]) -> None:
    done = report({key: value for key, value in EVAL.items() if key != "metric"})
    assert done.exit_code == 1 and "r0.json` lacks metric" in done.stderr
