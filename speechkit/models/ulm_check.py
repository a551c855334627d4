"""Do a unit language model and units belong together, and has the model learned them?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from speechkit import log
from speechkit.errors import SpeechkitError, counted
from speechkit.models.ulm import UnitLm, padded
from speechkit.models.ulm_folder import read_training_ids
from speechkit.rng import rng
from speechkit.text.bigram import Bigram, cross_validated_nats

_MAX_PADDED = 16_384  # tokens of a batch


class Units(Protocol):
    """What is needed of a `units.unit_file.UnitSet`."""

    @property
    def ids(self) -> list[str]:
        """Utterance ids (U,)."""
        ...

    @property
    def units(self) -> Any:
        """int32 (N,), utterances behind each other."""
        ...

    @property
    def offsets(self) -> Any:
        """int64 (U + 1,), where they begin."""
        ...

    @property
    def about(self) -> dict[str, Any]:
        """The content of units.json."""
        ...


def check_ulm(ulm: tuple[UnitLm, dict[str, Any]], units: Units, *, max_units: int = 20_000) -> dict[str, float]:
    """Refuse units that the model does not know, and a model that does not know these units.

    Args:
        units: of utterances that the model was not trained on, merged or not as it has learned them.
        max_units: how many of them are looked at, utterances drawn at random; 0: only whether they belong together.
    Returns:
        `nats` per unit or end by the model, `bigram_nats` by a bigram model of its training units; where these are not
        known, by bigram models in five-fold cross-validation of the same utterances. Nothing where max_units is 0 or
        there is only one utterance.
    Raises:
        SpeechkitError: another codebook, number of units or rate, merged or not; more nats than the bigram model.
    """
    lm, about = ulm
    _check_match(about, units)
    order = rng(0, "check_ulm").permutation(len(units.ids))
    sizes = np.diff(units.offsets)[order]
    chosen = np.sort(order[np.cumsum(sizes) - sizes < max_units])
    if len(chosen) < 2:
        return {}
    rows = [units.units[units.offsets[number] : units.offsets[number + 1]].tolist() for number in chosen]
    found = {"nats": mean_nats(lm, rows), "bigram_nats": _bigram_nats(about.get("bigram"), rows, lm.num_units)}
    if not found["nats"] < found["bigram_nats"]:
        raise SpeechkitError(
            "the unit language model knows these units less well than a bigram model does",
            where=f"{found['nats']:.3f} nats per unit of {len(rows)} utterances, bigram {found['bigram_nats']:.3f}",
            expected="units of the same codebook and kind of speech as in its training",
            hint="train it longer (`optim.num_steps`) or on more such units; of an imported model: are the rows of its "
            "units in the order of the codebook?",
        )
    return found


def _bigram_nats(bigram: Bigram | None, rows: Sequence[Sequence[int]], num_units: int) -> float:
    if bigram is None:
        return cross_validated_nats(rows, num_symbols=num_units)
    total, count = bigram.nats(rows)
    return total / count


def mean_nats(lm: UnitLm, rows: Sequence[Sequence[int]]) -> float:
    """Negative log-prob per unit or end."""
    device = lm.embedding.weight.device
    total, count, batch = 0.0, 0, list[Sequence[int]]()
    for row in [*sorted(rows, key=len), None]:
        if batch and (row is None or (len(batch) + 1) * (len(row) + 1) > _MAX_PADDED):
            with torch.no_grad():
                total += float(lm.nats(*padded(batch, device)).double().sum())
            count, batch = count + sum(len(own) + 1 for own in batch), []
        if row is not None:
            batch.append(row)
    return total / count


def _check_match(about: dict[str, Any], units: Units) -> None:
    own = units.about
    pairs = [
        ("units in the codebook", about["num_units"], own["k"]),
        ("frames per second", about["frames_per_second"], own["frames_per_second"]),
        ("sampling rate", about["sampling_rate"], own.get("sampling_rate")),
        ("codebook", about["codebook"], own["codebook"]),
        ("equal neighbours merged", about["dedup"], own.get("dedup")),
    ]
    faults = [
        f"{name}: the model {str(wanted)[:12]}, the units {str(found)[:12]}"
        for name, wanted, found in pairs
        if wanted is not None and found is not None and wanted != found
    ]
    if faults:
        raise SpeechkitError(
            "the units are not those that the unit language model knows",
            where=faults,
            hint="encode the audio with the codebook of the model, and units with their run lengths: speechkit units "
            "quantize --codebook DIR",
        )
    if about["codebook"] is None:
        log.warn("the unit language model does not say of which codebook its units are")


def trained_on(lm: Path, utt_ids: Iterable[str], *, name: str) -> list[str]:
    """Those of some utterances that the unit language model in a folder was trained on; told when there are any.

    Args:
        name: what the utterances are, for the message.
    """
    read = read_training_ids(lm)
    found = [utt_id for utt_id in utt_ids if utt_id in read]
    if found:
        log.warn(f"the unit language model was trained on {counted(len(found), 'utterance')} of {name}")
    return found
