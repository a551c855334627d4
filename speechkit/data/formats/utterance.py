"""An utterance as exchange formats see it, what is lost on the way, and the way from and to cuts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lhotse import MonoCut, SupervisionSegment
from lhotse.supervision import AlignmentItem

from speechkit.artifact import publish_file
from speechkit.data.store import Word, audio_path, make_recording, tiers_of
from speechkit.errors import SpeechkitError

_NUM_NAMED = 10
_FIELDS = ("text", "speaker", "gender", "language")


@dataclass(frozen=True)
class Utterance:
    """A stretch of a recording with one transcript.

    start_seconds, duration_seconds: its place in the recording, of `recording_samples` at `sampling_rate`.
    tiers: alignments by name, times from the start of the utterance.
    custom: any further plain values.
    """

    utt_id: str
    recording_id: str
    audio: Path
    sampling_rate: int
    recording_samples: int
    start_seconds: float
    duration_seconds: float
    text: str = ""
    speaker: str | None = None
    gender: str | None = None
    language: str | None = None
    tiers: Mapping[str, list[Word]] = field(default_factory=dict)
    custom: Mapping[str, Any] = field(default_factory=dict)

    @property
    def recording_seconds(self) -> float:
        """Length of the whole recording."""
        return self.recording_samples / self.sampling_rate

    @property
    def is_whole(self) -> bool:
        """True when it covers its recording."""
        rate = self.sampling_rate
        return self.start_seconds == 0 and round(self.duration_seconds * rate) == self.recording_samples


class Losses:
    """What a target can not hold, by kind, with the ids of the utterances."""

    def __init__(self) -> None:
        self.ids: dict[str, list[str]] = {}

    def add(self, what: str, utt_id: str) -> None:
        """Note that something of an utterance is not in the output."""
        self.ids.setdefault(what, []).append(utt_id)

    def add_missing(self, utterance: Utterance, holds: Iterable[str]) -> None:
        """Note everything of an utterance that a format without the names `holds` leaves out.

        Names: text, speaker, gender, language, tiers, custom, place, recording.
        """
        held = set(holds)
        for name in _FIELDS:
            if name not in held and getattr(utterance, name):
                self.add(name, utterance.utt_id)
        for group, names in (("tiers", utterance.tiers), ("custom", utterance.custom)):
            for name in [] if group in held else names:
                self.add(f"{'alignment' if group == 'tiers' else 'custom field'} `{name}`", utterance.utt_id)
        if "place" not in held and not utterance.is_whole:
            self.add("the place in a longer recording", utterance.utt_id)
        if "recording" not in held and utterance.recording_id != utterance.utt_id:
            self.add("the id of the recording", utterance.utt_id)

    def refuse_nothing(self, num_kept: int) -> None:
        """Stop before an output without utterances.

        Raises:
            SpeechkitError: nothing is kept; the message says why.
        """
        if not num_kept:
            reasons = [f"{item['num']} of them: {item['what']}" for item in self.summary()]
            raise SpeechkitError("no utterance is left to write", where=reasons)

    def summary(self) -> list[dict[str, Any]]:
        """Kinds in alphabetical order, with their number and the first ids."""
        return [{"what": k, "num": len(self.ids[k]), "ids": self.ids[k][:_NUM_NAMED]} for k in sorted(self.ids)]

    def write(self, path: Path) -> None:
        """The whole list as a table; the file is removed when nothing was lost."""
        if not self.ids:
            path.unlink(missing_ok=True)
            return
        with publish_file(path) as stream:
            stream.write("what\tid\n")
            stream.writelines(f"{what}\t{utt_id}\n" for what in sorted(self.ids) for utt_id in self.ids[what])


def utterances_of(cuts: Iterable[MonoCut], losses: Losses) -> Iterator[Utterance]:
    """The utterances of cuts: one per cut, or one per supervision of a cut that has several.

    Whatever no exchange format knows (stored features, a supervision that covers a part of its cut) is noted.
    """
    seen: set[str] = set()
    for cut in cuts:
        for utterance in _utterances_of_cut(cut, losses):
            if utterance.utt_id in seen:
                losses.add("the utterance: its id occurs twice", utterance.utt_id)
                continue
            seen.add(utterance.utt_id)
            yield utterance


def _utterances_of_cut(cut: MonoCut, losses: Losses) -> Iterator[Utterance]:
    if cut.has_features:
        losses.add("stored features", cut.id)
    for supervision in cut.supervisions:
        for name in (cut.custom or {}).keys() & (supervision.custom or {}).keys():
            if cut.custom[name] != supervision.custom[name]:
                losses.add(f"custom field `{name}` of the cut: its supervision has another", cut.id)
    if len(cut.supervisions) > 1:
        losses.add("the cut around several supervisions", cut.id)
        yield from (_of_supervision(cut, supervision) for supervision in cut.supervisions)
        return
    supervision = cut.supervisions[0] if cut.supervisions else None
    if supervision is not None and not _covers(supervision, cut):
        losses.add("the place of the supervision in its cut", cut.id)
    yield Utterance(**_place(cut), **_labels(cut, supervision), tiers=tiers_of(cut))


def _covers(supervision: SupervisionSegment, cut: MonoCut) -> bool:
    step = 1 / cut.sampling_rate
    return bool(abs(supervision.start) < step and abs(supervision.duration - cut.duration) < step)


def _of_supervision(cut: MonoCut, supervision: SupervisionSegment) -> Utterance:
    place = _place(cut) | {"utt_id": supervision.id, "duration_seconds": supervision.duration}
    place["start_seconds"] = round(cut.start + supervision.start, 8)
    tiers = {
        name: [Word(i.symbol, round(i.start - supervision.start, 8), i.duration, i.score) for i in items]
        for name, items in (supervision.alignment or {}).items()
    }
    return Utterance(**place, **_labels(cut, supervision), tiers=tiers)


def _place(cut: MonoCut) -> dict[str, Any]:
    return {
        "utt_id": cut.id,
        "recording_id": cut.recording.id,
        "audio": audio_path(cut),
        "sampling_rate": cut.recording.sampling_rate,
        "recording_samples": cut.recording.num_samples,
        "start_seconds": cut.start,
        "duration_seconds": cut.duration,
    }


def _labels(cut: MonoCut, supervision: SupervisionSegment | None) -> dict[str, Any]:
    custom = {**(cut.custom or {}), **((supervision and supervision.custom) or {})}
    found = {name: getattr(supervision, name, None) or None for name in _FIELDS}
    if custom.get("gender") == found["gender"]:  # tables name it twice
        custom.pop("gender", None)
    return {**found, "text": found["text"] or "", "custom": custom}


def cut_of(utterance: Utterance) -> MonoCut:
    """The cut of an utterance; `utterances_of` gives the same utterance again."""
    alignment = {
        name: [AlignmentItem(w.symbol, w.start_seconds, w.duration_seconds, w.score) for w in words]
        for name, words in utterance.tiers.items()
    }
    supervision = SupervisionSegment(
        id=utterance.utt_id,
        recording_id=utterance.recording_id,
        start=0.0,
        duration=utterance.duration_seconds,
        text=utterance.text,
        speaker=utterance.speaker,
        gender=utterance.gender,
        language=utterance.language,
        alignment=alignment or None,
        custom=dict(utterance.custom) or None,
    )
    return MonoCut(
        id=utterance.utt_id,
        start=utterance.start_seconds,
        duration=utterance.duration_seconds,
        channel=0,
        recording=make_recording(
            utterance.recording_id,
            utterance.audio,
            sampling_rate=utterance.sampling_rate,
            num_samples=utterance.recording_samples,
        ),
        supervisions=[supervision],
    )
