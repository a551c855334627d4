"""Files of transcripts to a report against jiwer, evaluatio and sclite: ratios of CPU time on one thread, in one run.

Outputs are compared before times are taken, as in `scoring.py`, from which this takes the race.
files: speechkit opens and reads two Kaldi `text` files, checks that they are UTF-8, joins them by id, and makes the
counts of each utterance, the sums of each speaker and the lists of confusions and errors; jiwer aligns and evaluatio
only measures the distance of strings that are in memory already; sclite reads its own files and prints sums.
million: the whole command on a million utterances. compile: the first command on a new machine, less the second.
Usage: scoring_files.py [NUM_PAIRS] [files|million|compile]...
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scoring import VOCABULARY, Ids, Peer, cpu, flat, make, module, race

from speechkit.kernels.edit import align_ids
from speechkit.score.lists import error_lists
from speechkit.score.summary import group_counts
from speechkit.score.transcripts import read_transcripts
from speechkit.score.wer import Scored, score

SPEAKERS = 50


def spell(ids: Ids) -> list[str]:
    """The same as texts of words of 2 to 10 letters."""
    gen = np.random.default_rng(1)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = ["".join(gen.choice(letters, int(gen.integers(2, 8)))) + f"{k:x}" for k in range(VOCABULARY)]
    return [" ".join([words[w] for w in row]) for row in ids]


def full_report(ref: Path, hyp: Path, *, with_chars: bool = False, ties: str = "kaldi") -> Scored:
    """Two files to counts per utterance and speaker and all confusions."""
    scored = score(read_transcripts(ref), read_transcripts(hyp), with_chars=with_chars, ties=ties)
    error_lists(scored)
    group_counts(scored, "prefix")
    return scored


def jiwer_peer(texts: list[list[str]], scored: Scored) -> list[Peer]:
    """jiwer.process_words: the same operations in each utterance as under the rule of rapidfuzz."""
    jiwer = module("jiwer")
    if not jiwer:
        return []

    def agrees() -> bool:
        counts = np.zeros((len(texts[0]), 3), np.int64)
        for row, chunks in zip(counts, jiwer.process_words(*texts).alignments, strict=True):
            for c in chunks:
                size = max(c.ref_end_idx - c.ref_start_idx, c.hyp_end_idx - c.hyp_start_idx)
                if c.type != "equal":
                    row[("substitute", "delete", "insert").index(c.type)] += size
        return bool((counts == scored.words[: len(counts), :3]).all())

    return [Peer("jiwer.process_words", 20, lambda: jiwer.process_words(*texts), len(texts[0]), agrees)]


def evaluatio_peer(texts: list[list[str]], scored: Scored) -> list[Peer]:
    """evaluatio.word_error_rate: the same rate of the corpus."""
    evaluatio = module("evaluatio.metrics.wer")
    if not evaluatio:
        return []
    errors, num_words = int(scored.words[:, :3].sum()), int(scored.words[:, 3].sum())
    work = lambda: evaluatio.word_error_rate(*texts)  # noqa: E731
    return [Peer("evaluatio", 2, work, len(texts[0]), lambda: round(work() * num_words, 3) == errors)]


def sclite_peer(folder: Path, num: int) -> list[Peer]:
    """The program sclite: the same substitutions, deletions and insertions of each speaker as under its rule."""
    sclite = shutil.which("sclite") or shutil.which("sclite", path="/usr/lib/sctk/bin")
    if not sclite:
        print(json.dumps({"peer": "sclite", "absent": True}), flush=True)
        return []
    command = [sclite, "-r", "ref.trn", "trn", "-h", "hyp.trn", "trn", "-i", "spu_id", "-o", "rsum", "stdout"]

    def work() -> str:
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout

    def agrees() -> bool:
        scored = full_report(folder / "ref.trn", folder / "hyp.trn", ties="sclite")
        rows = [line.replace("|", " ").split() for line in work().splitlines() if line.strip().startswith("| s")]
        theirs = {row[0]: [int(v) for v in row[4:7]] for row in rows}
        return theirs == {name: row[:3] for name, row in group_counts(scored, "prefix").items()}

    return [Peer("sclite", 80, work, num, agrees)]


def bench_files(num: int, folder: Path) -> None:
    """Two Kaldi `text` files to a full report, against strings in memory and sclite's own files."""
    texts = [spell(rows) for rows in make([20] * num)]
    ids = [f"s{k * SPEAKERS // num:02d}-{k:08d}" for k in range(num)]
    few = max(1000, num // 20)
    for name, side in zip(("ref", "hyp"), texts, strict=True):
        lines = list(zip(ids, side, strict=True))
        (folder / name).write_text("".join(f"{i} {t}\n" for i, t in lines))
        (folder / f"{name}.trn").write_text("".join(f"{t} ({i})\n" for i, t in lines[:few]))
    paths = (folder / "ref", folder / "hyp")
    like_rapidfuzz = full_report(*paths, ties="rapidfuzz")
    peers = jiwer_peer([side[:few] for side in texts], like_rapidfuzz)
    peers += evaluatio_peer(texts, like_rapidfuzz)
    peers += sclite_peer(folder, few)
    race("files to report", lambda: full_report(*paths), num, peers)
    race("files to report with character errors", lambda: full_report(*paths, with_chars=True), num, peers)


def bench_million(folder: Path) -> None:
    """A million utterances of 20 words: the whole command with all reports, CPU seconds and peak memory."""
    num, part = 1_000_000, 50_000
    rows = make([20] * part)
    errors = int(align_ids(*flat(rows[0]), *flat(rows[1]), vocab_size=VOCABULARY).counts.sum()) * (num // part)
    for name, texts in zip(("ref", "hyp"), map(spell, rows), strict=True):
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
    if sum(result[key] for key in ("sub", "del", "ins")) != errors:
        raise SystemExit(f"a million utterances: not {errors} errors")
    line = {"claim": "a million utterances: 10 s CPU, 1 GB", "cpu_seconds": round(seconds, 2)}
    line |= {"wall_seconds": round(time.perf_counter() - started, 2), "peak_mb": after.ru_maxrss // 1024}
    print(json.dumps({**line, "wer": result["wer"], "num_utterances": result["num_utterances"]}), flush=True)


def bench_compile(folder: Path) -> None:
    """CPU seconds of the first `score wer` with an empty cache of compiled kernels, and of the second."""
    paths = [folder / "small-ref", folder / "small-hyp"]
    for path, text in zip(paths, ("one two three\n", "one too three four\n"), strict=True):
        path.write_text("".join(f"s{k % 9}-{k:04d} {text}" for k in range(2500)))
    command = [sys.executable, "-m", "speechkit", "score", "wer", *map(str, paths)]
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder / "cache")}
    first, second = (
        cpu(lambda: subprocess.run(command, env=environment, check=True, capture_output=True)) for _ in range(2)
    )
    line = {"claim": "compilation in a first `score wer`", "cpu_seconds": round(first - second, 2)}
    print(json.dumps({**line, "second_run_cpu_seconds": round(second, 2)}), flush=True)


def main() -> None:
    """Run the benchmarks named on the command line, or all."""
    wanted = [a for a in sys.argv[1:] if not a.isdigit()] or ["files", "million", "compile"]
    num = next((int(a) for a in sys.argv[1:] if a.isdigit()), 100_000)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "million" in wanted:  # first: the peak memory of children only grows
            bench_million(folder)
        if "files" in wanted:
            bench_files(num, folder)
        if "compile" in wanted:
            bench_compile(folder)


if __name__ == "__main__":
    main()
