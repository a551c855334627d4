"""The renderer: utterances of a plan from recorded samples, in memory; used by rendering, training and the report."""

from __future__ import annotations

import itertools
import math
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from speechkit.audio.io import read_audio
from speechkit.cutpaste.inventory import Source, to_int16
from speechkit.cutpaste.plan_file import Plan, Planned
from speechkit.errors import SpeechkitError
from speechkit.kernels.paste import paste

_MAX_PEAK = 0.99
_MAX_IN_MEMORY = 1 << 30  # bytes


def read_source(source: Source) -> np.ndarray:
    """The samples of a source, int16 (S,).

    Raises:
        SpeechkitError: unreadable, or not what the inventory was made from.
    """
    path = Path(source.audio)
    samples, rate = read_audio(path, start_sample=source.start_sample, num_samples=source.num_samples)
    numbers = to_int16(samples)
    if rate != source.sampling_rate or zlib.crc32(numbers.tobytes()) != source.crc32:
        raise SpeechkitError(f"`{path}` has changed since the inventory was made", hint="make inventory and plan again")
    return numbers


@dataclass(frozen=True)
class Pool:
    """Recorded samples end to end; `first` is the place of each source, -1 when it is not there, `faults` say why."""

    samples: np.ndarray
    first: np.ndarray
    faults: dict[int, str]


def load_pool(sources: Sequence[Source], wanted: Sequence[int], *, spill: Path | None = None) -> Pool:
    """Read the wanted sources; unreadable ones are named in `faults`.

    Args:
        spill: folder for a nameless temporary file that holds the samples when they are more than 1 GiB.
    """
    first = np.full(len(sources), -1, np.int64)
    size = sum(sources[number].num_samples for number in wanted)
    samples: np.ndarray = np.empty(0 if spill and 2 * size > _MAX_IN_MEMORY else size, np.int16)
    if len(samples) < size:
        with tempfile.TemporaryFile(dir=spill) as stream:
            samples = np.memmap(stream, np.int16, "w+", shape=(size,))
    faults: dict[int, str] = {}
    position = 0
    for number in wanted:
        try:
            own = read_source(sources[number])
        except SpeechkitError as error:
            faults[number] = error.what
            continue
        samples[position : position + len(own)] = own
        first[number] = position
        position += len(own)
    return Pool(samples[:position], first, faults)


class _Stretch(NamedTuple):
    """A row for the kernel, its source, and how many samples around its start and its end are of no word."""

    row: tuple[int, int, int, int, int]
    source: int
    quiet: tuple[int, int]


class Renderer:
    """Renders utterances of a plan from a pool, in memory; the same plan gives the same samples anywhere.

    Fades last `fade_ms` where words touch and grow with the quiet that both sides have, up to `quiet_fade_ms`: the
    background of two recordings differs, and a short fade between them is a step that speech does not have.
    """

    def __init__(self, plan: Plan, utterances: Sequence[Planned], pool: Pool) -> None:
        self.pool, self.utterances = pool, utterances
        rate = plan.sampling_rate
        shortest, longest = (2 * round(ms * rate / 2000) for ms in (plan.paste.fade_ms, plan.paste.quiet_fade_ms))
        self.fade = np.sin((np.arange(longest) + 0.5) * (math.pi / 2 / max(1, longest))).astype(np.float32)
        rows, gains, bounds, peaks = [], [], [0], []
        for utterance in utterances:
            own = list(_stretches(utterance, plan.sources, pool.first))
            fades = [
                min(max(shortest, 2 * min(left.quiet[1], right.quiet[0])), longest)
                for left, right in itertools.pairwise(own)
            ]
            rows += [(*stretch.row, fade) for stretch, fade in zip(own, [*fades, 0], strict=True)]
            gains += [plan.gains_db[stretch.source] for stretch in own]
            # two sounds meet in a fade with weights of at most 1.42 in sum
            peaks.append(1.42 * max(plan.sources[s.source].peak * 10 ** (plan.gains_db[s.source] / 20) for s in own))
            bounds.append(len(rows))
        self.stretches = np.array(rows, np.int64).reshape(-1, 6)
        self.gains = (10.0 ** (np.array(gains) / 20) / 32768).astype(np.float32)
        self.bounds, self.may_clip = bounds, [peak > _MAX_PEAK for peak in peaks]
        self.sizes = [utterance.num_samples for utterance in utterances]

    def __call__(self, index: int) -> np.ndarray:
        """Samples of utterance `index`, float32 (S,); turned down as a whole where it would reach full scale."""
        out = np.empty(self.sizes[index], np.float32)
        bounds = (self.bounds[index], self.bounds[index + 1])
        paste(self.pool.samples, self.stretches, self.gains, self.fade, out, bounds)
        if self.may_clip[index]:
            peak = float(max(out.max(), -out.min()))
            if peak > _MAX_PEAK:
                out *= np.float32(_MAX_PEAK / peak)
        return out


def _stretches(utterance: Planned, sources: Sequence[Source], first: np.ndarray) -> Iterator[_Stretch]:
    """Stretches in the order of time."""
    pieces = utterance.pieces
    position = 0

    def room(size: int, candidates: Sequence[int]) -> _Stretch:
        for number in candidates:
            source = sources[number]
            if source.room_start >= 0:
                low = int(first[number]) + source.room_start
                # where the walk begins depends on the place, so that pauses of one source differ
                step = position % source.room_samples + 2 * source.room_samples
                row = (step, size, low, low + source.room_samples, source.room_samples)
                return _Stretch(row, number, (size, size))
        raise SpeechkitError(f"no recording of `{utterance.utt_id}` has room tone for its pause")

    if utterance.lead:
        yield room(utterance.lead, [piece.source for piece in pieces])
        position += utterance.lead
    for index, piece in enumerate(pieces):
        low = int(first[piece.source])
        size = piece.end - piece.start
        row = (low + piece.start, size, low, low + sources[piece.source].num_samples, 0)
        yield _Stretch(row, piece.source, piece.quiet)
        position += size
        if index < len(utterance.pauses) and utterance.pauses[index]:
            yield room(utterance.pauses[index], [piece.source, pieces[index + 1].source])
            position += utterance.pauses[index]
    if utterance.tail:
        yield room(utterance.tail, [piece.source for piece in reversed(pieces)])
