"""`data validate --fix`: what can be put right is, what can not goes into quarantine, with reasons; nothing vanishes.

Layout of the folder: `recordings`, `supervisions` and `cuts` (`.jsonl.gz`) as `data prepare` writes them, in a
subfolder per set when there are several; `quarantine.tsv` and `repaired.tsv` name every utterance and line concerned.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from speechkit.artifact import make_artifact, publish_file
from speechkit.data.prepare import bad_count_limit
from speechkit.data.store import save_manifests
from speechkit.data.validate.config import ValidateConfig
from speechkit.data.validate.kinds import KINDS, Finding
from speechkit.data.validate.rebuild import rebuild
from speechkit.data.validate.report import Plan, Report
from speechkit.errors import CheckFailed, SpeechkitError

QUARANTINE_FILE = "quarantine.tsv"
REPAIRED_FILE = "repaired.tsv"


def check_max_bad(max_bad: str) -> None:
    """Refuse a wrong `--max-bad` before the work."""
    bad_count_limit(max_bad, 0)


def write_fixed(
    report: Report, plan: Plan, out: Path, *, config: ValidateConfig, max_bad: str, num_jobs: int, force: bool
) -> None:
    """Make the artifact `out` from what is sound or repaired; prints one summary line.

    Raises:
        CheckFailed: more than `max_bad` would be left out.
        SpeechkitError: nothing is left of a set, or `out` lies inside a source.
    """
    limit = bad_count_limit(max_bad, plan.num_total)
    if plan.num_bad > limit:
        raise CheckFailed(
            f"{plan.num_bad} of {plan.num_total} utterances and lines can not be used, {limit} are allowed",
            hint=f"mend them, or leave them out with --max-bad {plan.num_bad}",
        )
    for loaded, rows in zip(report.sets, plan.dropped, strict=True):
        source = loaded.data.path.resolve()
        if out.resolve() == source or source in out.resolve().parents:
            raise SpeechkitError(f"`{out}` lies inside the source `{loaded.data.path}`", hint="choose another --fix")
        if len(rows) == len(loaded):
            raise SpeechkitError(f"no usable utterance is left of `{loaded.data.path}`")

    def build(folder: Path) -> None:
        for loaded, rows in zip(report.sets, plan.dropped, strict=True):
            name = loaded.data.name if len(report.sets) > 1 else ""
            repaired = {f.row for f in plan.repaired if f.set_index == loaded.index}
            cuts = rebuild(loaded, kept=set(range(len(loaded))) - rows, repaired=repaired, num_jobs=num_jobs)
            (folder / name).mkdir(exist_ok=True)
            save_manifests(cuts, folder / name, out / name)
        _write_findings(folder / QUARANTINE_FILE, plan.quarantined, report)
        _write_findings(folder / REPAIRED_FILE, plan.repaired, report)

    audio = sorted({loaded.data.audio[row] for loaded in report.sets for row in range(len(loaded))})
    made = make_artifact(
        out,
        command="data validate --fix",
        config=config,
        inputs={loaded.data.name: loaded.data.path for loaded in report.sets},
        build=build,
        audio=[Path(path) for path in audio if path],
        force=force,
    )
    if made:
        kept = plan.num_total - plan.num_bad
        print(
            f"{out}: {kept} utterances, {plan.num_repaired} of them repaired; {plan.num_bad} in {out / QUARANTINE_FILE}"
        )


def _write_findings(path: Path, findings: Sequence[Finding], report: Report) -> None:
    with publish_file(path) as stream:
        stream.write("set\twhere\tid\tkind\treason\n")
        for f in findings:
            reason = KINDS[f.kind].cause + (f": {' '.join(f.detail.split())}" if f.detail else "")
            stream.write("\t".join((report.sets[f.set_index].data.name, f.where, f.utt_id, f.kind, reason)) + "\n")
