"""Artifacts made in parts: `--shard K/N` makes part K in `OUT.shards/K-of-N`, `--merge N` the whole from N parts.

The whole is the artifact that the command makes without either, byte by byte and with the same fingerprint.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from speechkit.errors import ConfigError

T = TypeVar("T")


@dataclass(frozen=True)
class Shard:
    """Part `index` of `count`, counted from 1."""

    index: int
    count: int

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def take(self, items: Sequence[T]) -> Sequence[T]:
        """Every count-th item: neighbours are alike, so all parts take about as long."""
        return items[self.index - 1 :: self.count]

    def folder(self, out: Path) -> Path:
        """Where the part of `out` lies."""
        return shards_folder(out) / f"{self.index}-of-{self.count}"


def shards_folder(out: Path) -> Path:
    """The folder of all parts."""
    return out.with_name(f"{out.name}.shards")


@dataclass(frozen=True)
class Sharing:
    """What `--shard` and `--merge` ask for; neither: the whole at once."""

    shard: Shard | None = None
    merge: int | None = None


def parse_sharing(shard: str | None, merge: int | None) -> Sharing:
    """The two options as given.

    Raises:
        ConfigError: both are given, or the shard is not K/N.
    """
    if shard is not None and merge is not None:
        raise ConfigError("--shard and --merge are given", expected="--shard K/N for each part, then --merge N")
    if shard is None:
        return Sharing(None, merge)
    found = re.fullmatch(r"([1-9][0-9]{0,6})/([1-9][0-9]{0,6})", shard)
    if found is None or int(found[1]) > int(found[2]):
        raise ConfigError(f"`--shard {shard}` is no part", expected="K/N with K from 1 to N, for example 3/8")
    return Sharing(Shard(int(found[1]), int(found[2])))


def make_in_parts(
    out: Path,
    sharing: Sharing,
    *,
    make: Callable[[Path, str, Callable[[Path], None]], bool],
    build_part: Callable[[Path, Shard], None],
    build: Callable[[Path, list[Path]], None],
) -> tuple[Path, bool]:
    """Make the artifact `out`, or one part of it; where it lies, and False when that was up to date.

    Args:
        make: `make(out, suffix, build)` makes an artifact, with the suffix behind the name of its command.
        build_part: writes the files of a part.
        build: writes the files of the whole, from the folders of its parts or, without any, from the start.
    """

    def make_part(shard: Shard) -> tuple[Path, bool]:
        folder = shard.folder(out)
        return folder, make(folder, f" --shard {shard}", lambda partial: build_part(partial, shard))

    if sharing.shard is not None:
        return make_part(sharing.shard)
    if sharing.merge is None:
        return out, make(out, "", lambda partial: build(partial, []))
    shards = [Shard(index, sharing.merge) for index in range(1, sharing.merge + 1)]

    def merge(partial: Path) -> None:
        with contextlib.redirect_stdout(io.StringIO()):  # parts that are there need no words
            folders = [make_part(shard)[0] for shard in shards]
        build(partial, folders)

    made = make(out, "", merge)
    shutil.rmtree(shards_folder(out), ignore_errors=True)
    return out, made


def link_files(source: Path, target: Path) -> None:
    """The files below `source` also below `target`; copied where links are not possible."""
    for path in sorted(source.rglob("*")):
        place = target / path.relative_to(source)
        if path.is_dir():
            place.mkdir(parents=True, exist_ok=True)
            continue
        try:
            os.link(path, place)
        except OSError:
            shutil.copy2(path, place)
