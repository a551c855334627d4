"""`speechkit report` from files to page and RESULTS.md."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def scores(tmp_path: Path) -> list[Path]:
    paths = []
    for name, wer in (("plain_1", 30.0), ("plain_2", 34.0), ("pasted_1", 12.0)):
        part = {"sub": 7, "ins": 2, "del": 1, "num_ref_words": 100, "num_utterances": 20, "ci95": [wer - 1, wer + 1]}
        whole = {"wer": wer, **part, "seen": {"wer": wer / 2, **part}, "unseen": {"wer": wer * 2, **part}}
        groups = {"speaker": {"<anna>": {"wer": wer, **part}}}
        paths.append(tmp_path / "exp" / name / "score.json")
        paths[-1].parent.mkdir(parents=True)
        paths[-1].write_text(json.dumps({**whole, "parrot_rate": 3.0, "groups": groups}))
        (paths[-1].parent / "train.jsonl").write_text('{"step": 1, "loss": 3}\n{"step": 2, "loss": 2}\n')
    return paths


def test_page_is_one_file_without_network(
    scores: list[Path], run_speechkit: Callable[..., Any], tmp_path: Path
) -> None:
    out = tmp_path / "report.html"
    result = run_speechkit("report", *scores, tmp_path / "exp", "--out", out, "--title", "Digits & co")
    assert result.exit_code == 0, result.stderr
    page = out.read_text()
    assert "<title>Digits &amp; co</title>" in page
    assert page.count("<svg") == 2
    assert "&lt;anna&gt;" in page
    assert not re.search(r"(src|href)=|https?://|@import|<script", page)
    assert "plain_1" in result.stdout


def test_group_prints_means_and_results_get_them(
    scores: list[Path], run_speechkit: Callable[..., Any], tmp_path: Path
) -> None:
    results = tmp_path / "RESULTS.md"
    result = run_speechkit(
        "report", *scores, "--out", tmp_path / "r.html", "--group", "(plain|pasted)_", "--update", results
    )
    assert result.exit_code == 0, result.stderr
    assert re.search(r"plain +2 +[\d.]+ +[\d.]+ to [\d.]+ +64\.00 +60\.00 to 68\.00", result.stdout), result.stdout
    assert "| 64.00 | 60.00 to 68.00 |" in results.read_text()


def test_same_sources_give_the_same_bytes(
    scores: list[Path], run_speechkit: Callable[..., Any], tmp_path: Path
) -> None:
    pages = []
    for name in ("a.html", "b.html"):
        run_speechkit("report", *scores, "--out", tmp_path / name, "--update", tmp_path / "RESULTS.md")
        pages.append((tmp_path / name).read_bytes() + (tmp_path / "RESULTS.md").read_bytes())
    assert pages[0] == pages[1]


def test_wrong_sources_leave_no_page(run_speechkit: Callable[..., Any], tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    assert run_speechkit("report", tmp_path / "no.json", "--out", out).exit_code == 1
    assert run_speechkit("report", "--out", out).exit_code == 2
    assert not out.exists()
