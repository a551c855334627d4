"""Folders made by exactly one command: complete or absent, skipped when up to date, leased while written.

Layout of `<out>`: `config.yaml` (resolved config), `run.json` (how it was made), `log.txt`, and the outputs.
While it is made: `<out>.partial` holds the work and its mark, the file `fingerprint`; `.<out>.speechkit-lease`
names the process that does it, and `.<out>.speechkit-old` is what stood there before.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import IO, Any

from speechkit import log
from speechkit.config import Config, to_yaml
from speechkit.errors import SpeechkitError
from speechkit.fingerprint import LOG_FILE, RUN_FILE, fingerprint, fingerprint_of_states, hash_of
from speechkit.provenance import provenance

CONFIG_FILE = "config.yaml"
_MARK_FILE = "fingerprint"
_MAX_SINGLE_FSYNC = 64


def make_artifact(
    out: Path,
    *,
    command: str,
    config: Config,
    inputs: Mapping[str, Path],
    build: Callable[[Path], None],
    audio: Sequence[Path] = (),
    force: bool = False,
    resumable: bool = False,
    scratch: str = "",
) -> bool:
    """Make the folder `out` with `build(folder)`, unless it is up to date.

    Args:
        command: for example `data prepare`; part of the fingerprint.
        config: everything that decides the content and is not an input file; a path counts only if it stands here.
        inputs: files and folders read, by role; fingerprinted by content (see `fingerprint`), not by path.
        audio: files that an input names wherever they lie; fingerprinted by path, size and modification time.
        build: writes the outputs into the folder it is given; raises to give up.
        resumable: keep unfinished work of the same fingerprint for the next try.
        scratch: folder of the unfinished work that is removed once `out` is published.
    Returns:
        False when `out` was up to date and nothing was done.
    Raises:
        SpeechkitError: an input is missing or lies in `out`, `out` is no artifact, or another process is writing it.
    """
    _check_no_input(out, inputs.values(), audio)
    prints = {role: fingerprint(path) for role, path in inputs.items()}
    if audio:
        prints["audio"] = fingerprint_of_states(audio)
    own_print = hash_of({"command": command, "config": config.deciding_fields(), "inputs": prints})
    _check_replaceable(out)
    _restore_interrupted_swap(out)
    if not force and is_up_to_date(out, own_print):
        print(f"up to date: {out}")
        return False
    out.parent.mkdir(parents=True, exist_ok=True)
    with lease(out):
        if not force and is_up_to_date(out, own_print):  # somebody made it while we waited for the lease
            print(f"up to date: {out}")
            return False
        partial = out.with_name(f"{out.name}.partial")
        _prepare_partial(partial, own_print, keep=resumable and not force)
        started, cpu = time.time(), _cpu_seconds()
        try:
            with log.log_to(partial / LOG_FILE):
                build(partial)
            (partial / CONFIG_FILE).write_text(to_yaml(config), encoding="utf-8")
            run = {
                "command": command,
                "fingerprint": own_print,
                "inputs": {
                    role: {"path": str(inputs.get(role, "")), "fingerprint": own} for role, own in prints.items()
                },
                "outputs": sorted(p.name for p in partial.iterdir() if p.name not in (_MARK_FILE, scratch)),
                **provenance(),
                "started": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(started)),
                "wall_seconds": round(time.time() - started, 2),
                "cpu_seconds": round(_cpu_seconds() - cpu, 2),
            }
            (partial / RUN_FILE).write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
            _flush(partial)
            _check_not_superseded(out)
            _swap_in(partial, out)
            if scratch:
                shutil.rmtree(out / scratch, ignore_errors=True)
        except BaseException:
            # nothing but a log is no work to go on with
            if not resumable or {path.name for path in partial.glob("*")} <= {_MARK_FILE, LOG_FILE}:
                shutil.rmtree(partial, ignore_errors=True)
            raise
    return True


def is_up_to_date(out: Path, own_print: str) -> bool:
    """True when `out` is a finished artifact with this fingerprint and none of its outputs was removed."""
    try:
        run = json.loads((out / RUN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if not isinstance(run, dict) or run.get("fingerprint") != own_print:
        return False
    return all((out / name).exists() for name in run.get("outputs", []))


@contextmanager
def lease(out: Path) -> Iterator[None]:
    """Hold `.<out>.speechkit-lease` while the block runs; the kernel frees it when the holder dies, even by kill -9.

    Raises:
        SpeechkitError: another process holds it; the message names host and pid.
    """
    path = _private(out, "lease")
    while (stream := _lock(path)) is None:
        with suppress(FileNotFoundError):  # then the holder has just finished: try again
            holder = path.read_text(encoding="utf-8").strip() or "another process"
            raise SpeechkitError(f"`{out}` is being written by {holder}", hint="wait for it, or choose another --out")
    try:
        stream.truncate(0)
        os.write(stream.fileno(), f"pid {os.getpid()} on host {socket.gethostname()}\n".encode())
        yield
    finally:
        path.unlink(missing_ok=True)
        stream.close()


def _lock(path: Path) -> IO[str] | None:
    while True:
        stream = path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.close()
            return None
        try:
            if os.fstat(stream.fileno()).st_ino == path.stat().st_ino:
                return stream
        except FileNotFoundError:
            pass
        stream.close()  # the holder before us removed this file: lock the new one


def check_writable(*paths: Path | None) -> None:
    """Say before long work, not after it, that a result file can not be written; None is no file.

    Raises:
        SpeechkitError: a path is a folder, or lies below a file or in a folder that may not be written.
    """
    for path in filter(None, paths):
        if path.is_dir():
            raise SpeechkitError(f"`{path}` is a folder", expected="the name of a file")
        place = path if path.exists() else next(parent for parent in path.absolute().parents if parent.exists())
        if not path.exists() and not place.is_dir():
            raise SpeechkitError(f"`{path}` can not be written: `{place}` is no folder")
        if not os.access(place, os.W_OK):
            raise SpeechkitError(f"`{path}` can not be written: no permission for `{place}`")


@contextmanager
def publish_file(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Write a single result file so that it appears whole or not at all; devices such as /dev/stdout are written to.

    Raises:
        SpeechkitError: `path` is a folder.
    """
    encoding = None if "b" in mode else "utf-8"
    if path.is_dir():
        raise SpeechkitError(f"`{path}` is a folder", expected="the name of a file")
    if path.absolute().is_relative_to("/dev") or (path.exists() and not path.is_file()):
        with path.open(mode, encoding=encoding) as stream:
            yield stream
        return
    path = path.resolve()  # a link stays, its target is replaced
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open(mode, encoding=encoding) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        _check_not_superseded(path)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: object) -> None:
    """Publish a `--json` result: indented, keys in the order given."""
    with publish_file(path) as stream:
        json.dump(value, stream, indent=1, ensure_ascii=False)
        stream.write("\n")


