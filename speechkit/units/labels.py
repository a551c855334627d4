"""Labels of frames: from tiers of a manifest (word, phone) by time, from its fields (speaker, text) as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from speechkit.data.split.keys import field_value
from speechkit.data.store import plain_cut, tiers_of
from speechkit.errors import SpeechkitError, counted
from speechkit.units.extractor import FrameTimes
from speechkit.units.stats import Labelled
from speechkit.units.unit_file import UnitSet

if TYPE_CHECKING:
    from lhotse import MonoCut

_NONE = -1


def labelled_frames(units: UnitSet, cuts: Mapping[str, MonoCut], name: str) -> Labelled:
    """The frames of units with their labels.

    Args:
        cuts: by id; more than the units are of does no harm.
        name: a tier of the alignment where some cut has one of that name, else a field of the manifest.
    Raises:
        SpeechkitError: utterances that the manifest lacks, or none with such a tier or field.
    """
    missing = [utt_id for utt_id in units.ids if utt_id not in cuts]
    if missing:
        raise SpeechkitError(
            f"the manifest lacks {counted(len(missing), 'utterance')} of the units", where=missing, hint="--cuts"
        )
    is_tier = any(name in tiers_of(cuts[utt_id]) for utt_id in units.ids)
    numbers: dict[str, int] = {}
    all_units, all_labels = [], []
    for number, utt_id in enumerate(units.ids):
        unit_T = units.frames(number)
        cut = cuts[utt_id]
        if is_tier:
            label_T = _labels_of_tier(cut, name, units.times, len(unit_T), numbers)
        else:
            label_T = np.full(len(unit_T), _label_of_cut(cut, name, numbers))
        all_units.append(unit_T)
        all_labels.append(label_T)
    labels, frames = np.concatenate(all_labels), np.concatenate(all_units).astype(np.int64)
    known = labels != _NONE
    if not known.any():
        raise SpeechkitError(
            f"no utterance has a tier or field `{name}`",
            hint="`speechkit data describe` lists fields; `speechkit align forced` finds words",
        )
    return Labelled(frames[known], labels[known], list(numbers), int((~known).sum()))


def _label_of_cut(cut: MonoCut, name: str, numbers: dict[str, int]) -> int:
    plain = plain_cut(cut)
    supervision = plain["supervisions"][0] if plain.get("supervisions") else {}
    value = field_value(name, supervision, plain)
    return _NONE if value is None else numbers.setdefault(value, len(numbers))


def _labels_of_tier(
    cut: MonoCut, name: str, times: FrameTimes, num_frames: int, numbers: dict[str, int]
) -> NDArray[np.int64]:
    labels_T = np.full(num_frames, _NONE)
    for item in tiers_of(cut).get(name, []):
        first, end = (times.frame_of(item.start_seconds + part) for part in (0.0, item.duration_seconds))
        labels_T[first:end] = numbers.setdefault(item.symbol, len(numbers))
    return labels_T
