"""The command `score compare`: which of several systems is better on the same utterances, and how sure that is."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from speechkit.errors import ConfigError, SpeechkitError
from speechkit.kernels.edit import Alignment, align_words
from speechkit.kernels.segments import error_segments
from speechkit.score.config import CompareConfig
from speechkit.score.significance import holm, mapsswe, mcnemar, paired_bootstrap, sign_test, wilcoxon
from speechkit.score.summary import summarise
from speechkit.score.transcripts import Transcripts, read_transcripts
from speechkit.score.wer import Scored, score

SCHEMA = 1
FEW_UNITS = 10
NUM_GOOD = 2  # right words that end a MAPSSWE segment, as in sc_stats


def compare_files(ref: Path, hyps: list[Path], config: CompareConfig) -> dict[str, Any]:
    """Read and compare; the value is what `--json` writes.

    Raises:
        SpeechkitError: the ids of a system are not those of the reference; ConfigError: fewer than two systems.
    """
    if len(hyps) < 2:
        raise ConfigError("there is one system only", expected="REF HYP_A HYP_B, and more systems if wanted")
    references = read_transcripts(ref, config.ref_format)
    return compare(references, [read_transcripts(hyp, config.hyp_format) for hyp in hyps], config)


def compare(ref: Transcripts, hyps: list[Transcripts], config: CompareConfig) -> dict[str, Any]:
    """Every pair of systems under every wanted test, with Holm's correction over the pairs of one test."""
    systems = [score(ref, hyp, ties=config.ties, with_chars=False) for hyp in hyps]
    names = _names([hyp.source for hyp in hyps])
    if len(ref) < 2:
        raise SpeechkitError("one utterance is too few to compare systems", where=ref.source)
    aligned = [_align_all(s) for s in systems] if "mapsswe" in config.tests else []
    groups = _groups(systems[0], config.by)
    pairs: list[dict[str, Any]] = []
    for a, b in combinations(range(len(systems)), 2):
        segments = error_segments(_ops(aligned[a]), _ops(aligned[b]), NUM_GOOD) if aligned else None
        tests = _tests(systems[a], systems[b], segments, groups, config)
        pairs.append({"a": names[a], "b": names[b], "tests": tests})
    for test in pairs[0]["tests"]:
        for pair, p in zip(pairs, holm([pair["tests"][test]["p"] for pair in pairs]), strict=True):
            pair["tests"][test]["p_holm"] = p
    rates = {
        name: summarise(s, level=config.ci_level, num_replicates=1000, seed=config.seed)
        for name, s in zip(names, systems, strict=True)
    }
    return {
        "schema": SCHEMA,
        "ref": ref.source,
        "systems": [
            {"name": n, "hyp": h.source, "wer": rates[n]["wer"], "ci95": rates[n]["ci95"]}
            for n, h in zip(names, hyps, strict=True)
        ],
        "num_utterances": len(ref),
        "num_ref_words": rates[names[0]]["num_ref_words"],
        "ties": config.ties,
        "by": config.by,
        "seed": config.seed,
        "alpha": config.alpha,
        "pairs": pairs,
    }


def _names(sources: list[str]) -> list[str]:
    paths = [Path(s) for s in sources]
    short = [p.stem for p in paths]
    return short if len(set(short)) == len(short) else [str(p) for p in paths]


def _align_all(scored: Scored) -> Alignment:
    utterances = range(len(scored))
    refs, hyps = [scored.ref_words(u) for u in utterances], [scored.hyp_words(u) for u in utterances]
    return align_words(refs, hyps, ties=scored.ties)


def _ops(alignment: Alignment) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    return alignment.ops, alignment.starts, alignment.ends


def _groups(scored: Scored, name: str) -> npt.NDArray[np.int64] | None:
    """Number of the group of each utterance, or None when there are fewer than two."""
    if not name:
        return None
    kinds, numbers = scored.groups(name)
    if len(kinds) < 2:
        raise SpeechkitError(f"all utterances have the same `{name}`", hint="leave --by away, or choose another field")
    return numbers


def _per_group(values: npt.NDArray[np.int64], groups: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.bincount(groups, weights=values).astype(np.int64)


def _tests(
    a: Scored,
    b: Scored,
    segments: npt.NDArray[np.int64] | None,
    groups: npt.NDArray[np.int64] | None,
    config: CompareConfig,
) -> dict[str, dict[str, Any]]:
    errors = [s.words[:, :3].sum(axis=1) for s in (a, b)]
    words = a.words[:, 3]
    options = {"level": config.ci_level, "num_replicates": config.num_replicates, "seed": config.seed}
    unit = config.by or "utterance"
    units = [*errors, words] if groups is None else [_per_group(v, groups) for v in (*errors, words)]
    rates = [100.0 * e / np.maximum(units[2], 1) for e in units[:2]]
    found: dict[str, dict[str, Any]] = {}
    if "mapsswe" in config.tests and segments is not None:
        found["mapsswe"] = mapsswe(segments[:, 1], segments[:, 2])
    if "bootstrap" in config.tests:
        found["bootstrap"] = paired_bootstrap(errors[0], errors[1], words, unit="utterance", **options)  # type: ignore[arg-type]
        if groups is not None:
            found[f"bootstrap by {unit}"] = paired_bootstrap(units[0], units[1], units[2], unit=unit, **options)  # type: ignore[arg-type]
    if "mcnemar" in config.tests:
        found["mcnemar"] = mcnemar(errors[0] > 0, errors[1] > 0)
    if "sign" in config.tests:
        found["sign"] = sign_test(rates[0], rates[1], unit)
    if "wilcoxon" in config.tests:
        found["wilcoxon"] = wilcoxon(rates[0], rates[1], unit)
    return found


def table(result: dict[str, Any]) -> str:
    """The comparison for people."""
    lines = [f"{result['num_utterances']} utterances, {result['num_ref_words']} words, ties: {result['ties']}"]
    for system in result["systems"]:
        low, high = system["ci95"]
        lines.append(f"  {system['name']:<28} WER {system['wer']:6.2f} %  [{low:.2f}, {high:.2f}]")
    for pair in result["pairs"]:
        lines.append(f"{pair['a']} - {pair['b']}")
        for name, test in pair["tests"].items():
            interval = "[{:+.2f}, {:+.2f}]".format(*test["interval"]) if "interval" in test else ""
            verdict = "different" if test["p_holm"] < result["alpha"] else "no difference shown"
            verdict += ", but few units" if test["n"] < FEW_UNITS else ""
            lines.append(
                f"  {name:<22} n {test['n']:>6} {test['unit'] + 's':<12} effect {test['effect']:+9.3f} {interval:<18}"
                f" p {test['p']:.4f}  p(Holm) {test['p_holm']:.4f}  {verdict}"
            )
    lines.append(
        "effect: WER difference in points (bootstrap), errors per segment (mapsswe), utterances wrong (mcnemar), "
        "units (sign), median rate difference (wilcoxon); above 0 the first system is worse"
    )
    return "\n".join(lines)
