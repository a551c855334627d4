"""Cuts as they are given after a fault: other texts, speakers and audio; only changed audio is written anew."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from speechkit import log
from speechkit.audio.io import read_audio, write_flac
from speechkit.audit.inject_plan import Event
from speechkit.data.store import audio_path, make_recording
from speechkit.rng import rng

if TYPE_CHECKING:
    from lhotse import MonoCut

_FRAME_SECONDS = 0.02
_QUIETEST = 0.1  # share of the frames that counts as the quietest part
_MIN_RMS = 1e-4
_MAX_NAME = 100
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


def with_fields(cut: MonoCut, **fields: Any) -> MonoCut:
    """A copy of a cut with other fields of its supervision."""
    return replace(cut, supervisions=[replace(cut.supervisions[0], **fields)])


def apply_events(
    cuts: Sequence[MonoCut], events: Sequence[Event], folder: Path, *, seed: int, num_jobs: int
) -> list[MonoCut]:
    """All cuts in order, those with an event changed; the result does not depend on `num_jobs`."""
    changed = list(cuts)
    with_audio = [event for event in events if event.pieces or event.kind == "silence"]
    if with_audio:
        (folder / "audio").mkdir()
    for event in events:
        changed[event.number] = _given(cuts, event)

    def write(event: Event) -> MonoCut:
        return _write_audio(changed[event.number], event, folder.resolve() / "audio", seed)

    with ThreadPoolExecutor(num_jobs) as pool:
        written = log.track(pool.map(write, with_audio), "writing audio", total=len(with_audio))
        for event, cut in zip(with_audio, written, strict=True):
            changed[event.number] = cut
    return changed


def _given(cuts: Sequence[MonoCut], event: Event) -> MonoCut:
    """The cut with its text, speaker and audio as given from now on; what was aligned is aligned no more."""
    cut = cuts[event.number]
    if event.level == "speaker":
        return with_fields(cut, speaker=event.speaker)
    if event.audio_of is not None:
        other = cuts[event.audio_of]
        cut = replace(cut, recording=other.recording, start=other.start, duration=other.duration)
        return with_fields(cut, recording_id=other.recording.id, start=0.0, duration=other.duration, alignment=None)
    return with_fields(cut, text=event.text, alignment=None)


def _write_audio(cut: MonoCut, event: Event, folder: Path, seed: int) -> MonoCut:
    """The cut with audio of its own: stretches of the old one, or noise as loud as its quietest part."""
    rate = cut.recording.sampling_rate
    start = round(cut.start * rate)
    samples, _ = read_audio(audio_path(cut), start_sample=start, num_samples=cut.num_samples)
    if event.pieces:
        spans = [(round(begin * rate), round(end * rate)) for begin, end in event.pieces]
        samples = np.concatenate([samples[first : max(last, first + 1)] for first, last in spans])
    else:
        noise = rng(seed, "silence", cut.id).standard_normal(len(samples))
        samples = np.clip(quietest_rms(samples, rate) * noise, -1.0, 1.0)
    path = folder / file_name(cut.id)
    write_flac(path, samples, rate)
    recording = make_recording(cut.id, path, sampling_rate=rate, num_samples=len(samples))
    cut = replace(cut, recording=recording, start=0.0, duration=recording.duration)
    return with_fields(cut, recording_id=cut.id, start=0.0, duration=recording.duration)


def quietest_rms(samples: np.ndarray, sampling_rate: int) -> float:
    """RMS of the quietest tenth of the frames of 20 ms, at least 1e-4, which is more than digital silence."""
    size = max(1, round(_FRAME_SECONDS * sampling_rate))
    frames = samples[: len(samples) // size * size].reshape(-1, size) if len(samples) >= size else samples[None]
    power = np.sort(np.mean(frames.astype(np.float64) ** 2, axis=1))
    quiet = power[: max(1, round(_QUIETEST * len(power)))]
    return max(_MIN_RMS, float(np.sqrt(quiet.mean())))


def file_name(utt_id: str) -> str:
    """A name for the audio of an utterance: its id where that is safe, else that with a hash of it."""
    safe = _UNSAFE.sub("_", utt_id).lstrip(".")[:_MAX_NAME]
    if safe != utt_id:
        safe += "-" + hashlib.blake2b(utt_id.encode(), digest_size=6).hexdigest()
    return f"{safe}.flac"
