"""The page of an audit, decided on with true key presses in a real browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from audit_rows import audit_row, mark, write_audit, write_cuts, write_rows
from browser import Browser
from make import make_cut, make_wav

from speechkit.audit.config_verdict import ReportConfig
from speechkit.audit.report import run_report
from speechkit.data.store import save_cuts
from speechkit.errors import SpeechkitError

HOSTILE = "</script><script>document.title='gone'</script>"


def rows() -> list[dict[str, Any]]:
    first = audit_row("a", 1, "one two three", p_error=0.9, suggestion="one four three", suggestion_log_odds=7.5)
    second = audit_row("b", 2, "five six", p_error=0.7, speaker="bert", types={"del": 0.6, "sub": 0.1})
    third = audit_row(
        HOSTILE, 3, f"{HOSTILE} <b>x</b>", p_error=0.2, speaker="\"><img src=x onerror=\"document.title='gone'"
    )
    return [mark(first, words={1: "four"}), mark(second, gaps=[2]), third]


@pytest.fixture
def made(tmp_path: Path) -> Path:
    write_audit(tmp_path / "audit", rows())
    write_cuts(tmp_path, rows())
    run_report(tmp_path / "audit", tmp_path / "page.html", ReportConfig(), cuts=tmp_path / "cuts.jsonl.gz")
    return tmp_path


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    one = Browser(tmp_path_factory.mktemp("browser"))
    yield one
    one.close()


@pytest.fixture
def browser(started: Browser, made: Path) -> Browser:
    """With the page open and nothing decided."""
    started.open(made / "page.html")
    started.run("localStorage.clear()")
    started.open(made / "page.html")
    return started


def shown(browser: Browser) -> list[str]:
    found: list[str] = browser.run("[...document.querySelectorAll('.card')].map(c => c.dataset.id)")
    return found


def exported(browser: Browser) -> list[dict[str, Any]]:
    path = browser.downloads / "decisions.jsonl"
    path.unlink(missing_ok=True)
    browser.run("document.getElementById('export').click()")
    for _ in range(3000):
        if path.is_file() and not list(browser.downloads.glob("*.crdownload")):
            return [json.loads(line) for line in path.read_text().splitlines()]
        browser.run("new Promise(done => setTimeout(done, 10))")
    raise AssertionError("nothing was downloaded")


def test_the_page_asks_for_nothing_from_the_network(made: Path) -> None:
    page = (made / "page.html").read_text()
    assert not re.search(r"https?://|<link|<img|@import|url\(|fetch\(|XMLHttp", page)
    assert "default-src 'none'" in page and "media-src data: blob:;" in page


def test_decisions_by_keyboard_are_exported_kept_and_imported_again(browser: Browser, made: Path) -> None:
    browser.press("w", "ArrowDown", "u", "ArrowUp", "k", "j", "e")
    browser.wait("document.activeElement.id === 'editor'")
    assert browser.run("document.activeElement.value") == "five six"
    browser.type("five six nine")
    browser.press("w", "Enter")  # a letter inside the editor is no command
    first = {"id": "a", "decision": "wrong"}
    third = {"id": HOSTILE, "decision": "unsure"}
    assert exported(browser) == [first, {"id": "b", "decision": "wrong", "text": "five six ninew"}, third]
    browser.open(made / "page.html")
    assert [row["id"] for row in exported(browser)] == ["a", "b", HOSTILE]
    browser.press("a", "r", "c")
    assert exported(browser) == [first | {"text": "one four three"}, {"id": "b", "decision": "right"}]
    lines = [{"id": "b", "decision": "unsure"}, {"id": "nobody", "decision": "right"}, {"id": "a", "decision": "maybe"}]
    browser.run(f"importText({json.dumps('not json' + chr(10) + chr(10).join(map(json.dumps, lines)))})")
    note = browser.run("document.getElementById('status').textContent")
    assert "1 imported, 1 of utterances that are not on this page, 2 lines are no decisions" in note
    assert exported(browser)[1] == {"id": "b", "decision": "unsure"}


def test_escape_keeps_nothing_and_an_empty_correction_is_refused(browser: Browser) -> None:
    browser.press("e", "Escape", "e")
    browser.run("document.getElementById('editor').value = ' '")
    browser.press("Enter")
    assert "can not be empty" in browser.run("document.getElementById('status').textContent")
    browser.press("Escape", "r")
    assert exported(browser) == [{"id": "a", "decision": "right"}]


def test_a_click_on_a_word_plays_from_there_and_space_pauses(browser: Browser) -> None:
    browser.run("document.querySelectorAll('.card .word')[2].click()")
    browser.wait("!player.paused && player.currentTime >= 0.4")
    assert browser.run("player.duration") == pytest.approx(0.75, abs=0.01)
    browser.press(" ")
    browser.wait("player.paused")
    browser.run("document.querySelectorAll('.card')[1].click()")
    browser.press(" ")
    browser.wait("player.currentTime > 0 && player.duration < 0.6")


def test_texts_stay_texts_and_faults_are_coloured(browser: Browser) -> None:
    assert browser.run("document.title") == "Suspicious transcripts"
    assert browser.run("document.querySelectorAll('img').length") == 0
    assert HOSTILE in browser.run("document.querySelectorAll('.card')[2].textContent")
    assert browser.run("[...document.querySelectorAll('.card .word.bad')].map(w => w.textContent)") == ["two"]
    assert browser.run("[...document.querySelectorAll('.card .gap.bad')].map(w => w.textContent)") == ["+nine"]
    colours = "[...document.querySelectorAll('.card .word')].map(w => getComputedStyle(w).backgroundColor)"
    assert browser.run(f"new Set({colours}).size") == 2


def test_the_list_is_filtered_and_sorted(browser: Browser) -> None:
    def choose(name: str, value: str) -> None:
        box = f"document.getElementById('{name}')"
        browser.run(f"{box}.value = '{value}'; {box}.dispatchEvent(new Event('input'))")

    choose("filter", "BERT")
    assert shown(browser) == ["b"]
    browser.press("w")
    choose("filter", "")
    choose("state", "undecided")
    assert shown(browser) == ["a", HOSTILE]
    choose("state", "")
    choose("type", "del")
    assert shown(browser) == ["b"]
    choose("type", "")
    choose("sort", "words")
    assert shown(browser) == ["a", "b", HOSTILE]
    choose("sort", "id")
    assert shown(browser) == [HOSTILE, "a", "b"]


def test_relative_audio_starts_where_the_cut_does_in_its_recording(started: Browser, tmp_path: Path) -> None:
    whole = make_cut("a", make_wav(tmp_path / "audio #1" / "a b%.wav", 3.0), text="one two three")
    cut = whole.truncate(offset=1.0, duration=0.75, preserve_id=True)
    save_cuts([cut], tmp_path / "cuts.jsonl.gz")
    audit = write_audit(tmp_path / "audit", rows()[:1])
    page = tmp_path / "pages" / "page.html"
    run_report(audit, page, ReportConfig(audio="relative"), cuts=tmp_path / "cuts.jsonl.gz")
    assert "data:audio" not in page.read_text()
    started.open(page)
    started.wait("player.readyState > 0 && player.currentTime === 1")
    started.run("document.querySelectorAll('.card .word')[2].click()")
    started.wait("player.paused && player.currentTime > 1.7")  # it stops at the end of the cut
    assert started.run("player.currentTime") < 2.4


def test_a_sample_keeps_its_order_and_names_its_strata(started: Browser, made: Path) -> None:
    sample = [{"id": "b", "stratum": "middle", "decision": None}, {"id": "a", "stratum": "top", "decision": None}]
    write_rows(made / "sample.jsonl", sample)
    num = run_report(
        made / "audit", made / "s.html", ReportConfig(), cuts=made / "cuts.jsonl.gz", sample=made / "sample.jsonl"
    )
    started.open(made / "s.html")
    assert num == 2 and shown(started) == ["b", "a"]
    started.press("r")
    assert exported(started) == [{"id": "b", "decision": "right", "stratum": "middle"}]


def test_missing_cuts_and_missing_audio_are_named(made: Path) -> None:
    write_cuts(made, rows()[:1], name="few.jsonl.gz")
    with pytest.raises(SpeechkitError, match="2 utterances of the audit are not among the cuts"):
        run_report(made / "audit", made / "p.html", ReportConfig(), cuts=made / "few.jsonl.gz")
    (made / "audio" / "0.wav").unlink()
    for audio in ("embedded", "relative"):
        with pytest.raises(SpeechkitError, match=r"0\.wav` does not exist"):
            run_report(made / "audit", made / "p.html", ReportConfig(top=1, audio=audio), cuts=made / "few.jsonl.gz")
    assert not (made / "p.html").exists()
