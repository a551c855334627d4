"""A corpus of 30 utterances in three manifests (Kaldi, cuts, table) and 40 faults to plant in it."""

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


@dataclass(frozen=True)
class Planted:
    """A fault: where and as what it must be named, and what else it causes.

    Args:
        file: name of the manifest file that must be named; a line of it must show the id.
    """

    name: str
    kind: str
    file: str
    utt_id: str
    plant: Callable[[Corpus], object]
    also: tuple[str, ...] = ()


def _change_audio(utt_id: str, change: Callable[[np.ndarray], np.ndarray], **how: Any) -> Callable[[Corpus], object]:
    def plant(corpus: Corpus) -> None:
        samples, rate, subtype = corpus.audio[utt_id]
        corpus.audio[utt_id] = (change(samples), how.get("rate", rate), how.get("subtype", subtype))

    return plant


def _after(change: Callable[[Path], object]) -> Callable[[Corpus], object]:
    return lambda corpus: corpus.afterwards.append(change)


def _halve(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def _overwrite_flac(path: Path) -> None:
    samples, rate = soundfile.read(path, dtype="int16")
    soundfile.write(path, samples, rate, format="FLAC")
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 40] = bytes(40)
    path.write_bytes(bytes(data))


def _swap(corpus: Corpus) -> None:
    first, second = corpus.text_of("ben-1-00"), corpus.text_of("carl-2-00")
    corpus.set_text("ben-1-00", second)
    corpus.set_text("carl-2-00", first)


def _move_to_end(corpus: Corpus) -> None:
    corpus.wav_scp["anna-1-00"] = corpus.wav_scp.pop("anna-1-00")


def _drop_from_utt2spk(corpus: Corpus) -> None:
    del corpus.utt2spk["carl-0-00"]
    corpus.spk2utt["carl"].remove("carl-0-00")


def _rename_speaker(corpus: Corpus) -> None:
    corpus.utt2spk["ben-3-00"] = "zoe"
    corpus.spk2utt["ben"].remove("ben-3-00")
    corpus.spk2utt["zoe"] = ["ben-3-00"]


def _change_cut(index: int, **fields: Any) -> Callable[[Corpus], object]:
    def plant(corpus: Corpus) -> None:
        supervision = corpus.dev[index]["supervisions"][0]
        for name, value in fields.items():
            (supervision if name in ("text", "speaker") else corpus.dev[index])[name] = value

    return plant


def _change_row(index: int, **fields: str) -> Callable[[Corpus], object]:
    return lambda corpus: corpus.test[index].update(fields)


def _copy_audio(to: str, source: str) -> Callable[[Corpus], object]:
    return _after(
        lambda folder: (folder / f"audio/{to}.wav").write_bytes((folder / f"audio/{source}.wav").read_bytes())
    )


