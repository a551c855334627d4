"""Cut-and-paste: rendering in memory, planning, on-the-fly use against feature extraction, and lhotse as the peer.

One JSON line per claim; times are CPU seconds of one thread, the median of five runs. The corpus is made on the spot:
20 speakers x 20 utterances of 7 noise-like words at 16 kHz. All treatments are on: energy-minimum cuts, loudness
matching, equal-power fades, pauses of room tone. Usage: cutpaste.py [NUM_UTTERANCES]
"""

from __future__ import annotations

import json
import logging
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from lhotse import CutSet, MonoCut
from lhotse.cut import append_cuts

from speechkit.audio.config import FeatureConfig
from speechkit.audio.features import log_mel
from speechkit.audio.io import read_audio, write_flac
from speechkit.config import build_config
from speechkit.cutpaste.assemble import run_inventory
from speechkit.cutpaste.config import InventoryConfig, OnTheFlyConfig, PlanConfig
from speechkit.cutpaste.exclude import Exclusion
from speechkit.cutpaste.inventory import Inventory, load_inventory
from speechkit.cutpaste.onthefly import open_pasted
from speechkit.cutpaste.plan import make_plan
from speechkit.cutpaste.plan_file import Plan, save_plan
from speechkit.cutpaste.renderer import Renderer, load_pool
from speechkit.data.batch import Utterance
from speechkit.data.store import Word, load_cuts, make_cut, save_cuts
from speechkit.rng import rng

RATE = 16000
NUM_SPEAKERS, NUM_TEXTS, NUM_WORDS, VOCABULARY = 20, 20, 7, 49
NUM_RUNS = 5


def make_corpus(folder: Path) -> Path:
    """Cuts with exact word times; words are bursts of filtered noise, so that every table is of a natural size."""
    cuts = []
    for speaker in range(NUM_SPEAKERS):
        for text in range(NUM_TEXTS):
            utt_id = f"s{speaker:02d}-{text:02d}"
            gen = rng(0, utt_id)
            numbers = rng(0, "text", text).permutation(VOCABULARY)[:NUM_WORDS]
            samples = [gen.normal(0, 0.002, int(0.15 * RATE))]
            words, position = [], len(samples[0])
            for number in numbers:
                size = int(gen.uniform(0.2, 0.45) * RATE)
                burst = np.convolve(gen.normal(0, 0.1, size + 32), np.hanning(4 + number % 28), "valid")[:size]
                samples.append(burst * np.hanning(size) + gen.normal(0, 0.002, size))
                words.append(Word(f"w{number}", position / RATE, size / RATE))
                position += size
            samples.append(gen.normal(0, 0.002, int(0.15 * RATE)))
            whole = np.concatenate(samples)
            write_flac(folder / f"{utt_id}.flac", (whole / np.abs(whole).max() / 2).astype(np.float32), RATE)
            cuts.append(
                make_cut(
                    utt_id,
                    folder / f"{utt_id}.flac",
                    sampling_rate=RATE,
                    num_samples=len(whole),
                    text=" ".join(word.symbol for word in words),
                    speaker=f"s{speaker:02d}",
                    tiers={"word": words},
                )
            )
    save_cuts(cuts, folder / "cuts.jsonl.gz")
    return folder / "cuts.jsonl.gz"


def seconds_of(function: Callable[[], object]) -> float:
    """Median CPU seconds of a call, after one that is not counted."""
    function()
    times = []
    for _ in range(NUM_RUNS):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return statistics.median(times)


def measure_planning(inventory: Inventory, num: int) -> Plan:
    """Utterances planned per CPU second: texts, pauses, candidates, Viterbi, usage, pieces.

    With the words of one speaker there are few recordings of each; with those of any, 20 of them are looked at.
    """
    per_word = len(inventory.tokens) / len(inventory.words)
    for speakers, tokens_per_word in (("any", per_word), ("same", per_word / NUM_SPEAKERS)):
        config = build_config(PlanConfig, {"num": num, "speakers": speakers})
        seconds = seconds_of(lambda config=config: make_plan(inventory, config, exclusion=Exclusion(["w1 w2"])))
        report(
            f"planning with Viterbi, {speakers} speaker",
            utterances_per_cpu_second=num / seconds,
            tokens_per_word=tokens_per_word,
        )
    return make_plan(inventory, config, exclusion=Exclusion([]))


