"""From scores to probabilities: which transcripts, words and gaps are wrong, of which kind, and what was said instead.

Written are `audit.jsonl`, a row for each utterance (see `verdict.py`), and `calibration.json`, how it came about.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from speechkit import log
from speechkit.artifact import make_artifact, publish_file, write_json
from speechkit.audit.config_verdict import CalibrateConfig
from speechkit.audit.corpus import Corpus, Item
from speechkit.audit.features import (
    View,
    beside_speaker,
    gap_features,
    log_odds,
    type_features,
    utterance_features,
    view_of_evidence,
    view_of_row,
    word_features,
)
from speechkit.audit.indicators import KINDS, Indicator, make_indicators
from speechkit.audit.learn import Basis, Bools, Curve, Floats, fit_curve, fit_logistic, fit_softmax, logit_ranks
from speechkit.audit.logprobs import LogProbs, open_log_probs
from speechkit.audit.score_file import META_FILE, Scored, read_scores
from speechkit.audit.scores import Lexicon
from speechkit.audit.suggest import Step, best_limit, steps, taken
from speechkit.audit.verdict import AUDIT_FILE
from speechkit.errors import SpeechkitError, counted

CALIBRATION_FILE = "calibration.json"
SCHEMA = "speechkit-audit-calibration/1"
MIN_UTTERANCES = 20
_LOCAL = ("sub", "ins", "del", "transpose", "misread")  # kinds that a few edits mend
# of the words and gaps of an indicator: where all words are wrong, or only half heard, there is little to learn
_SPOT_WEIGHTS = {"swap": 0.25, "silence": 0.25, "truncate": 0.25}
_UTTERANCE_SHARE, _SPOT_SHARE = 0.3, 0.1  # weight of all positives beside all others
_UTTERANCE_RIDGE, _SPOT_RIDGE, _TYPE_RIDGE = 1.0, 10.0, 3.0
_CLEANEST = 0.8  # share of the corpus that counts as right in the second fit
_DIGITS = 6


@dataclass(frozen=True)
class Material:
    """The corpus and its indicators, seen alike."""

    rows: Sequence[Scored]
    views: Sequence[View]
    indicators: Sequence[Indicator]
    spoilt: Sequence[View]
    stored: LogProbs
    lexicon: Lexicon | None
    star_penalty: float


@dataclass(frozen=True)
class Ranked:
    """Scores of the utterances of the corpus and of the indicators, with their features and the curve."""

    corpus_N: Floats
    indicators_M: Floats
    features_NF: Floats
    indicator_features_MF: Floats
    curve: Curve


@dataclass(frozen=True)
class Spots:
    """Probabilities and raw log-odds of all words, or all gaps, utterance by utterance; Platt's slope of these."""

    probs: list[Floats]
    flags: list[Bools]
    log_odds: list[Floats]
    curve: Curve
    slope: float


def run_calibrate(config: CalibrateConfig, *, scores: Path, out: Path, force: bool = False) -> bool:
    """Make the artifact `out` from a folder of `audit score`; False when it was up to date.

    Raises:
        SpeechkitError: no folder of scores, or too few utterances.
    """
    meta = _read_meta(scores)
    folders = [Path(name) for name in meta["log_probs"]]

    def build(folder: Path) -> None:
        material = _material(scores, folders, meta, config)
        rows, summary = calibrate(material, config)
        with publish_file(folder / AUDIT_FILE, "wb") as stream:
            stream.writelines(orjson.dumps(row) + b"\n" for row in rows)
        write_json(folder / CALIBRATION_FILE, {"scores": str(scores), "cuts": meta["cuts"], **summary})
        print(summary_table(summary))

    inputs = {"scores": scores, **{f"log_probs_{number}": path for number, path in enumerate(folders)}}
    return make_artifact(out, command="audit calibrate", config=config, inputs=inputs, build=build, force=force)