_MESSY = "One two, please!"
FROM_RESEARCH = (
    Planted("missing wav", "audio-missing", "wav.scp", "anna-0-00", _after(lambda f: (f / "audio/anna-0-00.wav").unlink())),
    Planted("zero-byte wav", "audio-empty", "wav.scp", "anna-0-01", _after(lambda f: (f / "audio/anna-0-01.wav").write_bytes(b""))),
    Planted("truncated wav", "audio-truncated", "wav.scp", "anna-1-01", _after(lambda f: _halve(f / "audio/anna-1-01.wav"))),
    Planted("empty transcript", "text-empty", "text", "anna-2-00", lambda c: c.set_text("anna-2-00", "")),
    Planted("another sampling rate", "audio-rate", "wav.scp", "anna-3-00", _change_audio("anna-3-00", lambda x: np.repeat(x, 2), rate=2 * RATE)),
    Planted("stereo", "audio-channels", "wav.scp", "anna-4-00", _change_audio("anna-4-00", lambda x: np.stack([x, x], axis=1))),
    Planted("all zeros", "audio-silent", "wav.scp", "ben-0-00", _change_audio("ben-0-00", lambda x: 0 * x)),
    Planted("NaN samples", "audio-not-finite", "wav.scp", "ben-1-01", _change_audio("ben-1-01", lambda x: np.where(np.arange(len(x)) == 99, np.nan, x), subtype="FLOAT")),
    Planted("clipped", "audio-clipped", "wav.scp", "ben-2-00", _change_audio("ben-2-00", lambda x: (30 * x).clip(-1, 1))),
    Planted("5 ms", "audio-short", "wav.scp", "ben-4-00", _change_audio("ben-4-00", lambda x: x[1000:1040]), ("ctc-infeasible",)),
    Planted("400 times as long", "audio-long", "wav.scp", "carl-1-00", _change_audio("carl-1-00", lambda x: np.tile(x, 400))),
    Planted("150 words in half a second", "text-too-long", "text", "carl-3-00", lambda c: c.set_text("carl-3-00", "seven " * 149 + "eight"), ("ctc-infeasible",)),
    Planted("same audio under two ids", "audio-twice", "wav.scp", "carl-4-00", _copy_audio("carl-4-00", "ben-4-01")),
    Planted("two transcripts swapped", "text-of-another-prompt", "text", "ben-1-00", _swap),
    Planted("mixed case and punctuation", "text-punctuation", "text", "carl-0-01", lambda c: c.set_text("carl-0-01", _MESSY), ("text-case",)),
    Planted("no-break space", "text-spaces", "text", "carl-4-00", lambda c: c.set_text("carl-4-00", "nine\u00a0zero")),
    Planted("missing in utt2spk", "utterance-incomplete", "wav.scp", "carl-0-00", _drop_from_utt2spk),
    Planted("extra line in text", "utterance-incomplete", "text", "carl-9-99", lambda c: c.text.append(("carl-9-99", "one two"))),
    Planted("CRLF", "line-ends", "utt2spk", "-", lambda c: setattr(c, "utt2spk_ends", "\r\n")),
    Planted("unsorted", "unsorted", "wav.scp", "-", _move_to_end),
    Planted("duplicate id", "id-duplicate", "text", "anna-1-00", lambda c: c.text.insert(3, ("anna-1-00", "three four"))),
    Planted("speaker is no prefix", "speaker-order", "utt2spk", "ben-3-00", _rename_speaker),
    Planted("segment behind the end", "segment-outside", "dev.jsonl.gz", "d0", _change_cut(0, duration=1.1)),
)  # fmt: skip
OF_OUR_OWN = (
    Planted("command instead of audio", "audio-command", "wav.scp", "carl-2-01", lambda c: c.wav_scp.update({"carl-2-01": "sox x.wav -t wav - |"})),
    Planted("spk2utt disagrees", "spk2utt-differs", "spk2utt", "anna", lambda c: c.spk2utt["anna"].pop()),
    Planted("damaged flac", "audio-damaged", "wav.scp", "carl-2-00", _after(lambda f: _overwrite_flac(f / "audio/carl-2-00.wav"))),
    Planted("constant offset", "audio-dc", "wav.scp", "anna-3-01", _change_audio("anna-3-01", lambda x: 0.5 * x + 0.3)),
    Planted("negative start", "segment-times", "dev.jsonl.gz", "d1", _change_cut(1, start=-0.1)),
    Planted("letters in pieces", "text-composition", "dev.jsonl.gz", "d1", _change_cut(1, text="cafe\u0301 au lait")),
    Planted("broken JSON", "json-broken", "dev.jsonl.gz", "-", lambda c: c.extra_lines.update(dev=[b'{"id": "d9", "start": '])),
    Planted("unknown field", "field-unknown", "dev.jsonl.gz", "d2", _change_cut(2, colour="blue")),
    Planted("speaker in two spellings", "speaker-spelling", "dev.jsonl.gz", "d3", _change_cut(3, speaker="Dora1")),
    Planted("truncated gzip", "gzip-truncated", "dev.jsonl.gz", "-", _after(lambda f: (f / "dev.jsonl.gz").write_bytes((f / "dev.jsonl.gz").read_bytes()[:-6]))),
    Planted("not UTF-8", "line-not-utf8", "test.tsv", "t9", lambda c: c.extra_lines.update(test=[b"t9\taudio/t9.wav\ttom1\tcaf\xe9\t3200"])),
    Planted("UTF-8 read as Latin-1", "text-encoding", "test.tsv", "t2", _change_row(2, text="na\u00c3\u00afve questions")),
    Planted("control character", "text-control", "test.tsv", "t1", _change_row(1, text="open\x07the door")),
    Planted("HTML entity", "text-markup", "test.tsv", "t0", _change_row(0, text="rock &amp; roll")),
    Planted("Cyrillic letter that looks Latin", "text-scripts", "test.tsv", "t3", _change_row(3, text="\u043ever the hills")),
    Planted("audio of the training set under another id", "leak-audio", "wav.scp", "anna-2-00", _copy_audio("anna-2-00", "t3")),
    Planted("speaker of the training set", "leak-speaker", "utt2spk", "carl", _change_row(1, speaker="carl")),
)  # fmt: skip
