"""Splits by speaker and text: what strictness costs against a random assignment, and the time for many utterances.

One JSON line per corpus; `cost_ratio` is left out by chance / left out by us at equal sizes (larger is better).
Usage: split.py [NUM_UTTERANCES], the size of the largest corpus (default 1,000,000).
"""

from __future__ import annotations

import gzip
import json
import logging
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np

from speechkit.data.config_split import SplitConfig
from speechkit.data.split.run import run

Pairs = tuple[np.ndarray, np.ndarray]


def prompts(num_lists: int) -> Pairs:
    """Speaker and text of each utterance: 500 speakers, 2,400 prompts, 140 readers each; readers keep to their list."""
    gen = np.random.default_rng(0)
    own_list = gen.integers(0, num_lists, 500)
    readers = []
    for prompt in range(2400):
        weight = np.where(own_list == prompt % num_lists, 1.0, 0.02)
        readers.append(np.argsort(-(np.log(weight) + gen.gumbel(size=500)))[:140])
    return np.concatenate(readers), np.repeat(np.arange(2400), 140)


def crowd(size: int) -> Pairs:
    """Speaker and text of each utterance: a few speakers give most of the recordings, a few texts are read by many."""
    gen = np.random.default_rng(0)
    speakers, texts = (np.arange(1, max(2, size // share) + 1) for share in (20, 5))
    return (
        gen.choice(len(speakers), size, p=speakers**-1.0 / (speakers**-1.0).sum()),
        gen.choice(len(texts), size, p=texts**-0.8 / (texts**-0.8).sum()),
    )


def write_corpus(pairs: Pairs, path: Path) -> None:
    """A manifest of lines as long as real ones."""
    gen = np.random.default_rng(1)
    words = [f"word{i}" for i in range(200)]
    texts = [" ".join(words[k] for k in gen.integers(0, 200, 9)) + f" number {t}" for t in range(pairs[1].max() + 1)]
    with gzip.open(path, "wt", compresslevel=1) as stream:
        for number, (speaker, text) in enumerate(zip(*(side.tolist() for side in pairs), strict=True)):
            name = f"utt-{number * 7919 % 100_000_007:09d}"
            cut = {
                "id": name, "start": 0, "duration": 4.5, "channel": 0,
                "supervisions": [
                    {"id": name, "recording_id": name, "start": 0.0, "duration": 4.5, "channel": 0,
                     "text": texts[text], "language": "en", "speaker": f"spk{speaker:06d}", "gender": "f",
                     "custom": {"age": 20 + speaker % 60}},
                ],
                "recording": {
                    "id": name, "sampling_rate": 16000, "num_samples": 72000, "duration": 4.5, "channel_ids": [0],
                    "sources": [{"type": "file", "channels": [0], "source": f"audio/{speaker:06d}/{name}.flac"}],
                },
                "type": "MonoCut",
            }  # fmt: skip
            stream.write(json.dumps(cut) + "\n")


def measure(title: str, make: Callable[[], Pairs], folder: Path, **options: str) -> dict[str, object]:
    """Split one corpus through the command."""
    cuts = folder / f"{title}.jsonl.gz"
    write_corpus(make(), cuts)
    config = SplitConfig(by=("speaker", "text"), max_lost="100%", **options)
    start, cpu = time.perf_counter(), time.process_time()
    with redirect_stdout(sys.stderr):
        run(config, cuts=cuts, out=folder / title, json_file=folder / "split.json", force=True)
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    report = json.loads((folder / "split.json").read_text())
    left = report["left_out"]
    return {
        "claim": "split by speaker and text",
        "corpus": title,
        "num_utterances": report["utterances"],
        "seconds": round(wall, 1),
        "cpu_seconds": round(cpu, 1),
        "peak_megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "shared_groups": sum(n for row in report["shared"].values() for n in row.values()),
        "off_percent": max(abs(report["sides"][side]["off_percent"]) for side in ("dev", "test")),
        "left_out_percent": round(100 * left["share"], 1),
        "by_chance_percent": round(100 * left["random_share"], 1),
        "cost_ratio": round(left["random_share"] / left["share"], 2) if left["share"] else None,
    }


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as place:
        here = Path(place)
        for sizes in ({"dev": "0", "test": "10%"}, {"dev": "10%", "test": "10%"}):
            for lists in (1, 3):
                line = measure(f"prompts in {lists} lists", lambda n=lists: prompts(n), here, **sizes)
                print(json.dumps(line | sizes), flush=True)
        for size in (100_000, count):
            print(
                json.dumps(measure(f"crowd of {size}", lambda n=size: crowd(n), here, dev="5%", test="5%")), flush=True
            )
