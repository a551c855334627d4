"""Scoring against rapidfuzz, kaldialign, jiwer, evaluatio and sclite: ratios of CPU time on one thread, in one run.

Every pair of competitors is compared on its outputs before times are printed; competitors take turns and the
least CPU time of the repeats counts. One JSON line per claim; an absent peer is named and left out.
Usage: scoring.py [NUM_PAIRS] [ids|files|long|bootstrap|million]...
"""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from speechkit.kernels.edit import align_ids
from speechkit.score.bootstrap import rate_interval
from speechkit.score.lists import error_lists
from speechkit.score.summary import group_counts
from speechkit.score.transcripts import read_transcripts
from speechkit.score.wer import score

VOCABULARY, ERROR_RATE, SPEAKERS = 20_000, 0.10, 50
Work = Callable[[], Any]


def peer(name: str) -> Any:
    """A module, or None when it is not installed."""
    try:
        return import_module(name)
    except ImportError:
        print(json.dumps({"peer": name, "absent": True}), flush=True)
        return None


def make(num: int, length: int, seed: int = 7) -> tuple[list[list[int]], list[list[int]]]:
    """Reference and hypothesis ids: Zipf words, 10 % errors (6 substitutions, 2 deletions, 2 insertions)."""
    gen = np.random.default_rng(seed)
    chance = 1.0 / np.arange(1, VOCABULARY + 1)
    draw = gen.choice(VOCABULARY, size=(2, num, length), p=chance / chance.sum())
    fate = gen.random((num, length)) / ERROR_RATE
    refs, hyps = draw[0].tolist(), []
    for ref, other, luck in zip(refs, draw[1].tolist(), fate.tolist(), strict=True):
        hyp: list[int] = []
        for word, wrong, x in zip(ref, other, luck, strict=True):
            hyp += [wrong] if x < 0.6 else [] if x < 0.8 else [word, wrong] if x < 1.0 else [word]
        hyps.append(hyp)
    return refs, hyps


def spell(ids: list[list[int]]) -> list[str]:
    """The same as texts of words of 2 to 10 letters."""
    gen = np.random.default_rng(1)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = ["".join(gen.choice(letters, int(gen.integers(2, 8)))) + f"{k:x}" for k in range(VOCABULARY)]
    return [" ".join([words[w] for w in row]) for row in ids]


def cpu(work: Work) -> tuple[float, Any]:
    """CPU seconds of this process and its children, and the result."""

    def used() -> float:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.process_time() + children.ru_utime + children.ru_stime

    begin = used()
    result = work()
    return used() - begin, result


def race(
    claim: str, target: float, ours: tuple[Work, int], theirs: dict[str, tuple[Work, int]], repeats: int = 5
) -> None:
    """Least CPU time per item of each side, and the ratios; outputs must be equal."""
    expected = ours[0]()
    for name, (work, size) in theirs.items():
        found = work()
        if found is not None and size == ours[1] and found != expected:
            raise SystemExit(f"{claim}: {name} says {found}, speechkit says {expected}")
    best: dict[str, float] = {}
    for _ in range(repeats):
        for name, (work, size) in {"speechkit": ours, **theirs}.items():
            best[name] = min(best.get(name, 1e9), cpu(work)[0] / size)
    ratios = {name: round(best[name] / best["speechkit"], 2) for name in theirs}
    micro = {name: round(1e6 * value, 3) for name, value in best.items()}
    print(json.dumps({"claim": claim, "target": target, "ratio": ratios, "us_per_item": micro}), flush=True)


def flat(rows: list[list[int]]) -> tuple[Any, Any]:
    """All ids behind each other, and offsets."""
    return np.array([w for row in rows for w in row], np.int32), np.cumsum([0, *map(len, rows)])


