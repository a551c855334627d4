"""Alignment of ids and bootstrap intervals against rapidfuzz and kaldialign: ratios of CPU time on one thread.

Before its time is taken, the output of every peer is compared with that of speechkit on the same data. Competitors
take turns and the least CPU time of the repeats counts; imports and compilation do not. One JSON line per claim; an
absent peer is named and left out.
ids, long: ids in memory to counts and alignment, on both sides. bootstrap: alignment and interval, on both sides.
Usage: scoring.py [NUM_PAIRS] [ids|long|bootstrap]...
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from speechkit.kernels.edit import COR, DEL, INS, Alignment, align_ids
from speechkit.score.bootstrap import rate_interval

VOCABULARY, ERROR_RATE = 20_000, 0.10
EDITS = ("equal", "replace", "delete", "insert")  # rapidfuzz's names of operations
Work = Callable[[], Any]
Ids = list[list[int]]
Pairs = list[tuple[list[int], list[int]]]


@dataclass(frozen=True)
class Peer:
    """A competitor: what it does for `size` items, the ratio to reach, and whether its output is that of speechkit."""

    name: str
    target: float
    work: Work
    size: int
    agrees: Callable[[], bool]


def module(name: str) -> Any:
    """A module, or None when it is not installed."""
    try:
        return import_module(name)
    except ImportError:
        print(json.dumps({"peer": name, "absent": True}), flush=True)
        return None


def make(lengths: Iterable[int], seed: int = 7) -> tuple[Ids, Ids]:
    """Reference and hypothesis ids: Zipf words, 10 % errors (6 substitutions, 2 deletions, 2 insertions)."""
    gen = np.random.default_rng(seed)
    ends = np.cumsum(list(lengths))
    chance = 1.0 / np.arange(1, VOCABULARY + 1)
    draw = gen.choice(VOCABULARY, size=(2, ends[-1]), p=chance / chance.sum())
    fate = gen.random(ends[-1]) / ERROR_RATE
    refs, others, lucks = (np.split(values, ends[:-1]) for values in (*draw, fate))
    hyps = []
    for ref, other, luck in zip(refs, others, lucks, strict=True):
        hyp: list[int] = []
        for word, wrong, x in zip(ref.tolist(), other.tolist(), luck.tolist(), strict=True):
            hyp += [wrong] if x < 0.6 else [] if x < 0.8 else [word, wrong] if x < 1.0 else [word]
        hyps.append(hyp)
    return [ref.tolist() for ref in refs], hyps


def cpu(work: Work) -> float:
    """CPU seconds of this process and its children."""

    def used() -> float:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.process_time() + children.ru_utime + children.ru_stime

    begin = used()
    work()
    return used() - begin


def race(claim: str, ours: Work, size: int, peers: list[Peer], repeats: int = 5) -> None:
    """Least CPU time per item of each side, and the ratios, once all peers have agreed."""
    for peer in peers:
        if not peer.agrees():
            raise SystemExit(f"{claim}: {peer.name} and speechkit disagree")
    ours()
    sides = {"speechkit": (ours, size), **{peer.name: (peer.work, peer.size) for peer in peers}}
    best = dict.fromkeys(sides, 1e9)
    for _ in range(repeats):
        for name, (work, num) in sides.items():
            best[name] = min(best[name], cpu(work) / num)
    ratios = {peer.name: round(best[peer.name] / best["speechkit"], 2) for peer in peers}
    targets = {peer.name: peer.target for peer in peers}
    micro = {name: round(1e6 * value, 3) for name, value in best.items()}
    print(json.dumps({"claim": claim, "ratio": ratios, "target": targets, "us_per_item": micro}), flush=True)


def flat(rows: Ids) -> tuple[Any, Any]:
    """All ids behind each other, and offsets."""
    return np.array([w for row in rows for w in row], np.int32), np.cumsum([0, *map(len, rows)])


def edits(found: Alignment, pair: int) -> list[tuple[str, int, int]]:
    """The errors of a pair as rapidfuzz writes them."""
    rows = []
    i = j = 0
    for op in found.ops_of(pair).tolist():
        if op != COR:
            rows.append((EDITS[op], i, j))
        i += op != INS
        j += op != DEL
    return rows


def each(function: Callable[[Any, Any], Any], pairs: Pairs) -> None:
    """Call a function that takes one pair."""
    for ref, hyp in pairs:
        function(ref, hyp)


def editops_peer(pairs: Pairs, target: float, found: Alignment, is_same_rule: bool) -> list[Peer]:
    """rapidfuzz.editops: the same operations under its own rule, under another as many."""
    distance = module("rapidfuzz.distance")
    if not distance:
        return []
    editops = distance.Levenshtein.editops

    def agrees() -> bool:
        theirs = [editops(ref, hyp).as_list() for ref, hyp in pairs]
        if is_same_rule:
            return theirs == [edits(found, u) for u in range(len(pairs))]
        return [len(edit) for edit in theirs] == found.counts.sum(axis=1).tolist()

    return [Peer("rapidfuzz.editops", target, lambda: each(editops, pairs), len(pairs), agrees)]


def kaldialign_peer(pairs: Pairs, target: float, found: Alignment) -> list[Peer]:
    """kaldialign.edit_distance: the same substitutions, deletions and insertions of each pair."""
    kaldialign = module("kaldialign")
    if not kaldialign:
        return []

    def agrees() -> bool:
        theirs = [kaldialign.edit_distance(ref, hyp) for ref, hyp in pairs]
        return [[edit["sub"], edit["del"], edit["ins"]] for edit in theirs] == found.counts[: len(pairs)].tolist()

    return [Peer("kaldialign", target, lambda: each(kaldialign.edit_distance, pairs), len(pairs), agrees)]


def bench_ids(claim: str, lengths: list[int], targets: tuple[float, float]) -> None:
    """Ids in memory to counts and alignment."""
    refs, hyps = make(lengths)
    arrays, num = (*flat(refs), *flat(hyps)), len(lengths)
    pairs = list(zip(refs, hyps, strict=True))

    def ours(ties: str) -> Alignment:
        return align_ids(*arrays, vocab_size=VOCABULARY, ties=ties)

    found = ours("rapidfuzz")
    race(f"{claim}, ties rapidfuzz", lambda: ours("rapidfuzz"), num, editops_peer(pairs, targets[0], found, True))
    found = ours("kaldi")
    peers = editops_peer(pairs, targets[0], found, False)
    peers += kaldialign_peer(pairs[: max(3, num // 20)], targets[1], found)
    race(f"{claim}, ties kaldi", lambda: ours("kaldi"), num, peers)


def bench_bootstrap() -> None:
    """10,000 replicates of 10,000 utterances."""
    kaldialign = module("kaldialign")
    if not kaldialign:
        return
    mixed = np.random.default_rng(0).integers(5, 80, 10_000).tolist()
    for claim, lengths in (("utterances of 20 words", [20] * 10_000), ("utterances of 75 lengths", mixed)):
        refs, hyps = make(lengths)
        arrays, num_words = (*flat(refs), *flat(hyps)), np.array(lengths)

        def ours(arrays: Any = arrays, num_words: Any = num_words) -> tuple[float, float] | None:
            errors = align_ids(*arrays, vocab_size=VOCABULARY).counts.sum(axis=1)
            return rate_interval(errors, num_words, num_replicates=10_000)

        def theirs(refs: Ids = refs, hyps: Ids = hyps) -> dict[str, float]:
            found: dict[str, float] = kaldialign.bootstrap_wer_ci(refs, hyps, replications=10_000)
            return found

        def agrees(ours: Work = ours, theirs: Work = theirs) -> bool:
            low, high = ours()
            found = theirs()  # the normal interval; the bounds of each vary by 1 % of its width
            return all(
                abs(a - 100 * b) < 0.05 * (high - low) for a, b in ((low, found["ci95min"]), (high, found["ci95max"]))
            )

        race(f"bootstrap, {claim}", ours, 1, [Peer("kaldialign", 10, theirs, 1, agrees)], 2)


def main() -> None:
    """Run the benchmarks named on the command line, or all."""
    wanted = [a for a in sys.argv[1:] if not a.isdigit()] or ["ids", "long", "bootstrap"]
    num = next((int(a) for a in sys.argv[1:] if a.isdigit()), 100_000)
    if "ids" in wanted:
        bench_ids("ids, 20 words", [20] * num, (4, 50))
    if "long" in wanted:
        bench_ids("ids, 5000 words", [5000] * 40, (2, 50))
    if "bootstrap" in wanted:
        bench_bootstrap()


if __name__ == "__main__":
    main()
