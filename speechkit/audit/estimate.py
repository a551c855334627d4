"""How many transcripts are wrong: a stratified sample to inspect, and the rate with its interval.

Label-free rates confound errors of the model with errors of the labels; some inspections do not. Strata are parts of
the ranking, so that most inspections go where the errors are and the variance is small.

The posterior of a stratum is Beta(k + 1/3, n - k + 1/3), whose median is close to k / n also when k is 0 (Kerman
2011), and the transcripts that nobody inspected follow from it; the interval is that of the sum over strata.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from speechkit import log
from speechkit.artifact import publish_file
from speechkit.audit.config_verdict import DrawConfig, EstimateConfig
from speechkit.audit.verdict import STRATA, Decision, Verdict, read_decisions, read_upper_rate, read_verdicts
from speechkit.data.stream import stream_rows
from speechkit.errors import CheckFailed, SpeechkitError, counted
from speechkit.rng import rng

SHARES_OF_RANKING = (0.1, 0.2, 0.7)
SHARES_OF_SAMPLE = (0.4, 0.3, 0.3)
SCHEMA = "speechkit-audit-estimate/1"
_PRIOR = 1.0 / 3.0
_NUM_DRAWS = 10_000

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Inspected:
    """One stratum: its size, how many of it were decided, and how."""

    name: str
    size: int
    wrong: int
    right: int
    unsure: int


def stratum_sizes(num: int) -> Ints:
    """Sizes of the top 10 %, the next 20 % and the rest of a ranking of `num` utterances."""
    top = max(1, round(SHARES_OF_RANKING[0] * num))
    middle = max(1, round((SHARES_OF_RANKING[0] + SHARES_OF_RANKING[1]) * num) - top)
    sizes = np.array([top, middle, num - top - middle], np.int64)
    return np.clip(sizes, 0, num - np.concatenate([[0], np.cumsum(sizes)[:-1]]).clip(max=num))


def allot(sizes: Ints, total: int) -> Ints:
    """How many to draw of each stratum: 40, 30, 30 of 100; what a small stratum can not give falls to the others."""
    shares = np.array(SHARES_OF_SAMPLE)
    drawn = np.zeros(len(sizes), np.int64)
    while (left := min(total, int(sizes.sum())) - int(drawn.sum())) > 0:
        is_open = drawn < sizes
        exact = left * shares * is_open / shares[is_open].sum()
        more = np.floor(exact).astype(np.int64)
        most = np.argsort(-(exact - more), kind="stable")[: left - int(more.sum())]
        more[most] += 1
        drawn = np.minimum(drawn + more, sizes)
    return drawn


def draw_sample(verdicts: Sequence[Verdict], config: DrawConfig) -> list[tuple[Verdict, str]]:
    """Utterances with their stratum, in random order, so that the order does not tell what the audit thinks."""
    sizes = stratum_sizes(len(verdicts))
    numbers = allot(sizes, config.draw)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    drawn: list[tuple[Verdict, str]] = []
    for name, start, size, number in zip(STRATA, starts, sizes, numbers, strict=True):
        rows = start + rng(config.seed, "audit estimate", name).permutation(int(size))[:number]
        drawn += [(verdicts[row], name) for row in rows.tolist()]
    order = rng(config.seed, "audit estimate", "order").permutation(len(drawn))
    return [drawn[place] for place in order.tolist()]


def run_draw(audit: Path, out: Path, config: DrawConfig) -> None:
    """Write the sample: rows of id and stratum with an empty decision, to be filled in by hand or on the page."""
    verdicts = read_verdicts(audit)
    _keep_decisions(out)
    drawn = draw_sample(verdicts, config)
    if len(drawn) < config.draw:
        log.warn(f"the audit has only {counted(len(verdicts), 'utterance')}: all of them are drawn")
    with publish_file(out, "wb") as stream:
        for verdict, stratum in drawn:
            row = {"id": verdict.id, "stratum": stratum, "given": verdict.text, "decision": None}
            stream.write(orjson.dumps(row) + b"\n")
    numbers = Counter(stratum for _, stratum in drawn)
    print(f"{counted(len(drawn), 'utterance')} to inspect: {', '.join(f'{numbers[name]} {name}' for name in STRATA)}")


def _keep_decisions(out: Path) -> None:
    """Raise SpeechkitError when a sample stands there on which somebody has decided."""
    if out.is_file() and any(row.get("decision") for _, row in stream_rows(out)):
        raise SpeechkitError(f"`{out}` holds decisions, which a new sample would replace", hint="choose another --out")


def run_estimate(audit: Path, decisions: Path, config: EstimateConfig, *, sample: Path | None = None) -> dict[str, Any]:
    """The noise rate of an audit from the decisions about a drawn sample, as `--json` writes it.

    Args:
        sample: what `--draw` wrote, needed when the decisions do not name their strata.
    """
    verdicts = read_verdicts(audit)
    known = {verdict.id for verdict in verdicts}
    given = read_decisions(decisions, known, audit)
    drawn = read_decisions(sample, known, audit) if sample else given
    strata = _strata_of(verdicts, drawn, sample or decisions)
    inspected = count_decisions(verdicts, strata, given)
    result = estimate(inspected, config)
    result["inspections"]["not_decided"] = sum(_is_open(given.get(name)) for name in strata)
    result["inspections"]["not_drawn"] = sum(name not in strata for name in given)
    result["label_free"] = {
        "rate": float(np.mean([verdict.p_error for verdict in verdicts])),
        "upper_bound": read_upper_rate(audit),
    }
    return result


def _strata_of(verdicts: Sequence[Verdict], drawn: Mapping[str, Decision], path: Path) -> dict[str, str]:
    """The stratum of each drawn utterance, which must be the one that this audit gives it."""
    named = {name: str(row.stratum) for name, row in drawn.items() if row.stratum}
    if not named:
        raise SpeechkitError(
            f"no row of `{path}` names its stratum: utterances that were not drawn say nothing of the rest",
            hint="draw with `speechkit audit estimate AUDIT --draw 100 --out sample.jsonl`, then give --sample too",
        )
    names = np.repeat(STRATA, stratum_sizes(len(verdicts)))
    own = {verdict.id: str(name) for verdict, name in zip(verdicts, names, strict=True)}
    other = [f"`{name}`: {stratum}, now {own[name]}" for name, stratum in named.items() if stratum != own[name]]
    if other:
        raise SpeechkitError(
            f"`{path}` was drawn from another ranking: {len(other)} of {len(named)} stand in another stratum",
            where=other,
            hint="use the audit it was drawn from, or draw again",
        )
    return named


def _is_open(decision: Decision | None) -> bool:
    return decision is None or decision.decision is None


def count_decisions(
    verdicts: Sequence[Verdict], strata: Mapping[str, str], given: Mapping[str, Decision]
) -> list[Inspected]:
    """Decisions by stratum; what was drawn and not decided is left out."""
    sizes = stratum_sizes(len(verdicts))
    counts = Counter((strata[name], row.decision) for name, row in given.items() if name in strata)
    return [
        Inspected(name, int(size), counts[name, "wrong"], counts[name, "right"], counts[name, "unsure"])
        for name, size in zip(STRATA, sizes, strict=True)
    ]


def estimate(inspected: Sequence[Inspected], config: EstimateConfig) -> dict[str, Any]:
    """Rate, interval, standard deviation, what a random sample would need, and the flip alarm.

    Decisions "unsure" do not count for the rate; `bounds` says what it would be were they all right or all wrong.

    Raises:
        SpeechkitError: nothing was decided in a stratum.
    """
    empty = [item.name for item in inspected if item.size and not item.wrong + item.right]
    if empty:
        raise SpeechkitError(
            f"nothing is decided in this part of the ranking: {', '.join(empty)}",
            hint="decide some utterances of each part of the sample",
        )
    used = [item for item in inspected if item.size]
    sizes = np.array([item.size for item in used], np.int64)
    wrong = np.array([item.wrong for item in used], np.int64)
    unsure = np.array([item.unsure for item in used], np.int64)
    num = wrong + np.array([item.right for item in used], np.int64)
    rate, draws = _posterior(sizes, num, wrong, config)
    sd = float(draws.std())
    sides = (0 * unsure, unsure) if unsure.any() else ()
    bounds = [_posterior(sizes, num + unsure, wrong + more, config) for more in sides] or [(rate, draws)] * 2
    top = float(wrong[0] / num[0])
    result = {
        "schema": SCHEMA,
        "num_utterances": int(sizes.sum()),
        "rate": rate,
        "ci_level": config.ci,
        "ci": _interval(draws, config.ci),
        "sd": sd,
        "bounds": {
            "unsure_right": {"rate": bounds[0][0], "ci": _interval(bounds[0][1], config.ci)},
            "unsure_wrong": {"rate": bounds[1][0], "ci": _interval(bounds[1][1], config.ci)},
        },
        "random_sample_for_same_sd": _random_size(rate, sd, int(sizes.sum())),
        "precision_top": top,
        "is_flipped": top < rate,
        "p_flipped": _p_flipped(sizes, num, wrong, config),
        "strata": [asdict(item) for item in inspected],
        "inspections": {"decided": int(num.sum()), "unsure": int(unsure.sum())},
    }
    return result


def _posterior(sizes: Ints, num: Ints, wrong: Ints, config: EstimateConfig) -> tuple[float, Floats]:
    """The unbiased rate, and draws (D,) of the rate of this corpus: seen errors plus those among the unseen."""
    rate = float((sizes * wrong / num).sum() / sizes.sum())
    gen = rng(config.seed, "noise rate")
    total = np.zeros(_NUM_DRAWS)
    for size, seen, bad in zip(sizes.tolist(), num.tolist(), wrong.tolist(), strict=True):
        share = gen.beta(bad + _PRIOR, seen - bad + _PRIOR, _NUM_DRAWS)
        total += bad + gen.binomial(size - seen, share)
    return rate, total / sizes.sum()


def _interval(draws: Floats, level: float) -> list[float]:
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return [float(low), float(high)]


def _random_size(rate: float, sd: float, total: int) -> int | None:
    """How many of `total` a random sample needs for this standard deviation; None when no rate can be told."""
    if not 0 < rate < 1 or sd <= 0:
        return None
    endless = rate * (1 - rate) / sd**2
    return math.ceil(endless / (1 + (endless - 1) / total))


def _p_flipped(sizes: Ints, num: Ints, wrong: Ints, config: EstimateConfig) -> float:
    """Probability that the top of the ranking holds fewer errors than the corpus as a whole."""
    gen = rng(config.seed, "flip")
    shares = gen.beta(wrong + _PRIOR, num - wrong + _PRIOR, (_NUM_DRAWS, len(sizes)))
    return float((shares[:, 0] < shares @ sizes / sizes.sum()).mean())


def estimate_table(result: Mapping[str, Any]) -> str:
    """The result as it is printed."""
    low, high = result["ci"]
    inspections = result["inspections"]
    lines = [
        f"noise rate: {_percent(result['rate'])} [{_percent(low)}, {_percent(high)}] ({100 * result['ci_level']:g} %),"
        f" standard deviation {100 * result['sd']:.1f} points",
        f"  of {counted(result['num_utterances'], 'transcript')}, from {counted(inspections['decided'], 'inspection')}",
    ]
    if inspections["unsure"]:
        right, wrong = (result["bounds"][name] for name in ("unsure_right", "unsure_wrong"))
        lines.append(
            f"  {inspections['unsure']} unsure: {_percent(right['rate'])} were they right,"
            f" {_percent(wrong['rate'])} were they wrong [{_percent(right['ci'][0])}, {_percent(wrong['ci'][1])}]"
        )
    for name, text in (("not_decided", "drawn but not decided"), ("not_drawn", "decided but not drawn: not counted")):
        if inspections.get(name):
            lines.append(f"  {inspections[name]} {text}")
    if result["random_sample_for_same_sd"] is not None:
        lines.append(f"  a random sample needs {result['random_sample_for_same_sd']} inspections to be as sure")
    if "label_free" in result:
        rate, upper = result["label_free"]["rate"], result["label_free"]["upper_bound"]
        bound = "" if upper is None else f", upper bound {_percent(upper)}"
        lines.append(f"  by the model alone: {_percent(rate)}{bound}; no estimate to rely on")
    for item in result["strata"]:
        decided = item["wrong"] + item["right"]
        lines.append(f"  {item['name']:<6} {item['wrong']:>4} wrong of {decided:>4} decided, {item['size']} in all")
    if result["is_flipped"]:
        lines.append(flip_alarm(result))
    return "\n".join(lines)


def flip_alarm(result: Mapping[str, Any]) -> str:
    """What to say when the ranking is worse than none."""
    return (
        f"ALARM: only {_percent(result['precision_top'])} of the top stratum are wrong, fewer than in the whole corpus"
        f" ({_percent(result['rate'])}): the ranking may be flipped (probability {result['p_flipped']:.2f})"
    )


def check_flip(result: Mapping[str, Any]) -> None:
    """Raise CheckFailed when the top of the ranking holds fewer errors than the corpus."""
    if result["is_flipped"]:
        raise CheckFailed(
            flip_alarm(result).removeprefix("ALARM: "),
            hint="do not use this ranking: the model has learnt the errors; audit with a model trained elsewhere",
        )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