def _private(out: Path, role: str) -> Path:
    """A name beside `out` that is nobody's but ours, so that what bears it may be removed."""
    return out.with_name(f".{out.name}.speechkit-{role}")


def _check_no_input(out: Path, inputs: Iterable[Path], audio: Iterable[Path]) -> None:
    """Raise SpeechkitError when making `out` anew would remove what it is made from."""
    place = str(out.resolve())
    for path in chain((str(path.resolve()) for path in inputs), map(os.path.abspath, audio)):
        if path == place or path.startswith(place + os.sep):
            raise SpeechkitError(
                f"`{out}` is to be made from `{path}`, which it would replace", hint="choose another --out"
            )


def _check_replaceable(out: Path) -> None:
    if out.name in ("", ".."):
        raise SpeechkitError(f"`{out}` can not be an output folder", expected="the name of a new folder")
    if out.is_dir() and (not any(out.iterdir()) or (out / RUN_FILE).is_file()):
        return
    if out.exists() or out.is_symlink():
        raise SpeechkitError(
            f"`{out}` exists and was not made by speechkit", hint="choose another --out, or move it away yourself"
        )


def _prepare_partial(partial: Path, own_print: str, *, keep: bool) -> None:
    mark = partial / _MARK_FILE
    is_ours = partial.is_dir() and not partial.is_symlink() and (mark.is_file() or not any(partial.iterdir()))
    if not is_ours and (partial.exists() or partial.is_symlink()):
        raise SpeechkitError(
            f"`{partial}` exists and is no unfinished work of speechkit",
            hint="choose another --out, or move it away yourself",
        )
    if is_ours and not (keep and mark.is_file() and mark.read_text(encoding="utf-8") == own_print):
        shutil.rmtree(partial)
    partial.mkdir(exist_ok=True)
    mark.write_text(own_print, encoding="utf-8")


def _swap_in(partial: Path, out: Path) -> None:
    old = _private(out, "old")
    if out.exists():
        if old.exists():
            shutil.rmtree(old)
        out.rename(old)
    partial.rename(out)
    (out / _MARK_FILE).unlink()  # only now: a killed swap leaves unfinished work that bears its mark
    _fsync(out.parent)
    shutil.rmtree(old, ignore_errors=True)


def _restore_interrupted_swap(out: Path) -> None:
    old = _private(out, "old")
    if old.is_dir() and not out.exists():
        with lease(out):  # whoever swaps right now holds it; after kill -9 nobody does
            if not out.exists():
                old.rename(out)


def _check_not_superseded(out: Path) -> None:
    """Raise SpeechkitError when this is a lost attempt at an element of a job that was started again elsewhere."""
    newer = os.environ.get("SPEECHKIT_NEXT_ATTEMPT")
    if newer and os.path.exists(newer):
        raise SpeechkitError(f"`{out}` is not published: a newer attempt has taken over", where=newer)


def _flush(folder: Path) -> None:
    # one call for the whole machine is cheaper only when there are many files
    files = [path for path in folder.rglob("*") if path.is_file()]
    if len(files) > _MAX_SINGLE_FSYNC:
        os.sync()
        return
    for path in [*files, folder]:
        _fsync(path)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
