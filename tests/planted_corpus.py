"""A corpus of 30 utterances in three manifests (Kaldi, cuts, table), clean until faults are planted in it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

RATE = 8000
TRAIN, DEV, TEST = 22, 4, 4
PROMPTS = ("one two", "three four", "five six", "seven eight", "nine zero")
SPEAKERS = ("anna", "ben", "carl")
DEV_TEXTS = ("green apples grow", "caf\u00e9 au lait", "it rains today", "tea for two")
TEST_TEXTS = ("rock and roll", "open the door", "na\u00efve questions", "over the hills")


def voice(name: str) -> np.ndarray:
    """Something that differs from name to name: noise under a slow envelope; longer for the longer texts."""
    seconds = 0.4 if "-" in name else 0.8
    generator = np.random.default_rng(sum(ord(c) * 31**i for i, c in enumerate(name)) % 2**32)
    size = round(seconds * RATE)
    return 0.2 * generator.standard_normal(size).clip(-3, 3) * np.sin(np.linspace(0.3, 2.8, size))


@dataclass
class Corpus:
    """The manifests before they are written; faults change them, or the files afterwards."""

    folder: Path
    audio: dict[str, tuple[np.ndarray, int, str]] = field(default_factory=dict)  # samples, rate, subtype
    wav_scp: dict[str, str] = field(default_factory=dict)
    text: list[tuple[str, str]] = field(default_factory=list)
    utt2spk: dict[str, str] = field(default_factory=dict)
    spk2utt: dict[str, list[str]] = field(default_factory=dict)
    dev: list[dict[str, Any]] = field(default_factory=list)
    test: list[dict[str, str]] = field(default_factory=list)
    extra_lines: dict[str, list[bytes]] = field(default_factory=dict)
    afterwards: list[Callable[[Path], object]] = field(default_factory=list)
    utt2spk_ends: str = "\n"

    def __post_init__(self) -> None:
        ids = sorted(f"{SPEAKERS[i % 3]}-{i % 5}-{i // 15:02d}" for i in range(TRAIN))
        for utt_id in ids:
            speaker, prompt, _ = utt_id.split("-")
            self._add_audio(utt_id)
            self.wav_scp[utt_id] = f"{self.folder / 'audio' / utt_id}.wav"
            self.text.append((utt_id, PROMPTS[int(prompt)]))
            self.utt2spk[utt_id] = speaker
            self.spk2utt.setdefault(speaker, []).append(utt_id)
        for i, text in enumerate(DEV_TEXTS):
            self._add_audio(f"d{i}")
            self.dev.append(self._cut(f"d{i}", text, speaker=f"dora{i // 2}"))
        for i, text in enumerate(TEST_TEXTS):
            self._add_audio(f"t{i}")
            row = {"id": f"t{i}", "path": f"audio/t{i}.wav", "speaker": f"tom{i // 2}", "text": text}
            self.test.append({**row, "samples": str(len(voice(f"t{i}")))})

    def _add_audio(self, name: str) -> None:
        self.audio[name] = (voice(name), RATE, "PCM_16")

    def _cut(self, utt_id: str, text: str, *, speaker: str) -> dict[str, Any]:
        size = len(voice(utt_id))
        supervision = {"id": utt_id, "recording_id": utt_id, "start": 0.0, "duration": size / RATE, "channel": 0}
        source = {"type": "file", "channels": [0], "source": f"audio/{utt_id}.wav"}
        recording = {"id": utt_id, "sources": [source], "sampling_rate": RATE, "num_samples": size}
        return {
            "id": utt_id,
            "start": 0.0,
            "duration": size / RATE,
            "channel": 0,
            "supervisions": [{**supervision, "text": text, "speaker": speaker}],
            "recording": {**recording, "duration": size / RATE},
            "type": "MonoCut",
        }

    def set_text(self, utt_id: str, text: str) -> None:
        """Change a transcript of the training set."""
        self.text = [(key, text if key == utt_id else value) for key, value in self.text]

    def text_of(self, utt_id: str) -> str:
        """A transcript of the training set."""
        return dict(self.text)[utt_id]

    def file(self, utt_id: str) -> Path:
        """The audio file of an utterance."""
        return self.folder / "audio" / f"{utt_id}.wav"

    def write(self) -> list[Path]:
        """The three manifests, with what was planted."""
        (self.folder / "audio").mkdir(parents=True)
        (self.folder / "train").mkdir()
        for name, (samples, rate, subtype) in self.audio.items():
            soundfile.write(self.file(name), samples, rate, subtype=subtype, format="WAV")
        self._write_kaldi(self.folder / "train")
        lines = [json.dumps(cut).encode() for cut in self.dev] + self.extra_lines.get("dev", [])
        (self.folder / "dev.jsonl.gz").write_bytes(gzip.compress(b"\n".join(lines) + b"\n", mtime=0))
        rows = ["\t".join(row.values()).encode() for row in self.test] + self.extra_lines.get("test", [])
        header = "\t".join(self.test[0]).encode()
        (self.folder / "test.tsv").write_bytes(b"\n".join([header, *rows]) + b"\n")
        for change in self.afterwards:
            change(self.folder)
        return [self.folder / "train", self.folder / "dev.jsonl.gz", self.folder / "test.tsv"]

    def _write_kaldi(self, folder: Path) -> None:
        texts = [f"{key} {text}" for key, text in self.text]
        spk2utt = [f"{key} {' '.join(ids)}" for key, ids in sorted(self.spk2utt.items())]
        (folder / "wav.scp").write_text("".join(f"{key} {path}\n" for key, path in self.wav_scp.items()))
        (folder / "text").write_text("".join(f"{line}\n" for line in texts), encoding="utf-8")
        (folder / "spk2utt").write_text("".join(f"{line}\n" for line in spk2utt))
        ends = self.utt2spk_ends
        (folder / "utt2spk").write_bytes("".join(f"{k} {v}{ends}" for k, v in self.utt2spk.items()).encode())
