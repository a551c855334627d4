"""What is learnt from indicators about a corpus: a ranking of utterances, wrong words and gaps, kinds of errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from speechkit import log
from speechkit.audit.features import (
    View,
    beside_speaker,
    gap_features,
    log_odds,
    type_features,
    utterance_features,
    word_features,
)
from speechkit.audit.indicators import KINDS, Indicator
from speechkit.audit.learn import Basis, Bools, Curve, Floats, fit_curve, fit_logistic, fit_softmax, logit_ranks
from speechkit.audit.logprobs import LogProbs
from speechkit.audit.score_file import Scored
from speechkit.audit.scores import Lexicon

# of the words and gaps of an indicator: where all words are wrong, or only half heard, there is little to learn
_SPOT_WEIGHTS = {"swap": 0.25, "silence": 0.25, "truncate": 0.25}
_UTTERANCE_SHARE, _SPOT_SHARE = 0.3, 0.1  # weight of all positives beside all others
_UTTERANCE_RIDGE, _SPOT_RIDGE, _TYPE_RIDGE = 1.0, 10.0, 3.0
_CLEANEST = 0.8  # share of the corpus that counts as right in the second fit


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
    """Probabilities and learnt log-odds, 0 at the threshold, of all words or all gaps, utterance by utterance.

    Args:
        slope: of Platt's scaling of the edits' log-odds, the inverse of their temperature.
    """

    probs: list[Floats]
    flags: list[Bools]
    log_odds: list[Floats]
    curve: Curve
    slope: float


def rank_utterances(material: Material) -> Ranked:
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


def judge_spots(material: Material, kind: str) -> Spots:
    """Words or gaps: learnt from those of the indicators that were made wrong, against all others."""
    make = word_features if kind == "words" else gap_features
    side = 0 if kind == "words" else 1
    corpus = [make(view, material.star_penalty) for view in material.views]
    spoilt = [make(view, material.star_penalty) for view in material.spoilt]
    raw = [log_odds(view, material.star_penalty)[side] for view in material.views]
    wrong, weight = _wrong_spots(material, kind, [len(part) for part in spoilt])
    if not wrong.any():  # texts of one word: none can be missing
        log.warn(f"no indicator has wrong {kind}, so none are told from right ones")
        return _unjudged(raw)
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
    raw_M = np.concatenate([log_odds(view, material.star_penalty)[side] for view in material.spoilt])
    platt = fit_logistic(_with_ones(np.concatenate([*raw, raw_M])[:, None]), label, weights, ridge=0.0)
    ends = np.cumsum([len(part) for part in corpus])[:-1]
    probs, flags = np.split(curve(scores_N), ends), np.split(scores_N >= curve.threshold, ends)
    return Spots(probs, flags, np.split(scores_N - curve.threshold, ends), curve, float(platt[0]))


def _unjudged(raw: list[Floats]) -> Spots:
    """The edits' log-odds counted from the highest, and no suspicion."""
    highest = max((float(part.max()) for part in raw if len(part)), default=0.0)
    curve = Curve(np.zeros(1), np.zeros(1), rate=0.0, upper_rate=1.0, threshold=highest, expected_f1=0.0)
    probs = [np.zeros(len(part)) for part in raw]
    return Spots(probs, [np.zeros(len(part), bool) for part in raw], [part - highest for part in raw], curve, 1.0)


def _wrong_spots(material: Material, kind: str, sizes: Sequence[int]) -> tuple[Bools, Floats]:
    """Which words or gaps of the indicators are wrong; those of one indicator weigh as much as those of another."""
    wrong, weight = [], []
    for item, size in zip(material.indicators, sizes, strict=True):
        places = item.fault.wrong_words if kind == "words" else item.fault.wrong_gaps
        own = np.zeros(size, bool)
        own[list(places)] = True
        wrong.append(own)
        weight.append(np.full(size, _SPOT_WEIGHTS.get(item.kind, 1.0) / max(1, len(places))))
    return np.concatenate(wrong), np.concatenate(weight)


def judge_types(material: Material, ranked: Ranked) -> Floats:
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
