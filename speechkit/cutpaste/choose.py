"""`speechkit cutpaste select`: the utterances of plans that teach a model most about a target set.

The planners of `cutpaste plan` look at texts alone; these look at a trained model, at recorded speech of the target
domain, and at the utterances as they would sound. What is chosen is again a plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from speechkit import log
from speechkit.artifact import make_artifact
from speechkit.cutpaste.config import OnTheFlyConfig, SelectConfig
from speechkit.cutpaste.gradients import gradient_features
from speechkit.cutpaste.inventory import Source
from speechkit.cutpaste.onthefly import open_pasted
from speechkit.cutpaste.plan_file import Plan, Planned, load_plan, save_plan
from speechkit.cutpaste.pursuit import Selection, facility_location, influence, match_partitions
from speechkit.data.batch import BatchMaker, Utterance, utterances_of
from speechkit.data.config_batch import BatchConfig
from speechkit.data.plan import plan_epoch
from speechkit.data.store import CUTS_FILE, load_cuts
from speechkit.errors import ConfigError, SpeechkitError
from speechkit.models.table import Trained, check_device, load_trained
from speechkit.rng import rng


def run_select(
    config: SelectConfig,
    plans: Sequence[Path],
    *,
    out: Path,
    exp: Path | None = None,
    target: Path | None = None,
    force: bool = False,
) -> None:
    """Write the plan of the chosen utterances; prints one summary line.

    Raises:
        ConfigError: the method needs a model and a target, or more utterances are asked for than there are.
        SpeechkitError: a plan is damaged or of other recordings, or the target cannot be read.
    """
    check_device(config.device)
    inputs = {f"plan{index}": path for index, path in enumerate(plans)}
    if config.method == "random":
        if exp is not None or target is not None:
            log.warn("`--method random` looks at neither --exp nor --target")
    elif exp is None or target is None:
        raise ConfigError(
            f"`--method {config.method}` looks at a model and at speech of the target domain",
            expected="--exp EXP, made by `speechkit train`, and --target CUTS",
        )
    else:
        inputs |= {"exp": exp, "target": target / CUTS_FILE if target.is_dir() else target}

    def build(folder: Path) -> None:
        loaded = [load_plan(path) for path in plans]
        pool = join_plans(loaded)
        if config.num > len(pool.utterances):
            raise ConfigError(f"the plans hold {len(pool.utterances)} utterances, fewer than --num {config.num}")
        if "exp" not in inputs:
            drawn = rng(config.seed, "cutpaste select").choice(len(pool.utterances), config.num, replace=False)
            selection = Selection(drawn.tolist(), np.ones(config.num), float("nan"))
        else:
            selection = _select(config, plans, pool, load_trained(inputs["exp"]), inputs["target"], folder)
        save_plan(_chosen(pool, selection, config), folder)

    if make_artifact(out, command="cutpaste select", config=config, inputs=inputs, build=build, force=force):
        header = load_plan(out).header
        print(f"{out}: {header['num_utterances']} of {header['num_candidates']} utterances, {header['hours']:.2f} h")


def join_plans(plans: Sequence[Plan]) -> Plan:
    """One plan with the utterances of all; equal recordings are held once.

    Raises:
        SpeechkitError: ids are shared, or the plans differ in sampling rate or in how snippets are joined.
    """
    first = plans[0]
    if any(plan.paste != first.paste or plan.sampling_rate != first.sampling_rate for plan in plans):
        raise SpeechkitError("the plans differ in sampling rate or in their paste options", hint="make them alike")
    number_of: dict[tuple[str, float], int] = {}
    sources: list[Source] = []
    gains: list[float] = []
    utterances: list[Planned] = []
    for plan in plans:
        places = []
        for source, gain in zip(plan.sources, plan.gains_db, strict=True):
            key = (source.utt_id, gain)
            if key not in number_of:
                number_of[key] = len(sources)
                sources.append(source)
                gains.append(gain)
            elif sources[number_of[key]] != source:
                raise SpeechkitError(f"the plans are of different recordings named `{source.utt_id}`")
            places.append(number_of[key])
        for utterance in plan.utterances:
            pieces = tuple(replace(piece, source=places[piece.source]) for piece in utterance.pieces)
            utterances.append(replace(utterance, pieces=pieces))
    if len({utterance.utt_id for utterance in utterances}) < len(utterances):
        raise SpeechkitError("the plans share utterance ids", hint="give each its own --prefix or --seed")
    return Plan(utterances, sources, gains, first.paste, first.header)


def _select(
    config: SelectConfig, plans: Sequence[Path], pool: Plan, trained: Trained, target: Path, folder: Path
) -> Selection:
    rows = []
    for path in plans:
        pasted = open_pasted(
            OnTheFlyConfig(plan=str(path)), sampling_rate=trained.features.sampling_rate, folder=folder
        )
        if pasted is not None:
            maker = BatchMaker(trained.tokenizer, trained.features, render=pasted.render)
            rows.append(_gradients(config, trained, pasted.utterances, maker))
    candidates = np.concatenate(rows)
    maker = BatchMaker(trained.tokenizer, trained.features)
    targets = _gradients(config, trained, utterances_of(load_cuts(target), trained.features), maker)
    log.info(
        f"gradients of {len(candidates)} candidates and {len(targets)} target utterances, {targets.shape[1]} values"
    )
    finite, finite_targets = _finite(candidates, "candidates"), _finite(targets, "target utterances")
    if len(finite) < config.num or not len(finite_targets):
        raise SpeechkitError(
            f"{len(finite)} candidates and {len(finite_targets)} target utterances are long enough for their texts",
            expected=f"at least {config.num} and 1",
        )
    candidates, targets = candidates[finite], targets[finite_targets]
    costs = np.array([pool.utterances[row].cost for row in finite.tolist()])
    if config.method == "facility":
        found = facility_location(candidates, targets, config.num)
    elif config.method == "influence":
        found = influence(candidates, targets.mean(0), config.num)
    else:
        found = match_partitions(
            candidates, targets, config.num, partitions=config.partitions, ridge=config.ridge,
            penalty_N=config.join_weight * costs / max(float(costs.mean()), 1e-9),
        )  # fmt: skip
    return replace(found, rows=finite[found.rows].tolist())


def _finite(rows: np.ndarray, name: str) -> np.ndarray:
    """Numbers of the rows that are gradients; with fewer encoder frames than tokens there is no CTC path."""
    finite: np.ndarray = np.flatnonzero(np.isfinite(rows).all(1))
    if len(finite) < len(rows):
        log.warn(f"{len(rows) - len(finite)} of {len(rows)} {name} have no CTC path and are left out")
    return finite


def _gradients(
    config: SelectConfig, trained: Trained, utterances: Sequence[Utterance], maker: BatchMaker
) -> np.ndarray:
    """One row per utterance, in their order."""
    torch.set_num_threads(1)
    device = torch.device(config.device)
    known = [replace(u, tokens=tuple(trained.tokenizer.encode(u.text))) for u in utterances]
    batches = plan_epoch(np.array([u.duration_seconds for u in known]), BatchConfig(), seed=config.seed, epoch=0)
    order = np.array([row for batch in batches for row in batch])
    tracked = log.track(batches, "gradients", unit="batch")
    model = trained.model.to(device)
    found = gradient_features(
        model, output_layer(model), (maker([known[row] for row in batch]) for batch in tracked), device=device,
        seed=config.seed,
    )  # fmt: skip
    rows = np.empty_like(found)
    rows[order] = found
    return rows


def output_layer(model: nn.Module) -> nn.Linear:
    """The layer that makes the logits a model is decoded by: its decoder's, else that of its CTC output."""
    decoder = getattr(model, "decoder", None)
    layer = model.output if decoder is None else decoder.output
    if not isinstance(layer, nn.Linear):
        raise TypeError(f"the output of {type(model).__name__} is no linear layer")
    return layer


def _chosen(pool: Plan, selection: Selection, config: SelectConfig) -> Plan:
    utterances = [pool.utterances[row] for row in sorted(selection.rows)]
    used = sorted({piece.source for utterance in utterances for piece in utterance.pieces})
    place = {source: number for number, source in enumerate(used)}
    samples = sum(utterance.num_samples for utterance in utterances)
    header = {
        "mode": f"select {config.method}",
        "seed": config.seed,
        "num_utterances": len(utterances),
        "num_candidates": len(pool.utterances),
        "hours": round(samples / pool.sampling_rate / 3600, 4),
        "num_texts": len({utterance.text for utterance in utterances}),
        "num_joins": sum(len(utterance.pieces) - 1 for utterance in utterances),
        "residual": None if np.isnan(selection.residual) else round(selection.residual, 4),
    }
    return Plan(
        [replace(u, pieces=tuple(replace(p, source=place[p.source]) for p in u.pieces)) for u in utterances],
        [pool.sources[source] for source in used],
        [pool.gains_db[source] for source in used],
        pool.paste,
        header,
    )
