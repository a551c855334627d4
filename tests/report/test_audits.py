"""Files of `audit eval` in a report: rows, means over runs, and what stands behind them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from speechkit.errors import SpeechkitError
from speechkit.report.audits import audit_means, audit_table, t_interval
from speechkit.report.run import run
from speechkit.report.sources import Score, read_sources

RATES = {"wer": 10.0, "sub": 7, "ins": 2, "del": 1, "num_ref_words": 100, "num_utterances": 20}


def measured(ap: float, **more: Any) -> dict[str, Any]:
    """An evaluation of scores as `audit eval` writes it, as far as it is read."""
    over = {"baseline": "cer_hyp", "difference": 0.12, "interval": [0.05, 0.2]}
    word = {"auroc": 0.9, "ap": 0.8, "best_f1": 0.7}
    return {
        "judged": "scores",
        "truth": "noisy",
        "utterances": 200,
        "faulty": 20,
        "scores": {
            "cer_hyp": {"ap": ap - 0.12},
            "rank": {"ap": ap, "ci": {"ap": [ap - 0.1, ap + 0.02]}, "ap_over_baseline": over},
        },
        "words": {"local": {"scores": {"log_odds": {**word, "ap": 0.6}, "doubt": word, "confidence": word}}},
        "gaps": {"local": {"number": 9, "wrong": 0}},
        **more,
    }


CONCLUDED: dict[str, Any] = {
    "scores": {"rank": {"ap": 0.9}, "p_error": {"ap": 0.89}},
    "words": {
        "local": {
            "scores": {"log_odds": {"ap": 0.75, "best_f1": 0.8}, "p_error": {"ap": 0.74, "best_f1": 0.81}},
            "auto": {"f1": 0.729, "share_of_best_f1": 0.9},
        }
    },
    "gaps": {"local": {"scores": {"log_odds": {"ap": 0.5, "best_f1": 0.6}}}},
    "ece": 0.031,
    "suggestions": {"accuracy": 0.625},
    "inspections": {"sd": 0.75, "coverage": 94.0},
}


def audit(path: str, ap: float, **more: Any) -> Score:
    return Score(Path(path), path, measured(ap, **more))


def test_scores_have_a_baseline_and_no_conclusions() -> None:
    table = audit_table([audit("a", 0.9)])
    assert table.columns == [
        "system", "utterances", "faulty", "AP", "95 % interval", "best baseline", "AP over it", "95 % interval",
        "word AP", "best word F1",
    ]  # fmt: skip
    assert table.rows == [
        ["a", "200", "20", "0.900", "0.800 to 0.920", "cer_hyp", "0.120", "0.050 to 0.200", "0.800", "0.700"]
    ]


def test_an_audit_has_conclusions_and_no_baseline() -> None:
    table = audit_table([audit("a", 0.9, **CONCLUDED)])
    assert table.columns[3:] == [
        "AP", "word AP", "gap AP", "best word F1", "word F1 as flagged", "% of best F1", "ECE", "suggestions right %",
        "inspection SD", "inspection coverage %",
    ]  # fmt: skip
    assert table.rows[0][3:] == ["0.900", "0.750", "0.500", "0.810", "0.729", "90.0", "0.031", "62.5", "0.75", "94.0"]


def test_columns_of_one_file_are_empty_for_the_other() -> None:
    table = audit_table([audit("a", 0.9), audit("b", 0.9, **CONCLUDED)])
    column = table.columns.index("best baseline")
    assert [row[column] for row in table.rows] == ["cer_hyp", "-"]
    assert [row[-3:] for row in table.rows] == [["-"] * 3, ["62.5", "0.75", "94.0"]]


def test_the_interval_of_a_mean_is_that_of_student() -> None:
    mean, pair = t_interval([0.9, 0.94, 0.98])
    assert mean == pytest.approx(0.94)
    assert pair == pytest.approx((0.94 - 4.302653 * 0.04 / 3**0.5, 0.94 + 4.302653 * 0.04 / 3**0.5))
    assert t_interval([0.9]) == (0.9, None)


def test_means_have_a_row_per_measure_that_was_made() -> None:
    groups = {"near": [audit("a", 0.9), audit("b", 0.94), audit("c", 0.98)], "far": [audit("d", 0.5)]}
    rows = audit_means(groups).rows
    assert [row[:2] for row in rows[:4]] == [
        ["near", "AP"], ["near", "AP over the best baseline"], ["near", "word AP"], ["near", "best word F1"],
    ]  # fmt: skip
    assert rows[0][2:] == ["3", "0.940", "0.841 to 1.039", "0.900 to 0.980"]
    assert rows[4] == ["far", "AP", "1", "0.500", "-", "0.500 to 0.500"]


@pytest.fixture
def write_audit_file(tmp_path: Path) -> Callable[..., Path]:
    """`write_audit_file("near-0", 0.9)` writes audit/near-0.json below tmp_path."""

    def write(name: str, ap: float, **more: Any) -> Path:
        path = tmp_path / "audit" / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(measured(ap, **more)))
        return path

    return write


def test_scores_and_audits_stand_in_one_report(
    write_audit_file: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, ap in enumerate((0.9, 0.94)):
        write_audit_file(f"near-{seed}", ap)
        (tmp_path / "score").mkdir(exist_ok=True)
        (tmp_path / "score" / f"plain-{seed}.json").write_text(json.dumps({**RATES, "wer": 10.0 + seed}))
    patterns = [r"audit/(.*)-\d", r"score/(.*)-\d"]
    run([tmp_path], out=tmp_path / "page.html", groups=patterns, results_file=tmp_path / "RESULTS.md")
    assert "do not match --group" not in capsys.readouterr().err
    text = (tmp_path / "RESULTS.md").read_text()
    titles = [line for line in text.splitlines() if line.startswith("###")]
    assert titles == [
        "### Word error rates",
        "### Label-noise audit",
        "### Label-noise audit: means over runs",
        "### Means over runs",
        "### How they were made",
    ]
    assert "| plain | 2 | 10.50 | 10.00 to 11.00 |" in text
    page = (tmp_path / "page.html").read_text()
    assert "Label-noise audit" in page and page.count("Rates in percent of the reference words") == 1


def test_single_runs_make_no_means(
    write_audit_file: Callable[..., Path], tmp_path: Path, write_score: Callable[..., Path]
) -> None:
    paths = [write_audit_file("near-0", 0.9), write_score("plain-0", 1.0), write_score("pasted-0", 2.0)]
    run(paths, out=tmp_path / "page.html", groups=[r"(near|plain|pasted)-"], results_file=tmp_path / "RESULTS.md")
    assert "eans over runs" not in (tmp_path / "RESULTS.md").read_text()
    run(paths, out=tmp_path / "page.html", groups=["(near|p)"], results_file=tmp_path / "RESULTS.md")
    assert "### Means over runs" in (tmp_path / "RESULTS.md").read_text()


def test_the_minutes_of_an_audit_count_its_models_once(tmp_path: Path, write_run: Callable[..., Path]) -> None:
    def link(folder: Path, **roles: Path) -> None:
        value = json.loads((folder / "run.json").read_text())
        value["inputs"] = {role: {"path": str(path)} for role, path in roles.items()}
        (folder / "run.json").write_text(json.dumps(value))

    names = ("audit", "scores", "part-0", "part-1", "model-0", "model-1", "cuts")
    made = {name: write_run(tmp_path / name, ["audit", "run", "x"], cpu_seconds=60.0) for name in names}
    link(made["part-0"], exp=made["model-0"])
    link(made["part-1"], exp=made["model-1"])
    parts = {"log_probs_0": made["part-0"], "log_probs_1": made["part-1"]}
    link(made["scores"], cuts=made["cuts"], **parts)
    link(made["audit"], scores=made["scores"], **parts)
    path = tmp_path / "eval.json"
    path.write_text(json.dumps(measured(0.9, judged=str(made["audit"]))))
    ((score,), _) = read_sources([path])
    assert score.kind == "audit" and score.run is not None
    assert score.run.cpu_minutes == 6.0 and score.run.command == "speechkit audit run x"


def test_an_evaluation_that_lacks_a_key_is_named(tmp_path: Path) -> None:
    path = tmp_path / "eval.json"
    path.write_text('{"judged": "x"}')
    with pytest.raises(SpeechkitError, match="lacks truth, utterances, faulty, scores"):
        read_sources([path])
