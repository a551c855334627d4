"""Artifacts: complete or absent, up to date by content, leased, and sturdy against kills and full disks."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from speechkit import log
from speechkit.artifact import lease, make_artifact, publish_file, write_json
from speechkit.config import Config
from speechkit.errors import SpeechkitError


class Word(Config):
    """A config with one key."""

    word: str = "a"


class Maker:
    """Makes `tmp/out` from `tmp/in.txt` and counts how often it really worked."""

    def __init__(self, folder: Path) -> None:
        self.source, self.out, self.count = folder / "in.txt", folder / "out", 0
        self.source.write_text("text")

    def build(self, folder: Path) -> None:
        self.count += 1
        (folder / "result.txt").write_text(self.source.read_text())

    def make(self, word: str = "a", *, build: Callable[[Path], None] | None = None, **options: bool) -> bool:
        inputs = {"source": self.source}
        return make_artifact(
            self.out, command="t", config=Word(word=word), inputs=inputs, build=build or self.build, **options
        )

    def siblings(self) -> list[str]:
        return sorted(path.name for path in self.out.parent.iterdir())


@pytest.fixture
def maker(tmp_path: Path) -> Maker:
    return Maker(tmp_path)


def test_an_artifact_holds_outputs_config_and_how_it_was_made(maker: Maker) -> None:
    assert maker.make()
    assert maker.siblings() == ["in.txt", "out"]
    assert sorted(p.name for p in maker.out.iterdir()) == ["config.yaml", "log.txt", "result.txt", "run.json"]
    assert (maker.out / "config.yaml").read_text() == "word: a\n"
    run = json.loads((maker.out / "run.json").read_text())
    assert run["inputs"]["source"]["path"] == str(maker.source)
    assert run["argv"] == sys.argv
    assert run["outputs"] == ["config.yaml", "log.txt", "result.txt"]
    assert {"version", "commit", "python", "libraries", "host", "started", "wall_seconds", "cpu_seconds"} <= set(run)


def test_the_same_config_and_input_are_up_to_date(maker: Maker, capsys: pytest.CaptureFixture[str]) -> None:
    maker.make()
    assert not maker.make()
    assert maker.count == 1
    assert capsys.readouterr().out == f"up to date: {maker.out}\n"
    assert maker.make(force=True)
    assert maker.count == 2


def test_a_moved_input_of_the_same_content_is_no_change(maker: Maker) -> None:
    maker.make()
    maker.source = maker.source.rename(maker.source.with_name("moved.txt"))
    assert not maker.make()


def test_config_input_or_a_removed_output_make_it_again(maker: Maker) -> None:
    maker.make()
    assert maker.make("b")
    maker.source.write_text("changed")
    assert maker.make("b")
    assert (maker.out / "result.txt").read_text() == "changed"
    (maker.out / "result.txt").unlink()
    assert maker.make("b")
    (maker.out / "run.json").write_text("{half")
    with pytest.raises(OSError, match="never"):
        maker.make("b", build=raising(OSError("never")))


def raising(error: BaseException) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        (folder / "half.txt").write_text("half")
        raise error

    return build


@pytest.mark.parametrize("error", [SpeechkitError("no"), KeyboardInterrupt(), OSError(errno.ENOSPC, "full")])
def test_a_failed_build_leaves_the_old_artifact_and_nothing_else(maker: Maker, error: BaseException) -> None:
    with pytest.raises(type(error)):
        maker.make(build=raising(error))
    assert maker.siblings() == ["in.txt"]
    maker.make()
    with pytest.raises(type(error)):
        maker.make("b", build=raising(error))
    assert maker.siblings() == ["in.txt", "out"]
    assert (maker.out / "config.yaml").read_text() == "word: a\n"


def test_a_resumable_build_that_made_nothing_leaves_nothing(maker: Maker) -> None:
    def refuse(folder: Path) -> None:
        raise SpeechkitError("no")

    with pytest.raises(SpeechkitError):
        maker.make(build=refuse, resumable=True)
    assert maker.siblings() == ["in.txt"]


def test_resumable_work_is_kept_for_the_same_fingerprint_only(maker: Maker) -> None:
    seen: list[bool] = []

    def build(folder: Path) -> None:
        seen.append((folder / "half.txt").exists())
        (folder / "half.txt").write_text("half")
        if len(seen) < 4:
            raise SpeechkitError("stopped")

    for word in ("a", "a", "b"):
        with pytest.raises(SpeechkitError):
            maker.make(word, build=build, resumable=True)
    assert maker.make("b", build=build, resumable=True)
    assert seen == [False, True, False, True]
    assert maker.siblings() == ["in.txt", "out"]


def test_a_missing_input_is_named(maker: Maker) -> None:
    maker.source.unlink()
    with pytest.raises(SpeechkitError, match=re.escape(f"`{maker.source}` does not exist")):
        maker.make()
    assert maker.siblings() == []


@pytest.mark.parametrize("kind", ["file", "folder", "broken link"])
def test_what_speechkit_did_not_make_is_never_replaced(maker: Maker, kind: str) -> None:
    if kind == "file":
        maker.out.write_text("mine")
    elif kind == "folder":
        maker.out.mkdir()
        (maker.out / "mine").touch()
    else:
        maker.out.symlink_to("nowhere")
    with pytest.raises(SpeechkitError) as caught:
        maker.make(force=True)
    assert str(caught.value) == (
        f"error: `{maker.out}` exists and was not made by speechkit\n"
        "hint: choose another --out, or move it away yourself"
    )
    assert maker.count == 0


@pytest.mark.parametrize("name", ["out.old", "out.lease", "out.partial"])
def test_neighbours_of_the_user_with_a_suffix_are_left_alone(maker: Maker, name: str) -> None:
    maker.make()
    mine = maker.out.with_name(name)
    mine.mkdir()
    (mine / "thesis.txt").write_text("mine")
    if name == "out.partial":
        for resumable in (False, True):
            with pytest.raises(SpeechkitError, match=r"out\.partial` exists and is no unfinished work of speechkit"):
                maker.make("b", resumable=resumable)
    else:
        assert maker.make("b")
        (maker.out / "run.json").unlink()
        (maker.out / "result.txt").rename(maker.out.with_name("in.txt"))
        for left in maker.out.iterdir():
            left.unlink()
        maker.out.rmdir()
        assert maker.make("b")  # nothing is restored from the user's folder
    assert [path.name for path in mine.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("kind", ["file", "link"])
def test_a_file_or_link_in_the_place_of_unfinished_work_is_left_alone(maker: Maker, kind: str) -> None:
    place = maker.out.with_name("out.partial")
    if kind == "file":
        place.write_text("mine")
    else:
        place.symlink_to("elsewhere")
    with pytest.raises(SpeechkitError, match=r"out\.partial` exists and is no unfinished work"):
        maker.make()
    assert maker.siblings() == ["in.txt", "out.partial"]


@pytest.mark.parametrize("name", [".", "..", "a/.."])
def test_a_folder_without_a_name_is_no_output(maker: Maker, name: str) -> None:
    maker.out = Path(name)
    with pytest.raises(SpeechkitError, match="can not be an output folder"):
        maker.make()


def test_an_empty_folder_may_be_the_output(maker: Maker) -> None:
    maker.out.mkdir()
    assert maker.make()


def test_log_lines_go_into_the_artifact(maker: Maker, capsys: pytest.CaptureFixture[str]) -> None:
    log.setup()
    maker.make(build=lambda folder: log.warn("2 skipped"))
    assert "WARNING 2 skipped" in (maker.out / "log.txt").read_text()
    assert "WARNING 2 skipped" in capsys.readouterr().err


def test_a_second_writer_is_told_who_is_first(maker: Maker) -> None:
    def build(folder: Path) -> None:
        with pytest.raises(SpeechkitError) as caught:
            maker.make()
        pattern = rf"error: `{re.escape(str(maker.out))}` is being written by pid {os.getpid()} on host \S+\nhint: .*"
        assert re.fullmatch(pattern, str(caught.value))

    maker.make(build=build)
    assert maker.count == 0


def test_of_many_waiting_threads_one_holds_the_lease_at_a_time(tmp_path: Path) -> None:
    holders: list[int] = []
    most: list[int] = []

    def work() -> None:
        for _ in range(50):
            try:
                with lease(tmp_path / "x"):
                    holders.append(1)
                    most.append(len(holders))
                    holders.pop()
            except SpeechkitError:
                continue

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from speechkit import artifact
from speechkit.config import Config
moment = sys.argv[1]
die = lambda *a: os.kill(os.getpid(), signal.SIGKILL)
def build(folder):
    (folder / "result.txt").write_text("new")
    if moment == "build": die()
if moment == "swap":
    real = Path.rename
    def rename(self, target):
        die() if self.name.endswith(".partial") else real(self, target)
    Path.rename = rename
artifact.make_artifact(Path("out"), command="t", config=Config(), inputs={}, build=build, force=True)
"""


