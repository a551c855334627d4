"""Small audio files, cuts and corpora for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from lhotse import MonoCut

from speechkit.data import store

FSDD_SPEAKERS = ("jackson", "theo", "george")


def make_wav(
    path: Path, seconds: float = 0.1, rate: int = 8000, *, frequency: float = 440.0, channels: int = 1
) -> Path:
    """A tone at half scale; the format follows the suffix (.wav or .flac)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(round(seconds * rate)) / rate
    tone = 0.5 * np.sin(2 * np.pi * frequency * time)
    soundfile.write(path, np.repeat(tone[:, None], channels, axis=1), rate, subtype="PCM_16")
    return path


def make_cut(utt_id: str, audio: Path, *, text: str = "one two", speaker: str = "anna", **fields: object) -> MonoCut:
    """A cut of a whole file that exists."""
    info = soundfile.info(audio)
    return store.make_cut(
        utt_id,
        audio,
        sampling_rate=info.samplerate,
        num_samples=info.frames,
        text=text,
        speaker=speaker,
        **fields,  # type: ignore[arg-type]
    )


def make_table(path: Path, columns: str, *rows: str) -> Path:
    """A tab-separated table from blank-separated columns and rows; `_` stands for a blank, `-` for nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [[{"-": ""}.get(field, field.replace("_", " ")) for field in row.split()] for row in rows]
    path.write_text("\n".join(["\t".join(columns.split()), *("\t".join(line) for line in lines)]) + "\n")
    return path


def make_fsdd_clone(folder: Path, *, num_takes: int = 2) -> Path:
    """The layout of the public repository: three speakers, ten digits, takes of different lengths."""
    for index, speaker in enumerate(FSDD_SPEAKERS):
        for digit in range(10):
            for take in range(num_takes):
                name = f"{digit}_{speaker}_{take}.wav"
                seconds = 0.05 + 0.01 * digit + 0.002 * take
                make_wav(folder / "recordings" / name, seconds, frequency=200 + 100 * index + 10 * digit)
    return folder


def make_broken_audio(folder: Path) -> dict[str, Path]:
    """Files that can not be used, by kind of fault."""
    sound = make_wav(folder / "sound.flac", 2.0)
    broken = {
        name: folder / f"{name.replace('_', '-')}.flac" for name in ("zero_bytes", "truncated", "not_audio", "missing")
    }
    broken["zero_bytes"].write_bytes(b"")
    data = sound.read_bytes()
    broken["truncated"].write_bytes(data[: len(data) // 2])
    broken["not_audio"].write_bytes(b"this is a text\n" * 20)
    broken["no_samples"] = make_wav(folder / "no-samples.wav", 0.0)
    return broken
