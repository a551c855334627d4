"""What a cut of others may say that we would misread: we take the first channel of a file as it is."""

from __future__ import annotations

import math
from numbers import Real

from lhotse import MonoCut, Recording, SupervisionSegment


def fault_of(cut: MonoCut) -> str:
    """Why a cut can not be used as it is meant, or an empty text.

    What lhotse does not check when it reads: types, places before the start, other channels, changed samples.
    """
    if not isinstance(cut.id, str):
        return f"the id {cut.id!r} is no text"
    if not cut.has_recording:
        return f"cut `{cut.id}` has no recording"
    fault = _fault_of_recording(cut.recording)
    if fault:
        return fault
    if cut.channel != cut.recording.sources[0].channels[0]:
        return f"channel {cut.channel!r} is not the first one of its audio file"
    if not _is_number(cut.start) or cut.start < 0:
        return f"`start` is {cut.start!r}, not a number of seconds from 0 on"
    if not _is_number(cut.duration) or cut.duration <= 0:
        return f"`duration` is {cut.duration!r}, not a number of seconds above 0"
    return next(filter(None, map(_fault_of_supervision, cut.supervisions)), "")


def _fault_of_recording(recording: Recording) -> str:
    if recording.transforms:
        return "the recording has `transforms`, which are not carried out"
    rate = recording.sampling_rate
    if not isinstance(rate, int) or isinstance(rate, bool) or rate <= 0:
        return f"`sampling_rate` is {rate!r}, not a whole number of Hz"
    if not recording.sources:
        return "the recording has no `sources`"
    source = recording.sources[0]
    if source.type != "file" or not isinstance(source.source, str) or not source.source:
        return f"the audio is a {source.type!r} from {source.source!r:.80}, not a file"
    if not isinstance(source.channels, list) or not source.channels:
        return f"`channels` of the source is {source.channels!r}, not a list of channels"
    return ""


def _fault_of_supervision(supervision: SupervisionSegment) -> str:
    places = [("supervision", supervision.start, supervision.duration)]
    for tier, items in (supervision.alignment or {}).items():
        places += [(f"alignment `{tier}`", item.start, item.duration) for item in items]
    for name, start, duration in places:
        if not (_is_number(start) and _is_number(duration)):
            return f"{name}: start {start!r} or duration {duration!r} is not a number of seconds"
    return ""


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
