"""Act on an audit: a new manifest without, with less of, or with repaired transcripts, and why of each change.

A decision of a person always outweighs the audit. A transcript is rewritten only where a decision has a text, or by
suggestions above a log-odds that the user names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from speechkit import log
from speechkit.artifact import make_artifact, publish_file
from speechkit.audit.config_verdict import ApplyConfig
from speechkit.audit.verdict import Decision, Verdict, find_audit, read_decisions, read_verdicts
from speechkit.data.store import CUTS_FILE, load_cuts, save_cuts, text_of
from speechkit.data.stream import manifest_path
from speechkit.errors import SpeechkitError, counted

if TYPE_CHECKING:
    from lhotse import MonoCut

REMOVED_FILE = "removed.jsonl"
CHANGED_FILE = "changed.jsonl"


@dataclass(frozen=True)
class Outcome:
    """What became of a cut: the new one, or None where it was removed, and what was done why.

    Args:
        action: "kept", "removed", "weighted", "corrected", "trimmed" or "not in the audit".
        details: what the list of changes says besides id, action and reason.
    """

    cut: MonoCut | None
    action: str
    reason: str
    details: dict[str, Any]


def run_apply(
    cuts: Path, out: Path, config: ApplyConfig, *, audit: Path, decisions: Path | None = None, force: bool = False
) -> bool:
    """Make the artifact `out`: `cuts.jsonl.gz`, `removed.jsonl`, `changed.jsonl`; False when it was up to date.

    Raises:
        SpeechkitError: a transcript is not the one that was audited, no cut is in the audit, or nothing is left.
    """
    manifest = manifest_path(cuts)
    audit_file = find_audit(audit)
    verdicts = {verdict.id: verdict for verdict in read_verdicts(audit)}
    decided = read_decisions(decisions, set(verdicts), audit) if decisions else {}
    num_open = sum(row.decision is None for row in decided.values())
    if num_open:
        log.warn(f"{num_open} of {len(decided)} rows of `{decisions}` hold no decision: the audit decides there")
    loaded = list(load_cuts(manifest))
    _check_texts(loaded, verdicts, audit)

    def build(folder: Path) -> None:
        outcomes = [_outcome(cut, verdicts.get(cut.id), decided.get(cut.id), config) for cut in loaded]
        _write(folder, loaded, outcomes)

    inputs = {"cuts": manifest, "audit": audit_file} | ({"decisions": decisions} if decisions else {})
    return make_artifact(out, command="audit apply", config=config, inputs=inputs, build=build, force=force)


def _check_texts(cuts: Sequence[MonoCut], verdicts: dict[str, Verdict], audit: Path) -> None:
    audited = [cut for cut in cuts if cut.id in verdicts]
    if not audited:
        raise SpeechkitError(f"no cut is in the audit `{audit}`", where=f"the first cut is `{cuts[0].id}`")
    other = [f"`{c.id}`: `{text_of(c)}`, audited `{verdicts[c.id].text}`" for c in audited if _differs(c, verdicts)]
    if other:
        raise SpeechkitError(
            f"{counted(len(other), 'transcript')} changed since the audit",
            where=other,
            hint="give the cuts that were audited, or audit these",
        )


def _differs(cut: MonoCut, verdicts: dict[str, Verdict]) -> bool:
    return text_of(cut).split() != verdicts[cut.id].text.split()


def _write(folder: Path, cuts: Sequence[MonoCut], outcomes: Sequence[Outcome]) -> None:
    kept = [outcome.cut for outcome in outcomes if outcome.cut is not None]
    if not kept:
        raise SpeechkitError(
            "no utterance would be left: all of them are removed", hint="raise --threshold, or use --policy weight"
        )
    save_cuts(kept, folder / CUTS_FILE)
    removed, changed = [], []
    for cut, outcome in zip(cuts, outcomes, strict=True):
        row = {"id": cut.id, "action": outcome.action, "reason": outcome.reason, **outcome.details}
        if outcome.cut is None:
            removed.append(row)
        elif outcome.action in ("corrected", "trimmed"):
            changed.append(row)
    for name, rows in ((REMOVED_FILE, removed), (CHANGED_FILE, changed)):
        with publish_file(folder / name, "wb") as stream:
            stream.writelines(orjson.dumps(row) + b"\n" for row in rows)
    _say(cuts, outcomes, kept)


def _say(cuts: Sequence[MonoCut], outcomes: Sequence[Outcome], kept: Sequence[MonoCut]) -> None:
    seconds, left = sum(cut.duration for cut in cuts), sum(cut.duration for cut in kept)
    actions = Counter(outcome.action for outcome in outcomes)
    print(f"{len(kept)} of {counted(len(cuts), 'cut')} stay, {left / 3600:.2f} of {seconds / 3600:.2f} h")
    for action, number in sorted(actions.items()):
        print(f"  {number} {action}")
    for reason, number in sorted(Counter(o.reason for o in outcomes if o.reason and o.action != "kept").items()):
        print(f"    {number} {reason}")
    unchanged = sum(o.action == "kept" and bool(o.reason) for o in outcomes)
    if unchanged:
        log.warn(f"{counted(unchanged, 'transcript')} that the audit doubts stay as they are: no correction was given")
    if actions["not in the audit"]:
        log.warn(f"{counted(actions['not in the audit'], 'cut')} stay as they are: not in the audit")


def _outcome(cut: MonoCut, verdict: Verdict | None, decision: Decision | None, config: ApplyConfig) -> Outcome:
    if verdict is None:
        return Outcome(cut, "not in the audit", "", {})
    answer = decision.decision if decision else None
    p_error = {"wrong": 1.0, "right": 0.0}.get(answer or "", verdict.p_error)
    is_suspicious = verdict.suspicious if config.threshold is None else verdict.p_error >= config.threshold
    is_bad = answer == "wrong" or (answer != "right" and is_suspicious)
    reason = "decided wrong" if answer == "wrong" else "suspicious" if is_bad else ""
    note: dict[str, Any] = {"p_error": p_error, "policy": config.policy}
    if answer:
        note["decision"] = answer
    details = {"p_error": p_error, "text": verdict.text}
    if config.policy in ("weight", "trim") and decision is not None and decision.text is not None and answer != "right":
        # what a person wrote is worth more than less of what was wrong
        fixed = _corrected(cut, verdict, decision, config, note | {"reason": reason})
        if fixed.action == "corrected":
            return fixed
    if config.policy == "weight":
        return Outcome(_weighted(cut, verdict, p_error, note), "weighted", "", details)
    if config.policy == "correct":
        return _corrected(cut, verdict, decision, config, note | {"reason": reason})
    if not is_bad:
        return Outcome(_noted(cut, note), "kept", "", details)
    if config.policy == "trim":
        return _trimmed(cut, verdict, config, note | {"reason": reason})
    return Outcome(None, "removed", reason, details)


def _noted(cut: MonoCut, note: dict[str, Any], **fields: Any) -> MonoCut:
    """The cut with provenance in `supervision.custom["audit"]`."""
    supervision = cut.supervisions[0]
    custom = {**(supervision.custom or {}), **fields.pop("custom", {}), "audit": note}
    return replace(cut, supervisions=[replace(supervision, custom=custom, **fields)])


def _weighted(cut: MonoCut, verdict: Verdict, p_error: float, note: dict[str, Any]) -> MonoCut:
    decided = note.get("decision") in ("wrong", "right")
    words = [1.0 - (p_error if decided else word.p_error) for word in verdict.words]
    custom: dict[str, Any] = {"weight": round(1.0 - p_error, 6)}
    if words:
        custom["word_weights"] = [round(weight, 6) for weight in words]
    return _noted(cut, note, custom=custom)


def _corrected(
    cut: MonoCut, verdict: Verdict, decision: Decision | None, config: ApplyConfig, note: dict[str, Any]
) -> Outcome:
    """With the text of the decision, or else with a suggestion that is sure enough."""
    answer, reason = note.get("decision"), note.pop("reason")
    details = {"p_error": note["p_error"], "text": verdict.text}
    text, source = decision.text if decision else None, "by decision"
    sure = config.accept_above is not None and verdict.suggestion_log_odds >= config.accept_above
    if text is None and sure and answer != "right" and verdict.suggestion:
        text, source = verdict.suggestion, "by suggestion"
        details["log_odds"] = verdict.suggestion_log_odds
    if text is not None and text.split() != verdict.text.split():
        after = " ".join(text.split())
        note |= {"before": verdict.text, "source": source}
        fixed = _noted(cut, note, text=after, alignment=None)  # word times were those of the other words
        return Outcome(fixed, "corrected", source, details | {"after": after})
    if answer == "wrong":
        return Outcome(None, "removed", "decided wrong, without a correction", details)
    return Outcome(_noted(cut, note), "kept", reason, details)


def _trimmed(cut: MonoCut, verdict: Verdict, config: ApplyConfig, note: dict[str, Any]) -> Outcome:
    """Without the beginning or end where the faults lie, if enough words stay."""
    reason = note.pop("reason")
    details = {"p_error": note["p_error"], "text": verdict.text}
    first, end = clean_span(verdict)
    num = len(verdict.words)
    if not any(word.suspicious for word in verdict.words) and not any(gap.suspicious for gap in verdict.gaps):
        return Outcome(None, "removed", f"{reason}, no place of the fault", details)
    if end - first < max(1.0, config.min_kept * num):
        return Outcome(None, "removed", f"{reason}, too few words without fault", details)
    low, high = _audio_span(cut, verdict, first, end, config.margin_ms / 1000.0)
    if high <= low:
        return Outcome(None, "removed", f"{reason}, no times of the words that would stay", details)
    text = " ".join(word.word for word in verdict.words[first:end])
    note |= {"before": verdict.text, "start_seconds": low, "end_seconds": high}
    supervision = cut.supervisions[0]
    short = replace(
        cut,
        start=cut.start + low,
        duration=high - low,
        supervisions=[replace(supervision, start=0.0, duration=high - low)],
    )
    details |= {"after": text, "start_seconds": low, "end_seconds": high}
    return Outcome(_noted(short, note, text=text, alignment=None), "trimmed", reason, details)


def clean_span(verdict: Verdict) -> tuple[int, int]:
    """The longest run of words [first, end) without a suspicious word or gap in it."""
    best, first = (0, 0), 0
    for index, word in enumerate(verdict.words):
        if verdict.gaps[index].suspicious:
            first = index
        if word.suspicious:
            first = index + 1
        if index + 1 - first > best[1] - best[0]:
            best = (first, index + 1)
    return best


def _audio_span(cut: MonoCut, verdict: Verdict, first: int, end: int, margin: float) -> tuple[float, float]:
    """Seconds of the cut that stay for words [first, end), on whole samples; all of a side where nothing is cut."""
    words, gaps = verdict.words, verdict.gaps
    low, high = 0.0, cut.duration
    if first > 0 or gaps[0].suspicious:
        low = max(words[first].start - margin, words[first - 1].end if first else 0.0)
    if end < len(words) or gaps[end].suspicious:
        high = min(words[end - 1].end + margin, words[end].start if end < len(words) else cut.duration)
    rate = cut.sampling_rate
    return max(0, round(low * rate)) / rate, min(round(cut.duration * rate), round(high * rate)) / rate