def _read_meta(scores: Path) -> dict[str, Any]:
    try:
        meta = json.loads((scores / META_FILE).read_text(encoding="utf-8"))
        missing = [key for key in ("cuts", "log_probs", "lexicon", "star_penalty") if key not in meta]
    except (OSError, ValueError, TypeError) as error:
        raise SpeechkitError(
            f"`{scores}` holds no scores", where=str(error), expected="a folder made by `speechkit audit score`"
        ) from None
    if missing:
        raise SpeechkitError(f"`{scores / META_FILE}` lacks {', '.join(missing)}", hint="run `audit score` again")
    return dict(meta)


def _material(scores: Path, folders: Sequence[Path], meta: dict[str, Any], config: CalibrateConfig) -> Material:
    rows = read_scores(scores)
    if len(rows) < MIN_UTTERANCES:
        raise SpeechkitError(
            f"`{scores}` holds {counted(len(rows), 'utterance')}: too few to calibrate by",
            expected=f"{MIN_UTTERANCES} or more",
        )
    stored = open_log_probs(folders)
    lexicon = Lexicon(tuple(meta["lexicon"])) if meta["lexicon"] else None
    corpus = Corpus([Item(row.text.split(), row.speaker, row.seconds, row.scores) for row in rows])
    penalty = float(meta["star_penalty"])
    indicators = make_indicators(
        rows, stored, corpus, lexicon=lexicon, star_penalty=penalty, num=config.indicators, seed=config.seed
    )
    if len(indicators) < config.indicators // 2:
        raise SpeechkitError(
            f"only {len(indicators)} of {config.indicators} indicators could be made",
            hint="are the texts long enough, and words of the tokenizer?",
        )
    views = [view_of_row(row, stored.get(row.utt_id)) for row in rows]
    spoilt = [view_of_evidence(item.evidence, item.emission, rows[item.row].speaker) for item in indicators]
    return Material(rows, views, indicators, spoilt, stored, lexicon, penalty)


def calibrate(material: Material, config: CalibrateConfig) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows of the audit, the most suspicious first, and the summary of the calibration."""
    ranked = _rank(material)
    words = _spots(material, "words")
    gaps = _spots(material, "gaps")
    types_NK = _types(material, ranked)
    limit, accuracy = _edit_limit(material, config)
    p_error = ranked.curve(ranked.corpus_N)
    order = sorted(range(len(material.rows)), key=lambda n: (-ranked.corpus_N[n], material.rows[n].utt_id))
    rows = []
    for rank, n in enumerate(log.track(order, "suggesting", unit="utt"), start=1):
        row = material.rows[n]
        path = steps(
            material.stored.get(row.utt_id),
            tuple(row.text.split()),
            lexicon=material.lexicon,
            max_edits=config.max_edits,
        )
        is_suspicious = bool(ranked.corpus_N[n] >= ranked.curve.threshold)
        head = _head(row, rank, float(p_error[n]), is_suspicious, taken(path, limit))
        types = {kind: round(float(types_NK[n, k]), 4) for k, kind in enumerate(KINDS)}
        rows.append(head | {"types": types, **_places(row, n, words, gaps)})
    return rows, _summary(material, ranked, (words, gaps), (limit, accuracy), rows)


def _rank(material: Material) -> Ranked:
    """Score utterances: learnt from indicators relative to the speaker, averaged by rank with the edits' log-odds."""
    shared = set.intersection(*(set(view.scores) for view in (*material.views, *material.spoilt)))
    names = sorted(shared - {"rank"})
    corpus_NF = utterance_features(material.views, names)
    spoilt_MF = utterance_features(material.spoilt, names)
    owners = [view.speaker for view in material.views]
    beside = partial(beside_speaker, corpus_MF=corpus_NF, owners=owners)
    own_NF = _with_ones(beside(corpus_NF, owners))
    ind_MF = _with_ones(beside(spoilt_MF, [view.speaker for view in material.spoilt]))
    clean_N = np.ones(len(own_NF), bool)
    for _ in range(2):  # the second time without what the first fit finds suspicious: it would count as right
        negative_NF = own_NF[clean_N]
        weights = np.concatenate(
            [np.ones(len(negative_NF)), np.full(len(ind_MF), _UTTERANCE_SHARE * len(negative_NF) / len(ind_MF))]
        )
        label = np.arange(len(weights)) >= len(negative_NF)
        slope_F = fit_logistic(np.concatenate([negative_NF, ind_MF]), label, weights, ridge=_UTTERANCE_RIDGE)
        learnt_N, learnt_M = own_NF @ slope_F, ind_MF @ slope_F
        clean_N = learnt_N <= np.quantile(learnt_N, _CLEANEST)
    edits_N, edits_M = (corpus_NF[:, names.index("edit_lse")], spoilt_MF[:, names.index("edit_lse")])
    pairs = ((learnt_N, learnt_M), (edits_N, edits_M))
    every = [logit_ranks(np.concatenate(pair)) for pair in pairs]  # of both, so that neither has a ceiling
    scores_N, scores_M = np.split(np.sum(every, axis=0), [len(learnt_N)])
    curve = fit_curve(scores_N, scores_M, np.ones(len(scores_M)))
    return Ranked(scores_N, scores_M, own_NF, ind_MF, curve)


