"""What a split holds, what it cost and what other sizes would cost: as plain values and as text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from speechkit.data.config_split import SplitConfig
from speechkit.data.split.curve import SLACK, random_shares, trade_off
from speechkit.data.split.keys import Groups
from speechkit.data.split.pack import DEV, LEFT_OUT, SIDES, Floats, Sides
from speechkit.data.split.plan import Plan

SCHEMA = 1
_MAX_NAMED = 10
_NEAR_GOAL = 10.0  # percent; sizes further off are warned about


def describe(
    plan: Plan, keys: Sequence[Groups], seconds: Floats, config: SplitConfig, *, strata: Sequence[str] = ()
) -> dict[str, Any]:
    """The content of `split.json`, without what was before (`--like`) and without the curve.

    Args:
        keys: all keys of `--by`.
        seconds: (N,).
        strata: names of the strata in order, if the split is stratified.
    """
    lost = plan.sides == LEFT_OUT
    chance = random_shares(plan.problem) if lost.any() else (0.0, 0.0)
    report: dict[str, Any] = {
        "schema": SCHEMA,
        "disjoint": [key.key for key in keys],
        "near_words": config.near_words,
        "seed": config.seed,
        "measure": "hours" if config.counts_hours else "utterances",
        "utterances": len(plan.sides),
        "hours": _hours(seconds),
        "method": "search" if lost.any() else "whole groups",
        "components": plan.num_components,
        "keys": {key.key: {"values": key.num_values, "groups": len(key.names)} for key in keys},
        "sides": {name: _side(plan, keys, seconds, side) for side, name in enumerate(SIDES)},
        "left_out": {
            "utterances": int(lost.sum()),
            "hours": _hours(seconds[lost]),
            "share": round(plan.lost_share, 6),
            "random_share": round(chance[0], 6),
            "random_held_share": round(chance[1], 6),
        },
        "shared": _shared(plan.sides, keys),
    }
    if strata:
        held = plan.found.held[:LEFT_OUT]
        total = np.bincount(plan.problem.cells.strata, plan.problem.cells.weights, len(strata))
        parts = {"all": total, **{name: held[side] for side, name in enumerate(SIDES)}}
        report["strata"] = {
            "field": config.stratify,
            "shares": {
                name: dict(zip(strata, (w / max(w.sum(), 1e-9)).round(6).tolist(), strict=True))
                for name, w in parts.items()
                if w.sum() > 0
            },
        }
    return report


def _side(plan: Plan, keys: Sequence[Groups], seconds: Floats, side: int) -> dict[str, Any]:
    mine = plan.sides == side
    total = plan.problem.cells.total
    share = float(plan.found.held[side].sum()) / total
    asked = float(plan.problem.goal.sizes[side].sum()) / total
    part: dict[str, Any] = {
        "utterances": int(mine.sum()),
        "hours": _hours(seconds[mine]),
        "share": round(share, 6),
        "groups": {key.key: len(np.unique(key.codes[mine])) for key in keys},
    }
    if side >= DEV:
        part["asked_share"] = round(asked, 6)
        part["off_percent"] = round(100 * (share - asked) / asked, 2) if asked else 0.0
    return part


def _shared(sides: Sides, keys: Sequence[Groups]) -> dict[str, dict[str, int]]:
    """How many groups two sides share, counted from the utterances: zeros, or there is a fault in this program."""
    counts = {
        f"{SIDES[a]}-{SIDES[b]}": {
            key.key: len(np.intersect1d(key.codes[sides == a], key.codes[sides == b])) for key in keys
        }
        for a, b in combinations(range(LEFT_OUT), 2)
    }
    if any(number for row in counts.values() for number in row.values()):
        raise RuntimeError(f"the sides of the split share groups: {counts}")
    return counts


def add_curve(report: dict[str, Any], plan: Plan) -> None:
    """Put the trade-off curve into a report; with one deciding key strictness costs nothing at any size."""
    report["curve"] = trade_off(plan.problem) if len(plan.needed) > 1 else []


def warnings_of(report: dict[str, Any]) -> list[str]:
    """What a reader should not overlook."""
    found = []
    for name in SIDES[DEV:]:
        part = report["sides"][name]
        if abs(part["off_percent"]) > _NEAR_GOAL:
            found.append(
                f"{name} holds {part['share']:.1%} instead of {part['asked_share']:.1%}: "
                "the groups that must stay together allow nothing nearer"
            )
        lone = [key for key, count in part["groups"].items() if count == 1]
        if lone:
            found.append(f"{name} holds a single {' and a single '.join(lone)}")
    for name, shares in report.get("strata", {}).get("shares", {}).items():
        lacking = [value for value, share in shares.items() if not share]
        if lacking:
            few = ", ".join(lacking[:_MAX_NAMED]) + (", ..." if len(lacking) > _MAX_NAMED else "")
            found.append(f"{name} holds no {report['strata']['field']} {few}")
    return found


def table(report: dict[str, Any]) -> str:
    """The split for people."""
    keys = list(report["keys"])
    head = ["side", "utterances", "hours", "share", "asked", *(f"{key} groups" for key in keys)]
    rows = []
    for name, part in report["sides"].items():
        asked = f"{part['asked_share']:.1%}" if part.get("asked_share") else "-"
        counts = [str(part["groups"][key]) for key in keys]
        rows.append([name, str(part["utterances"]), f"{part['hours']:.2f}", f"{part['share']:.1%}", asked, *counts])
    left = report["left_out"]
    rows.append(["left out", str(left["utterances"]), f"{left['hours']:.2f}", f"{left['share']:.1%}", "-"])
    lines = [_columns(head, rows), f"disjoint: {', '.join(keys)}" + _near_note(report)]
    if left["utterances"]:
        lines.append(
            f"strictness costs {left['share']:.1%} of the {report['measure']}; "
            f"groups put on sides by chance would cost {left['random_share']:.1%}{chance_note(report)}"
        )
    if "strata" in report:
        lines.append(_strata_table(report["strata"]))
    if report.get("like"):
        lines.append(f"{report['like']['kept']} of {report['like']['before']} utterances kept their side")
    if report.get("curve"):
        lines.append(curve_table(report["curve"]))
    return "\n".join(lines)


def chance_note(report: dict[str, Any]) -> str:
    """The sizes that chance comes to, where those are not the sizes of the split."""
    sides, by_chance = report["sides"], report["left_out"]["random_held_share"]
    own = sum(sides[name]["share"] for name in SIDES[DEV:])
    return "" if abs(by_chance - own) <= SLACK / 2 * own else f", with {by_chance:.1%} instead of {own:.1%} held out"


def _near_note(report: dict[str, Any]) -> str:
    counts = report["keys"].get("text", {"values": 0, "groups": 0})
    if not report["near_words"]:
        return ""
    return f" (near texts joined: {counts['values']} texts in {counts['groups']} groups)"


def curve_table(rows: Sequence[dict[str, Any]]) -> str:
    """The trade-off curve for people."""
    names = ("dev_asked", "test_asked", "dev", "test", "train", "left_out", "random_left_out")
    head = ["dev asked", "test asked", "dev", "test", "train", "left out", "by chance"]
    return "what other sizes cost:\n" + _columns(head, [[f"{row[name]:.1%}" for name in names] for row in rows])


def _strata_table(strata: dict[str, Any]) -> str:
    shares = strata["shares"]
    rows = [[value, *(f"{part[value]:.1%}" for part in shares.values())] for value in shares["all"]]
    return _columns([strata["field"], *shares], rows)


def _columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines if i < len(line)) for i in range(len(head))]
    return "\n".join(
        "  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=False)))
        for line in lines
    )


def _hours(seconds: Floats) -> float:
    return round(float(seconds.sum()) / 3600, 6)
