"""The command `data split`: a manifest in, `{train,dev,test,left_out}.jsonl.gz` and `split.json` out.

Each cut of train, dev and test carries what the split promises in `custom.promise`, so that training and scoring can
hold it to that wherever the file goes: `{"side": "test", "disjoint": ["speaker", "text"], "near_words": 0}`.
Each cut of left_out carries in `custom.left_out` the sides its groups are on: `{"speaker": "test", "text": "train"}`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from speechkit import log
from speechkit.artifact import check_writable, make_artifact, write_json
from speechkit.data.config_split import SplitConfig
from speechkit.data.split.keys import Groups, make_groups
from speechkit.data.split.manifest import Manifest, open_manifest, write_side
from speechkit.data.split.pack import FREE, LEFT_OUT, SIDES, Sides
from speechkit.data.split.plan import Plan, make_plan, number_strata, pins_of
from speechkit.data.split.report import add_curve, chance_note, curve_table, describe, table, warnings_of
from speechkit.data.stream import manifest_lines, manifest_path
from speechkit.errors import CheckFailed, SpeechkitError, counted

REPORT_FILE = "split.json"
SUFFIX = ".jsonl.gz"
LEFT_OUT_NAME = "left_out"
PROMISE = "promise"


def run(
    config: SplitConfig,
    *,
    cuts: Path,
    out: Path,
    like: Path | None = None,
    num_threads: int = 1,
    json_file: Path | None = None,
    force: bool = False,
) -> None:
    """Split a manifest into the folder `out`; prints the table of what every side holds.

    Args:
        like: an earlier split; groups that it knows keep their side.
    Raises:
        SpeechkitError: the manifest can not be split; CheckFailed: more than `config.max_lost` would be left out.
    """
    check_writable(json_file)
    manifest = manifest_path(cuts)
    next(manifest_lines(manifest), b"")  # tells what it is when it is no manifest
    inputs = {"cuts": manifest} | ({"like": like} if like is not None else {})

    def build(folder: Path) -> None:
        _build(config, manifest, folder, like=like, num_threads=num_threads, json_file=json_file)

    made = make_artifact(out, command="data split", config=config, inputs=inputs, build=build, force=force)
    report = orjson.loads((out / REPORT_FILE).read_bytes())
    if json_file is not None:
        write_json(json_file, report)
    if made:
        print(table(report))


def _build(
    config: SplitConfig, path: Path, folder: Path, *, like: Path | None, num_threads: int, json_file: Path | None
) -> None:
    before = _Before(like, config.by, folder)
    fields = list(dict.fromkeys([*config.by, *filter(None, [config.stratify])]))
    with open_manifest(path, fields, spool=folder) as manifest:
        plan, report = _planned(config, manifest, before)
        is_refused = plan.lost_share > config.lost_share
        if config.curve or is_refused:
            add_curve(report, plan)
        for warning in warnings_of(report):
            log.warn(warning)
        if is_refused:
            _refuse(report, config, json_file)
        _write(plan, manifest, config, folder, num_threads=num_threads)
    write_json(folder / REPORT_FILE, report)
    counts = ", ".join(f"{name} {part['utterances']}" for name, part in report["sides"].items())
    log.info(f"{counts}, left out {report['left_out']['utterances']} utterances")


def _planned(config: SplitConfig, manifest: Manifest, before: _Before) -> tuple[Plan, dict[str, Any]]:
    keys = [make_groups(key, manifest.values[key], near_words=config.near_words) for key in config.by]
    strata, names = np.zeros(len(manifest), np.int64), [""]
    if config.stratify:
        strata, names = number_strata(manifest.values[config.stratify], config.stratify)
    weights = manifest.seconds / 3600 if config.counts_hours else np.ones(len(manifest))
    log.info(", ".join([counted(len(manifest), "utterance"), *(counted(len(k.names), f"{k.key} group") for k in keys)]))
    plan = make_plan(keys, weights, strata, config, pinned=[before.pins(groups, manifest) for groups in keys])
    report = describe(plan, keys, manifest.seconds, config, strata=names if config.stratify else ())
    if before.sides:
        report["like"] = before.kept(manifest, plan.sides)
    return plan, report


def _refuse(report: dict[str, Any], config: SplitConfig, json_file: Path | None) -> None:
    if json_file is not None:
        write_json(json_file, report)
    left = report["left_out"]
    print(curve_table(report["curve"]))
    needed = min(100, int(100 * left["share"]) + 1)
    raise CheckFailed(
        f"sides that share no {' and no '.join(config.by)} leave out {left['share']:.1%} of the {report['measure']}, "
        f"more than --max-lost {config.max_lost}",
        where=[
            f"{left['utterances']} of {report['utterances']} utterances, {left['hours']:.2f} h",
            f"groups put on sides by chance would leave out {left['random_share']:.1%}{chance_note(report)}",
        ],
        hint=f"accept it with --max-lost {needed}%, ask for less or for one side (see the table), or split by one key",
    )


def _write(plan: Plan, manifest: Manifest, config: SplitConfig, folder: Path, *, num_threads: int) -> None:
    promise = {"disjoint": list(config.by), "near_words": config.near_words}

    def note_of(side: str) -> Callable[[int], dict[str, Any]]:
        return lambda _number: {PROMISE: {"side": side, **promise}}

    def reason(number: int) -> dict[str, Any]:
        sides = {
            key.key: SIDES[found[key.codes[number]]] for key, found in zip(plan.needed, plan.found.sides, strict=True)
        }
        return {PROMISE: None, LEFT_OUT_NAME: sides}

    for side, name in enumerate([*SIDES, LEFT_OUT_NAME]):
        chosen = np.flatnonzero(plan.sides == side)
        if chosen.size:
            note = reason if side == LEFT_OUT else note_of(name)
            write_side(manifest, chosen, folder / f"{name}{SUFFIX}", note=note, num_threads=num_threads)


class _Before:
    """The earlier split that a new one follows; without one nothing is pinned."""

    def __init__(self, folder: Path | None, fields: Sequence[str], spool: Path) -> None:
        self.sides: dict[str, int] = {}
        self.counts: dict[str, dict[str, list[int]]] = {name: {} for name in fields}
        if folder is None:
            return
        found = [(side, folder / f"{name}{SUFFIX}") for side, name in enumerate(SIDES)]
        if not (folder / REPORT_FILE).is_file():
            raise SpeechkitError(f"`{folder}` holds no {REPORT_FILE}", expected="--like FOLDER of an earlier split")
        for side, path in found:
            if path.is_file():
                with open_manifest(path, fields, spool=spool) as manifest:
                    self._read(manifest, side)

    def _read(self, manifest: Manifest, side: int) -> None:
        self.sides |= dict.fromkeys(manifest.ids, side)
        for name, counts in self.counts.items():
            for value in manifest.values[name]:
                counts.setdefault(value, [0] * LEFT_OUT)[side] += 1

    def pins(self, groups: Groups, manifest: Manifest) -> Sides:
        """The side that each group had, or `FREE`."""
        if not self.sides:
            return np.full(len(groups.names), FREE, np.int8)
        return pins_of(groups, manifest.values[groups.key], self.counts[groups.key])

    def kept(self, manifest: Manifest, sides: Sides) -> dict[str, int]:
        """How many of the utterances that had a side and are still there have it again."""
        pairs = [
            (self.sides[name], side)
            for name, side in zip(manifest.ids, sides.tolist(), strict=True)
            if name in self.sides
        ]
        return {"before": len(pairs), "kept": sum(old == new for old, new in pairs)}