def _with_ones(values_NF: Floats) -> Floats:
    return np.concatenate([values_NF, np.ones((len(values_NF), 1))], axis=1)


def _spots(material: Material, kind: str) -> Spots:
    """Words or gaps: learnt from those of the indicators that were made wrong, against all others."""
    make = word_features if kind == "words" else gap_features
    side = 0 if kind == "words" else 1
    corpus = [make(view, material.star_penalty) for view in material.views]
    spoilt = [make(view, material.star_penalty) for view in material.spoilt]
    wrong, weight = _wrong_spots(material, kind, [len(part) for part in spoilt])
    corpus_NF, spoilt_MF = np.concatenate(corpus), np.concatenate(spoilt)
    basis = Basis.of(corpus_NF)
    basis_NF, basis_MF = basis(corpus_NF), basis(spoilt_MF)
    num_right = len(basis_NF) + int((~wrong).sum())
    scale = _SPOT_SHARE * num_right / max(weight[wrong].sum(), 1e-9)
    weights = np.concatenate([np.ones(len(basis_NF)), np.where(wrong, scale * weight, 1.0)])
    label = np.concatenate([np.zeros(len(basis_NF), bool), wrong])
    slope_F = fit_logistic(np.concatenate([basis_NF, basis_MF]), label, weights, ridge=_SPOT_RIDGE)
    scores_N, scores_M = basis_NF @ slope_F, basis_MF @ slope_F
    curve = fit_curve(scores_N, scores_M[wrong], weight[wrong])
    raw = [log_odds(view, material.star_penalty)[side] for view in material.views]
    raw_M = np.concatenate([log_odds(view, material.star_penalty)[side] for view in material.spoilt])
    platt = fit_logistic(_with_ones(np.concatenate([*raw, raw_M])[:, None]), label, weights, ridge=0.0)
    ends = np.cumsum([len(part) for part in corpus])[:-1]
    probs, flags = np.split(curve(scores_N), ends), np.split(scores_N >= curve.threshold, ends)
    return Spots(probs, flags, raw, curve, float(platt[0]))


def _wrong_spots(material: Material, kind: str, sizes: Sequence[int]) -> tuple[Bools, Floats]:
    """Which words or gaps of the indicators are wrong; those of one indicator weigh as much as those of another.

    Raises:
        SpeechkitError: no indicator has any.
    """
    wrong, weight = [], []
    for item, size in zip(material.indicators, sizes, strict=True):
        places = item.fault.wrong_words if kind == "words" else item.fault.wrong_gaps
        own = np.zeros(size, bool)
        own[list(places)] = True
        wrong.append(own)
        weight.append(np.full(size, _SPOT_WEIGHTS.get(item.kind, 1.0) / max(1, len(places))))
    found = np.concatenate(wrong)
    if not found.any():
        raise SpeechkitError(f"no indicator has wrong {kind}", hint="use more --indicators, or longer texts")
    return found, np.concatenate(weight)


