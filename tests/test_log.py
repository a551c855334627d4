"""Log lines on stderr and in files; progress that makes sense with and without a terminal."""

from __future__ import annotations

import io
import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from speechkit import log


@pytest.fixture(autouse=True)
def fresh_log() -> Iterator[None]:
    before = log.logger.level
    log.setup()
    yield
    log.logger.setLevel(before)


class FakeClock:
    """time.monotonic() that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    fake = FakeClock()
    monkeypatch.setattr(log.time, "monotonic", fake)
    return fake


def test_lines_go_to_stderr_with_time_and_level(capsys: pytest.CaptureFixture[str]) -> None:
    log.info("one")
    log.warn("two")
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d INFO one", lines[0])
    assert lines[1].endswith(" WARNING two")


def test_setting_up_twice_prints_each_line_once(capsys: pytest.CaptureFixture[str]) -> None:
    log.setup()
    log.info("one")
    assert capsys.readouterr().err.count("one") == 1


def test_debug_lines_appear_only_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    log.logger.debug("hidden")
    log.setup(verbose=True)
    log.logger.debug("shown")
    assert capsys.readouterr().err.split()[-1] == "shown"


def test_lines_are_copied_into_a_file_while_the_block_runs(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="stop"), log.log_to(tmp_path / "log.txt"):
        log.info("inside é")
        raise ValueError("stop")
    log.info("outside")
    text = (tmp_path / "log.txt").read_text(encoding="utf-8")
    assert "inside é" in text
    assert "outside" not in text
    assert not [h for h in log.logger.handlers if isinstance(h, logging.FileHandler)]


def test_a_closed_stderr_does_not_end_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Closed())
    log.info("nobody reads this")


def test_track_passes_everything_on_and_is_silent_when_fast(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(log.track(range(5), "counting")) == [0, 1, 2, 3, 4]
    assert list(log.track([], "nothing")) == []
    assert capsys.readouterr().err == ""


def test_without_a_terminal_progress_comes_after_10_s_30_s_and_each_minute(
    clock: FakeClock, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in log.track(range(200), "aligning", unit="utt"):
        clock.now += 1.0
    counts = [int(n) for n in re.findall(r"aligning: (\d+)/200 utt, 1\.0 utt/s", capsys.readouterr().err)]
    assert counts == [10, 30, 90, 150]


def test_without_a_known_length_only_the_count_is_shown(clock: FakeClock, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in log.track(iter(range(10)), "reading", unit="line"):
        clock.now += 2.0
    assert "reading: 5 line, 0.5 line/s\n" in capsys.readouterr().err


def test_on_a_terminal_one_live_line_is_rewritten_and_cleared(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    for _ in log.track(range(4), "scoring"):
        clock.now += 0.25
    shown = screen.getvalue()
    assert shown.count("\r") == 5
    assert "\n" not in shown
    assert shown.endswith("\rscoring: 4/4 utt, 4.0 utt/s\x1b[K\r\x1b[K")


def test_a_live_line_is_cleared_when_the_work_stops(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    items = log.track(range(4), "scoring")
    next(items)
    clock.now += 1.0
    next(items)
    items.close()
    assert screen.getvalue().endswith("\r\x1b[K")
