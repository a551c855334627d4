"""Read and write cut manifests (lhotse CutSets in `*.jsonl.gz`): the only form in which data passes on.

Audio inside the folder of the manifest is stored by its relative path, so an artifact can be moved and
is byte-equal wherever it was made; audio elsewhere is stored by its absolute path.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from lhotse import CutSet, MonoCut, Recording, SupervisionSegment
from lhotse.audio import AudioSource
from lhotse.serialization import deserialize_item
from lhotse.supervision import AlignmentItem
from lhotse.utils import fastcopy

from speechkit.artifact import publish_file
from speechkit.data.corpora.items import BadItem
from speechkit.data.cut_faults import fault_of
from speechkit.data.stream import CUTS_FILE as CUTS_FILE
from speechkit.data.stream import manifest_lines, manifest_path
from speechkit.errors import SpeechkitError, counted


@dataclass(frozen=True)
class Word:
    """A word with its place in the utterance, in seconds from the start of the cut, and how sure the aligner is."""

    symbol: str
    start_seconds: float
    duration_seconds: float
    score: float | None = None


def make_cut(
    utt_id: str,
    audio: Path,
    *,
    sampling_rate: int,
    num_samples: int,
    text: str,
    speaker: str,
    tiers: Mapping[str, Sequence[Word]] | None = None,
    gender: str | None = None,
    language: str | None = None,
    custom: dict[str, Any] | None = None,
) -> MonoCut:
    """A cut that covers a whole file with one supervision; recording, supervision and cut share `utt_id`.

    Args:
        tiers: alignments by name, for example `{"word": [...], "phone": [...]}`.
        custom: further fields of the supervision, for example `{"age": 6}`.
    """
    duration = num_samples / sampling_rate
    alignment = {
        tier: [AlignmentItem(w.symbol, round(w.start_seconds, 8), round(w.duration_seconds, 8), w.score) for w in words]
        for tier, words in (tiers or {}).items()
    }
    recording = make_recording(utt_id, audio, sampling_rate=sampling_rate, num_samples=num_samples)
    supervision = SupervisionSegment(
        id=utt_id,
        recording_id=utt_id,
        start=0.0,
        duration=duration,
        text=text,
        speaker=speaker,
        gender=gender,
        language=language,
        alignment=alignment or None,
        custom=custom or None,
    )
    return cut_of_supervision(recording, supervision)


def make_recording(recording_id: str, audio: Path, *, sampling_rate: int, num_samples: int) -> Recording:
    """A recording of which the first channel is used."""
    return Recording(
        id=recording_id,
        sources=[AudioSource(type="file", channels=[0], source=str(audio))],
        sampling_rate=sampling_rate,
        num_samples=num_samples,
        duration=num_samples / sampling_rate,
    )


def cut_of_supervision(recording: Recording, supervision: SupervisionSegment) -> MonoCut:
    """A cut of the first channel that covers one supervision, whose times count from the start of the recording."""
    return MonoCut(
        id=supervision.id,
        start=supervision.start,
        duration=supervision.duration,
        channel=0,
        recording=recording,
        supervisions=[supervision.with_offset(-supervision.start)],
    )


def load_cuts(path: Path) -> CutSet:
    """All cuts of a manifest (`*.jsonl.gz`, `*.jsonl`, or an artifact folder that holds `cuts.jsonl.gz`).

    Raises:
        SpeechkitError: missing, empty, truncated, not JSON, not a cut that we read as it is meant, or an id
            twice; with file:line.
    """
    path = manifest_path(path)
    return CutSet(list(_parse_cuts(list(manifest_lines(path)), path)))


def iter_cuts(path: Path, bad: list[BadItem] | None = None) -> Iterator[MonoCut]:
    """The cuts of `load_cuts` one by one, in the memory of their ids; a fault shows when its line is reached.

    Args:
        bad: takes the lines that are no cuts; None: the first of them is an error.
    """
    path = manifest_path(path)
    return _parse_cuts(manifest_lines(path), path, bad)


def _parse_cuts(lines: Iterable[bytes], path: Path, bad: list[BadItem] | None = None) -> Iterator[MonoCut]:
    ids: set[str] = set()
    for number, line in enumerate(lines, start=1):
        where = f"{path}:{number}"
        try:
            cut = _parse_cut(line, where)
            if cut.id in ids:
                raise SpeechkitError(f"the id `{cut.id}` occurs twice", where=where)
        except SpeechkitError as error:
            if bad is None:
                raise
            detail = error.where[0].removeprefix(where).strip()
            bad.append(BadItem(where, "-", f"{error.what}: {detail}" if detail else error.what))
            continue
        ids.add(cut.id)
        yield _resolve(cut, path.parent)
    if not ids and not bad:
        raise SpeechkitError(f"`{path}` holds no cuts")


def _parse_cut(line: bytes, where: str) -> MonoCut:
    try:
        cut = deserialize_item(orjson.loads(line))
        fault = fault_of(cut) if isinstance(cut, MonoCut) else f"a {type(cut).__name__} is not a cut of one channel"
    except orjson.JSONDecodeError as error:
        raise SpeechkitError(f"not valid JSON: {error.msg}", where=where) from None
    except (
        KeyError,
        IndexError,
        TypeError,
        ValueError,
        AttributeError,
        AssertionError,
        NotImplementedError,
    ) as error:
        raise SpeechkitError(
            "not a lhotse cut",
            where=f"{where}  {type(error).__name__}: {error}",
            expected="one MonoCut per line",
        ) from None
    if fault:
        raise SpeechkitError(fault, where=where, expected="a MonoCut of the first channel of an audio file")
    return cut


def save_cuts(cuts: Iterable[MonoCut], path: Path) -> None:
    """Write a manifest; the same cuts give the same bytes."""
    _save_items((_relative(cut, path.parent) for cut in cuts), path)


def save_manifests(cuts: Iterable[MonoCut], folder: Path, final_folder: Path | None = None) -> None:
    """Write `recordings`, `supervisions` and `cuts` (`.jsonl.gz`) of single-supervision cuts into `folder`.

    Audio below `folder`, or below `final_folder` (its name once published), is stored relative.
    """
    stored = [_relative(_relative(cut, folder), final_folder or folder) for cut in cuts]
    recordings = {cut.recording.id: cut.recording for cut in stored}
    # in a manifest of supervisions times count from the start of the recording
    supervisions = (s.with_offset(cut.start) if cut.start else s for cut in stored for s in cut.supervisions)
    _save_items(recordings.values(), folder / "recordings.jsonl.gz")
    _save_items(supervisions, folder / "supervisions.jsonl.gz")
    _save_items(stored, folder / CUTS_FILE)


def audio_path(cut: MonoCut) -> Path:
    """The file that holds the audio of a cut."""
    return Path(cut.recording.sources[0].source)


def words_of(cut: MonoCut) -> list[Word]:
    """The word alignment of a cut, or an empty list."""
    return tiers_of(cut).get("word", [])


def tiers_of(cut: MonoCut) -> dict[str, list[Word]]:
    """All alignments of a cut by the name of their tier."""
    tiers = (cut.supervisions[0].alignment or {}) if cut.supervisions else {}
    return {name: [Word(i.symbol, i.start, i.duration, i.score) for i in items] for name, items in tiers.items()}


def with_tiers(cut: MonoCut, tiers: Mapping[str, Sequence[Word]]) -> MonoCut:
    """A copy of a cut whose supervision has these alignments; tiers of other names stay."""
    supervision = cut.supervisions[0]
    alignment = dict(supervision.alignment or {})
    for name, words in tiers.items():
        alignment[name] = [AlignmentItem(w.symbol, w.start_seconds, w.duration_seconds, w.score) for w in words]
    return fastcopy(cut, supervisions=[fastcopy(supervision, alignment=alignment)])


def text_of(cut: MonoCut) -> str:
    """The transcript of a cut.

    Raises:
        SpeechkitError: the cut has not exactly one supervision with a text.
    """
    if len(cut.supervisions) != 1 or cut.supervisions[0].text is None:
        raise SpeechkitError(
            f"cut `{cut.id}` has {counted(len(cut.supervisions), 'supervision')} or no text", expected="one text"
        )
    return str(cut.supervisions[0].text)


def _save_items(items: Iterable[Any], path: Path) -> None:
    with (
        publish_file(path, "wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6) as packed,
        io.BufferedWriter(packed) as stream,
    ):
        for item in items:
            stream.write(orjson.dumps(item.to_dict(), default=_plain) + b"\n")


def plain_cut(cut: MonoCut) -> dict[str, Any]:
    """A cut as plain values, as a manifest stores it; lists and dicts are its own."""
    plain: dict[str, Any] = orjson.loads(orjson.dumps(cut.to_dict(), default=_plain))
    return plain


def _plain(value: object) -> Any:
    """Alignment items are named tuples, which orjson refuses."""
    if isinstance(value, AlignmentItem):
        return value.serialize()
    raise TypeError(f"{type(value).__name__} can not be stored")


def _resolve(cut: MonoCut, folder: Path) -> MonoCut:
    source = cut.recording.sources[0]
    if not Path(source.source).is_absolute():
        source.source = str((folder / source.source).resolve())
    return cut


def _relative(cut: MonoCut, folder: Path) -> MonoCut:
    source = cut.recording.sources[0]
    path = Path(source.source)
    if source.type != "file" or not path.is_absolute():
        return cut
    try:
        stored = str(path.relative_to(folder.resolve()))
    except ValueError:
        return cut
    copy = deserialize_item(cut.to_dict())
    copy.recording.sources[0].source = stored
    return copy
