"""The command `audit labelers`: rates of labelers from an audit, or quality and consensus of several transcripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from speechkit import log
from speechkit.artifact import check_writable, publish_file, write_json
from speechkit.audit.config_truth import LabelersConfig
from speechkit.audit.consensus import DEL, INS, SUB, Consensus, find_consensus
from speechkit.audit.labelers import Rates, labeler_rates
from speechkit.audit.metrics import draws, interval
from speechkit.audit.verdict import read_decisions, read_verdicts
from speechkit.data.overlap import heard_of_manifest
from speechkit.errors import ConfigError, SpeechkitError, counted
from speechkit.score.transcripts import Transcripts, read_transcripts

_MIN_VOTES = 3


@dataclass(frozen=True)
class Files:
    """What belongs to an audit (cuts, decisions), and where the consensus of transcripts goes."""

    cuts: Path | None = None
    decisions: Path | None = None
    out: Path | None = None


def run(
    config: LabelersConfig, paths: Sequence[Path], *, files: Files, json_file: Path | None = None
) -> dict[str, Any]:
    """One path is an audit, several are transcripts of the same utterances; prints a table of labelers.

    Raises:
        ConfigError: an option that the other kind of input has; SpeechkitError: utterances without a labeler, or
            transcripts that share no utterance.
    """
    check_writable(json_file, files.out)
    if len(paths) == 1:
        if files.out is not None:
            raise ConfigError("a consensus (--out) needs two transcripts or more of the same utterances")
        result = _of_audit(config, paths[0], files)
    else:
        if files.cuts is not None or files.decisions is not None:
            raise ConfigError("--cuts and --decisions belong to an audit, not to transcripts")
        result = _of_transcripts(config, paths, files.out)
    if json_file is not None:
        write_json(json_file, result)
    print(table(result))
    return result


def _of_audit(config: LabelersConfig, path: Path, files: Files) -> dict[str, Any]:
    verdicts = read_verdicts(path)
    ids = [verdict.id for verdict in verdicts]
    p_error = np.array([verdict.p_error for verdict in verdicts], np.float64)
    is_decided = np.zeros(len(ids), np.bool_)
    if files.decisions is None:
        log.warn("P(error) of the audit is taken for true: the intervals know nothing of its own errors, decisions do")
    if files.decisions is not None:
        decisions = read_decisions(files.decisions, set(ids), path)
        for number, utt_id in enumerate(ids):
            decision = decisions[utt_id].decision if utt_id in decisions else None
            if decision in ("wrong", "right"):
                is_decided[number], p_error[number] = True, float(decision == "wrong")
    if files.cuts is None and config.field != "speaker":
        raise ConfigError(f"an audit does not say the `{config.field}` of its cuts", hint="--cuts CUTS says it")
    if files.cuts is None:
        labelers: Mapping[str, str] = {verdict.id: verdict.speaker for verdict in verdicts}
    else:
        labelers = {heard.utt_id: heard.value(config.field) or "" for heard in heard_of_manifest(files.cuts)}
    missing = [utt_id for utt_id in ids if not labelers.get(utt_id)]
    if missing:
        raise SpeechkitError(
            f"{counted(len(missing), 'utterance')} of the audit without a `{config.field}`",
            where=missing,
            expected=f"the field `{config.field}` in every cut",
            hint="--field names another one",
        )
    rates = labeler_rates(
        [labelers[utt_id] for utt_id in ids],
        p_error,
        is_decided=is_decided,
        level=config.ci_level,
        seed=config.seed,
    )
    return {
        "schema": 1,
        "kind": "audit",
        "field": config.field,
        "utterances": len(ids),
        "decided": int(is_decided.sum()),
        "ci_level": config.ci_level,
        "prior": {"a": round(rates.prior[0], 4), "b": round(rates.prior[1], 4)},
        "labelers": _rate_rows(rates),
    }


def _rate_rows(rates: Rates) -> list[dict[str, Any]]:
    return [
        {
            "labeler": name,
            "utterances": int(rates.num_utterances[k]),
            "errors": round(float(rates.num_errors[k]), 3),
            "rate": round(float(rates.rate[k]), 6),
            "interval": [round(float(rates.low[k]), 6), round(float(rates.high[k]), 6)],
            "rank": k + 1,
            "rank_interval": [int(rates.rank_low[k]), int(rates.rank_high[k])],
        }
        for k, name in enumerate(rates.names)
    ]


def _of_transcripts(config: LabelersConfig, paths: Sequence[Path], out: Path | None) -> dict[str, Any]:
    sides = [read_transcripts(path) for path in paths]
    names = _names(paths)
    ids, texts = _joined(sides, paths)
    votes = np.array([len(own) for own in texts])
    if int(votes.max()) < _MIN_VOTES:
        log.warn("no utterance has three transcripts: where two differ, nothing says which of them is wrong")
    log.info(
        f"{counted(len(ids), 'utterance')} with {votes.mean():.2f} transcripts each, {int((votes == 1).sum())} with one"
    )
    found = find_consensus(texts, len(paths))
    if out is not None:
        _write_consensus(out, ids, votes.tolist(), found)
    return {
        "schema": 1,
        "kind": "transcripts",
        "utterances": len(ids),
        "single": int((votes == 1).sum()),
        "rounds": found.num_rounds,
        "ci_level": config.ci_level,
        "labelers": _quality_rows(config, names, texts, found),
    }


def _names(paths: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that differ."""
    for size in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-size:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    raise ConfigError("a file of transcripts is given twice", where=[str(path) for path in paths])


