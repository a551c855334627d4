"""lhotse Shar: cuts and their audio in numbered tar files, for training from sequential reads.

Layout: `cuts.NNNNNN.jsonl.gz` and `recording.NNNNNN.tar`, where each cut has a pair `<id>.flac`, `<id>.json`.
Written byte by byte the same for the same audio; 16- and 24-bit audio is kept exactly.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import soundfile
from lhotse import MonoCut

from speechkit import log
from speechkit.artifact import publish_file
from speechkit.audio.io import audio_info
from speechkit.data.corpora.items import BadItem, Prepared, is_file_name
from speechkit.data.formats.utterance import Losses, Utterance, cut_of
from speechkit.data.store import plain_cut
from speechkit.data.stream import stream_rows
from speechkit.errors import SpeechkitError

SHARD_SIZE = 1000
SHARDS = "shards"  # below the artifact: lhotse takes every file beside the shards for one
HOLDS = ("text", "speaker", "gender", "language", "tiers", "custom")
_EXACT = {"PCM_16": ("int16", "PCM_16"), "PCM_24": ("int32", "PCM_24"), "PCM_S8": ("int16", "PCM_16")}
_FLAC_LEVEL = 0.5


def write_shar(utterances: Iterable[Utterance], folder: Path, losses: Losses, *, num_jobs: int = 1) -> int:
    """Write shards of 1000 utterances into `folder/shards`; returns the number of utterances."""
    out = folder / SHARDS
    out.mkdir()
    count = 0
    kept = _usable(log.track(utterances, "packing"), losses)
    with ThreadPoolExecutor(num_jobs) as pool:
        for number, shard in enumerate(iter(lambda: list(islice(kept, SHARD_SIZE)), [])):
            packed = pool.map(_pack, shard)
            _write_shard(out, number, shard, packed=packed, losses=losses)
            count += len(shard)
    losses.refuse_nothing(count)
    return count


def _usable(utterances: Iterable[Utterance], losses: Losses) -> Iterator[Utterance]:
    for u in utterances:
        if not is_file_name(u.utt_id):
            losses.add("the utterance: its id can not be the name of a file", u.utt_id)
            continue
        losses.add_missing(u, HOLDS)
        yield u


def _pack(u: Utterance) -> tuple[bytes, int, bool]:
    """FLAC of an utterance, its samples, and whether they are exactly those of the source."""
    start, count = round(u.start_seconds * u.sampling_rate), round(u.duration_seconds * u.sampling_rate)
    try:
        kind = soundfile.info(str(u.audio)).subtype
        dtype, subtype = _EXACT.get(kind, ("int16", "PCM_16"))
        samples, rate = soundfile.read(str(u.audio), start=start, frames=count, dtype=dtype, always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
        raise SpeechkitError(f"cannot read the audio file `{u.audio}`: {error}", where=u.utt_id) from None
    if len(samples) != count:
        raise SpeechkitError(f"`{u.audio}` is truncated: {len(samples)} of {count} samples", where=u.utt_id)
    stream = io.BytesIO()
    soundfile.write(stream, samples[:, 0], rate, format="FLAC", subtype=subtype, compression_level=_FLAC_LEVEL)
    return stream.getvalue(), count, kind in _EXACT


def _write_shard(
    out: Path, number: int, shard: Sequence[Utterance], *, packed: Iterable[tuple[bytes, int, bool]], losses: Losses
) -> None:
    cuts = []
    with publish_file(out / f"recording.{number:06d}.tar", "wb") as raw, tarfile.open(fileobj=raw, mode="w") as tar:
        for u, (data, num_samples, is_exact) in zip(shard, packed, strict=True):
            if not is_exact:
                losses.add("samples that are no 16- or 24-bit integers: rounded to 16 bits", u.utt_id)
            cut = plain_cut(cut_of(u))
            cut["start"] = 0.0
            cut["recording"] = _placeholder(u, num_samples)
            for supervision in cut["supervisions"]:
                supervision["recording_id"] = u.utt_id
            _add(tar, f"{u.utt_id}.flac", data)
            _add(tar, f"{u.utt_id}.json", orjson.dumps(cut["recording"]) + b"\n")
            cuts.append(cut)
    with (
        publish_file(out / f"cuts.{number:06d}.jsonl.gz", "wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6) as stream,
    ):
        stream.writelines(orjson.dumps(cut) + b"\n" for cut in cuts)


def _placeholder(u: Utterance, num_samples: int) -> dict[str, Any]:
    return {
        "id": u.utt_id,
        "sources": [{"type": "shar", "channels": [0], "source": ""}],
        "sampling_rate": u.sampling_rate,
        "num_samples": num_samples,
        "duration": num_samples / u.sampling_rate,
        "channel_ids": [0],
    }


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)  # time 0, nobody's: the same bytes anywhere
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def shards_of(folder: Path) -> list[tuple[Path, Path]]:
    """The pairs of cuts and recordings in a folder or its subfolder `shards`, in their order."""
    if (folder / SHARDS).is_dir():
        folder = folder / SHARDS
    cuts = sorted(folder.glob("cuts.*.jsonl*"))
    return [(path, folder / f"recording.{path.name.split('.')[1]}.tar") for path in cuts]


def read_shar(folder: Path, out: Path) -> Prepared:
    """The cuts of a Shar folder; their audio is written to `out/audio`, one file per cut, as it is in the tars.

    Raises:
        SpeechkitError: no shards, or cuts and recordings do not belong together.
    """
    prepared = Prepared()
    shards = shards_of(folder)
    if not shards:
        raise SpeechkitError(f"`{folder}` holds no `cuts.NNNNNN.jsonl.gz`", expected="a folder in lhotse's Shar format")
    for cuts, recordings in log.track(shards, "unpacking", unit="shards"):
        if not recordings.is_file():
            raise SpeechkitError(f"`{recordings}` does not exist", where=str(cuts))
        place = out / "audio" / recordings.name.split(".")[1]
        place.mkdir(parents=True)
        _read_shard(cuts, recordings, place, prepared=prepared)
    return prepared


def _read_shard(cuts: Path, recordings: Path, place: Path, *, prepared: Prepared) -> None:
    from lhotse.serialization import deserialize_item

    audio = _members(recordings)
    for where, row in stream_rows(cuts):
        utt_id = str(row.get("id"))
        found = next(audio, None)
        if found is None or Path(found[0]).stem != utt_id:
            got = f"`{found[0]}`" if found else "nothing more"
            raise SpeechkitError(f"`{recordings}` does not belong to its cuts: {got} for `{utt_id}`", where=where)
        name, data = found
        if not (is_file_name(utt_id) and is_file_name(f"audio{Path(name).suffix}") and data):
            prepared.bad.append(BadItem(where, utt_id, "no audio, or its id can not be the name of a file"))
            continue
        file = place / f"{utt_id}{Path(name).suffix}"
        file.write_bytes(data)
        try:
            info = audio_info(file)
            row["recording"] = {
                "id": utt_id,
                "sources": [{"type": "file", "channels": [0], "source": str(file.resolve())}],
                "sampling_rate": info.sampling_rate,
                "num_samples": info.num_samples,
                "duration": info.duration_seconds,
                "channel_ids": [0],
            }
            cut = deserialize_item(row)
        except SpeechkitError as error:
            prepared.bad.append(BadItem(where, utt_id, error.what))
            continue
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, AssertionError) as error:
            prepared.bad.append(BadItem(where, utt_id, f"not a cut: {type(error).__name__}: {error}"))
            continue
        if isinstance(cut, MonoCut):
            cut.channel = 0
            prepared.cuts.append(cut)
        else:
            prepared.bad.append(BadItem(where, utt_id, f"a {type(cut).__name__} is not a cut of one channel"))


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of the audio files of a tar; the `.json` beside each repeats what its cut says."""
    try:
        with tarfile.open(path) as tar:
            for member in (m for m in tar if not m.name.endswith((".json", ".nometa"))):
                stream = tar.extractfile(member)
                yield member.name, stream.read() if stream is not None else b""
    except (tarfile.TarError, EOFError, OSError) as error:
        raise SpeechkitError(f"cannot read `{path}`: {error}", hint="make it again") from None