@pytest.mark.parametrize("moment", ["build", "swap"])
def test_kill_9_at_any_moment_loses_nothing(tmp_path: Path, moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    out = Path("out")
    builds: list[Path] = []

    def make() -> bool:
        return make_artifact(out, command="t", config=Config(), inputs={}, build=builds.append)

    make()
    done = subprocess.run([sys.executable, "-c", KILLED, moment], timeout=30, check=False)
    assert done.returncode == -signal.SIGKILL
    assert out.exists() == (moment == "build")
    assert not make()  # the old one is complete and is back
    assert len(builds) == 1
    make_artifact(out, command="other", config=Config(), inputs={}, build=builds.append)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_named_audio_counts_by_path_size_and_time(tmp_path: Path) -> None:
    sound = tmp_path / "a.wav"
    sound.write_bytes(b"1")

    def make(*audio: Path) -> bool:
        return make_artifact(
            tmp_path / "out", command="t", config=Config(), inputs={}, build=lambda _: None, audio=audio
        )

    assert make(sound)
    assert not make(sound)
    os.utime(sound, (1, 1))
    assert make(sound)
    sound.unlink()
    assert make(sound)
    assert make(Path("no\0name"))


def test_a_published_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "f.txt"
    with publish_file(path) as stream:
        stream.write("one")
        assert not path.exists()
    with pytest.raises(KeyboardInterrupt), publish_file(path) as stream:
        stream.write("two")
        raise KeyboardInterrupt
    assert path.read_text() == "one"
    assert [p.name for p in path.parent.iterdir()] == ["f.txt"]


def test_a_published_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").touch()
    (tmp_path / "link").symlink_to("real")
    write_json(tmp_path / "link", {"b": 1, "a": "é"})
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == '{\n "b": 1,\n "a": "é"\n}\n'


def test_json_can_go_to_stdout_and_pipes(tmp_path: Path) -> None:
    code = "from pathlib import Path; from speechkit import artifact; artifact.write_json(Path('/dev/stdout'), 1)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("1\n", "")
    assert Path("/dev/stdout").is_symlink()


def test_a_folder_can_not_be_a_published_file(tmp_path: Path) -> None:
    with pytest.raises(SpeechkitError, match="is a folder"):
        write_json(tmp_path, 1)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_device_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left"):
        write_json(Path("/dev/full"), 1)


def test_a_full_disk_leaves_nothing_half_written(full_disk: Path) -> None:
    log.setup()

    def build(folder: Path) -> None:
        log.info("x" * 60000)  # log.txt fills the disk first: no traceback of the logging
        (folder / "big").write_bytes(bytes(70000))

    with pytest.raises(OSError, match="No space left"):
        make_artifact(full_disk / "out", command="t", config=Config(), inputs={}, build=build)
    with pytest.raises(OSError, match="No space left"):
        write_json(full_disk / "f.json", "x" * 70000)
    assert list(full_disk.iterdir()) == []


@pytest.mark.parametrize("place", ["data", "data/cuts.jsonl.gz", "data/audio/a.wav"])
def test_an_output_does_not_replace_what_it_is_made_from(tmp_path: Path, place: str) -> None:
    made = tmp_path / "data"
    (made / "audio").mkdir(parents=True)
    for name in ("cuts.jsonl.gz", "audio/a.wav", "run.json"):
        (made / name).write_text("{}")
    for options in ({"inputs": {"cuts": tmp_path / place}}, {"inputs": {}, "audio": [tmp_path / place]}):
        with pytest.raises(SpeechkitError, match="which it would replace"):
            make_artifact(made, command="c", config=Word(), build=lambda folder: None, **options)  # type: ignore[arg-type]
    assert (made / "audio" / "a.wav").is_file()
