"""`speechkit prompt generate`: units in, new units out, and how likely they are beside real ones.

The folder is one of `units quantize`, without run lengths where the language model reads merged units. Lines also
have `start` and `end` of what is new, and `nats` per unit of it by the language model, of real units `real_nats`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from speechkit import log
from speechkit.artifact import make_artifact, write_json
from speechkit.models.table import check_device
from speechkit.models.ulm import UnitLm, load_ulm
from speechkit.models.ulm_check import check_ulm, trained_on
from speechkit.prompt.config_generate import GenerateConfig
from speechkit.prompt.examples import load_learned
from speechkit.prompt.generate import Generated, gap_nats, generate
from speechkit.units.unit_file import ABOUT_FILE, UNITS_FILE, UnitSet

SUMMARY_FILE = "generate.json"
_SCORED = 64  # utterances in a batch


def run(config: GenerateConfig, *, lm: Path, units: Path, out: Path, force: bool = False) -> None:
    """Publish new units as a folder that `units resynth` reads.

    Raises:
        SpeechkitError: units and language model do not belong together.
    """
    check_device(config.device)

    def build(folder: Path) -> None:
        torch.set_num_threads(config.threads)
        model, about = load_ulm(lm)
        given = load_learned(units, dedup=about["dedup"])
        check_ulm((model, about), given, max_units=0)
        model = model.to(config.device)
        trained_on(lm, given.ids, name="the given units")
        rows = [given.units[start:end].tolist() for start, end in pairwise(given.offsets.tolist())]
        found = generate(model, given.ids, rows, config)
        nats = [_nats(model, found, is_real=is_real) for is_real in (False, True)]
        _write(folder, given, found, nats)
        result = summary(found, *nats)
        write_json(folder / SUMMARY_FILE, result)
        print(line_of(result))

    inputs = {"lm": lm, "units": units / UNITS_FILE, "about": units / ABOUT_FILE}
    make_artifact(out, command="prompt generate", config=config, inputs=inputs, build=build, force=force)


def _nats(lm: UnitLm, found: Sequence[Generated], *, is_real: bool) -> list[np.ndarray]:
    """Of each new unit, or of each real one that stood there."""
    rows = []
    for own in found:
        gap = own.real if is_real else own.units[own.start : own.end]
        rows.append((own.units[: own.start], gap, own.units[own.end :]))
    nats: list[np.ndarray] = []
    for first in log.track(range(0, len(rows), _SCORED), "scoring", unit="batch"):
        part = rows[first : first + _SCORED]
        nats += [own[: len(gap)] for own, (_, gap, _) in zip(gap_nats(lm, part), part, strict=True)]
    return nats


def _write(folder: Path, given: UnitSet, found: Sequence[Generated], nats: Sequence[Sequence[np.ndarray]]) -> None:
    empty = [own.utt_id for own in found if not own.units]
    if empty:
        log.warn(f"{len(empty)} of {len(found)} utterances are empty and left out: {' '.join(empty[:3])}")
    with (folder / UNITS_FILE).open("w", encoding="utf-8") as stream:
        for own, made, real in zip(found, *nats, strict=True):
            if not own.units:
                continue
            line = {
                "id": own.utt_id, "units": own.units, "num_frames": len(own.units),
                "frames_per_second": given.times.frames_per_second, "start": own.start, "end": own.end,
                "nats": _mean(made), "real_nats": _mean(real),
            }  # fmt: skip
            stream.write(json.dumps(line) + "\n")
    # of units with run lengths nobody knows how long the new ones last
    has_runs = not given.about.get("dedup", True)
    about = {key: value for key, value in given.about.items() if key not in ("num_tokens", "units_per_token")}
    write_json(folder / ABOUT_FILE, {**about, "dedup": not has_runs, "has_runs": has_runs})


def _mean(nats: np.ndarray) -> float | None:
    return round(float(nats.mean()), 4) if len(nats) else None


def summary(found: Sequence[Generated], nats: Sequence[np.ndarray], real_nats: Sequence[np.ndarray]) -> dict[str, Any]:
    """How likely new and real units are for the model, how varied, and in gaps how many are equal."""
    sides = {
        "generated": ([own.units[own.start : own.end] for own in found], np.concatenate(nats)),
        "real": ([own.real for own in found], np.concatenate(real_nats)),
    }
    result: dict[str, Any] = {"num_utterances": len(found)}
    for name, (rows, values) in sides.items():
        pairs = [pair for row in rows for pair in pairwise(row)]
        result[name] = {
            "num_units": sum(map(len, rows)),
            "units_per_utterance": round(sum(map(len, rows)) / len(found), 3),
            "nats_per_unit": _mean(values),
            "perplexity": round(math.exp(float(values.mean())), 3) if len(values) else None,
            "distinct_pairs": round(len(set(pairs)) / len(pairs), 4) if pairs else None,
        }
    same = [a == b for own in found for a, b in zip(own.units[own.start : own.end], own.real, strict=False)]
    result["equal_units"] = round(100.0 * sum(same) / len(same), 4) if same else None
    return result


def line_of(result: dict[str, Any]) -> str:
    """The numbers as a line."""
    made, real = result["generated"], result["real"]
    shown = [
        f"{name} {own['num_units']} units, perplexity {own['perplexity'] or math.nan:.1f}"
        for name, own in (("new", made), ("real", real))
    ]
    return f"{result['num_utterances']} utterances: {'; '.join(shown)}"
