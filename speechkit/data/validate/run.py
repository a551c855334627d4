"""`speechkit data validate`: read, open, check, report. The tables here list every check of whole sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from speechkit.artifact import check_writable, write_json
from speechkit.data.validate import duplicates, leaks, sound, speakers, style, timing
from speechkit.data.validate.config import ValidateConfig
from speechkit.data.validate.kinds import KINDS, Finding
from speechkit.data.validate.loaded import LoadedSet
from speechkit.data.validate.report import Plan, Report, as_json, check_failed, plan_fix, table, write_list
from speechkit.data.validate.sources import read_sets
from speechkit.errors import counted

SetCheck = Callable[[LoadedSet], Iterator[Finding]]

# by group; checks of single utterances are in intake.py and text.py, those of lines in the readers
SET_CHECKS: dict[str, tuple[SetCheck, ...]] = {
    "structure": (duplicates.check_ids, duplicates.check_recordings),
    "text": (style.check_style, style.check_symbols, style.check_prompts),
    "audio": (sound.check_sound, sound.check_formats),
    "timing": (timing.check_lengths, timing.check_speaking_rate, timing.check_ctc),
    "duplicates": (duplicates.check_audio,),
    "speakers": (speakers.check_speakers, speakers.check_order),
}


def validate(paths: Sequence[Path], config: ValidateConfig, *, num_jobs: int = 1) -> Report:
    """Everything that is wrong with one or more manifests, in one pass; nothing is raised for what is found.

    Raises:
        SpeechkitError: a path does not exist or is no manifest.
    """
    sets = read_sets(paths, config)
    if "audio" not in config.skip:
        sound.measure_all(sets, num_jobs=num_jobs, use_cache=config.cache)
    for loaded in sets:
        for group, checks in SET_CHECKS.items():
            if group not in config.skip:
                loaded.findings += [finding for check in checks for finding in check(loaded)]
    findings = [finding for loaded in sets for finding in loaded.findings]
    if "leaks" not in config.skip:
        findings += leaks.check_leaks(sets)
    return Report(sets, [f for f in findings if KINDS[f.kind].group not in config.skip])


@dataclass(frozen=True)
class Outputs:
    """What `run` writes besides the table on stdout; None is nothing.

    Args:
        fix: folder for the repaired manifests.
        max_bad: utterances and lines that may go into quarantine: a count or a share such as 1%.
    """

    json: Path | None = None
    listing: Path | None = None
    fix: Path | None = None
    max_bad: str = "1%"
    force: bool = False


def run(paths: Sequence[Path], config: ValidateConfig, outputs: Outputs, *, num_jobs: int = 1) -> None:
    """Validate, print, write, and with `outputs.fix` mend.

    Raises:
        CheckFailed: faults remain, in the manifests or, with `outputs.fix`, in what was written.
    """
    if outputs.fix is not None:
        from speechkit.data.validate.fix import check_max_bad

        check_max_bad(outputs.max_bad)
    check_writable(outputs.json, outputs.listing)
    report = validate(paths, config, num_jobs=num_jobs)
    print(table(report))
    if outputs.json is not None:
        write_json(outputs.json, as_json(report))
    if outputs.listing is not None:
        write_list(outputs.listing, report)
    plan = plan_fix(report)
    if outputs.fix is None:
        if report.faults:
            raise check_failed(report.faults, hint=_hint(plan))
        return
    from speechkit.data.validate.fix import write_fixed

    write_fixed(
        report, plan, outputs.fix, config=config, max_bad=outputs.max_bad, num_jobs=num_jobs, force=outputs.force
    )
    if plan.left:
        raise check_failed(plan.left, hint="these need a decision of yours: see `cure` above")


def _hint(plan: Plan) -> str:
    done = [
        f"repairs {plan.num_repaired}" if plan.repaired else "",
        f"leaves out {plan.num_bad}" if plan.num_bad else "",
    ]
    left = f"; your decision is needed for {counted(len(plan.left), 'fault')}" if plan.left else ""
    words = " and ".join(filter(None, done))
    return f"`--fix DIR` {words} of {plan.num_total} utterances and lines{left}" if words else left.removeprefix("; ")
