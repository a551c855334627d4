"""What a calibration looks at: numbers about each utterance, each word and each gap of a given transcript."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from speechkit.align.ctc import tokens_of
from speechkit.audit.evidence import Evidence, Floats
from speechkit.audit.logprobs import Emission
from speechkit.audit.score_file import Scored
from speechkit.kernels.ctc_edits import text_log_prob
from speechkit.kernels.edit import COR, INS, align_words

_LIMIT = 200.0  # nats; -inf and everything beyond count as this
_NOTHING = -50.0  # where there is no neighbour
_MIN_OF_SPEAKER = 20  # utterances; a speaker with fewer is compared with all
_MAX_DEVIATIONS = (-6.0, 12.0)


@dataclass(frozen=True)
class View:
    """Evidence about a transcript of W words, from a file of scores or just gathered; names as in `Evidence`.

    Args:
        swapped_P: log ratio of exchanging words p and p + 1, P = W - 1.
        differs_W, differs_G: whether the hypothesis has another word or none there, or one more in the gap.
    """

    words: tuple[str, ...]
    speaker: str
    scores: dict[str, float]
    delete_W: Floats
    star_W: Floats
    replace_W: Floats
    doubt_W: Floats
    segment_W: Floats
    confidence_W: Floats
    gap_star_G: Floats
    insert_G: Floats
    doubt_G: Floats
    segment_G: Floats
    swapped_P: Floats
    differs_W: Floats
    differs_G: Floats


def view_of_row(row: Scored, emission: Emission) -> View:
    """Of a row of scores."""
    words, gaps = row.words, row.gaps
    spelled = tuple(word.word for word in words)
    differs_W, differs_G = _differences(spelled, row.hypothesis)
    return View(
        words=spelled,
        speaker=row.speaker,
        scores=row.scores,
        delete_W=np.array([word.delete for word in words]),
        star_W=np.array([word.star for word in words]),
        replace_W=np.array([word.replace for word in words]),
        doubt_W=np.array([word.doubt for word in words]),
        segment_W=np.array([word.segment for word in words]),
        confidence_W=np.array([word.confidence for word in words]),
        gap_star_G=np.array([gap.star for gap in gaps]),
        insert_G=np.array([gap.insert for gap in gaps]),
        doubt_G=np.array([gap.doubt for gap in gaps]),
        segment_G=np.array([gap.segment for gap in gaps]),
        swapped_P=exchanges(emission, spelled, row.log_prob),
        differs_W=differs_W,
        differs_G=differs_G,
    )


def view_of_evidence(evidence: Evidence, emission: Emission, speaker: str) -> View:
    """Of evidence that was just gathered."""
    differs_W, differs_G = _differences(evidence.words, evidence.hypothesis)
    return View(
        words=evidence.words,
        speaker=speaker,
        scores=evidence.scores,
        delete_W=evidence.delete_W,
        star_W=evidence.star_W,
        replace_W=evidence.replace_W,
        doubt_W=evidence.doubt_W,
        segment_W=evidence.segment_W,
        confidence_W=evidence.confidence_W,
        gap_star_G=evidence.gap_star_G,
        insert_G=evidence.insert_G,
        doubt_G=evidence.doubt_G,
        segment_G=evidence.segment_G,
        swapped_P=exchanges(emission, evidence.words, evidence.log_prob),
        differs_W=differs_W,
        differs_G=differs_G,
    )


def exchanges(emission: Emission, words: Sequence[str], log_prob: float) -> Floats:
    """(W - 1,) log ratio of exchanging two neighbours; -inf where they are equal."""
    found_P = np.full(max(0, len(words) - 1), -np.inf)
    for place in range(len(found_P)):
        if words[place] != words[place + 1]:
            other = [*words[:place], words[place + 1], words[place], *words[place + 2 :]]
            tokens, _ = tokens_of(other, emission.tokenizer)
            found_P[place] = text_log_prob(emission.log_probs_TV, tokens) - log_prob
    return found_P


def _differences(words: Sequence[str], hypothesis: str) -> tuple[Floats, Floats]:
    differs_W, differs_G = np.zeros(len(words)), np.zeros(len(words) + 1)
    spot = 0
    for op in align_words([list(words)], [hypothesis.split()]).ops_of(0).tolist():
        if op == INS:
            differs_G[spot] = 1.0
            continue
        differs_W[spot] = float(op != COR)
        spot += 1
    return differs_W, differs_G


def log_odds(view: View, star_penalty: float) -> tuple[Floats, Floats]:
    """Of each word and each gap, over the single edits that touch it; not calibrated."""
    words_W = np.logaddexp.reduce([view.delete_W, view.star_W - star_penalty, view.replace_W])
    return _clipped(words_W), _clipped(np.logaddexp(view.gap_star_G - star_penalty, view.insert_G))


def word_features(view: View, star_penalty: float) -> Floats:
    """(W, F) of each word, of its neighbours, and of the best other place of the utterance."""
    edit_W = _clipped(np.logaddexp(view.delete_W, view.star_W - star_penalty))
    edit_G = _clipped(view.gap_star_G - star_penalty)
    doubt_W, doubt_G = _clipped(view.doubt_W), _clipped(view.doubt_G)
    others_W = _best_other(edit_W)
    beside_G = np.maximum(edit_G[:-1], edit_G[1:])
    swapped_E = np.concatenate([[_NOTHING], _clipped(view.swapped_P), [_NOTHING]])
    columns = [
        edit_W,
        _clipped(view.replace_W),
        _clipped(view.delete_W),
        _clipped(view.star_W),
        _clipped(view.segment_W),
        edit_W - others_W,
        edit_W - beside_G,
        others_W,
        _beside(edit_W),
        np.full_like(edit_W, edit_G.max()),
        np.full_like(edit_W, np.median(edit_W)),
        _clipped(view.segment_G[:-1]),
        _clipped(view.segment_G[1:]),
        doubt_W,
        _beside(doubt_W),
        np.maximum(doubt_G[:-1], doubt_G[1:]),
        np.maximum(swapped_E[:-1], swapped_E[1:]),
    ]
    plain = [-np.log(view.confidence_W + 1e-6), view.differs_W, view.differs_G[:-1], view.differs_G[1:]]
    return np.stack([*map(_squeezed, columns), *plain], axis=1)


def gap_features(view: View, star_penalty: float) -> Floats:
    """(G, F) of each gap, of the words beside it, and of the best other place of the utterance."""
    edit_W = _clipped(np.logaddexp(view.delete_W, view.star_W - star_penalty))
    edit_G = _clipped(view.gap_star_G - star_penalty)
    doubt_W, insert_G = _clipped(view.doubt_W), _clipped(view.insert_G)
    beside_G = _around(edit_W)
    columns = [
        _clipped(view.gap_star_G),
        insert_G,
        _clipped(view.segment_G),
        edit_G - _best_other(edit_G),
        np.logaddexp(edit_G, insert_G) - beside_G,
        np.full_like(edit_G, edit_W.max()),
        beside_G,
        np.full_like(edit_G, np.median(edit_W)),
        _clipped(view.doubt_G),
        _around(doubt_W),
    ]
    return np.stack([*map(_squeezed, columns), view.differs_G, _around(view.differs_W, 0.0)], axis=1)


def utterance_features(views: Sequence[View], names: Sequence[str]) -> Floats:
    """(N, F) scores of utterances, the more the more suspicious."""
    return _squeezed(_clipped(np.array([[view.scores[name] for name in names] for view in views], np.float64)))


def type_features(views: Sequence[View], utterance_NF: Floats, star_penalty: float) -> Floats:
    """(N, F) what tells kinds of errors apart: the best edit of each kind, how many places, where."""
    rows = [_type_row(view, star_penalty) for view in views]
    return np.concatenate([utterance_NF, np.array(rows)], axis=1)


def _type_row(view: View, star_penalty: float) -> list[float]:
    words_W, gaps_G = log_odds(view, star_penalty)
    best = {
        "delete": _most(view.delete_W),
        "replace": _most(np.maximum(view.replace_W, view.star_W - star_penalty)),
        "insert": _most(gaps_G),
        "exchange": _most(view.swapped_P),
    }
    top = max(best.values())
    num = len(words_W)
    heard = float(len(view.words) - view.differs_W.sum() + view.differs_G.sum())
    edges = [words_W[0], words_W[-1], gaps_G[0], gaps_G[-1]]
    return [
        *_squeezed(np.array([*best.values(), *(value - top for value in best.values()), *edges])).tolist(),
        float((view.doubt_W > 0).sum()) / num,
        float((view.doubt_G > 0).sum()) / num,
        float(view.differs_W.mean()),
        float(view.differs_G.mean()),
        float(view.differs_W[0] + view.differs_W[-1]),
        heard / num,
        float(any(a == b for a, b in zip(view.words, view.words[1:], strict=False))),
    ]


def beside_speaker(values_NF: Floats, speakers: Sequence[str], corpus_MF: Floats, owners: Sequence[str]) -> Floats:
    """(N, F) in robust deviations from the median of the speaker's utterances in the corpus."""
    names, own = np.array(owners), np.array(speakers)
    found_NF = np.empty_like(values_NF)
    for name in sorted(set(own.tolist())):
        is_own = names == name
        reference = corpus_MF[is_own] if is_own.sum() >= _MIN_OF_SPEAKER else corpus_MF
        middle_F = np.median(reference, axis=0)
        scale_F = 1.4826 * np.median(np.abs(reference - middle_F), axis=0) + 0.05
        found_NF[own == name] = (values_NF[own == name] - middle_F) / scale_F
    return np.clip(found_NF, *_MAX_DEVIATIONS)


def _clipped(values: Floats) -> Floats:
    found: Floats = np.clip(values, -_LIMIT, _LIMIT)
    return found


def _squeezed(values: Floats) -> Floats:
    return np.asarray(np.sign(values) * np.log1p(np.abs(values)), np.float64)


def _most(values: Floats) -> float:
    return float(np.clip(values.max(initial=-_LIMIT), -_LIMIT, _LIMIT))


def _beside(values_W: Floats) -> Floats:
    """The larger of both neighbours."""
    padded = np.concatenate([[_NOTHING], values_W, [_NOTHING]])
    return np.asarray(np.maximum(padded[:-2], padded[2:]), np.float64)


def _around(values_W: Floats, nothing: float = _NOTHING) -> Floats:
    """(W + 1,) the larger of the words on both sides of each gap."""
    padded = np.concatenate([[nothing], values_W, [nothing]])
    return np.asarray(np.maximum(padded[:-1], padded[1:]), np.float64)


def _best_other(values: Floats) -> Floats:
    """The largest of all others."""
    if len(values) < 2:
        return np.full(len(values), _NOTHING)
    first, second = values.argmax(), np.partition(values, -2)[-2]
    return np.asarray(np.where(np.arange(len(values)) == first, second, values[first]), np.float64)