def _joined(sides: Sequence[Transcripts], paths: Sequence[Path]) -> tuple[list[str], list[dict[int, list[str]]]]:
    texts: dict[str, dict[int, list[str]]] = {}
    for labeler, side in enumerate(sides):
        for number, utt_id in enumerate(side.ids):
            texts.setdefault(utt_id, {})[labeler] = side.words(number)
    if max(map(len, texts.values())) < 2:
        raise SpeechkitError(
            "the transcripts share no utterance",
            where=[f"{path}: {side.ids[0]}, ..." for path, side in zip(paths, sides, strict=True)],
            hint="are the ids those of the same set?",
        )
    return list(texts), list(texts.values())


def _write_consensus(out: Path, ids: Sequence[str], votes: Sequence[int], found: Consensus) -> None:
    rows = (
        {
            "id": utt_id,
            "text": " ".join(found.words[number]),
            "p_right": round(float(found.p_right[number]), 6),
            "transcripts": votes[number],
            "words": [
                {"word": word, "p": round(p, 6)}
                for word, p in zip(found.words[number], found.posteriors[number], strict=True)
            ],
        }
        for number, utt_id in enumerate(ids)
    )
    with publish_file(out, "wb") as stream:
        stream.writelines(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)


def _quality_rows(
    config: LabelersConfig, names: Sequence[str], texts: Sequence[Mapping[int, Sequence[str]]], found: Consensus
) -> list[dict[str, Any]]:
    """The expected word error rate of each labeler, the worst first, with intervals over utterances."""
    shared = np.array([len(own) > 1 for own in texts])  # a transcript without another says nothing about its labeler
    errors, said = found.errors[shared], found.said[shared]
    rates_RL = [
        (weights @ errors) / np.maximum(weights @ said, 1e-9)
        for weights in draws(len(errors), config.num_replicates, config.seed, len(errors) * len(names))
    ]
    drawn_RL = np.concatenate(rates_RL) if rates_RL else np.zeros((0, len(names)))
    ranks_RL = 1 + np.argsort(np.argsort(-drawn_RL, axis=1), axis=1)
    rate = errors.sum(axis=0) / np.maximum(said.sum(axis=0), 1e-9)
    rows = []
    for rank, labeler in enumerate(np.argsort(-rate, kind="stable").tolist(), start=1):
        ranks = interval(ranks_RL[:, labeler].astype(np.float64), config.ci_level)
        rows.append(
            {
                "labeler": names[labeler],
                "utterances": sum(labeler in own for own, keep in zip(texts, shared.tolist(), strict=True) if keep),
                "words": round(float(said[:, labeler].sum()), 3),
                "errors": round(float(errors[:, labeler].sum()), 3),
                "rate": round(float(rate[labeler]), 6),
                "interval": interval(drawn_RL[:, labeler], config.ci_level),
                "rank": rank,
                "rank_interval": ranks and [round(ranks[0]), round(ranks[1])],
                **{
                    name: round(float(found.rates[labeler, cell]), 6)
                    for name, cell in (("sub", SUB), ("del", DEL), ("ins", INS))
                },
            }
        )
    return rows


def table(result: Mapping[str, Any]) -> str:
    """One line per labeler, the worst first."""
    width = max(8, *(len(row["labeler"]) for row in result["labelers"]))
    unit = "utterances wrong" if result["kind"] == "audit" else "word errors"
    lines = [f"{'labeler':<{width}}{'utts':>7}{'errors':>9}{'rate':>8}  {'interval':<16}  ranks"]
    for row in result["labelers"]:
        shown = "" if row["interval"] is None else "[{:.3f}, {:.3f}]".format(*row["interval"])
        ranks = "" if row["rank_interval"] is None else "{}-{}".format(*row["rank_interval"])
        numbers = f"{row['utterances']:>7}{row['errors']:>9.1f}{row['rate']:>8.3f}"
        lines.append(f"{row['labeler']:<{width}}{numbers}  {shown:<16}  {ranks}")
    lines.append(f"rate: share of {unit}, with {100 * result['ci_level']:g} % intervals; the first is the worst")
    return "\n".join(lines)
