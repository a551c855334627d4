"""Forty faults to plant in the corpus of `planted_corpus`: those that research tried on others, and our own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from planted_corpus import RATE, Corpus


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
    Planted(
        "missing wav", "audio-missing", "wav.scp", "anna-0-00", _after(lambda f: (f / "audio/anna-0-00.wav").unlink())
    ),
    Planted(
        "zero-byte wav",
        "audio-empty",
        "wav.scp",
        "anna-0-01",
        _after(lambda f: (f / "audio/anna-0-01.wav").write_bytes(b"")),
    ),
    Planted(
        "truncated wav", "audio-truncated", "wav.scp", "anna-1-01", _after(lambda f: _halve(f / "audio/anna-1-01.wav"))
    ),
    Planted("empty transcript", "text-empty", "text", "anna-2-00", lambda c: c.set_text("anna-2-00", "")),
    Planted(
        "another sampling rate",
        "audio-rate",
        "wav.scp",
        "anna-3-00",
        _change_audio("anna-3-00", lambda x: np.repeat(x, 2), rate=2 * RATE),
    ),
    Planted(
        "stereo",
        "audio-channels",
        "wav.scp",
        "anna-4-00",
        _change_audio("anna-4-00", lambda x: np.stack([x, x], axis=1)),
    ),
    Planted("all zeros", "audio-silent", "wav.scp", "ben-0-00", _change_audio("ben-0-00", lambda x: 0 * x)),
    Planted(
        "NaN samples",
        "audio-not-finite",
        "wav.scp",
        "ben-1-01",
        _change_audio("ben-1-01", lambda x: np.where(np.arange(len(x)) == 99, np.nan, x), subtype="FLOAT"),
    ),
    Planted(
        "clipped", "audio-clipped", "wav.scp", "ben-2-00", _change_audio("ben-2-00", lambda x: (30 * x).clip(-1, 1))
    ),
    Planted(
        "5 ms",
        "audio-short",
        "wav.scp",
        "ben-4-00",
        _change_audio("ben-4-00", lambda x: x[1000:1040]),
        ("ctc-infeasible",),
    ),
    Planted(
        "400 times as long", "audio-long", "wav.scp", "carl-1-00", _change_audio("carl-1-00", lambda x: np.tile(x, 400))
    ),
    Planted(
        "150 words in half a second",
        "text-too-long",
        "text",
        "carl-3-00",
        lambda c: c.set_text("carl-3-00", "seven " * 149 + "eight"),
        ("ctc-infeasible",),
    ),
    Planted("same audio under two ids", "audio-twice", "wav.scp", "carl-4-00", _copy_audio("carl-4-00", "ben-4-01")),
    Planted("two transcripts swapped", "text-of-another-prompt", "text", "ben-1-00", _swap),
    Planted(
        "mixed case and punctuation",
        "text-punctuation",
        "text",
        "carl-0-01",
        lambda c: c.set_text("carl-0-01", _MESSY),
        ("text-case",),
    ),
    Planted("no-break space", "text-spaces", "text", "carl-4-00", lambda c: c.set_text("carl-4-00", "nine\u00a0zero")),
    Planted("missing in utt2spk", "utterance-incomplete", "wav.scp", "carl-0-00", _drop_from_utt2spk),
    Planted(
        "extra line in text",
        "utterance-incomplete",
        "text",
        "carl-9-99",
        lambda c: c.text.append(("carl-9-99", "one two")),
    ),
    Planted("CRLF", "line-ends", "utt2spk", "-", lambda c: setattr(c, "utt2spk_ends", "\r\n")),
    Planted("unsorted", "unsorted", "wav.scp", "-", _move_to_end),
    Planted(
        "duplicate id", "id-duplicate", "text", "anna-1-00", lambda c: c.text.insert(3, ("anna-1-00", "three four"))
    ),
    Planted("speaker is no prefix", "speaker-order", "utt2spk", "ben-3-00", _rename_speaker),
    Planted("segment behind the end", "segment-outside", "dev.jsonl.gz", "d0", _change_cut(0, duration=1.1)),
)
OF_OUR_OWN = (
    Planted(
        "command instead of audio",
        "audio-command",
        "wav.scp",
        "carl-2-01",
        lambda c: c.wav_scp.update({"carl-2-01": "sox x.wav -t wav - |"}),
    ),
    Planted("spk2utt disagrees", "spk2utt-differs", "spk2utt", "anna", lambda c: c.spk2utt["anna"].pop()),
    Planted(
        "damaged flac",
        "audio-damaged",
        "wav.scp",
        "carl-2-00",
        _after(lambda f: _overwrite_flac(f / "audio/carl-2-00.wav")),
    ),
    Planted("constant offset", "audio-dc", "wav.scp", "anna-3-01", _change_audio("anna-3-01", lambda x: 0.5 * x + 0.3)),
    Planted("negative start", "segment-times", "dev.jsonl.gz", "d1", _change_cut(1, start=-0.1)),
    Planted("letters in pieces", "text-composition", "dev.jsonl.gz", "d1", _change_cut(1, text="cafe\u0301 au lait")),
    Planted(
        "broken JSON",
        "json-broken",
        "dev.jsonl.gz",
        "-",
        lambda c: c.extra_lines.update(dev=[b'{"id": "d9", "start": ']),
    ),
    Planted("unknown field", "field-unknown", "dev.jsonl.gz", "d2", _change_cut(2, colour="blue")),
    Planted("speaker in two spellings", "speaker-spelling", "dev.jsonl.gz", "d3", _change_cut(3, speaker="Dora1")),
    Planted(
        "truncated gzip",
        "gzip-truncated",
        "dev.jsonl.gz",
        "-",
        _after(lambda f: (f / "dev.jsonl.gz").write_bytes((f / "dev.jsonl.gz").read_bytes()[:-6])),
    ),
    Planted(
        "not UTF-8",
        "line-not-utf8",
        "test.tsv",
        "t9",
        lambda c: c.extra_lines.update(test=[b"t9\taudio/t9.wav\ttom1\tcaf\xe9\t3200"]),
    ),
    Planted(
        "UTF-8 read as Latin-1", "text-encoding", "test.tsv", "t2", _change_row(2, text="na\u00c3\u00afve questions")
    ),
    Planted("control character", "text-control", "test.tsv", "t1", _change_row(1, text="open\x07the door")),
    Planted("HTML entity", "text-markup", "test.tsv", "t0", _change_row(0, text="rock &amp; roll")),
    Planted(
        "Cyrillic letter that looks Latin", "text-scripts", "test.tsv", "t3", _change_row(3, text="\u043ever the hills")
    ),
    Planted(
        "audio of the training set under another id",
        "leak-audio",
        "wav.scp",
        "anna-2-00",
        _copy_audio("anna-2-00", "t3"),
    ),
    Planted("speaker of the training set", "leak-speaker", "utt2spk", "carl", _change_row(1, speaker="carl")),
)
