"""The HTML page, opened in a real browser."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PROBE = """<script>
const seen = [];
const rows = () => [...document.querySelectorAll("#utterances tr.row")].map(r => r.cells[0].textContent).join(" ");
const colour = name => getComputedStyle(document.querySelector(".alignment > span." + name)).backgroundColor;
seen.push(rows());
const button = document.querySelector("button[data-key=words]");
button.click(); seen.push(rows()); button.click(); seen.push(rows());
seen.push(document.querySelector("th[aria-sort=ascending]").textContent);
const box = document.getElementById("filter");
box.value = "TOO"; box.dispatchEvent(new Event("input")); seen.push(rows());
box.value = ""; box.dispatchEvent(new Event("input"));
seen.push(new Set(["cor", "sub", "del", "ins"].map(colour)).size);
seen.push(document.querySelectorAll("audio").length);
document.body.innerHTML = "<p id=probe>" + seen.join("|") + "</p>";
</script>"""


@pytest.fixture
def page(tmp_path: Path, run_speechkit: Callable[..., Any]) -> str:
    (tmp_path / "text").write_text("a one two three\nb four\nc five six\nd <script>alert(1)</script>\n")
    (tmp_path / "hyp").write_text("a one too three\nb four more\nc five\nd <b>\n")
    found = run_speechkit("score", "wer", tmp_path / "text", tmp_path / "hyp", "--html", tmp_path / "page.html")
    assert found.exit_code == 0, found.stderr
    return (tmp_path / "page.html").read_text()


def test_the_page_asks_for_nothing_from_the_network(page: str) -> None:
    assert not re.search(r"https?://|<link|<img|@import|url\(|fetch\(|XMLHttp|\bimport\b", page)
    assert "default-src 'none'" in page


def test_texts_cannot_become_tags(page: str) -> None:
    assert "alert(1)</script>" not in page and "<b>" not in page
    assert "\\u003cscript>alert(1)" in page


def test_the_page_sorts_filters_and_shows_colours_in_a_browser(page: str, tmp_path: Path) -> None:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")
    probed = tmp_path / "probed.html"
    probed.write_text(page.replace("</body>", PROBE + "</body>"))
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run(
        [browser, *options, "--dump-dom", probed.as_uri()], capture_output=True, text=True, timeout=60, check=True
    )
    found = re.search(r"<p id=\"probe\">(.*?)</p>", done.stdout)
    assert found, done.stdout[-500:]
    first, longest, shortest, sorted_by, filtered, colours, players = html.unescape(found.group(1)).split("|")
    assert sorted(first.split()) == ["a", "b", "c", "d"]
    assert longest.split() == ["a", "c", "b", "d"]
    assert shortest.split() == ["b", "d", "c", "a"]
    assert (sorted_by, filtered) == ("words", "a")
    assert (colours, players) == ("4", "0")


@pytest.fixture
def cuts(tmp_path: Path) -> Path:
    import numpy as np
    import soundfile

    from speechkit.data.store import make_cut, save_cuts

    soundfile.write(tmp_path / "a.wav", np.zeros(800), 16000)
    cut = make_cut("a", tmp_path / "a.wav", sampling_rate=16000, num_samples=800, text="one two", speaker="s")
    save_cuts([cut], tmp_path / "cuts.jsonl.gz")
    (tmp_path / "hyp.jsonl").write_text('{"id": "a", "text": "one"}\n')
    return tmp_path / "cuts.jsonl.gz"


def test_audio_of_the_cuts_is_inside_the_page(cuts: Path, run_speechkit: Callable[..., Any], tmp_path: Path) -> None:
    command = ("score", "wer", cuts, tmp_path / "hyp.jsonl", "--html", tmp_path / "p.html")
    assert run_speechkit(*command).exit_code == 0
    page = (tmp_path / "p.html").read_text()
    assert "data:audio/flac;base64," in page and "WER by speaker" in page


def test_audio_may_come_from_other_cuts_and_must_exist(
    cuts: Path, run_speechkit: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "text").write_text("a one two\n")
    command = ("score", "wer", tmp_path / "text", tmp_path / "hyp.jsonl", "--audio", cuts)
    assert run_speechkit(*command).exit_code == 2
    assert run_speechkit(*command, "--html", tmp_path / "p.html").exit_code == 0
    assert "data:audio/flac;base64," in (tmp_path / "p.html").read_text()
    (tmp_path / "text").write_text("b one two\n")
    (tmp_path / "hyp.jsonl").write_text('{"id": "b", "text": "one"}\n')
    result = run_speechkit(*command, "--html", tmp_path / "p.html")
    assert result.exit_code == 1 and "no cut of" in result.stderr
    (tmp_path / "a.wav").unlink()
    (tmp_path / "hyp.jsonl").write_text('{"id": "a", "text": "one"}\n')
    command = ("score", "wer", cuts, tmp_path / "hyp.jsonl", "--html", tmp_path / "p.html")
    result = run_speechkit(*command)
    assert result.exit_code == 0 and "no players" in result.stderr and "a.wav` does not exist" in result.stderr
    assert run_speechkit(*command, "--audio", cuts).exit_code == 1


def test_files_are_written_though_nobody_reads_the_table(
    run_speechkit: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(result: dict[str, Any]) -> str:
        raise BrokenPipeError

    for module in ("report", "compare"):
        monkeypatch.setattr(f"speechkit.score.{module}.table", closed)
    for name in ("text", "other"):
        (tmp_path / name).write_text("a one two\nb one\n")
    sides = [tmp_path / "text"] * 2
    run_speechkit("score", "wer", *sides, "--json", tmp_path / "w", "--html", tmp_path / "p", "--align", tmp_path / "a")
    run_speechkit("score", "compare", *sides, tmp_path / "other", "--json", tmp_path / "c")
    assert all((tmp_path / name).stat().st_size for name in "wpac")
