"""Write a Kaldi data directory that `utils/validate_data_dir.sh` accepts; `corpora/kaldi.py` reads them.

wav.scp, text, utt2spk, spk2utt, utt2dur; segments when an utterance is a part of its recording; spk2gender and
utt2lang when they would be complete, as Kaldi wants them. All files are sorted as `LC_ALL=C sort` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from speechkit import log
from speechkit.artifact import publish_file
from speechkit.data.formats.fields import is_field, seconds_text
from speechkit.data.formats.utterance import Losses, Utterance

HOLDS = ("text", "speaker", "gender", "language", "place", "recording")
_GENDERS = {"m": "m", "f": "f", "male": "m", "female": "f"}


def write_kaldi(utterances: Iterable[Utterance], folder: Path, losses: Losses) -> int:
    """Write the directory; returns the number of utterances in it."""
    kept = sorted(_usable(utterances, losses), key=lambda u: _bytes(u.utt_id))
    losses.refuse_nothing(len(kept))
    speakers = {u.utt_id: _speaker_of(u, losses) for u in kept}
    audio = {u.recording_id: str(u.audio) for u in kept}
    tables: dict[str, Mapping[str, str]] = {
        "wav.scp": audio,
        "text": {u.utt_id: " ".join(u.text.split()) for u in kept},
        "utt2spk": speakers,
        "spk2utt": _utterances_by_speaker(speakers),
        "utt2dur": {u.utt_id: seconds_text(u.duration_seconds) for u in kept},
        "spk2gender": _genders(kept, speakers, losses),
        "utt2lang": _languages(kept, losses),
    }
    if not all(u.is_whole and u.recording_id == u.utt_id for u in kept):
        tables["segments"] = {u.utt_id: _segment(u) for u in kept}
    for name, table in tables.items():
        if table or name in ("wav.scp", "text", "utt2spk", "spk2utt"):
            _write(folder / name, table)
    if list(speakers.values()) != sorted(speakers.values(), key=_bytes):
        log.warn(
            "speakers and utterances sort differently: Kaldi wants the speaker as prefix of the id, or --no-spk-sort"
        )
    return len(kept)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _usable(utterances: Iterable[Utterance], losses: Losses) -> list[Utterance]:
    kept: list[Utterance] = []
    audio: dict[str, Path] = {}
    for u in utterances:
        reason = next((reason for reason, is_so in _REASONS.items() if is_so(u)), "")
        if not reason and audio.setdefault(u.recording_id, u.audio) != u.audio:
            reason = "its recording has the id of another one"
        if reason:
            losses.add(f"the utterance: {reason}", u.utt_id)
            continue
        losses.add_missing(u, HOLDS)
        if u.text != " ".join(u.text.split()):
            losses.add("white space in the text", u.utt_id)
        samples = [u.start_seconds * u.sampling_rate, u.duration_seconds * u.sampling_rate]
        if any(abs(number - round(number)) > 1e-3 for number in samples):
            losses.add("times between samples", u.utt_id)
        kept.append(u)
    return kept


_REASONS: dict[str, Callable[[Utterance], bool]] = {
    "it has no text": lambda u: not u.text.strip(),
    "its text holds a NUL": lambda u: "\0" in u.text,
    "its id holds a blank or is empty": lambda u: not is_field(u.utt_id) or not is_field(u.recording_id),
    "its speaker holds a blank": lambda u: bool(u.speaker) and not is_field(str(u.speaker)),
    "the name of its audio file ends in | or begins or ends with a blank": lambda u: (
        str(u.audio).endswith("|") or str(u.audio) != str(u.audio).strip() or "\n" in str(u.audio)
    ),
}


def _speaker_of(utterance: Utterance, losses: Losses) -> str:
    if not utterance.speaker:
        losses.add("that there is no speaker: the id of the utterance stands for it", utterance.utt_id)
    return utterance.speaker or utterance.utt_id


def _utterances_by_speaker(speakers: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for utt_id, speaker in speakers.items():
        found.setdefault(speaker, []).append(utt_id)
    return {speaker: " ".join(ids) for speaker, ids in found.items()}


def _genders(kept: Sequence[Utterance], speakers: Mapping[str, str], losses: Losses) -> dict[str, str]:
    """m or f of every speaker; nothing unless all have one and the same in all their utterances."""
    found: dict[str, set[str]] = {}
    for u in kept:
        found.setdefault(speakers[u.utt_id], set()).add(_GENDERS.get((u.gender or "").lower(), ""))
    if all(len(values) == 1 and "" not in values for values in found.values()):
        for u in kept:
            if u.gender not in ("m", "f"):
                losses.add("the wording of the gender: m or f stands for it", u.utt_id)
        return {speaker: next(iter(values)) for speaker, values in found.items()}
    for u in kept:
        if u.gender:
            losses.add("gender: Kaldi wants m or f of every speaker", u.utt_id)
    return {}


def _languages(kept: Sequence[Utterance], losses: Losses) -> dict[str, str]:
    if all(is_field(u.language or "") for u in kept):
        return {u.utt_id: str(u.language) for u in kept}
    for u in kept:
        if u.language:
            losses.add("language: Kaldi wants one of every utterance", u.utt_id)
    return {}


def _segment(u: Utterance) -> str:
    end = u.start_seconds + u.duration_seconds
    return f"{u.recording_id} {seconds_text(u.start_seconds)} {seconds_text(end)}"


def _write(path: Path, table: Mapping[str, str]) -> None:
    with publish_file(path) as stream:
        stream.writelines(f"{key} {table[key]}\n" for key in sorted(table, key=_bytes))
