"""Corrections of a transcript: the best edit, then the next best of what it gives, while the log-prob gains enough."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from speechkit.align.ctc import tokens_of
from speechkit.audit.evidence import Evidence
from speechkit.audit.features import exchanges
from speechkit.audit.logprobs import Emission
from speechkit.audit.scores import Lexicon, gather
from speechkit.errors import SpeechkitError
from speechkit.kernels.ctc_edits import text_log_prob
from speechkit.kernels.edit import DEL, INS, SUB, align_words

Words = tuple[str, ...]
_LIMITS = (0.0, 2.0, 4.0, 6.0, 8.0, 11.0, 15.0, 20.0, 30.0, 50.0)


@dataclass(frozen=True)
class Step:
    """A text one edit further, and the log ratio that the edit gains."""

    words: Words
    gain: float


def steps(emission: Emission, words: Words, *, lexicon: Lexicon | None, max_edits: int) -> list[Step]:
    """The best edit of the words, the best edit of the outcome, and so on; every one gains log-prob."""
    found: list[Step] = []
    while len(found) < max_edits:
        try:
            evidence = gather(emission, words, lexicon=lexicon)
        except SpeechkitError:  # too long for its audio, or a word that can not be spelled: nothing to suggest
            break
        best = max(_edits(emission, evidence, words, lexicon), key=lambda step: step.gain, default=None)
        if best is None or best.gain <= 0 or not np.isfinite(best.gain):
            break
        found.append(best)
        words = best.words
    return found


def taken(path: Sequence[Step], least_gain: float) -> Step | None:
    """The text after the first edit and all further ones that gain enough, with the sum of their gains."""
    if not path:
        return None
    num = 1
    while num < len(path) and path[num].gain >= least_gain:
        num += 1
    return Step(path[num - 1].words, sum(step.gain for step in path[:num]))


def best_limit(paths: Sequence[Sequence[Step]], said: Sequence[Words]) -> tuple[float, float]:
    """What a further edit must gain so that most paths end at what was said, and the share that does."""
    if not paths:
        return _LIMITS[-1], 0.0
    shares = []
    for limit in _LIMITS:
        texts = [step.words if (step := taken(path, limit)) else () for path in paths]
        shares.append(float(np.mean([text == own for text, own in zip(texts, said, strict=True)])))
    best = max(range(len(_LIMITS)), key=lambda place: (shares[place], place))
    return _LIMITS[best], shares[best]


def _edits(emission: Emission, evidence: Evidence, words: Words, lexicon: Lexicon | None) -> Iterator[Step]:
    """The best edit of each kind."""
    if len(words) > 1:
        spot = int(evidence.delete_W.argmax())
        yield Step((*words[:spot], *words[spot + 1 :]), float(evidence.delete_W[spot]))
        gains = exchanges(emission, words, evidence.log_prob)
        spot = int(gains.argmax())
        yield Step((*words[:spot], words[spot + 1], words[spot], *words[spot + 2 :]), float(gains[spot]))
    if lexicon is None:
        yield from _heard(emission, evidence, words)
        return
    spot = int(evidence.replace_W.argmax())
    if evidence.replacement_W[spot] >= 0:
        other = lexicon.words[int(evidence.replacement_W[spot])]
        yield Step((*words[:spot], other, *words[spot + 1 :]), float(evidence.replace_W[spot]))
    gap = int(evidence.insert_G.argmax())
    if evidence.insertion_G[gap] >= 0:
        other = lexicon.words[int(evidence.insertion_G[gap])]
        yield Step((*words[:gap], other, *words[gap:]), float(evidence.insert_G[gap]))


def _heard(emission: Emission, evidence: Evidence, words: Words) -> Iterator[Step]:
    """Words of the hypothesis where it differs, one at a time: without a lexicon, what else could have been said?"""
    hypothesis = tuple(evidence.hypothesis.split())
    spot = place = 0
    for op in align_words([words], [hypothesis]).ops_of(0).tolist():
        if op in (SUB, INS):
            other = (*words[:spot], hypothesis[place], *words[spot + (op == SUB) :])
            tokens, _ = tokens_of(other, emission.tokenizer)
            yield Step(other, text_log_prob(emission.log_probs_TV, tokens) - evidence.log_prob)
        spot += op != INS
        place += op != DEL
