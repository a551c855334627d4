"""What `data validate` prints and writes: faults first, grouped by kind, ten of each; all of them in the files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from speechkit.artifact import publish_file
from speechkit.data.validate.kinds import KINDS, Finding, Kind, Remedy
from speechkit.data.validate.loaded import LoadedSet
from speechkit.errors import NUM_SHOWN, CheckFailed, counted

SCHEMA_VERSION = 1


@dataclass
class Report:
    """All findings about the manifests given together, in the order of the checks."""

    sets: Sequence[LoadedSet]
    findings: list[Finding]

    @property
    def faults(self) -> list[Finding]:
        """Those that make the exit code 3."""
        return [finding for finding in self.findings if KINDS[finding.kind].is_fault]

    def by_kind(self) -> dict[Kind, list[Finding]]:
        """Findings of each kind that occurs, in the order of the table: faults, then notes."""
        groups: dict[str, list[Finding]] = {}
        for finding in self.findings:
            groups.setdefault(finding.kind, []).append(finding)
        present = [kind for name, kind in KINDS.items() if name in groups]
        return {kind: groups[kind.name] for kind in sorted(present, key=lambda kind: not kind.is_fault)}


@dataclass
class Plan:
    """What `--fix` would do about the faults of a report.

    Args:
        quarantined: findings because of which utterances or lines are left out.
        repaired: findings that are put right in what is kept.
        left: findings that need a decision; with them the exit code stays 3.
        dropped: the rows of each set that are left out.
        num_bad, num_total: utterances and unreadable lines, left out and all.
    """

    quarantined: list[Finding]
    repaired: list[Finding]
    left: list[Finding]
    dropped: list[set[int]]
    num_bad: int
    num_total: int

    @property
    def num_repaired(self) -> int:
        """Utterances that are kept and change."""
        return len({(finding.set_index, finding.row) for finding in self.repaired if finding.row >= 0})


def plan_fix(report: Report) -> Plan:
    """Sort the faults by what is done about them."""
    quarantined = [f for f in report.faults if KINDS[f.kind].remedy is Remedy.DROP]
    dropped: list[set[int]] = [set() for _ in report.sets]
    for finding in quarantined:
        if finding.row >= 0:
            dropped[finding.set_index].add(finding.row)
    num_lines = len({(f.set_index, f.where) for f in quarantined if f.row < 0})
    repairs = [f for f in report.findings if KINDS[f.kind].remedy is Remedy.REPAIR]
    return Plan(
        quarantined,
        [f for f in repairs if f.row not in dropped[f.set_index]],
        [f for f in report.faults if KINDS[f.kind].remedy is Remedy.KEEP],
        dropped,
        sum(map(len, dropped)) + num_lines,
        sum(map(len, report.sets)) + num_lines,
    )


def table(report: Report) -> str:
    """The printed report."""
    lines = [_line_of_set(loaded) for loaded in report.sets]
    for kind, findings in report.by_kind().items():
        lines += ["", f"{'fault' if kind.is_fault else 'note'} {kind.name} ({len(findings)}): {kind.cause}"]
        lines += [f"  {_line(finding)}" for finding in findings[:NUM_SHOWN]]
        if len(findings) > NUM_SHOWN:
            lines.append(f"  ... and {len(findings) - NUM_SHOWN} more")
        if kind.cure != "none needed":
            lines.append(f"  cure: {kind.cure}")
    faults, notes = len(report.faults), len(report.findings) - len(report.faults)
    return "\n".join([*lines, "", f"{counted(faults, 'fault')}, {counted(notes, 'note')}"])


def _line_of_set(loaded: LoadedSet) -> str:
    data = loaded.data
    hours = _hours(loaded)
    told = f"{hours:.2f} h, " if hours is not None else ""
    return (
        f"{data.path}: {data.format}, {counted(len(data), 'utterance')}, {told}{counted(len(data.speakers), 'speaker')}"
    )


def _hours(loaded: LoadedSet) -> float | None:
    """Hours of what has a known duration; None when that is nothing."""
    seconds = loaded.seconds()
    known = seconds[np.isfinite(seconds)]
    return float(known.sum()) / 3600 if len(known) else None


def _line(finding: Finding) -> str:
    return "  ".join(filter(None, (finding.where, finding.utt_id, finding.detail)))


def as_json(report: Report) -> dict[str, Any]:
    """The `--json` result: sets, then every kind with all its items; it depends on the data and options only."""
    plan = plan_fix(report)
    sets = []
    for loaded in report.sets:
        data, hours = loaded.data, _hours(loaded)
        sets.append(
            {
                "name": data.name,
                "path": str(data.path),
                "format": data.format,
                "num_utterances": len(data),
                "num_speakers": len(data.speakers),
                "hours": None if hours is None else round(hours, 6),
                "sampling_rates": {
                    str(rate): count
                    for rate, count in sorted(Counter(m.rate for m in loaded.measures if m.rate).items())
                },
            }
        )
    return {
        "schema_version": SCHEMA_VERSION,
        "num_faults": len(report.faults),
        "num_notes": len(report.findings) - len(report.faults),
        "sets": sets,
        "kinds": [_kind_as_json(report, kind, findings) for kind, findings in report.by_kind().items()],
        "fix": {
            "num_total": plan.num_total,
            "num_quarantined": plan.num_bad,
            "num_repaired": plan.num_repaired,
            "num_faults_left": len(plan.left),
        },
    }


def _kind_as_json(report: Report, kind: Kind, findings: list[Finding]) -> dict[str, Any]:
    return {
        "kind": kind.name,
        "group": kind.group,
        "severity": "fault" if kind.is_fault else "note",
        "cause": kind.cause,
        "cure": kind.cure,
        "fix": kind.remedy.value,
        "count": len(findings),
        "items": [
            {"set": report.sets[f.set_index].data.name, "where": f.where, "id": f.utt_id, "detail": f.detail}
            for f in findings
        ],
    }


def write_list(path: Path, report: Report) -> None:
    """One line per finding: severity, kind, place, id, detail."""
    with publish_file(path) as stream:
        stream.write("severity\tkind\twhere\tid\tdetail\n")
        for kind, findings in report.by_kind().items():
            severity = "fault" if kind.is_fault else "note"
            for f in findings:
                stream.write("\t".join((severity, kind.name, f.where, f.utt_id, " ".join(f.detail.split()))) + "\n")


def check_failed(faults: Sequence[Finding], *, hint: str) -> CheckFailed:
    """The answer no: exit code 3 with the counts."""
    counts = Counter(finding.kind for finding in faults)
    return CheckFailed(
        f"{counted(len(faults), 'fault')} of {counted(len(counts), 'kind')}",
        where=[f"{count} x {name}: {KINDS[name].cause}" for name, count in counts.most_common()],
        hint=hint,
    )
