"""Utterances and their frames: transcripts are not needed, sampling rates are checked, all bad files are told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import torch

from speechkit import log
from speechkit.audio.resample import resample
from speechkit.data.batch import Utterance, read_samples
from speechkit.data.store import audio_path
from speechkit.errors import SpeechkitError, counted
from speechkit.units.extractor import Extractor, Floats

if TYPE_CHECKING:
    from lhotse import MonoCut

R = TypeVar("R")
_AHEAD = 16  # utterances per worker that are read before they are asked for


def sounds_of(cuts: Iterable[MonoCut], extractor: Extractor) -> list[Utterance]:
    """The utterances of a manifest, checked against the sampling rate of the features; texts are left out.

    Raises:
        SpeechkitError: recordings slower than the features need, listed by id.
    """
    utterances, slow = [], []
    rates: Counter[int] = Counter()
    for cut in cuts:
        rate = cut.recording.sampling_rate
        rates[rate] += 1
        if rate < extractor.sampling_rate:
            slow.append(f"{cut.id}  {rate} Hz  {audio_path(cut)}")
        start, size = round(cut.start * rate), round(cut.duration * rate)
        utterances.append(Utterance(cut.id, audio_path(cut), start, size, rate, text=""))
    if slow and not extractor.upsamples:
        cure = "clusters of their own: --set features.sampling_rate"
        raise SpeechkitError(
            f"{len(slow)} of {counted(len(utterances), 'utterance')} are below the {extractor.sampling_rate} Hz "
            "of the features; units of slower audio would mean something else",
            where=slow,
            hint="--set features.upsample=true takes them all the same" if extractor.model_print else cure,
        )
    for rate, count in sorted(rates.items()):
        if rate != extractor.sampling_rate:
            way = "down" if rate > extractor.sampling_rate else "up"
            log.info(f"{counted(count, 'utterance')} of {rate} Hz: {way}-sampled to {extractor.sampling_rate} Hz")
    return utterances


def samples_of(utt: Utterance, sampling_rate: int) -> Floats:
    """The audio of an utterance, float32 (S,), at the given rate.  Raises: SpeechkitError: it can not be read."""
    return resample(read_samples(utt), utt.sampling_rate, sampling_rate)


def frames_of(
    utterances: Sequence[Utterance], extractor: Extractor, *, num_jobs: int
) -> Iterator[tuple[Utterance, Floats]]:
    """Each utterance with its frames (T, D), in order; threads do not change a bit of them.

    Raises:
        SpeechkitError: some can not be read, listed by id, once all others have been passed on.
    """
    torch.set_num_threads(1)

    def read(utt: Utterance) -> Floats | SpeechkitError:
        try:
            return extractor(samples_of(utt, extractor.sampling_rate))
        except SpeechkitError as error:
            return error

    bad = []
    for utt, found in _map_ahead(read, utterances, num_jobs):
        if isinstance(found, SpeechkitError):
            bad.append(f"{utt.utt_id}  {found.what}")
        else:
            yield utt, found
    if bad:
        raise SpeechkitError(
            f"{len(bad)} of {counted(len(utterances), 'utterance')} can not be used",
            where=bad,
            hint="`speechkit data validate --fix DIR` writes a manifest without them",
        )


def _map_ahead(
    work: Callable[[Utterance], R], utterances: Iterable[Utterance], num_jobs: int
) -> Iterator[tuple[Utterance, R]]:
    """Each utterance with what threads made of it, in order; not all at once, they may be large."""
    upcoming = iter(utterances)
    with ThreadPoolExecutor(num_jobs) as pool:
        while batch := list(islice(upcoming, _AHEAD * num_jobs)):
            yield from zip(batch, pool.map(work, batch), strict=True)