def _types(material: Material, ranked: Ranked) -> Floats:
    """(N, K) probability of each kind of error, if there is one."""
    corpus_NF = type_features(material.views, ranked.features_NF[:, :-1], material.star_penalty)
    spoilt_MF = type_features(material.spoilt, ranked.indicator_features_MF[:, :-1], material.star_penalty)
    basis = Basis.of(spoilt_MF)
    names = list(KINDS)
    kinds = np.array([names.index(item.kind) for item in material.indicators], np.int64)
    slope_FK = fit_softmax(basis(spoilt_MF), kinds, len(names), ridge=_TYPE_RIDGE)
    logits_NK = basis(corpus_NF) @ slope_FK
    probs_NK = np.exp(logits_NK - logits_NK.max(axis=1, keepdims=True))
    return np.asarray(probs_NK / probs_NK.sum(axis=1, keepdims=True), np.float64)


def _edit_limit(material: Material, config: CalibrateConfig) -> tuple[float, float]:
    """What a further edit of a suggestion must gain, and how many indicators of few edits are then mended."""
    local = [item for item in material.indicators if item.kind in _LOCAL]
    find = partial(steps, lexicon=material.lexicon, max_edits=config.max_edits)
    paths = [find(item.emission, item.fault.words) for item in local]
    return best_limit(paths, [item.said for item in local])


def _head(row: Scored, rank: int, p_error: float, is_suspicious: bool, suggestion: Step | None) -> dict[str, Any]:
    return {
        "id": row.utt_id,
        "rank": rank,
        "p_error": round(p_error, _DIGITS),
        "suspicious": is_suspicious,
        "weight": round(1.0 - p_error, _DIGITS),
        "speaker": row.speaker,
        "text": row.text,
        "suggestion": " ".join(suggestion.words) if suggestion else "",
        "suggestion_log_odds": round(suggestion.gain, 3) if suggestion else 0.0,
    }


def _places(row: Scored, n: int, words: Spots, gaps: Spots) -> dict[str, Any]:
    return {
        "words": [
            {
                "word": word.word,
                "start": word.start,
                "end": word.end,
                "p_error": round(float(words.probs[n][w]), _DIGITS),
                "log_odds": round(float(words.log_odds[n][w]), 3),
                "best": word.best if word.best is not None and word.replace >= word.delete else "",
                "suspicious": bool(words.flags[n][w]),
            }
            for w, word in enumerate(row.words)
        ],
        "gaps": [
            {
                "p_missing": round(float(gaps.probs[n][g]), _DIGITS),
                "log_odds": round(float(gaps.log_odds[n][g]), 3),
                "best": gap.best or "",
                "suspicious": bool(gaps.flags[n][g]),
            }
            for g, gap in enumerate(row.gaps)
        ],
    }


def _summary(
    material: Material, ranked: Ranked, spots: tuple[Spots, Spots], edits: tuple[float, float],
    rows: Sequence[dict[str, Any]],
) -> dict[str, Any]:  # fmt: skip
    def of(curve: Curve) -> dict[str, float]:
        return {"rate": curve.rate, "threshold": curve.threshold, "expected_f1": curve.expected_f1}

    return {
        "schema": SCHEMA,
        "num_utterances": len(rows),
        "num_suspicious": sum(row["suspicious"] for row in rows),
        "label_free_rate": float(np.mean([row["p_error"] for row in rows])),
        "indicators": dict(sorted(Counter(item.kind for item in material.indicators).items())),
        "utterances": of(ranked.curve),
        "words": of(spots[0].curve) | {"temperature": 1.0 / max(spots[0].slope, 1e-9)},
        "gaps": of(spots[1].curve) | {"temperature": 1.0 / max(spots[1].slope, 1e-9)},
        "suggestions": {"least_gain": edits[0], "accuracy_on_indicators": edits[1]},
    }


def summary_table(summary: dict[str, Any]) -> str:
    """What is printed."""
    lines = [
        f"{summary['num_suspicious']} of {counted(summary['num_utterances'], 'transcript')} are suspicious;"
        f" {100 * summary['label_free_rate']:.1f} % wrong by the model's own account, an upper bound"
    ]
    for name in ("utterances", "words", "gaps"):
        part = summary[name]
        lines.append(f"  {name:<10} {100 * part['rate']:5.1f} % wrong at most, expected F1 {part['expected_f1']:.2f}")
    suggestions = summary["suggestions"]
    lines.append(f"  {100 * suggestions['accuracy_on_indicators']:.0f} % of the indicators of few edits are mended")
    return "\n".join(lines)
