"""`data describe` on manifests of few and of many texts: CPU time, memory, and its counting against plain Counters.

One JSON line per claim. Manifests are made on the spot, below the folder for temporary files.
Usage: describe.py [NUM_CUTS]
"""

from __future__ import annotations

import json
import math
import resource
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from speechkit.data.describe.run import describe
from speechkit.text.counts import count_texts
from speechkit.text.diversity import diversity

NUM_PROMPTS, NUM_WORDS, WORDS_PER_TEXT = 2400, 50_000, 10


def make_texts(num_texts: int, *, prompts: int | None) -> list[str]:
    """Texts of Zipf-distributed words; with `prompts`, draws of so many."""
    generator = np.random.default_rng(0)
    shares = 1 / np.arange(10, NUM_WORDS + 10)
    number = num_texts if prompts is None else prompts
    words = generator.choice(NUM_WORDS, (number, WORDS_PER_TEXT), p=shares / shares.sum())
    texts = [" ".join(f"w{k}" for k in row) for row in words.tolist()]
    return texts if prompts is None else [texts[k] for k in generator.integers(0, prompts, num_texts).tolist()]


def write_manifest(path: Path, texts: list[str]) -> None:
    """One cut per text by 500 speakers, as `data prepare` writes them but not packed."""
    with path.open("wb") as stream:
        for k, text in enumerate(texts):
            utt_id = f"utt{k:08d}"
            supervision = {"id": utt_id, "text": text, "speaker": f"s{k % 500:03d}", "custom": {"split": "train"}}
            recording = {"id": utt_id, "sampling_rate": 16000}
            cut = {"id": utt_id, "start": 0.0, "duration": 2.0, "supervisions": [supervision], "recording": recording}
            stream.write(orjson.dumps(cut) + b"\n")


def bench_describe(name: str, num_cuts: int, prompts: int | None) -> dict[str, object]:
    """The whole command on one manifest, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cuts.jsonl"
        write_manifest(path, make_texts(num_cuts, prompts=prompts))
        found = in_own_process("describe", str(path))
    return {
        "claim": f"data describe, {name}",
        "num_cuts": num_cuts,
        "num_texts": found["values"][0],
        "cuts_per_cpu_second": round(num_cuts / found["cpu_seconds"]),
        "peak_mb": found["peak_mb"],
        "target_mb_for_a_million": 500,
    }


def count_plainly(texts: list[str]) -> tuple[float, int, float, float]:
    """Effective texts, bigram types, conditional entropy and zlib ratio with Counters of Python."""
    counts = Counter(texts)
    total = sum(counts.values())
    entropy = -sum(n / total * math.log(n / total) for n in counts.values())
    bigrams = Counter(pair for text in texts for pair in pairwise(text.split()))
    firsts: Counter[str] = Counter()
    for (first, _), number in bigrams.items():
        firsts[first] += number
    pairs = sum(bigrams.values())
    bits = -sum(n / pairs * math.log2(n / firsts[first]) for (first, _), n in bigrams.items())
    plain = "".join(f"{text}\n" for text in texts).encode()
    return math.exp(entropy), len(bigrams), bits, len(zlib.compress(plain, 9)) / len(plain)


def count_ours(texts: list[str]) -> tuple[float, int, float, float]:
    """The same, by speechkit."""
    found = diversity(count_texts(texts))
    return found.effective_texts, found.bigram_types, found.conditional_entropy_bits, found.zlib_ratio


def bench_counting(num_texts: int) -> dict[str, object]:
    """Diversity of many different texts: the peer is a Counter of pairs of words, as one would write it."""
    ours, plain = (in_own_process(kind, str(num_texts)) for kind in ("ours", "counters"))
    pairs = zip(ours["values"], plain["values"], strict=True)
    return {
        "claim": "text diversity against plain Counters",
        "num_texts": num_texts,
        "cpu_seconds": ours["cpu_seconds"],
        "counters_cpu_seconds": plain["cpu_seconds"],
        "peak_mb": ours["peak_mb"],
        "counters_peak_mb": plain["peak_mb"],
        "largest_relative_difference": max(abs(a - b) / b for a, b in pairs),
    }


def in_own_process(kind: str, argument: str) -> dict[str, Any]:
    """What `measure` prints, with a memory of its own."""
    done = subprocess.run([sys.executable, __file__, kind, argument], check=True, capture_output=True, text=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def measure(kind: str, argument: str) -> dict[str, Any]:
    """CPU seconds and peak memory of one way of counting; the texts are in memory before."""
    texts = [] if kind == "describe" else make_texts(int(argument), prompts=None)
    start = time.process_time()
    if kind == "describe":
        found = describe(Path(argument))
        values: tuple[float, ...] = (found["texts"]["num_texts"],)
    else:
        values = (count_ours if kind == "ours" else count_plainly)(texts)
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cpu_seconds": round(seconds, 2), "peak_mb": round(peak), "values": values}


if __name__ == "__main__":
    if len(sys.argv) > 2:
        print(json.dumps(measure(sys.argv[1], sys.argv[2])))
        sys.exit()
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    print(json.dumps(bench_counting(size)), flush=True)
    print(json.dumps(bench_describe(f"{NUM_PROMPTS} prompts", size, NUM_PROMPTS)), flush=True)
    print(json.dumps(bench_describe("all texts different", size, None)), flush=True)