def measure_rendering(plan: Plan) -> Callable[[int], np.ndarray]:
    """Hours of audio rendered in memory per CPU second."""
    pool = load_pool(plan.sources, range(len(plan.sources)))
    render = Renderer(plan, plan.utterances, pool)
    audio = sum(utterance.num_samples for utterance in plan.utterances) / RATE

    def render_all() -> None:
        for index in range(len(plan.utterances)):  # not kept, as in training: new memory costs more than the sound
            render(index)

    seconds = seconds_of(render_all)
    report("rendering in memory", audio_hours=audio / 3600, hours_per_cpu_second=audio / seconds / 3600)
    return render


def measure_overhead(plan: Plan, folder: Path) -> None:
    """Drawing and rendering pasted utterances for a whole epoch, over the features of the same audio."""
    (folder / "plan").mkdir()
    save_plan(plan, folder / "plan")
    pasted = open_pasted(OnTheFlyConfig(plan=str(folder / "plan"), prob=1.0), sampling_rate=RATE, folder=folder)
    assert pasted is not None
    natural = [
        Utterance(s.utt_id, Path(s.audio), s.start_sample, s.num_samples, s.sampling_rate, s.text) for s in plan.sources
    ]
    chosen = pasted.epoch(natural, seed=0, epoch=0)

    def paste_all() -> None:
        for utterance in pasted.epoch(natural, seed=0, epoch=0):
            pasted.render(utterance.rendered)

    paste_seconds = seconds_of(paste_all)
    waves = [torch.from_numpy(pasted.render(utterance.rendered))[None] for utterance in chosen]
    feature_seconds = seconds_of(
        lambda: [log_mel(wave, torch.tensor([wave.shape[1]]), FeatureConfig()) for wave in waves]
    )
    read_seconds = seconds_of(lambda: [read_audio(u.audio, num_samples=u.num_samples) for u in natural])
    report(
        "on the fly: choice and rendering over feature extraction",
        overhead_percent=100 * paste_seconds / feature_seconds,
        reading_natural_percent=100 * read_seconds / feature_seconds,
    )


def measure_lhotse(plan: Plan, cuts: CutSet) -> None:
    """The same plan with lhotse: word cuts appended, then loaded; with our time from plan and files to samples."""
    few = plan.utterances[:100]
    by_id = {cut.id: cut for cut in cuts}
    audio = sum(utterance.num_samples for utterance in few) / RATE

    def theirs() -> None:
        for utterance in few:
            pieces = []
            for piece in utterance.pieces:
                whole: MonoCut = by_id[plan.sources[piece.source].utt_id]
                pieces.append(whole.truncate(offset=piece.start / RATE, duration=(piece.end - piece.start) / RATE))
            append_cuts(pieces).load_audio()

    wanted = sorted({piece.source for utterance in few for piece in utterance.pieces})

    def ours_with_files() -> None:
        render = Renderer(plan, few, load_pool(plan.sources, wanted))
        for index in range(len(few)):
            render(index)

    pool = load_pool(plan.sources, wanted)
    render = Renderer(plan, few, pool)
    lhotse_seconds = seconds_of(theirs)

    def ours() -> None:
        for index in range(len(few)):
            render(index)

    memory_seconds = seconds_of(ours)
    report(
        "rendering against lhotse append + load_audio",
        lhotse_audio_seconds_per_cpu_second=audio / lhotse_seconds,
        rate_ratio=lhotse_seconds / memory_seconds,
        rate_ratio_with_reading=lhotse_seconds / seconds_of(ours_with_files),
    )


def report(claim: str, **values: float) -> None:
    """Print one line."""
    print(json.dumps({"claim": claim, **{k: round(v, 3) for k, v in values.items()}}), flush=True)


def main() -> None:
    """Run all measurements."""
    num = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = make_corpus(folder)
        run_inventory(InventoryConfig(), cuts=manifest, out=folder / "inv")
        plan = measure_planning(load_inventory(folder / "inv"), num)
        measure_rendering(plan)
        measure_overhead(plan, folder)
        measure_lhotse(plan, load_cuts(manifest))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    main()
