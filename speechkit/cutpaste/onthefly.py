"""Pasted utterances while training: some utterances of each epoch give their place to rendered ones of a plan.

Which ones is a pure function of (seed, epoch, utterance id); recorded samples are held once, shared by all workers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from speechkit import log
from speechkit.cutpaste.config import OnTheFlyConfig
from speechkit.cutpaste.plan_file import load_plan
from speechkit.cutpaste.render import word_times
from speechkit.cutpaste.renderer import Renderer, load_pool
from speechkit.data.batch import Utterance
from speechkit.errors import SpeechkitError
from speechkit.rng import derive_seed

_HALF_BITS = 32


@dataclass(frozen=True)
class Pasted:
    """A plan in memory: its utterances, whose `rendered` is their number for `render`, and the share of an epoch."""

    utterances: list[Utterance]
    render: Renderer
    prob: float

    def epoch(self, utterances: Sequence[Utterance], *, seed: int, epoch: int) -> list[Utterance]:
        """The utterances of an epoch in the same order; pasted ones are named `<its id>~<id in the plan>`."""
        return [self._chosen(utterance, seed, epoch) for utterance in utterances]

    def _chosen(self, utterance: Utterance, seed: int, epoch: int) -> Utterance:
        drawn = derive_seed(seed, "cutpaste", epoch, utterance.utt_id, bits=2 * _HALF_BITS)
        high, low = drawn >> _HALF_BITS, drawn & ((1 << _HALF_BITS) - 1)
        if high >= self.prob * (1 << _HALF_BITS):
            return utterance
        pasted = self.utterances[low * len(self.utterances) >> _HALF_BITS]
        return replace(pasted, utt_id=f"{utterance.utt_id}~{pasted.utt_id}")


def open_pasted(config: OnTheFlyConfig, *, sampling_rate: int, folder: Path) -> Pasted | None:
    """The plan of the config with its recordings read, or None when it names none.

    Args:
        sampling_rate: that of the features; a plan below it is refused.
        folder: where a nameless file may lie that holds more recorded samples than fit well in memory.
    Raises:
        SpeechkitError: the plan is damaged or too slow, or recordings it needs are unusable; all are listed.
    """
    if config.plan is None:
        return None
    plan = load_plan(Path(config.plan))
    rate = plan.sampling_rate
    if rate < sampling_rate:
        raise SpeechkitError(
            f"the plan `{config.plan}` is made of recordings of {rate} Hz,"
            f" below features.sampling_rate={sampling_rate} Hz",
            hint=f"--set features.sampling_rate={rate}",
        )
    wanted = sorted({piece.source for utterance in plan.utterances for piece in utterance.pieces})
    pool = load_pool(plan.sources, wanted, spill=folder)
    if pool.faults:
        raise SpeechkitError(
            f"{len(pool.faults)} of {len(wanted)} recordings of the plan `{config.plan}` cannot be used",
            where=[f"{plan.sources[number].utt_id}  {reason}" for number, reason in pool.faults.items()],
            hint="mend them, or make inventory and plan again with --max-bad",
        )
    utterances = [
        Utterance(
            utt_id=planned.utt_id,
            audio=Path(config.plan),
            start_sample=0,
            num_samples=planned.num_samples,
            sampling_rate=rate,
            text=planned.text,
            words=tuple(word_times(planned, rate)),
            rendered=number,
        )
        for number, planned in enumerate(plan.utterances)
    ]
    hours = sum(utterance.duration_seconds for utterance in utterances) / 3600
    log.info(
        f"{100 * config.prob:.0f} % of the utterances are pasted from {len(utterances)} planned ones, {hours:.2f} h"
    )
    return Pasted(utterances, Renderer(plan, plan.utterances, pool), config.prob)
