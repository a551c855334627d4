"""NeMo manifests: JSON lines with audio_filepath, offset, duration and text; further keys are kept as they are.

Ours have, besides, `id`, `recording`, `speaker`, `gender`, `lang`, `alignments` (tier -> [symbol, start, duration,
score]) and the custom fields. Relative paths count from the manifest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson

from speechkit import log
from speechkit.artifact import publish_file
from speechkit.audio.io import AudioInfo, audio_info
from speechkit.data.corpora.items import BadItem, Prepared, repeated_ids
from speechkit.data.formats.utterance import Losses, Utterance, cut_of
from speechkit.data.store import Word
from speechkit.data.stream import stream_rows
from speechkit.errors import SpeechkitError

HOLDS = ("text", "speaker", "gender", "language", "tiers", "custom", "place", "recording")
_KEYS = {"audio_filepath", "offset", "duration", "text", "id", "recording", "speaker", "gender", "lang", "alignments"}
_MAX_OVERSHOOT_SECONDS = 0.02


def write_nemo(utterances: Iterable[Utterance], path: Path, losses: Losses) -> int:
    """Write a manifest; returns the number of its lines."""
    count = 0
    folder = path.resolve().parent
    with publish_file(path, "wb") as stream:
        for u in utterances:
            count += 1
            losses.add_missing(u, HOLDS)
            stream.write(orjson.dumps(_row_of(u, folder, losses)) + b"\n")
        losses.refuse_nothing(count)
    return count


def _row_of(u: Utterance, folder: Path, losses: Losses) -> dict[str, Any]:
    audio = u.audio.relative_to(folder) if u.audio.is_relative_to(folder) else u.audio
    row: dict[str, Any] = {"audio_filepath": str(audio), "offset": u.start_seconds, "duration": u.duration_seconds}
    row |= {"text": u.text, "id": u.utt_id}
    plain = {"recording": u.recording_id, "speaker": u.speaker, "gender": u.gender, "lang": u.language}
    row |= {key: value for key, value in plain.items() if value and not (key == "recording" and value == u.utt_id)}
    if u.tiers:
        row["alignments"] = {
            name: [[w.symbol, w.start_seconds, w.duration_seconds, *([] if w.score is None else [w.score])] for w in ws]
            for name, ws in u.tiers.items()
        }
    for name, value in u.custom.items():
        if name in _KEYS:
            losses.add(f"custom field `{name}`: the name is taken", u.utt_id)
        else:
            row[name] = value
    return row


def read_nemo(path: Path, *, num_jobs: int) -> Prepared:
    """Cuts of a manifest; ids are `id`, else the name of the audio file, with the offset if there is one.

    Raises:
        SpeechkitError: missing, or a line is no JSON object.
    """
    rows = list(stream_rows(path))
    with ThreadPoolExecutor(num_jobs) as pool:
        read = pool.map(lambda item: _utterance_of(item[0], item[1], path.parent), rows)
        found = list(log.track(read, "reading headers", total=len(rows)))
    bad = [item for item in found if isinstance(item, BadItem)]
    good = [(where, u) for (where, _), u in zip(rows, found, strict=True) if isinstance(u, Utterance)]
    twice = repeated_ids((u.utt_id, where) for where, u in good)
    places = {item.where for item in twice}
    return Prepared([cut_of(u) for where, u in good if where not in places], bad + twice)


def named_audio(path: Path) -> list[Path]:
    """The audio files that a manifest names, wherever they lie."""
    names = (row.get("audio_filepath") for _, row in stream_rows(path))
    return [path.parent.resolve() / name for name in names if isinstance(name, str)]


def _utterance_of(where: str, row: Mapping[str, Any], folder: Path) -> Utterance | BadItem:
    name = row.get("audio_filepath")
    shown = str(row.get("id") or name or "-")
    if not isinstance(name, str) or not name:
        return BadItem(where, shown, "no `audio_filepath`")
    try:
        audio = (folder / name).resolve()
        return _checked(row, audio, audio_info(audio))
    except SpeechkitError as error:
        return BadItem(where, shown, error.what)
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        return BadItem(where, shown, f"a field is not as expected: {error}")


def _checked(row: Mapping[str, Any], audio: Path, info: AudioInfo) -> Utterance:
    start = float(row.get("offset") or 0.0)
    given = row.get("duration")
    length = info.duration_seconds - start if given is None else float(given)
    end = start + length
    if not (start >= 0 and length > 0 and end <= info.duration_seconds + _MAX_OVERSHOOT_SECONDS):
        raise SpeechkitError(f"it runs from {start:g} to {end:g} s, the audio ends at {info.duration_seconds:g} s")
    if round(start * info.sampling_rate) == 0 and abs(end - info.duration_seconds) <= _MAX_OVERSHOOT_SECONDS:
        start, length = 0.0, info.duration_seconds  # tables round: this is the whole file
    utt_id = str(row.get("id") or (f"{audio.stem}-{round(start * 1000):07d}" if start else audio.stem))
    tiers = row.get("alignments") or {}
    return Utterance(
        utt_id=utt_id,
        recording_id=str(row.get("recording") or utt_id),
        audio=audio,
        sampling_rate=info.sampling_rate,
        recording_samples=info.num_samples,
        start_seconds=start,
        duration_seconds=min(length, info.duration_seconds - start),
        text=str(row.get("text") or ""),
        speaker=str(row["speaker"]) if row.get("speaker") else None,
        gender=str(row["gender"]) if row.get("gender") else None,
        language=str(row["lang"]) if row.get("lang") else None,
        tiers={
            name: [Word(str(i[0]), float(i[1]), float(i[2]), *map(float, i[3:4])) for i in items]
            for name, items in tiers.items()
        },
        custom={key: value for key, value in row.items() if key not in _KEYS},
    )
