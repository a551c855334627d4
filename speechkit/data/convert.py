"""`speechkit data convert`: cuts, Kaldi directories, tables, NeMo manifests, Shar, CTM, STM and TextGrids.

Whatever a target can not hold is counted by kind and listed with the ids of its utterances (`lost.tsv`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import orjson
from lhotse import MonoCut

from speechkit import log
from speechkit.artifact import check_writable, make_artifact, write_json
from speechkit.data.config import KaldiConfig, TsvConfig
from speechkit.data.config_convert import FOLDER_TARGETS, FORMATS, ConvertConfig
from speechkit.data.corpora import kaldi, tsv
from speechkit.data.corpora.items import BadItem, Prepared
from speechkit.data.formats.kaldi_dir import write_kaldi
from speechkit.data.formats.marks import (
    SUFFIX,
    AudioIndex,
    read_ctm_as_cuts,
    read_stm_as_cuts,
    read_textgrids,
    write_ctm_of,
    write_textgrids,
)
from speechkit.data.formats.nemo import named_audio as nemo_audio
from speechkit.data.formats.nemo import read_nemo, write_nemo
from speechkit.data.formats.shar import read_shar, shards_of, write_shar
from speechkit.data.formats.stm import write_stm
from speechkit.data.formats.table import write_table
from speechkit.data.formats.utterance import Losses, Utterance, utterances_of
from speechkit.data.prepare import SKIPPED_FILE, bad_count_limit, judge_bad_items, write_bad_items
from speechkit.data.store import audio_path, iter_cuts, save_cuts, save_manifests
from speechkit.data.stream import CUTS_FILE, manifest_lines
from speechkit.errors import ConfigError, SpeechkitError, counted

RESULT_FILE = "convert.json"
LOST_FILE = "lost.tsv"
_WRITERS: dict[str, Callable[..., int]] = {
    "kaldi": write_kaldi,
    "tsv": write_table,
    "nemo": write_nemo,
    "shar": write_shar,
    "ctm": write_ctm_of,
    "stm": write_stm,
    "textgrid": write_textgrids,
}
_READERS_WITH_AUDIO: dict[str, Callable[[Path, AudioIndex], Prepared]] = {
    "ctm": read_ctm_as_cuts,
    "stm": read_stm_as_cuts,
    "textgrid": read_textgrids,
}
_NAMED_AUDIO: dict[str, Callable[[Path], list[Path]]] = {
    "kaldi": kaldi.named_audio,
    "tsv": tsv.named_audio,
    "nemo": nemo_audio,
}
_SUFFIXES = {".tsv": "tsv", ".ctm": "ctm", ".stm": "stm", SUFFIX.lower(): "textgrid"}


def run(
    source: Path,
    config: ConvertConfig,
    *,
    out: Path,
    audio: Path | None = None,
    num_jobs: int = 1,
    force: bool = False,
    json_file: Path | None = None,
) -> None:
    """Write `out` in the format `config.target`; prints one line.

    Args:
        audio: where recordings are found that the source only names: a folder, or a manifest of cuts.
    Raises:
        SpeechkitError: the source can not be read, or more of its items than `max_bad` are unusable.
    """
    for path in filter(None, (source, audio)):
        if not path.exists():
            raise SpeechkitError(f"`{path}` does not exist")
    if config.source_format == "auto":
        config = config.model_copy(update={"source_format": guess_format(source)})
    bad_count_limit(config.max_bad, 0)
    check_writable(json_file)
    job = _Job(source, config, out.absolute(), audio, num_jobs)
    job.check()
    if not job.is_folder:
        result = job.write_file()
    else:
        make_artifact(
            out,
            command="data convert",
            config=config,
            inputs={"source": source} | ({} if audio is None else {"audio": audio}),
            build=job.build,
            audio=job.named_audio(),
            force=force,
        )
        result = orjson.loads((out / RESULT_FILE).read_bytes())
    if json_file is not None:
        write_json(json_file, result)
    print(_summary(result, out))


def guess_format(source: Path) -> str:
    """The format of a file or folder by its name and content.

    Raises:
        ConfigError: it is none of them.
    """
    if source.is_dir():
        tests: dict[str, Callable[[], object]] = {
            "cuts": (source / CUTS_FILE).is_file,
            "kaldi": (source / "wav.scp").is_file,
            "shar": partial(shards_of, source),
            "tsv": (source / tsv.MANIFEST).is_file,
            "textgrid": lambda: next(source.rglob(f"*{SUFFIX}"), None),
        }
        found = next((kind for kind, is_so in tests.items() if is_so()), "")
    elif re.search(r"\.(jsonl|json)(\.gz)?$", source.name):
        head = next(iter(manifest_lines(source)), b"")
        found = "cuts" if b'"MonoCut"' in head or b'"supervisions"' in head else "nemo"
    else:
        found = _SUFFIXES.get(source.suffix.lower(), "")
    if not found:
        raise ConfigError(f"the format of `{source}` is not clear", expected=f"--from {', '.join(FORMATS)}")
    return found


@dataclass(frozen=True)
class _Job:
    """One conversion; `out` is absolute."""

    source: Path
    config: ConvertConfig
    out: Path
    audio: Path | None
    num_jobs: int

    @property
    def is_folder(self) -> bool:
        is_manifest = self.config.target == "cuts" and self.out.name.endswith((".jsonl.gz", ".jsonl"))
        return self.config.target in FOLDER_TARGETS and not is_manifest

    def check(self) -> None:
        """Refuse at once what can not work."""
        if self.config.source_format in _READERS_WITH_AUDIO and self.audio is None:
            AudioIndex.of(None)
        if self.config.source_format == "shar" and not self.is_folder:
            raise ConfigError(
                f"`{self.out.name}` is one file, and the audio of a Shar folder needs a place",
                hint="convert it to a folder first: --to cuts --out FOLDER",
            )
        if self.source.resolve() in (self.out.resolve(), *self.out.resolve().parents):
            raise ConfigError(f"`{self.out}` is, or lies inside, the source", hint="choose another --out")

    def build(self, folder: Path) -> None:
        """Fill the folder of an artifact."""
        cuts, bad = self._read(folder)
        losses = Losses()
        if self.config.target == "cuts":
            kept = list(cuts)
            save_manifests(kept, folder, final_folder=self.out)
            count = len(kept)
        else:
            count = self._write(cuts, folder, losses)
        if bad:
            write_bad_items(folder / SKIPPED_FILE, bad)
        losses.write(folder / LOST_FILE)
        write_json(folder / RESULT_FILE, self._result(bad, losses, count))

    def write_file(self) -> dict[str, Any]:
        """Write an output that is one file, and beside it what is skipped and what is lost."""
        cuts, bad = self._read(self.out.parent)
        losses = Losses()
        if self.config.target == "cuts":
            counted = _Counted(cuts)
            save_cuts(counted, self.out)
            count = counted.number
        else:
            count = self._write(cuts, self.out, losses)
        skipped = self.out.with_name(f"{self.out.name}.{SKIPPED_FILE}")
        skipped.unlink(missing_ok=True)
        if bad:
            write_bad_items(skipped, bad)
        losses.write(self.out.with_name(f"{self.out.name}.{LOST_FILE}"))
        return self._result(bad, losses, count)

    def named_audio(self) -> list[Path]:
        """The audio files that the source names, wherever they lie."""
        kind = self.config.source_format
        if kind == "cuts":
            return list(map(audio_path, self._cuts([])))
        return _NAMED_AUDIO[kind](self.source) if kind in _NAMED_AUDIO else []

    def _cuts(self, bad: list[BadItem]) -> Iterator[MonoCut]:
        """The cuts of a manifest one by one; at its end it may turn out that too many lines are none."""
        count = 0
        for cut in iter_cuts(self.source, bad):
            count += 1
            yield cut
        judge_bad_items(bad, count, max_bad=self.config.max_bad, out=self.out)

    def _read(self, folder: Path) -> tuple[Iterable[MonoCut], list[BadItem]]:
        """The cuts of the source, one by one where it is a manifest of cuts, and what could not be used."""
        kind, source = self.config.source_format, self.source
        if kind == "cuts":
            bad: list[BadItem] = []
            return self._cuts(bad), bad
        if kind == "kaldi":
            prepared = kaldi.prepare(source, folder, KaldiConfig(), num_jobs=self.num_jobs)
        elif kind == "tsv":
            config = TsvConfig(may_be_empty="text,speaker")
            prepared = tsv.prepare(source, folder, config, num_jobs=self.num_jobs)
        elif kind == "nemo":
            prepared = read_nemo(source, num_jobs=self.num_jobs)
        elif kind == "shar":
            prepared = read_shar(source, folder)
        else:
            prepared = _READERS_WITH_AUDIO[kind](source, AudioIndex.of(self.audio))
        judge_bad_items(prepared.bad, len(prepared.cuts), max_bad=self.config.max_bad, out=self.out)
        for note in prepared.notes:
            log.warn(note)
        return prepared.cuts, prepared.bad

    def _write(self, cuts: Iterable[MonoCut], place: Path, losses: Losses) -> int:
        utterances = utterances_of(log.track(cuts, "converting"), losses)
        if self.config.target == "shar":
            return write_shar(utterances, place, losses, num_jobs=self.num_jobs)
        if self.is_folder:  # audio that was unpacked will lie in the finished folder
            utterances = (_moved(u, place.resolve(), self.out) for u in utterances)
        return _WRITERS[self.config.target](utterances, place, losses)

    def _result(self, bad: list[BadItem], losses: Losses, count: int) -> dict[str, Any]:
        """What was done, for `--json`."""
        return {
            "source": str(self.source),
            "from": self.config.source_format,
            "to": self.config.target,
            "num_written": count,
            "num_skipped": len(bad),
            "lost": losses.summary(),
        }


class _Counted(Iterable[MonoCut]):
    """Cuts that are counted while they pass."""

    def __init__(self, cuts: Iterable[MonoCut]) -> None:
        self._cuts = cuts
        self.number = 0

    def __iter__(self) -> Iterator[MonoCut]:
        for cut in log.track(self._cuts, "converting"):
            self.number += 1
            yield cut


def _moved(utterance: Utterance, old: Path, new: Path) -> Utterance:
    if not utterance.audio.is_relative_to(old):
        return utterance
    return replace(utterance, audio=new / utterance.audio.relative_to(old))


def _summary(result: dict[str, Any], out: Path) -> str:
    is_folder = out.is_dir()
    parts = [f"{out}: {counted(result['num_written'], 'utterance')} as {result['to']}"]
    for key, name in (("num_skipped", SKIPPED_FILE), ("lost", LOST_FILE)):
        place = out / name if is_folder else f"{out}.{name}"
        if key == "num_skipped" and result[key]:
            parts.append(f"{result[key]} skipped (see {place})")
        if key == "lost" and result[key]:
            parts.append(
                "lost " + ", ".join(f"{item['what']} ({item['num']})" for item in result[key]) + f", see {place}"
            )
    return "; ".join(parts)
