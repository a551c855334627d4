"""CTC alignment against torchaudio's forced_align: ratios of CPU time on one thread, in one run, equal scores.

Competitors take turns and the least CPU time of the repeats counts; compilation is left out and printed. Memory is
the growth of the peak while a process that holds the log-probs aligns. One JSON line per claim.
Usage: align.py [short|hour|memory]...
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from speechkit.kernels import ctc
from speechkit.kernels.ctc_align import Search, align_tokens

VOCABULARY = 500
BEAM = 30.0
Work = Callable[[], Any]


def make(num: int, num_frames: int, num_tokens: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Peaky log-probs; a tenth of the tokens has a wrong competitor on top."""
    gen = np.random.default_rng(3)
    problems = []
    for _ in range(num):
        tokens = gen.integers(1, VOCABULARY, size=num_tokens)
        places = 2 * np.sort(gen.choice(np.arange(1, num_frames // 2 - 1), size=num_tokens, replace=False))
        logits = gen.standard_normal((num_frames, VOCABULARY), dtype=np.float32)
        labels = np.zeros(num_frames, np.int64)
        labels[places] = tokens
        logits[np.arange(num_frames), labels] += 7.0
        wrong = places[gen.random(num_tokens) < 0.1]
        logits[wrong, gen.integers(1, VOCABULARY, size=len(wrong))] += 9.0
        logits -= np.log(np.exp(logits).sum(1, keepdims=True))
        problems.append((logits, tokens))
    return problems


def cpu(work: Work) -> tuple[float, Any]:
    """CPU seconds and the result."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def race(claim: str, target: float, rivals: dict[str, Work], repeats: dict[str, int]) -> None:
    """Let `ours` and `theirs` take turns; compare their scores, then print the ratio of their least times."""
    times: dict[str, list[float]] = {name: [] for name in rivals}
    scores: dict[str, float] = {}
    for turn in range(max(repeats.values())):
        for name, work in rivals.items():
            if turn < repeats[name]:
                seconds, scores[name] = cpu(work)
                times[name].append(seconds)
    if abs(scores["ours"] - scores["theirs"]) > 1e-6 * abs(scores["theirs"]) + 1e-3:
        raise SystemExit(f"{claim}: the scores differ: {scores}")
    ratio = min(times["theirs"]) / min(times["ours"])
    line = {
        "claim": claim,
        "peer": "torchaudio.functional.forced_align",
        "cpu_seconds": round(min(times["ours"]), 4),
        "peer_cpu_seconds": round(min(times["theirs"]), 4),
        "rate_ratio": round(ratio, 1),
        "target": target,
        "reached": ratio >= target,
        "log_prob": round(scores["ours"], 2),
    }
    print(json.dumps(line), flush=True)


def theirs(problems: list[tuple[np.ndarray, np.ndarray]]) -> Work:
    """One call per utterance: it takes no more at a time."""
    from torchaudio.functional import forced_align

    ready = [(torch.from_numpy(x)[None], torch.from_numpy(y)[None]) for x, y in problems]

    def work() -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return sum(float(forced_align(x, y, blank=0)[1].double().sum()) for x, y in ready)

    return work


def ours(problems: list[tuple[np.ndarray, np.ndarray]], search: Search) -> Work:
    """The same by the interface that `speechkit align` uses."""
    return lambda: sum(align_tokens(x, y, search=search).log_prob for x, y in problems)


def short() -> None:
    """200 utterances of 500 frames and 60 tokens."""
    problems = make(200, 500, 60)
    rival = theirs(problems)
    for claim, search in (("exact, short utterances", Search()), ("beam, short utterances", Search(beam=BEAM))):
        rivals = {"ours": ours(problems, search), "theirs": rival}
        race(claim, 2.0, rivals, {"ours": 5, "theirs": 5})


def hour() -> None:
    """One recording of 90,000 frames (an hour at 40 ms) and 9,000 tokens."""
    problems = make(1, 90_000, 9_000)
    rival = theirs(problems)
    for claim, target, search in (("beam, one hour", 50.0, Search(beam=BEAM)), ("proven, one hour", 10.0, Search())):
        race(claim, target, {"ours": ours(problems, search), "theirs": rival}, {"ours": 5, "theirs": 1})


def memory() -> None:
    """Growth of the peak memory while an hour is aligned, each way in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        for name, sizes in (("small", (500, 60)), ("hour", (90_000, 9_000))):
            log_probs, tokens = make(1, *sizes)[0]
            np.savez(f"{folder}/{name}.npz", log_probs=log_probs, tokens=tokens)
        for name in ("beam", "proven", "torchaudio"):
            command = [sys.executable, __file__, "memory-of", name, folder]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            megabytes = int(done.stdout)
            line: dict[str, object] = {"claim": f"memory of one hour, {name}", "extra_mb": megabytes}
            if name != "torchaudio":
                line |= {"target_mb": 100, "reached": megabytes <= 100}
            print(json.dumps(line), flush=True)


def memory_of(name: str, folder: str) -> int:
    """MB by which the peak of this process grows; a small problem first, so that all code is loaded."""
    megabytes = 0
    for size in ("small", "hour"):
        arrays = np.load(f"{folder}/{size}.npz")
        problems = [(arrays["log_probs"], arrays["tokens"])]
        search = Search(beam=BEAM) if name == "beam" else Search()
        work = theirs(problems) if name == "torchaudio" else ours(problems, search)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts anew (Linux)
        before = peak_mb()
        work()
        megabytes = peak_mb() - before
    return megabytes


def peak_mb() -> int:
    """Highest resident memory of this process."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


if __name__ == "__main__":
    torch.set_num_threads(1)
    wanted = sys.argv[1:] or ["short", "hour", "memory"]
    if wanted[0] == "memory-of":
        print(memory_of(*wanted[1:]))
    else:
        print(json.dumps({"compile_cpu_seconds": round(cpu(ctc.warm)[0], 2)}), flush=True)
        for part in wanted:
            {"short": short, "hour": hour, "memory": memory}[part]()
