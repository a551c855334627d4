"""What is in an audio file: one pass over the samples gives levels, clipping, gaps and a digest, or what is broken.

Used by `data validate`. Nothing is raised for a broken file: the fault is part of the result.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import soundfile

Samples = np.ndarray[Any, Any]

_BLOCK_SAMPLES = 1 << 20
_FLAC_HEADER = 42  # bytes up to the end of the checksum
_RUN = 3  # so many equal samples at the extreme are a flat top
_LOUD = 0.05  # flat tops of quiet, coarsely quantised audio mean nothing
_GAP_PROBES_PER_SECOND = 16
_AS_IT_IS = nullcontext()
_FULL_SCALE = {"int16": 1 << 15, "int32": 1 << 31, "float32": 1}
_AS_INT16 = {"PCM_16", "PCM_S8", "PCM_U8", "ULAW", "ALAW"}
_AS_INT32 = {"PCM_24", "PCM_32"}
_WAV_UNKNOWN_SIZE = 0x7FFF0000  # a program that wrote into a pipe could not know the size


class Measures(NamedTuple):
    """A file or a part of it; levels of the first channel, full scale is 1.

    Args:
        fault: missing, empty, unreadable, no-samples, truncated, damaged or not-finite; with `detail`.
        num_samples: of the part, as far as it lies in the file.
        file_samples: of the whole file.
        low, high, mean: of the samples.
        clipped, clip_runs: samples in flat tops of three or more at the extreme, and number of flat tops.
        gap: longest run of digital zeros, in samples.
        digest: MD5 of the samples as decoded, all channels: equal audio has equal digests.
    """

    fault: str = ""
    detail: str = ""
    rate: int = 0
    num_channels: int = 0
    num_samples: int = 0
    file_samples: int = 0
    low: float = 0.0
    high: float = 0.0
    mean: float = 0.0
    clipped: int = 0
    clip_runs: int = 0
    gap: int = 0
    digest: str = ""

    @property
    def peak(self) -> float:
        """Largest distance from zero."""
        return max(self.high, -self.low)


def measure_file(path: Path, parts: Sequence[tuple[float, float]] = ()) -> list[Measures]:
    """Measures of each part `(start_seconds, end_seconds)`, or of the whole file when no part is given.

    A fault of the file is the result of every part.
    """
    try:
        with path.open("rb", buffering=0) as raw:
            head = raw.read(_FLAC_HEADER)
            shortfall = _wav_shortfall(raw, head)
            if shortfall or not head:
                return [Measures("truncated", shortfall) if head else Measures("empty")] * max(1, len(parts))
            raw.seek(0)
            with soundfile.SoundFile(raw.fileno(), closefd=False) as stream:  # opened once: short files are many
                return _measure_stream(stream, parts, checksum=_flac_checksum(head))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return [Measures("missing")] * max(1, len(parts))
    except (soundfile.LibsndfileError, OSError, ValueError) as error:
        reason = getattr(error, "error_string", "") or getattr(error, "strerror", "") or str(error)
        return [Measures("unreadable", str(reason).strip().rstrip(".").lower())] * max(1, len(parts))


def _measure_stream(stream: Any, parts: Sequence[tuple[float, float]], *, checksum: str) -> list[Measures]:
    rate, declared = stream.samplerate, stream.frames
    if declared == 0:
        return [Measures("no-samples", rate=rate, num_channels=stream.channels)] * max(1, len(parts))
    kind = _sample_type(stream.subtype)
    spans = [(round(start * rate), round(end * rate)) for start, end in parts] or [(0, declared)]
    meters = [_Meter(start, min(end, declared), rate, kind) for start, end in spans]
    digest = hashlib.md5(usedforsecurity=False)
    check_all = checksum and kind == "int16" and len(spans) == len(parts)  # else the one part is the whole file
    position, reason = 0, ""
    while position < declared:
        try:
            block = stream.read(_BLOCK_SAMPLES, dtype=kind, always_2d=True)
        except soundfile.LibsndfileError:
            reason = "the decoder stops: truncated or overwritten"
            break
        if not len(block):
            reason = f"the samples end after {position / rate:.2f} of {declared / rate:.2f} s"
            break
        if check_all:
            digest.update(block.data)
        for meter in meters:
            meter.add(block, position)
        position += len(block)
    if checksum and kind == "int16" and not reason:  # other sample types are not checked: FLAC packs them differently
        found = digest.hexdigest() if check_all else meters[0].digest
        reason = "" if found == checksum else "the samples do not fit the checksum in the file"
    if reason:
        return [Measures("damaged", reason, rate, stream.channels)] * len(meters)
    return [meter.result(stream.channels, declared) for meter in meters]


def _sample_type(subtype: str) -> str:
    return "int16" if subtype in _AS_INT16 else "int32" if subtype in _AS_INT32 else "float32"


class _Meter:
    """Accumulates the measures of the samples `start` to `end` of a stream of blocks."""

    def __init__(self, start: int, end: int, rate: int, kind: str) -> None:
        self._start, self._end, self._rate = start, end, rate
        self._scale = float(_FULL_SCALE[kind])
        self._digest = hashlib.md5(usedforsecurity=False)
        self._low, self._high, self._total = np.inf, -np.inf, 0.0
        self._count = self._clipped = self._clip_runs = self._gap = 0

    def add(self, block: Samples, position: int) -> None:
        """Take from `block` (S, C), whose first sample is number `position` of the file, what belongs here."""
        part = block[max(0, self._start - position) : max(0, self._end - position)]
        if not len(part):
            return
        self._digest.update(part.data)
        first = part[:, 0] if part.shape[1] == 1 else np.ascontiguousarray(part[:, 0])
        low, high = first.min(), first.max()
        self._low, self._high = min(self._low, float(low)), max(self._high, float(high))
        is_float = first.dtype.kind == "f"  # infinities of both signs: the sum is no number, and that is told
        with np.errstate(invalid="ignore") if is_float else _AS_IT_IS:
            self._total += float(first.sum(dtype=np.float64))
        self._count += len(first)
        for extreme in (low, high):
            if abs(float(extreme)) >= _LOUD * self._scale:
                self._count_flat_tops(first, extreme)
        probes = first[:: max(1, self._rate // _GAP_PROBES_PER_SECOND)] == 0
        if (probes[1:] & probes[:-1]).any():
            self._gap = max(self._gap, _longest_zero_run(first))

    def _count_flat_tops(self, samples: Samples, extreme: float) -> None:
        is_extreme = samples == extreme
        if np.count_nonzero(is_extreme) < _RUN:
            return
        places = np.flatnonzero(is_extreme)
        ends = np.flatnonzero(np.diff(places) != 1)
        lengths = np.diff(np.concatenate([[-1], ends, [len(places) - 1]]))
        runs = lengths[lengths >= _RUN]
        self._clipped += int(runs.sum())
        self._clip_runs += len(runs)

    @property
    def digest(self) -> str:
        """MD5 of what was added."""
        return self._digest.hexdigest()

    def result(self, num_channels: int, file_samples: int) -> Measures:
        """The measures of what was added."""
        if not self._count:
            return Measures("no-samples", "the part lies outside the file", self._rate, num_channels, 0, file_samples)
        finite = math.isfinite(self._total)
        return Measures(
            fault="" if finite else "not-finite",
            rate=self._rate,
            num_channels=num_channels,
            num_samples=self._count,
            file_samples=file_samples,
            low=self._low / self._scale if finite else 0.0,
            high=self._high / self._scale if finite else 0.0,
            mean=self._total / self._count / self._scale if finite else 0.0,
            clipped=self._clipped,
            clip_runs=self._clip_runs,
            gap=self._gap,
            digest=self.digest,
        )


def _longest_zero_run(samples: Samples) -> int:
    sounding = np.flatnonzero(samples)
    edges = np.concatenate([[-1], sounding, [len(samples)]])
    return int(np.diff(edges).max()) - 1


def _flac_checksum(head: bytes) -> str:
    """MD5 of the samples from the header of a FLAC file; empty when there is none."""
    digest = head[26:_FLAC_HEADER]
    return digest.hex() if head[:4] == b"fLaC" and len(head) == _FLAC_HEADER and any(digest) else ""


def _wav_shortfall(stream: IO[bytes], head: bytes) -> str:
    """How much a WAV file lacks of what its header promises: libsndfile reads the rest without a word."""
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return ""
    stream.seek(12)
    while len(chunk := stream.read(8)) == 8:
        length = int.from_bytes(chunk[4:], "little")
        if chunk[:4] == b"data":
            start = stream.tell()
            present = stream.seek(0, 2) - start
            is_short = present < length < _WAV_UNKNOWN_SIZE
            return f"{present} of {length} bytes of samples are there" if is_short else ""
        stream.seek(length + length % 2, 1)
    return ""
