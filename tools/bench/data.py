"""`data validate`: utterances per second of the text part with its memory, and audio checked per second of one core.

One JSON line per claim. Manifests and FLAC files are made on the spot, below the folder for temporary files.
Usage: data.py [NUM_CUTS] [text|audio]...
"""

from __future__ import annotations

import gzip
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from speechkit.audio.measure import measure_file
from speechkit.data.validate.config import ValidateConfig
from speechkit.data.validate.run import validate

RATE = 16000
WORDS = "the a of and to in is you that it he was for on are as with his they at be this have from or one had by word"


def write_manifest(path: Path, num_cuts: int) -> None:
    """Cuts as `data prepare` writes them: texts of 3 to 20 words, 500 speakers, word times in every tenth."""
    generator = np.random.default_rng(0)
    words = WORDS.split()
    lengths, picks = generator.integers(3, 21, num_cuts), generator.integers(0, len(words), (1000, 20))
    with gzip.open(path, "wt", compresslevel=1, encoding="utf-8") as stream:
        for i, length in enumerate(lengths.tolist()):
            tokens = [words[j] for j in picks[i % 1000][:length]] + [f"number{i // 3}"]
            stream.write(json.dumps(cut_of(i, tokens, with_times=i % 10 == 0)) + "\n")


def cut_of(i: int, tokens: list[str], *, with_times: bool) -> dict[str, object]:
    """One cut of a file of its own."""
    utt_id, speaker = f"speaker{i % 500:04d}-{i:07d}", f"speaker{i % 500:04d}"
    size = RATE * (len(tokens) + 2) // 2
    seconds = size / RATE
    times = [[token, round(0.5 * k, 3), 0.4] for k, token in enumerate(tokens)]
    supervision = {"id": utt_id, "recording_id": utt_id, "start": 0.0, "duration": seconds, "channel": 0}
    supervision |= {"text": " ".join(tokens), "language": "en", "speaker": speaker, "gender": "fm"[i % 2]}
    supervision |= {"custom": {"split": "train", "age": i % 60}} | (
        {"alignment": {"word": times}} if with_times else {}
    )
    source = {"type": "file", "channels": [0], "source": f"/corpora/large/audio/{speaker}/{utt_id}.flac"}
    recording = {"id": utt_id, "sources": [source], "sampling_rate": RATE, "num_samples": size, "duration": seconds}
    cut = {"id": utt_id, "start": 0.0, "duration": seconds, "channel": 0, "supervisions": [supervision]}
    return {**cut, "recording": recording, "type": "MonoCut"}


def bench_text(num_cuts: int) -> dict[str, object]:
    """The text part on a manifest of its own size, unpacking and parsing included."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cuts.jsonl.gz"
        write_manifest(path, num_cuts)
        start = time.process_time()
        report = validate([path], ValidateConfig(skip=("audio",)))
        seconds = time.process_time() - start
    return {
        "claim": "data validate, all but audio",
        "num_cuts": num_cuts,
        "cpu_seconds": round(seconds, 1),
        "utterances_per_cpu_second": round(num_cuts / seconds),
        "target": 20_000,
        "faults": len(report.faults),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "target_mb_for_a_million": 500,
    }


def bench_audio(name: str, seconds: float, num_files: int, rate: int) -> dict[str, object]:
    """Opening and measuring FLAC files, against decoding them and nothing else."""
    generator = np.random.default_rng(1)
    envelope = np.sin(np.linspace(0, 9 * seconds, round(seconds * rate))) ** 2
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{i}.flac" for i in range(num_files)]
        for path in paths:
            soundfile.write(path, 0.05 * envelope * generator.standard_normal(len(envelope)), rate, subtype="PCM_16")
        start = time.process_time()
        faults = [measure_file(path)[0].fault for path in paths]
        ours = time.process_time() - start
        start = time.process_time()
        for path in paths:
            soundfile.read(path, dtype="int16")
        decoding = time.process_time() - start
    return {
        "claim": "audio checks of data validate",
        "files": f"{name}: {num_files} x {seconds:g} s FLAC, {rate} Hz",
        "times_real_time_per_core": round(num_files * seconds / ours),
        "target": 1000,
        "decoding_alone": round(num_files * seconds / decoding),
        "faults": sum(map(bool, faults)),
    }


if __name__ == "__main__":
    wanted = [word for word in sys.argv[1:] if not word.isdecimal()] or ["text", "audio"]
    sizes = [int(word) for word in sys.argv[1:] if word.isdecimal()] or [100_000]
    if "text" in wanted:
        print(json.dumps(bench_text(sizes[0])), flush=True)
    if "audio" in wanted:
        for case in (("words", 0.5, 400, 8000), ("utterances", 8.0, 60, RATE), ("a lecture", 1200.0, 1, RATE)):
            print(json.dumps(bench_audio(*case)), flush=True)
