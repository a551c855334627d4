"""Units of a manifest: `units.jsonl`, an utterance a line, and `units.json`, what they are units of.

A line: `id`, `units`, `runs` (frames of each unit; absent when units are one per frame), `num_frames`,
`frames_per_second`, and with BPE `tokens`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from speechkit.data.stream import stream_rows
from speechkit.errors import SpeechkitError, counted
from speechkit.units.extractor import FrameTimes
from speechkit.units.kmeans import Labels

UNITS_FILE, ABOUT_FILE = "units.jsonl", "units.json"


@dataclass(frozen=True)
class UnitSet:
    """The units of many utterances, behind each other.

    Attributes:
        units, runs: int32 (N,): units and how many frames each lasts; offsets (U + 1,) where utterances begin.
        about: the content of units.json.
    """

    ids: list[str]
    units: Labels
    runs: Labels
    offsets: NDArray[np.int64]
    about: dict[str, Any]

    @property
    def k(self) -> int:
        """Units of the codebook, in use or not."""
        return int(self.about["k"])

    @property
    def times(self) -> FrameTimes:
        """When frames are."""
        return FrameTimes(self.about["frames_per_second"], self.about["first_centre_seconds"])

    def frames(self, number: int) -> Labels:
        """The unit of each frame of an utterance."""
        part = slice(self.offsets[number], self.offsets[number + 1])
        return np.repeat(self.units[part], self.runs[part])

    def merged(self) -> UnitSet:
        """The same frames with equal neighbours as one unit."""
        starts = np.ones(len(self.units), bool)
        starts[1:] = self.units[1:] != self.units[:-1]
        starts[self.offsets[:-1]] = True  # no utterance is empty
        firsts = np.flatnonzero(starts)
        runs = np.add.reduceat(self.runs, firsts).astype(np.int32)
        offsets = np.searchsorted(firsts, self.offsets)
        return UnitSet(self.ids, self.units[firsts], runs, offsets, self.about)


def merge_runs(labels_T: Labels) -> tuple[Labels, Labels]:
    """Units without repetition and how many frames each lasts."""
    firsts = np.flatnonzero(np.concatenate([[True], labels_T[1:] != labels_T[:-1]]))
    return labels_T[firsts], np.diff(np.append(firsts, len(labels_T))).astype(np.int32)


def unit_line(utt_id: str, labels_T: Labels, *, dedup: bool, frames_per_second: float) -> bytes:
    """The line of an utterance."""
    line: dict[str, Any] = {"id": utt_id, "units": labels_T}
    if dedup:
        line["units"], line["runs"] = merge_runs(labels_T)
    line |= {"num_frames": len(labels_T), "frames_per_second": frames_per_second}
    return orjson.dumps(line, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n"


def load_units(folder: Path) -> UnitSet:
    """The units in a folder made by `speechkit units quantize`.

    Raises:
        SpeechkitError: a file is missing or a line is not as it is written; with file:line.
    """
    about = _read_about(folder / ABOUT_FILE)
    path = folder / UNITS_FILE
    ids, units, runs, offsets = [], [], [], [0]
    for where, row in stream_rows(path):
        own = np.array(row.get("units") or [], np.int64)
        lengths = np.array(row.get("runs", np.ones(len(own))), np.int64)
        is_sound = own.ndim == 1 and len(own) and own.shape == lengths.shape and lengths.min() >= 1
        if not is_sound or own.min() < 0 or own.max() >= about["k"] or lengths.sum() != row.get("num_frames"):
            raise SpeechkitError(
                f"no units of the codebook with {about['k']}, or `units`, `runs` and `num_frames` do not agree",
                where=f"{where}  {row.get('id')}",
            )
        ids.append(str(row["id"]))
        units.append(own.astype(np.int32))
        runs.append(lengths.astype(np.int32))
        offsets.append(offsets[-1] + len(own))
    if not ids:
        raise SpeechkitError(f"`{path}` holds no utterances")
    if len(set(ids)) < len(ids):
        raise SpeechkitError(f"`{path}`: {counted(len(ids) - len(set(ids)), 'id')} more than once")
    return UnitSet(ids, np.concatenate(units), np.concatenate(runs), np.array(offsets), about)


def check_run_lengths(units: UnitSet, folder: Path) -> None:
    """Raise SpeechkitError when units do not tell how long they last."""
    if not units.about.get("has_runs", True):
        raise SpeechkitError(
            f"the units of `{folder}` have no run lengths",
            expected="units of audio, made by `speechkit units quantize`",
        )


def _read_about(path: Path) -> dict[str, Any]:
    try:
        about: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        int(about["k"]), float(about["frames_per_second"]), float(about["first_centre_seconds"]), about["codebook"]
    except (OSError, ValueError, KeyError, TypeError):
        raise SpeechkitError(
            f"`{path}` does not tell what the units are of", expected="a folder made by `speechkit units quantize`"
        ) from None
    return about
