"""Utterances of a task: units from a folder of `units quantize`, values from a manifest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from speechkit import log
from speechkit.data.split.keys import field_value
from speechkit.data.store import load_cuts, plain_cut
from speechkit.errors import SpeechkitError, counted
from speechkit.prompt.config import TaskConfig
from speechkit.prompt.tasks import Task, Values, split_value
from speechkit.rng import derive_seed
from speechkit.units.unit_file import UnitSet, load_units


@dataclass(frozen=True)
class Example:
    """An utterance with labels.

    Attributes:
        units: as the language model reads them.
        labels: numbers: of the class, of each slot, or of a sequence without its end.
    """

    utt_id: str
    units: tuple[int, ...]
    labels: tuple[int, ...] = ()


class Row(NamedTuple):
    """An utterance with the values of its manifest."""

    utt_id: str
    units: tuple[int, ...]
    values: Values


def load_learned(folder: Path, *, dedup: bool | None) -> UnitSet:
    """The units of a folder, merged or one per frame as a language model has learned them (None: as they are).

    Merged units without run lengths stay as they are; `check_ulm` refuses them for a model of frames.

    Raises:
        SpeechkitError: as `load_units`.
    """
    units = load_units(folder)
    if dedup is None or (not dedup and units.about.get("dedup") and not units.about.get("has_runs", True)):
        return units
    about = {**units.about, "dedup": dedup}
    if dedup:
        return replace(units.merged(), about=about)
    offsets = np.append(0, np.cumsum(units.runs))[units.offsets]
    frames = np.repeat(units.units, units.runs)
    return replace(units, units=frames, runs=np.ones_like(frames), offsets=offsets, about=about)


def read_rows(units: UnitSet, cuts: Path, config: TaskConfig) -> list[Row]:
    """The utterances of `units` that have the values of a task; the others are counted and told.

    Raises:
        SpeechkitError: the manifest lacks utterances of the units, or none has a value.
    """
    found = {cut.id: plain_cut(cut) for cut in load_cuts(cuts)}
    missing = [utt_id for utt_id in units.ids if utt_id not in found]
    if missing:
        raise SpeechkitError(
            f"the manifest lacks {counted(len(missing), 'utterance')} of the units", where=missing, hint=f"{cuts}"
        )
    rows, without = [], []
    for utt_id, start, end in zip(units.ids, units.offsets[:-1], units.offsets[1:], strict=True):
        values = _values(found[utt_id], config)
        if values:
            rows.append(Row(utt_id, tuple(units.units[start:end].tolist()), values))
        else:
            without.append(utt_id)
    fields = ", ".join(f"`{name}`" for name in config.label)
    if not rows:
        raise SpeechkitError(
            f"task `{config.name}`: no utterance of `{cuts}` has a value of {fields}",
            hint="`speechkit data describe` lists the fields of a manifest",
        )
    if without:
        shown = f"{' '.join(without[:3])}{' ...' if len(without) > 3 else ''}"
        log.warn(f"{len(without)} of {len(units.ids)} utterances have no value of {fields}; left out: {shown}")
    return rows


def _values(plain: dict[str, Any], config: TaskConfig) -> Values:
    """The values of a cut, all or none; of slots, what stands for those that are missing."""
    supervision = plain["supervisions"][0] if plain.get("supervisions") else {}
    given = [(field_value(name, supervision, plain) or "").strip() or None for name in config.label]
    if not any(given):
        return ()
    found = [value or config.absent for value in given]
    values = tuple(value for text in found if text is not None for value in split_value(config, text))
    return values if config.kind == "sequence" or len(values) == len(found) else ()


def encode_rows(rows: Sequence[Row], task: Task) -> tuple[list[Example], list[str]]:
    """Examples of a task, and the ids of utterances whose values are no labels of it."""
    examples, unknown = [], []
    for row in rows:
        labels = task.encode(row.values)
        if labels is None:
            unknown.append(row.utt_id)
        else:
            examples.append(Example(row.utt_id, row.units, labels))
    return examples, unknown


def draw_shots(rows: Sequence[Row], task: Task, shots: int | None, *, seed: int) -> list[Row]:
    """So many utterances of each class (of sequences: altogether), drawn by seed and utterance id; None: all.

    The utterances of fewer shots are among those of more. Classes that have fewer give all, and are counted.
    """
    if shots is None:
        return list(rows)
    classes: dict[Values, list[Row]] = defaultdict(list)
    for row in rows:
        classes[() if task.is_sequence else row.values].append(row)
    chosen: set[str] = set()
    for members in classes.values():
        ranked = sorted(members, key=lambda row: derive_seed(seed, "shots", row.utt_id))
        chosen.update(row.utt_id for row in ranked[:shots])
    small = sum(len(members) < shots for members in classes.values())
    if small:
        log.warn(f"{small} of {len(classes)} classes have fewer than {shots} training utterances")
    return [row for row in rows if row.utt_id in chosen]