def bench_ids(num: int, length: int, claim: str, targets: tuple[float, float]) -> None:
    """Ids in memory to counts and alignment."""
    refs, hyps = make(num, length)
    arrays = (*flat(refs), *flat(hyps))
    pairs = list(zip(refs, hyps, strict=True))

    def ours(ties: str) -> int:
        return int(align_ids(*arrays, vocab_size=VOCABULARY, ties=ties).counts.sum())

    distance, kaldialign = peer("rapidfuzz.distance"), peer("kaldialign")
    if distance:
        work = lambda: sum(len(distance.Levenshtein.editops(r, h)) for r, h in pairs)  # noqa: E731
        race(
            f"{claim}, ties rapidfuzz", targets[0], (lambda: ours("rapidfuzz"), num), {"rapidfuzz.editops": (work, num)}
        )
        race(f"{claim}, ties kaldi", targets[0], (lambda: ours("kaldi"), num), {"rapidfuzz.editops": (work, num)})
    if kaldialign:
        few = pairs[: max(3, num // 20)]
        work = lambda: [kaldialign.edit_distance(r, h)["total"] for r, h in few] and None  # noqa: E731
        race(f"{claim}, ties kaldi", targets[1], (lambda: ours("kaldi"), num), {"kaldialign": (work, len(few))}, 2)


def full_report(ref: Path, hyp: Path, with_chars: bool) -> list[int]:
    """Two files to counts per utterance and speaker and all confusions; returns the total of errors."""
    scored = score(read_transcripts(ref), read_transcripts(hyp), with_chars=with_chars)
    error_lists(scored)
    sums = group_counts(scored, "prefix").values()
    return [sum(sum(row[:3]) for row in sums)]


def bench_files(num: int, folder: Path) -> None:
    """Two Kaldi `text` files to a full report, against strings in memory and sclite's own files."""
    sides = [spell(rows) for rows in make(num, 20)]
    ids = [f"s{k * SPEAKERS // num:02d}-{k:08d}" for k in range(num)]
    few = max(1000, num // 20)
    for name, texts in zip(("ref", "hyp"), sides, strict=True):
        lines = list(zip(ids, texts, strict=True))
        (folder / name).write_text("".join(f"{i} {t}\n" for i, t in lines))
        (folder / f"{name}.trn").write_text("".join(f"{t} ({i})\n" for i, t in lines[:few]))
    theirs: dict[str, tuple[Work, int]] = {}
    jiwer, evaluatio = peer("jiwer"), peer("evaluatio.metrics.wer")
    if jiwer:
        part = [side[:few] for side in sides]
        theirs["jiwer.process_words"] = (lambda: jiwer.process_words(part[0], part[1]) and None, few)
    if evaluatio:
        num_words = 20 * num
        theirs["evaluatio.word_error_rate"] = (
            lambda: [round(evaluatio.word_error_rate(sides[0], sides[1]) * num_words)],
            num,
        )
    sclite = shutil.which("sclite") or shutil.which("sclite", path="/usr/lib/sctk/bin")
    if sclite:
        command = [sclite, "-r", "ref.trn", "trn", "-h", "hyp.trn", "trn", "-i", "spu_id", "-o", "sum", "stdout"]
        run = lambda: subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=True) and None  # noqa: E731
        theirs["sclite -o sum"] = (run, few)
    race(
        "files to report: jiwer 20, sclite 80, evaluatio 2",
        2,
        (lambda: full_report(folder / "ref", folder / "hyp", False), num),
        theirs,
    )
    race(
        "files to report with character errors",
        1,
        (lambda: full_report(folder / "ref", folder / "hyp", True), num),
        theirs,
    )


def bench_bootstrap() -> None:
    """10,000 replicates of 10,000 utterances."""
    refs, hyps = make(10_000, 20)
    arrays = (*flat(refs), *flat(hyps))
    gen = np.random.default_rng(0)
    equal, mixed = np.full(10_000, 20), gen.integers(5, 80, 10_000)

    def ours(lengths: Any) -> None:
        errors = align_ids(*arrays, vocab_size=VOCABULARY).counts.sum(axis=1)
        rate_interval(errors, lengths, num_replicates=10_000)

    kaldialign = peer("kaldialign")
    if kaldialign:  # it aligns, too, so both sides do
        theirs = {"kaldialign": (lambda: kaldialign.bootstrap_wer_ci(refs, hyps, replications=10_000) and None, 1)}
        race("bootstrap, utterances of equal length", 10, (lambda: ours(equal), 1), theirs, 2)
        race("bootstrap, utterances of 75 lengths", 10, (lambda: ours(mixed), 1), theirs, 2)


def bench_million(folder: Path) -> None:
    """A million utterances of 20 words: the whole command with all reports, CPU seconds and peak memory."""
    num, part = 1_000_000, 50_000
    sides = [spell(rows) for rows in make(part, 20)]
    for name, texts in zip(("ref", "hyp"), sides, strict=True):
        with (folder / name).open("w") as stream:
            for k in range(num):
                stream.write(f"s{k * SPEAKERS // num:02d}-{k:08d} {texts[k % part]}\n")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "speechkit", "score", "wer", str(folder / "ref"), str(folder / "hyp")]
    started = time.perf_counter()
    subprocess.run([*command, "--json", str(folder / "out.json")], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    result = json.loads((folder / "out.json").read_text())
    line = {"claim": "a million utterances: 10 s CPU, 1 GB", "cpu_seconds": round(seconds, 2)}
    line |= {"wall_seconds": round(time.perf_counter() - started, 2), "peak_mb": after.ru_maxrss // 1024}
    print(json.dumps({**line, "wer": result["wer"], "num_utterances": result["num_utterances"]}), flush=True)


def main() -> None:
    """Run the benchmarks named on the command line, or all."""
    wanted = [a for a in sys.argv[1:] if not a.isdigit()] or ["ids", "files", "long", "bootstrap", "million"]
    num = next((int(a) for a in sys.argv[1:] if a.isdigit()), 100_000)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "million" in wanted:  # first: the peak memory of children only grows
            bench_million(folder)
        if "ids" in wanted:
            bench_ids(num, 20, "ids, 20 words", (4, 50))
        if "long" in wanted:
            bench_ids(40, 5000, "ids, 5000 words", (2, 50))
        if "files" in wanted:
            bench_files(num, folder)
        if "bootstrap" in wanted:
            bench_bootstrap()


if __name__ == "__main__":
    main()
