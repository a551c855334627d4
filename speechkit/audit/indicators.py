"""Indicators: transcripts of the corpus made wrong on purpose, with what the stored log-probs say of them.

No model runs again. Faults of the audio are made in the log-probs: frames cut away at one end, or nothing but silence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from speechkit import log
from speechkit.audit.corpus import Corpus, Item
from speechkit.audit.evidence import Evidence
from speechkit.audit.inject import Fault, inject_text
from speechkit.audit.logprobs import Emission, LogProbs, greedy_text
from speechkit.audit.score_file import Scored
from speechkit.audit.scores import Lexicon, gather
from speechkit.audit.vocabulary import Vocabulary
from speechkit.errors import SpeechkitError
from speechkit.rng import rng

# by the name that the audit gives the kind of error: how such an indicator is made
KINDS: dict[str, tuple[str, ...]] = {
    "sub": ("sub", "confusable"),
    "ins": ("ins",),
    "del": ("del",),
    "transpose": ("transpose",),
    "misread": ("misread",),
    "swap": ("swap",),
    "truncate": ("truncate",),
    "silence": ("silence",),
}
_SHARE_AT_END = 0.75  # recorders stop too early more often than they start too late
_LEAST_LOST = 0.5
_NUM_TRIES = 5


@dataclass(frozen=True)
class Indicator:
    """A wrong transcript of an utterance of the corpus.

    Args:
        row: number of the utterance among the rows of the scores.
        kind: one of `KINDS`.
        said: the words of the corpus, which stand for what was said.
    """

    row: int
    kind: str
    said: tuple[str, ...]
    fault: Fault
    evidence: Evidence
    emission: Emission


def make_indicators(
    rows: Sequence[Scored],
    stored: LogProbs,
    corpus: Corpus,
    *,
    lexicon: Lexicon | None,
    star_penalty: float,
    num: int,
    seed: int,
) -> list[Indicator]:
    """`num` indicators, as many of each kind as can be made; the utterances are drawn evenly."""  # fmt: skip
    vocabulary = Vocabulary.of_texts((row.text.split() for row in rows), seed=seed)
    names = list(KINDS)
    found: list[Indicator] = []
    failed: Counter[str] = Counter()
    for number in log.track(range(num), "indicators", unit="indicator"):
        name = names[number % len(names)]
        for attempt in range(_NUM_TRIES):
            gen = rng(seed, "indicator", number, attempt)
            place = int(gen.integers(len(rows)))
            fault, emission = _spoil(rows, place, name, gen, vocabulary, stored)
            evidence = _evidence(fault, emission, lexicon, star_penalty)
            if fault is not None and evidence is not None:
                item = Item(rows[place].text.split(), rows[place].speaker, _seconds(emission), evidence.scores)
                corpus.complete(item, fault.words)
                said = tuple(rows[place].text.split())
                found.append(Indicator(place, name, said, fault, evidence, emission))
                break
        else:
            failed[name] += 1
    if failed:
        log.warn(f"indicators that could not be made: {', '.join(f'{n} {kind}' for kind, n in sorted(failed.items()))}")
    return found


def _spoil(
    rows: Sequence[Scored], place: int, name: str, gen: np.random.Generator, vocabulary: Vocabulary, stored: LogProbs
) -> tuple[Fault | None, Emission]:
    row, kind = rows[place], KINDS[name][int(gen.integers(len(KINDS[name])))]
    emission = stored.get(row.utt_id)
    words = row.text.split()
    if kind == "truncate":
        return _truncated(row, emission, gen)
    if kind == "silence":
        return Fault(kind, tuple(words), tuple(range(len(words))), ()), _silenced(emission)
    other = rows[int(gen.integers(len(rows)))].text.split() if kind == "swap" else None
    return inject_text(words, kind, gen=gen, vocabulary=vocabulary, other=other), emission


def _truncated(row: Scored, emission: Emission, gen: np.random.Generator) -> tuple[Fault | None, Emission]:
    """Without the frames of the last or the first word, or at least of most of it."""
    if len(row.words) < 2:
        return None, emission
    is_end = bool(gen.random() < _SHARE_AT_END)
    edge = row.words[-1] if is_end else row.words[0]
    lost = gen.uniform(_LEAST_LOST, 1.0) * (edge.end - edge.start)
    at = (edge.end - lost if is_end else edge.start + lost) - emission.first_seconds
    frame = int(np.clip(round(at / emission.step_seconds), 1, len(emission.log_probs_TV) - 1))
    rest_TV = emission.log_probs_TV[:frame] if is_end else emission.log_probs_TV[frame:]
    wrong = (len(row.words) - 1 if is_end else 0,)
    return Fault("truncate", tuple(row.text.split()), wrong, ()), _heard(replace(emission, log_probs_TV=rest_TV))


def _silenced(emission: Emission) -> Emission:
    """The utterance as if every frame told no more than all of them together: a model in noise is unsure."""
    values_TV = emission.log_probs_TV
    typical_1V = values_TV.mean(axis=0, keepdims=True)
    typical_1V -= np.logaddexp.reduce(typical_1V, axis=1, keepdims=True)
    mean_1V = np.logaddexp(np.log(np.exp(values_TV).mean(axis=0, keepdims=True)), typical_1V) - np.log(2.0)
    return _heard(replace(emission, log_probs_TV=np.repeat(mean_1V, len(values_TV), axis=0).astype(np.float32)))


def _heard(emission: Emission) -> Emission:
    return replace(emission, hypothesis=greedy_text(emission.log_probs_TV, emission.tokenizer))


def _evidence(fault: Fault | None, emission: Emission, lexicon: Lexicon | None, star_penalty: float) -> Evidence | None:
    """None where the model can not spell the words or they do not fit the audio."""
    try:
        words = fault.words if fault else ()
        return gather(emission, words, lexicon=lexicon, star_penalty=star_penalty)
    except SpeechkitError:
        return None


def _seconds(emission: Emission) -> float:
    return len(emission.log_probs_TV) * emission.step_seconds
