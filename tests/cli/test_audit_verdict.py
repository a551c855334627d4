"""`audit estimate`, `report` and `apply` on the command line: what they print, and every way to use them wrongly."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from audit_rows import audit_row, mark, write_audit, write_cuts, write_rows

Run = Callable[..., Any]


@pytest.fixture
def audit(tmp_path: Path) -> Path:
    rows = [audit_row(f"u{i:02}", i + 1, "one two", p_error=0.9 if i < 4 else 0.05) for i in range(40)]
    write_cuts(tmp_path, [mark(rows[0], words={1: "nine"}), *rows[1:]])
    return write_audit(tmp_path / "audit", rows)


def test_draw_decide_and_estimate(audit: Path, tmp_path: Path, run_speechkit: Run) -> None:
    sample = tmp_path / "sample.jsonl"
    drawn = run_speechkit("audit", "estimate", audit, "--draw", 20, "--out", sample)
    assert drawn.exit_code == 0, drawn.stderr
    assert drawn.stdout == "20 utterances to inspect: 4 top, 8 middle, 8 rest\n"
    rows = [json.loads(line) for line in sample.read_text().splitlines()]
    assert set(rows[0]) == {"id", "stratum", "given", "decision"}
    for row in rows:
        row["decision"] = "wrong" if row["stratum"] == "top" else "right"
    write_rows(sample, rows)
    found = run_speechkit("audit", "estimate", audit, "--decisions", sample, "--json", tmp_path / "n.json")
    assert found.exit_code == 0, found.stderr
    assert found.stdout.startswith("noise rate: 10.0 % [") and "by the model alone" in found.stdout
    result = json.loads((tmp_path / "n.json").read_text())
    assert result["rate"] == pytest.approx(0.1) and result["ci"][0] >= 0.1 - 1e-9


def test_a_flip_is_loud_and_may_fail(audit: Path, tmp_path: Path, run_speechkit: Run) -> None:
    sample = tmp_path / "sample.jsonl"
    run_speechkit("audit", "estimate", audit, "--draw", 20, "--out", sample)
    rows = [json.loads(line) for line in sample.read_text().splitlines()]
    write_rows(sample, [row | {"decision": "right" if row["stratum"] == "top" else "wrong"} for row in rows])
    found = run_speechkit("audit", "estimate", audit, "--decisions", sample)
    assert found.exit_code == 0 and "ALARM: only 0.0 % of the top stratum" in found.stdout
    found = run_speechkit("audit", "estimate", audit, "--decisions", sample, "--fail-on-flip")
    assert found.exit_code == 3 and "the ranking may be flipped" in found.stderr and "hint:" in found.stderr


def test_page_and_policies(audit: Path, tmp_path: Path, run_speechkit: Run) -> None:
    page, cuts = tmp_path / "page.html", tmp_path / "cuts.jsonl.gz"
    made = run_speechkit("audit", "report", audit, "--cuts", cuts, "--top", 5, "--out", page)
    assert (made.exit_code, made.stdout) == (0, f"5 transcripts in {page}\n"), made.stderr
    done = run_speechkit("audit", "apply", cuts, "--audit", audit, "--policy", "drop", "--out", tmp_path / "clean")
    assert done.exit_code == 0, done.stderr
    assert "36 of 40 cuts stay" in done.stdout and "4 removed" in done.stdout
    again = run_speechkit("audit", "apply", cuts, "--audit", audit, "--policy", "drop", "--out", tmp_path / "clean")
    assert "up to date" in again.stdout
    done = run_speechkit("audit", "apply", cuts, "--audit", audit, "--policy", "correct", "--out", tmp_path / "right")
    assert "4 transcripts that the audit doubts stay as they are" in done.stderr


BAD_DECISIONS = [
    ('{"id": "nobody", "decision": "right"}', "d.jsonl:1  `nobody` is not in the audit"),
    ('{"id": "u00", "decision": "right"}\n{"id": "u00", "decision": "wrong"}', "d.jsonl:2  `u00` is decided twice"),
    ('{"id": "u00", "decision": "right"}\n{"id": "u01", "decision": "bad"}', "d.jsonl:2  `decision`: input should be"),
    ('{"decision": "right"}', "d.jsonl:1  `id`: is missing"),
    ('{"id": "u00", "decision": "wrong", "text": " "}', "corrected to an empty text"),
    ('{"id": "u00", "decision": "wrong", "text": 5}', "d.jsonl:1  `text`: input should be a valid string, not 5"),
    ('{"id": "u00", "decision": "wrong", "stratum": "best"}', "d.jsonl:1  `stratum`"),
    ("[1]", "d.jsonl:1"),
    ("{", "d.jsonl:1"),
    ('{"id": "u00", "decision": "right"}', "names its stratum"),
]


@pytest.mark.parametrize("text, message", BAD_DECISIONS)
def test_bad_decisions_are_named_by_line(
    text: str, message: str, audit: Path, tmp_path: Path, run_speechkit: Run
) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text(text + "\n")
    found = run_speechkit("audit", "estimate", audit, "--decisions", path)
    assert found.exit_code == 1 and message in found.stderr, found.stderr
    assert found.stderr.startswith("error: ")


BAD_AUDITS = [
    ("", "holds no utterances"),
    ('{"id": "a"}', "audit.jsonl:1  `rank`: is missing"),
    (json.dumps(audit_row("a", 1, "one", p_error=0.5) | {"p_error": 1.5}), "`p_error`"),
    ("\n".join([json.dumps(audit_row("a", 1, "one"))] * 2), "audit.jsonl:2"),
    (json.dumps(audit_row("a", 1, "one") | {"gaps": []}), "1 words and 0 gaps"),
]


@pytest.mark.parametrize("text, message", BAD_AUDITS)
def test_bad_audits_are_named_by_line(text: str, message: str, tmp_path: Path, run_speechkit: Run) -> None:
    (tmp_path / "audit.jsonl").write_text(text + "\n" * bool(text))
    found = run_speechkit("audit", "estimate", tmp_path, "--draw", 10, "--out", tmp_path / "s.jsonl")
    assert found.exit_code == 1 and message in found.stderr, found.stderr
    assert not (tmp_path / "s.jsonl").exists()


def test_options_that_do_not_fit_are_refused(audit: Path, tmp_path: Path, run_speechkit: Run) -> None:
    sample, cuts = tmp_path / "s.jsonl", tmp_path / "cuts.jsonl.gz"
    apply = ("audit", "apply", cuts, "--audit", audit, "--out", tmp_path / "o")
    for command, message in [
        (("audit", "estimate", audit), "one of --draw and --decisions"),
        (("audit", "estimate", audit, "--draw", 5), "--draw and --out belong together"),
        (("audit", "estimate", audit, "--decisions", sample, "--out", sample), "belong together"),
        (("audit", "report", audit, "--cuts", cuts, "--out", sample, "--audio", "none"), "'none'"),
        ((*apply, "--policy", "drop", "--accept-above", 3), "--accept-above is for --policy correct"),
        ((*apply, "--policy", "burn"), "'burn'"),
        ((*apply, "--policy", "trim", "--min-kept", 0), "min_kept"),
    ]:
        found = run_speechkit(*command)
        assert found.exit_code == 2 and message in found.stderr, (command, found.stderr)


def test_missing_files_are_named(audit: Path, tmp_path: Path, run_speechkit: Run) -> None:
    nothing, cuts, page = tmp_path / "nothing", tmp_path / "cuts.jsonl.gz", tmp_path / "p.html"
    for command, message in [
        (("audit", "estimate", nothing, "--draw", 5, "--out", page), "nothing` does not exist"),
        (("audit", "estimate", audit, "--decisions", nothing), "nothing` does not exist"),
        (("audit", "report", audit, "--cuts", nothing, "--out", page), "nothing` does not exist"),
        (("audit", "report", audit, "--cuts", cuts, "--out", tmp_path), "is a folder"),
        (("audit", "apply", cuts, "--audit", nothing, "--policy", "drop", "--out", page), "does not exist"),
    ]:
        found = run_speechkit(*command)
        assert found.exit_code == 1 and message in found.stderr, (command, found.stderr)
    (tmp_path / "audio" / "0.wav").unlink()
    found = run_speechkit("audit", "report", audit, "--cuts", cuts, "--out", page)
    assert found.exit_code == 1 and "0.wav` does not exist" in found.stderr and not page.exists()
