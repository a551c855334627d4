"""The command `audit eval`: scores or an audit against known truth.

Every score is measured over utterances, in all and for each type of fault; words and gaps over the utterances whose
text has a local fault there, and over all whose faults are located. Intervals come from a bootstrap over utterances.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from speechkit import log
from speechkit.artifact import check_writable, write_json
from speechkit.audit.config_truth import EvalConfig
from speechkit.audit.inspection import simulate_inspections
from speechkit.audit.judged import Bools, Floats, Judged, Spots, left_out_ids, read_judged
from speechkit.audit.metrics import Ranking, Steps, calibration_error, interval, replicates
from speechkit.audit.truth import Truth, read_truth
from speechkit.errors import ConfigError, SpeechkitError, counted

_PROBABLE = 0.5
BASELINES = ("cer_hyp", "wer_hyp", "cleanlab_self_confidence", "cleanlab_normalized_margin")


def run(config: EvalConfig, *, judged: Path, truth: Path, json_file: Path | None = None) -> dict[str, Any]:
    """Measure and print; the value is what `--json` writes.

    Raises:
        SpeechkitError: truth and scores are not about the same cuts and texts.
    """
    check_writable(json_file)
    result = evaluate(
        read_judged(judged, config.star_penalty), read_truth(truth), config, left_out=left_out_ids(judged)
    )
    result = {"schema": 1, "judged": str(judged), "truth": str(truth), **result}
    if json_file is not None:
        write_json(json_file, result)
    print(table(result))
    return result


def evaluate(
    judged: Judged, truth: Mapping[str, Truth], config: EvalConfig, *, left_out: Sequence[str] | set[str] = ()
) -> dict[str, Any]:
    """All measures as plain values.

    Args:
        left_out: ids that were given up before they were scored: no score, no measure, but counted.
    Raises:
        SpeechkitError: truth about cuts that are not there, or with another text, or no fault at all.
    """
    faults = _joined(judged, truth, set(left_out))
    is_wrong = np.array([fault is not None for fault in faults])
    result = {
        "utterances": len(faults),
        "faulty": int(is_wrong.sum()),
        "not_scored": len(truth) - int(is_wrong.sum()),
        "types": dict(sorted(Counter(fault.type for fault in faults if fault is not None).items())),
        "budget": config.budget,
        "ci": {"level": config.ci_level, "num_replicates": config.num_replicates, "seed": config.seed},
        "scores": _scores(judged, faults, config),
    }
    for name, spots in (("words", judged.words), ("gaps", judged.gaps)):
        if len(spots.unit):
            result[name] = _measure_spots(spots, faults, name, config)
    if judged.verdicts:
        result |= _conclusions(judged, faults, is_wrong)
    return result


def _joined(judged: Judged, truth: Mapping[str, Truth], left_out: set[str]) -> list[Truth | None]:
    unknown = sorted(truth.keys() - set(judged.ids) - left_out)
    if unknown:
        raise SpeechkitError(
            f"{counted(len(unknown), 'faulty cut')} of {len(truth)} have no score",
            where=unknown,
            expected="the truth of the cuts that were scored",
        )
    faults = [truth.get(utt_id) for utt_id in judged.ids]
    other = [
        f"{fault.id}  `{text}` is scored, `{fault.after}` is the truth's"
        for fault, text in zip(faults, judged.texts, strict=True)
        if fault is not None and fault.after.split() != text.split()
    ]
    if other:
        raise SpeechkitError(f"{counted(len(other), 'text')} differ from those of the truth", where=other)
    if not any(faults):
        raise SpeechkitError("none of the scored cuts is faulty, so nothing can be measured")
    if lost := len(truth) - sum(fault is not None for fault in faults):
        log.warn(f"{counted(lost, 'faulty cut')} could not be scored and are not measured")
    return faults


def _scores(judged: Judged, faults: Sequence[Truth | None], config: EvalConfig) -> dict[str, Any]:
    is_wrong = np.array([fault is not None for fault in faults])
    types = np.array([fault.type if fault is not None else "" for fault in faults])
    unit = np.arange(len(faults))
    found: dict[str, Any] = {}
    values: dict[str, Floats] = {}
    for name, scores in judged.scores.items():
        ranking = Ranking(scores, is_wrong, unit)
        found[name], values[name] = _measured(ranking, config, num_units=len(faults))
        found[name]["types"] = {}
        for kind in sorted(set(types[is_wrong].tolist())):
            part = ranking.select(~is_wrong | (types == kind))
            found[name]["types"][kind] = _measured(part, config, num_units=len(faults))[0]
    baseline = _baseline(found, config.baseline)
    for name, row in found.items():
        if baseline and name != baseline:
            row["ap_over_baseline"] = {
                "baseline": baseline,
                "difference": _rounded(row["ap"] - found[baseline]["ap"]),
                "interval": interval(values[name] - values[baseline], config.ci_level),
            }
    return found


def _baseline(found: Mapping[str, Any], wanted: str) -> str:
    if wanted and wanted not in found:
        raise ConfigError(f"there is no score `{wanted}` to compare with", expected=f"one of {', '.join(found)}")
    known = [name for name in BASELINES if name in found]
    return wanted or max(known, key=lambda name: found[name]["ap"], default="")


def _measured(ranking: Ranking, config: EvalConfig, *, num_units: int) -> tuple[dict[str, Any], Floats]:
    """Measures of a ranking of utterances with intervals, and the bootstrap values of its AP."""
    measures = {
        "auroc": Steps.auroc,
        "ap": Steps.average_precision,
        "precision_at_k": Steps.precision_at_k,
    }
    point = ranking.steps()
    row: dict[str, Any] = {"faulty": int(ranking.is_wrong.sum())}
    row |= {name: _rounded(measure(point)[0]) for name, measure in measures.items()}
    row["recall_at_budget"] = _rounded(point.recall_at(config.budget)[0])
    bootstrap = replicates(
        ranking, measures, num_units=num_units, num_replicates=config.num_replicates, seed=config.seed
    )
    row["ci"] = {name: interval(values, config.ci_level) for name, values in bootstrap.items()}
    return row, bootstrap["ap"]


def _rounded(value: float) -> float | None:
    return None if not np.isfinite(value) else round(float(value), 6)


def _measure_spots(spots: Spots, faults: Sequence[Truth | None], name: str, config: EvalConfig) -> dict[str, Any]:
    """Words or gaps: of utterances that are right or have a local fault there (`local`), and of all known ones."""
    wrong = [(fault.wrong_words if name == "words" else fault.wrong_gaps) if fault else () for fault in faults]
    sets = [set(places) for places in wrong]
    pairs = zip(spots.unit.tolist(), spots.place.tolist(), strict=True)
    is_wrong = np.array([place in sets[unit] for unit, place in pairs], np.bool_)
    is_local = np.array([fault is None or (fault.is_local and bool(sets[u])) for u, fault in enumerate(faults)])
    is_known = np.array([fault is None or fault.located for fault in faults])
    found: dict[str, Any] = {}
    for rows, keep in (("local", is_local[spots.unit]), ("all", is_known[spots.unit])):
        part: dict[str, Any] = {"number": int(keep.sum()), "wrong": int(is_wrong[keep].sum())}
        if part["wrong"]:
            part["scores"] = {
                score: _spot_row(Ranking(values, is_wrong, spots.unit).select(keep), score, len(faults), config)
                for score, values in spots.scores.items()
            }
            if spots.flags is not None:
                best = max(row["best_f1"] for row in part["scores"].values())
                part["auto"] = _flagged(spots.flags[keep], is_wrong[keep], best)
        found[rows] = part
    return found


def _spot_row(ranking: Ranking, score: str, num_units: int, config: EvalConfig) -> dict[str, Any]:
    point = ranking.steps()
    best, threshold = point.best_f1()
    row = {
        "auroc": _rounded(point.auroc()[0]),
        "ap": _rounded(point.average_precision()[0]),
        "best_f1": _rounded(best[0]),
        "best_threshold": _rounded(threshold[0]),
    }
    if score.startswith("log_odds"):
        row["f1_at_0"] = _rounded(point.f1_from(0.0)[0])
    elif score.startswith("p_"):
        row["f1_at_half"] = _rounded(point.f1_from(_PROBABLE)[0])
    measures = {"auroc": Steps.auroc, "ap": Steps.average_precision}
    values = replicates(ranking, measures, num_units=num_units, num_replicates=config.num_replicates, seed=config.seed)
    return {**row, "ci": {name: interval(found, config.ci_level) for name, found in values.items()}}


def _flagged(flags: Bools, is_wrong: Bools, best_f1: float) -> dict[str, Any]:
    """What the audit calls suspicious, against the truth and against the best threshold there is."""
    hits = float((flags & is_wrong).sum())
    f1 = 2 * hits / max(1.0, float(flags.sum() + is_wrong.sum()))
    return {
        "suspicious": int(flags.sum()),
        "precision": _rounded(hits / max(1.0, float(flags.sum()))),
        "recall": _rounded(hits / max(1.0, float(is_wrong.sum()))),
        "f1": _rounded(f1),
        "share_of_best_f1": _rounded(f1 / best_f1 if best_f1 else np.nan),
    }


def _conclusions(judged: Judged, faults: Sequence[Truth | None], is_wrong: Bools) -> dict[str, Any]:
    """What only an audit says: flags, probabilities, the noise rate that follows from them, and suggestions."""
    p_error = judged.scores["p_error"]
    flags = np.array([verdict.suspicious for verdict in judged.verdicts])
    best = max(float(Ranking(s, is_wrong, np.arange(len(s))).steps().best_f1()[0][0]) for s in judged.scores.values())
    estimate, true = float(p_error.mean()), float(is_wrong.mean())
    return {
        "auto": _flagged(flags, is_wrong, best),
        "ece": _rounded(calibration_error(p_error, is_wrong)),
        "noise_rate": {
            "true": _rounded(true),
            "mean_p_error": _rounded(estimate),
            "error": _rounded(estimate - true),
        },
        "suggestions": _suggestions(judged, faults),
        "inspections": simulate_inspections(
            judged.verdicts, {name for name, wrong in zip(judged.ids, is_wrong, strict=True) if wrong}, num_draws=50
        ),
    }


def _suggestions(judged: Judged, faults: Sequence[Truth | None]) -> dict[str, Any]:
    """How often the first suggestion is what was said, among the cuts with a local fault of their text."""
    totals: Counter[str] = Counter()
    right: Counter[str] = Counter()
    given = 0
    for verdict, fault in zip(judged.verdicts, faults, strict=True):
        if fault is not None and fault.is_local:
            totals[fault.type] += 1
            given += bool(verdict.suggestion)
            right[fault.type] += verdict.suggestion.split() == fault.before.split()
    total = sum(totals.values())
    return {
        "faults": total,
        "suggested": given,
        "right": sum(right.values()),
        "accuracy": _rounded(sum(right.values()) / total) if total else None,
        "types": {kind: {"faults": totals[kind], "right": right[kind]} for kind in sorted(totals)},
    }


def table(result: Mapping[str, Any]) -> str:
    """The scores, best AP first, then words, gaps and what the audit concludes."""
    head = f"{'score':<28}{'AUROC':>7}{'AP':>7}  {'interval':<16}{'P@k':>6}{'recall':>7}  AP over "
    scores = result["scores"]
    baseline = next((row["ap_over_baseline"]["baseline"] for row in scores.values() if "ap_over_baseline" in row), "")
    lines = [f"{result['faulty']} of {result['utterances']} utterances are faulty", head + (baseline or "-")]
    for name, row in sorted(scores.items(), key=lambda item: -(item[1]["ap"] or 0.0)):
        numbers = f"{_cell(row['auroc'])}{_cell(row['ap'])}  {_range(row['ci']['ap']):<16}"
        numbers += f"{_cell(row['precision_at_k'], 6)}{_cell(row['recall_at_budget'])}"
        over = row.get("ap_over_baseline")
        lines.append(
            f"{name:<28}{numbers}" + (f"  {over['difference']:+.3f} {_range(over['interval'])}" if over else "")
        )
    for name in ("words", "gaps"):
        for part, title in (("local", f"{name} of texts with at most a few faults"), ("all", f"all {name}")):
            lines += _spot_lines(title, result[name][part]) if name in result and part in result[name] else []
    if "suggestions" in result:
        rate, found, auto = result["noise_rate"], result["suggestions"], result["auto"]
        lines.append(
            f"flagged {auto['suspicious']}, F1 {auto['f1']:.3f}; noise rate {rate['true']:.3f}, mean P(error) "
            f"{rate['mean_p_error']:.3f}; ECE {result['ece']:.3f}; "
            f"suggestions right {found['right']} of {found['faults']}"
        )
        told = result["inspections"]
        lines.append(
            f"{told['draws']} times {told['inspected']} inspections: {told['mean']:.1f} % +- {told['sd']:.1f}, "
            f"intervals hold the true rate in {told['coverage']:.0f} %; +- {told['sd_of_random_samples']:.1f} at random"
        )
    return "\n".join(lines)


def _spot_lines(name: str, part: Mapping[str, Any]) -> list[str]:
    lines = [f"{name}: {part['wrong']} of {part['number']} are wrong"]
    for score, row in part.get("scores", {}).items():
        f1 = f"best F1 {row['best_f1']:.3f}"
        if "f1_at_0" in row:
            f1 += f", at log-odds 0 {row['f1_at_0']:.3f}"
        lines.append(f"  {score:<26}{_cell(row['auroc'])}{_cell(row['ap'])}  {_range(row['ci']['ap']):<16}{f1}")
    if "auto" in part:
        auto = part["auto"]
        lines.append(f"  flagged {auto['suspicious']}: F1 {auto['f1']:.3f}, {auto['share_of_best_f1']:.0%} of the best")
    return lines


def _cell(value: float | None, width: int = 7) -> str:
    return f"{'-' if value is None else f'{value:.3f}':>{width}}"


def _range(found: Sequence[float] | None) -> str:
    return f"[{found[0]:.3f}, {found[1]:.3f}]" if found else ""
