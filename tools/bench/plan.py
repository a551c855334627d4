"""Batch planning against lhotse's DynamicBucketingSampler: padding waste, fill and cuts planned per CPU second.

One JSON line per set of durations; `rate_ratio` is ours / lhotse's in the same run. Usage: plan.py [NUM_CUTS]
"""

from __future__ import annotations

import json
import logging
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from lhotse import CutSet
from lhotse.dataset.sampling import DynamicBucketingSampler

from speechkit.data.config_batch import BatchConfig
from speechkit.data.plan import plan_epoch, plan_stats
from speechkit.data.store import make_cut

CAP_SECONDS = 600.0


def durations_of(kind: str, size: int) -> np.ndarray:
    """Seconds (size,) like those of read books, of short prompts, and of the web."""
    gen = np.random.default_rng(0)
    if kind == "books":
        return np.clip(np.where(gen.random(size) < 0.6, gen.normal(14.5, 1.2, size), gen.uniform(2, 13, size)), 1.5, 17)
    mean, spread, longest = (1.1, 0.55, 15.0) if kind == "prompts" else (1.6, 0.8, 30.0)
    return np.clip(gen.lognormal(mean, spread, size), 0.5, longest)


def measure(kind: str, size: int) -> dict[str, object]:
    """Both planners on the same durations."""
    durations = durations_of(kind, size)
    config = BatchConfig(max_seconds=CAP_SECONDS, max_utterances=100_000)
    start = time.process_time()
    batches = plan_epoch(durations, config, seed=0, epoch=0)
    our_seconds = time.process_time() - start
    ours = plan_stats(batches, durations, config)
    cuts = CutSet.from_cuts(
        make_cut(str(i), Path("x.wav"), sampling_rate=16000, num_samples=round(d * 16000), text="", speaker="s")
        for i, d in enumerate(durations)
    )
    start = time.process_time()
    sampler = DynamicBucketingSampler(cuts, max_duration=CAP_SECONDS, num_buckets=10, shuffle=True, seed=0)
    theirs = [np.array([cut.duration for cut in batch]) for batch in sampler]
    their_seconds = time.process_time() - start
    padded = sum(len(batch) * batch.max() for batch in theirs)
    return {
        "claim": "batch planning",
        "durations": kind,
        "num_cuts": size,
        "waste_percent": round(100 * ours.padding_waste, 2),
        "lhotse_waste_percent": round(100 * (1 - sum(b.sum() for b in theirs) / padded), 2),
        "fill_percent": round(100 * ours.fill, 1),
        "cuts_per_cpu_second": round(size / our_seconds),
        "rate_ratio": round(their_seconds / our_seconds, 1),
    }


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    for name in ("books", "prompts", "web"):
        print(json.dumps(measure(name, int(sys.argv[1]) if len(sys.argv) > 1 else 50_000)), flush=True)
