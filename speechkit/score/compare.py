"""The command `score compare`: which of several systems is better on the same utterances, and how sure that is."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from speechkit.errors import ConfigError, SpeechkitError
from speechkit.kernels.edit import COR, DEL, INS, align_words
from speechkit.kernels.segments import error_segments
from speechkit.score.config import CompareConfig
from speechkit.score.normalize import read_normalizer
from speechkit.score.overlap import mark, train_overlap
from speechkit.score.report import warn_of_gaps
from speechkit.score.run import kind_of, score_files
from speechkit.score.significance import holm, mapsswe, mcnemar, paired_bootstrap, sign_test, wilcoxon
from speechkit.score.summary import summarise
from speechkit.score.wer import Counts, Scored, Step

SCHEMA = 1
FEW_UNITS = 10
NUM_GOOD = 2  # right words that end a MAPSSWE segment, as in sc_stats


def compare_files(ref: Path, hyps: list[Path], config: CompareConfig) -> dict[str, Any]:
    """Score every system as `score wer` would, and compare; the value is what `--json` writes.

    Raises:
        SpeechkitError: the ids of a system are not those of the reference; ConfigError: fewer than two systems, one
            of them twice, or REF is a CTM; CheckFailed: the utterances overlap with the training of a system.
    """
    if not config.tests:
        raise ConfigError("there is no test to run")
    if len(hyps) < 2:
        raise ConfigError("there is one system only", expected="REF HYP_A HYP_B, and more systems if wanted")
    twice = [path for k, path in enumerate(hyps) if path.resolve() in {other.resolve() for other in hyps[:k]}]
    if twice:
        raise ConfigError(f"`{twice[0]}` is given more than once", expected="a file for each system")
    if kind_of(ref, config.ref_format) == "ctm":
        raise ConfigError(
            "systems can not be paired against a CTM: where it is cut depends on the words of each system",
            hint="give the reference as STM, whose segments are the same for all systems",
        )
    normalizer = read_normalizer(config.normalize, config.case)
    overlaps = [train_overlap(ref, hyp, allowed=config.allow_overlap) for hyp in hyps]
    result = compare([score_files(ref, hyp, config, normalizer) for hyp in hyps], config)
    for system, overlap in zip(result["systems"], overlaps, strict=True):
        system["train_overlap"] = overlap
    return result


def compare(systems: list[Scored], config: CompareConfig) -> dict[str, Any]:
    """Every pair of systems under every wanted test, with Holm's correction over the pairs of one test."""
    first = systems[0]
    names = _names([s.hyp.source for s in systems])
    if len(first) < 2:
        raise SpeechkitError("one utterance is too few to compare systems", where=first.ref.source)
    groups = _groups(first, config.by)
    pairs: list[dict[str, Any]] = []
    for a, b in combinations(range(len(systems)), 2):
        pairs.append({"a": names[a], "b": names[b], "tests": _tests(systems[a], systems[b], groups, config)})
    for test in pairs[0]["tests"]:
        for pair, p in zip(pairs, holm([pair["tests"][test]["p"] for pair in pairs]), strict=True):
            pair["tests"][test]["p_holm"] = p
    rates = [summarise(s, level=config.ci_level, num_replicates=1000, seed=config.seed) for s in systems]
    keys = ("wer", "sub", "del", "ins", "num_ref_words", "ci95", "ci")
    return {
        "schema": SCHEMA,
        "ref": first.ref.source,
        "systems": [
            {"name": name, "hyp": s.hyp.source, **{key: rate[key] for key in keys}}
            for name, s, rate in zip(names, systems, rates, strict=True)
        ],
        "num_utterances": len(first),
        "num_ref_words": rates[0]["num_ref_words"],
        "unit": config.unit,
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


def segments(a: Scored, b: Scored) -> Counts:
    """(N, 2) errors of both systems in each stretch with errors, see `kernels.segments`."""
    by_steps = sorted({*a.overrides, *b.overrides})
    flat = [_plain_ops(scored, by_steps) for scored in (a, b)]
    rows = error_segments(flat[0], flat[1], NUM_GOOD)[:, 1:]
    marked = [row for u in by_steps for row in step_segments(a.align(u), b.align(u))]
    return np.concatenate([rows, np.array(marked, np.int64).reshape(-1, 2)])


def _plain_ops(scored: Scored, left_out: list[int]) -> tuple[npt.NDArray[np.int8], Counts, Counts]:
    kept = np.ones(len(scored), np.bool_)
    kept[left_out] = False
    utterances = np.flatnonzero(kept).tolist()
    refs, hyps = [scored.ref_words(u) for u in utterances], [scored.hyp_words(u) for u in utterances]
    found = align_words(refs, hyps, ties=scored.ties)
    return found.ops, found.starts, found.ends


def step_segments(a: list[Step], b: list[Step]) -> list[tuple[int, int]]:
    """The same for one utterance whose reference words may differ, as systems may choose other alternatives.

    Words that only one of them chose belong to a stretch when they are wrong, but never end it.
    """
    sides = _by_word(a), _by_word(b)
    common = align_words([[w for w, _, _ in sides[0][:-1]]], [[w for w, _, _ in sides[1][:-1]]]).ops_of(0).tolist()
    rows, errors, good, at = [], [0, 0], 0, [0, 0]
    for op in [*common, COR]:  # the last one stands for the insertions at the end
        inserted = wrong = 0
        for side in (0, 1):
            if op == (INS, DEL)[side]:  # a word only the other one chose
                continue
            _, before, is_wrong = sides[side][at[side]]
            errors[side] += before + is_wrong
            inserted, wrong = inserted + before, wrong + is_wrong
            at[side] += 1
        good = 0 if wrong else (0 if inserted else good) + (op == COR)
        if good >= NUM_GOOD and any(errors):
            rows.append((errors[0], errors[1]))
            errors = [0, 0]
    return [*rows, (errors[0], errors[1])] if any(errors) else rows


def _by_word(steps: list[Step]) -> list[tuple[str, int, int]]:
    """Reference words, the insertions before each, and whether it is wrong; at the end no word."""
    found, before = [], 0
    for op, ref, _ in steps:
        if ref is None:
            before += 1
        else:
            found.append((ref, before, int(op != COR)))
            before = 0
    return [*found, ("", before, 0)]


def _groups(scored: Scored, name: str) -> Counts | None:
    """Number of the group of each utterance, or None when there are fewer than two."""
    if not name:
        return None
    warn_of_gaps(scored, (name,))
    kinds, numbers = scored.groups(name)
    if len(kinds) < 2:
        raise SpeechkitError(f"all utterances have the same `{name}`", hint="leave --by away, or choose another field")
    return numbers


def _per_group(values: Counts, groups: Counts) -> Counts:
    return np.bincount(groups, weights=values).astype(np.int64)


def _tests(a: Scored, b: Scored, groups: Counts | None, config: CompareConfig) -> dict[str, dict[str, Any]]:
    sides = [np.stack([s.words[:, :3].sum(axis=1), s.words[:, 3]], axis=1) for s in (a, b)]
    options = {"level": config.ci_level, "num_replicates": config.num_replicates, "seed": config.seed}
    unit = config.by or "utterance"
    units = sides if groups is None else [np.stack([_per_group(c, groups) for c in s.T], axis=1) for s in sides]
    rates = [100.0 * s[:, 0] / np.maximum(s[:, 1], 1) for s in units]
    found: dict[str, dict[str, Any]] = {}
    if "mapsswe" in config.tests:
        errors = segments(a, b)
        found["mapsswe"] = mapsswe(errors[:, 0], errors[:, 1], level=config.ci_level)
    if "bootstrap" in config.tests:
        found["bootstrap"] = paired_bootstrap(sides[0], sides[1], unit="utterance", **options)  # type: ignore[arg-type]
        if groups is not None:
            found[f"bootstrap by {unit}"] = paired_bootstrap(units[0], units[1], unit=unit, **options)  # type: ignore[arg-type]
    if "mcnemar" in config.tests:
        found["mcnemar"] = mcnemar(sides[0][:, 0] > 0, sides[1][:, 0] > 0, level=config.ci_level)
    if "sign" in config.tests:
        found["sign"] = sign_test(rates[0], rates[1], unit, level=config.ci_level)
    if "wilcoxon" in config.tests:
        found["wilcoxon"] = wilcoxon(rates[0], rates[1], unit, level=config.ci_level)
    return found


_PLURALS = {"utterance": "utterances", "segment": "segments", "speaker": "speakers"}


def _shown(probability: float) -> str:
    return f"{probability:.4f}" if probability >= 1e-4 else f"{probability:.0e}"


def table(result: dict[str, Any]) -> str:
    """The comparison for people."""
    unit = result["unit"]
    lines = [f"{result['num_utterances']} utterances, {result['num_ref_words']} {unit}s, ties: {result['ties']}"]
    for system in result["systems"]:
        low, high = system["ci"]["wer"]
        lines.append(
            f"  {system['name']:<28} {unit} error rate {system['wer']:6.2f} %  [{low:.2f}, {high:.2f}]"
            + mark(system.get("train_overlap"))
        )
    for pair in result["pairs"]:
        lines.append(f"{pair['a']} - {pair['b']}")
        for name, test in pair["tests"].items():
            interval = "[{:+.2f}, {:+.2f}]".format(*test["interval"])
            verdict = "different" if test["p_holm"] < result["alpha"] else "no difference shown"
            verdict += ", but few units" if test["n"] < FEW_UNITS else ""
            units = _PLURALS.get(test["unit"], f"{test['unit']} groups")
            lines.append(
                f"  {name:<22} n {test['n']:>6} {units:<14} effect {test['effect']:+9.3f} {interval:<18}"
                f" p {_shown(test['p']):<7} p(Holm) {_shown(test['p_holm']):<7} {verdict}"
            )
    lines.append(
        "effect: difference of the rates in points (bootstrap), errors per segment (mapsswe), utterances wrong "
        "(mcnemar), units (sign), median rate difference (wilcoxon); above 0 the first system is worse"
    )
    return "\n".join(lines)
