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
    first, longest, shortest, filtered, colours, players = html.unescape(found.group(1)).split("|")
    assert sorted(first.split()) == ["a", "b", "c", "d"]
    assert longest.split() == ["a", "c", "b", "d"]
    assert shortest.split() == ["b", "d", "c", "a"]
    assert filtered == "a"
    assert (colours, players) == ("4", "0")


def test_audio_of_the_cuts_is_inside_the_page(tmp_path: Path, run_speechkit: Callable[..., Any]) -> None:
    import numpy as np
    import soundfile

    from speechkit.data.store import make_cut, save_cuts

    soundfile.write(tmp_path / "a.wav", np.zeros(800), 16000)
    cut = make_cut("a", tmp_path / "a.wav", sampling_rate=16000, num_samples=800, text="one two", speaker="s")
    save_cuts([cut], tmp_path / "cuts.jsonl.gz")
    (tmp_path / "hyp.jsonl").write_text('{"id": "a", "text": "one"}\n')
    found = run_speechkit(
        "score",
        "wer",
        tmp_path / "cuts.jsonl.gz",
        tmp_path / "hyp.jsonl",
        "--by",
        "speaker",
        "--html",
        tmp_path / "p.html",
    )
    assert found.exit_code == 0, found.stderr
    assert "data:audio/flac;base64," in (tmp_path / "p.html").read_text()
    assert "speaker s" in found.stdout
