"""Faults of transcripts with known truth: what a word or a text becomes, and which words and gaps are then wrong.

Wrong is a word of the given text that was not said there; a wrong gap is a place of the given text where something
was said that it lacks. Gap g lies before word g, gap W after the last word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from speechkit.audit.vocabulary import Vocabulary
from speechkit.kernels.edit import COR, DEL, align_words

_MAX_RESTART = 3


@dataclass(frozen=True)
class Fault:
    """A text with a fault: its words, which of them are wrong, and the gaps where a said word is missing."""

    kind: str
    words: tuple[str, ...]
    wrong_words: tuple[int, ...]
    wrong_gaps: tuple[int, ...]


class _Text:
    """The given text while it is made."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.wrong_words: list[int] = []
        self.wrong_gaps: list[int] = []

    def right(self, *words: str) -> _Text:
        self.words += words
        return self

    def wrong(self, *words: str) -> _Text:
        self.wrong_words += range(len(self.words), len(self.words) + len(words))
        self.words += words
        return self

    def missing(self) -> _Text:
        if self.wrong_gaps[-1:] != [len(self.words)]:
            self.wrong_gaps.append(len(self.words))
        return self

    def fault(self, kind: str, said: Sequence[str]) -> Fault | None:
        """None when the text is empty or says what was said."""
        if not self.words or self.words == list(said):
            return None
        return Fault(kind, tuple(self.words), tuple(self.wrong_words), tuple(self.wrong_gaps))


def compare(kind: str, said: Sequence[str], given: Sequence[str]) -> Fault | None:
    """The fault of a given text by its alignment with what was said; None when it is empty or the same."""
    text, spot = _Text(), 0
    for op in align_words([said], [given]).ops_of(0).tolist():
        if op == DEL:
            text.missing()
            continue
        (text.right if op == COR else text.wrong)(given[spot])
        spot += 1
    return text.fault(kind, said)


Maker = Callable[[Sequence[str], np.random.Generator, Vocabulary], _Text | None]


def _replaced(words: Sequence[str], spot: int, by: Sequence[str]) -> _Text:
    return _Text().right(*words[:spot]).wrong(*by).right(*words[spot + 1 :])


def _one_of(gen: np.random.Generator, items: Sequence[str]) -> str:
    return items[int(gen.integers(len(items)))]


def _swapper(choices: Callable[[Vocabulary, str], Sequence[str]]) -> Maker:
    """One word becomes one of its choices; words without any are not drawn."""

    def make(words: Sequence[str], gen: np.random.Generator, vocabulary: Vocabulary) -> _Text | None:
        for spot in gen.permutation(len(words)).tolist():
            others = [other for other in choices(vocabulary, words[spot]) if other != words[spot]]
            if others:
                return _replaced(words, spot, _one_of(gen, others).split())
        return None

    return make


def _sub(words: Sequence[str], gen: np.random.Generator, vocabulary: Vocabulary) -> _Text | None:
    if not words:
        return None
    spot = int(gen.integers(len(words)))
    other = vocabulary.draw(gen, [words[spot]])
    return None if other is None else _replaced(words, spot, [other])


def _ins(words: Sequence[str], gen: np.random.Generator, vocabulary: Vocabulary) -> _Text | None:
    gap = int(gen.integers(len(words) + 1))
    beside = [*words[max(0, gap - 1) : gap], *words[gap : gap + 1]]  # beside its like nobody could say which is wrong
    other = vocabulary.draw(gen, beside) or vocabulary.draw(gen, [])
    return None if other is None else _Text().right(*words[:gap]).wrong(other).right(*words[gap:])


def _without(words: Sequence[str], spot: int) -> _Text:
    return _Text().right(*words[:spot]).missing().right(*words[spot + 1 :])


def _del(words: Sequence[str], gen: np.random.Generator, vocabulary: Vocabulary) -> _Text | None:
    return _without(words, int(gen.integers(len(words)))) if len(words) > 1 else None


def _del_frequent(words: Sequence[str], gen: np.random.Generator, vocabulary: Vocabulary) -> _Text | None:
    """Short and frequent words are left out more often: in proportion to their count over their length."""
    if len(words) <= 1:
        return None
    weight = np.array([vocabulary.frequency.get(word, 1) / len(word) for word in words])
    return _without(words, int(gen.choice(len(words), p=weight / weight.sum())))


def _transpose(words: Sequence[str], gen: np.random.Generator, vocabulary: Vocabulary) -> _Text | None:
    spots = [k for k in range(len(words) - 1) if words[k] != words[k + 1]]
    if not spots:
        return None
    k = spots[int(gen.integers(len(spots)))]
    return _Text().right(*words[:k]).wrong(words[k + 1], words[k]).right(*words[k + 2 :])


def _repeat(words: Sequence[str], gen: np.random.Generator, vocabulary: Vocabulary) -> _Text | None:
    spot = int(gen.integers(len(words)))
    return _Text().right(*words[: spot + 1]).wrong(words[spot]).right(*words[spot + 1 :])


def _restart(words: Sequence[str], gen: np.random.Generator, vocabulary: Vocabulary) -> _Text | None:
    size = int(gen.integers(1, min(_MAX_RESTART, len(words)) + 1))
    return _Text().wrong(*words[:size]).right(*words)


def _stop_early(words: Sequence[str], gen: np.random.Generator, vocabulary: Vocabulary) -> _Text | None:
    return _without(words, len(words) - 1) if len(words) > 1 else None


_variant = _swapper(Vocabulary.variants)
_MISREADINGS: tuple[Maker, ...] = (_repeat, _restart, _stop_early, _variant)


def _misread(words: Sequence[str], gen: np.random.Generator, vocabulary: Vocabulary) -> _Text | None:
    """The text repeats a word, starts again, stops before the last word, or has another form of a word."""
    if not words:
        return None
    makers = [_MISREADINGS[k] for k in gen.permutation(len(_MISREADINGS)).tolist()]
    return next((text for make in makers if (text := make(words, gen, vocabulary)) is not None), None)


_MAKERS: dict[str, Maker] = {
    "sub": _sub,
    "confusable": _swapper(Vocabulary.neighbours),
    "pairflip": _swapper(lambda vocabulary, word: [vocabulary.partners[word]] if word in vocabulary.partners else []),
    "ins": _ins,
    "del": _del,
    "del-frequent": _del_frequent,
    "transpose": _transpose,
    "misread": _misread,
    "form": _swapper(lambda vocabulary, word: vocabulary.forms.get(word, ())),
}
OTHER_TEXT_KINDS = ("swap", "swap-speaker", "swap-length", "language")
TEXT_KINDS: tuple[str, ...] = (*OTHER_TEXT_KINDS, *_MAKERS)
WORD_KINDS = ("sub", "confusable", "pairflip", "ins", "del")


def inject_text(
    words: Sequence[str],
    kind: str,
    *,
    gen: np.random.Generator,
    vocabulary: Vocabulary,
    other: Sequence[str] | None = None,
) -> Fault | None:
    """The text with one fault, None where this kind can not be applied to it.

    Args:
        words: what was said.
        kind: one of `TEXT_KINDS`.
        other: the words of another utterance, or of another language: the given text of `OTHER_TEXT_KINDS`.
    """
    if kind in OTHER_TEXT_KINDS:
        return None if other is None else compare(kind, words, other)
    text = _MAKERS[kind](words, gen, vocabulary)
    return None if text is None else text.fault(kind, words)


def inject_words(
    words: Sequence[str], kinds: Mapping[str, float], rate: float, *, gen: np.random.Generator, vocabulary: Vocabulary
) -> Fault | None:
    """The text with each word by itself wrong at a rate, None where none came out wrong.

    An insertion comes before its word. A text of which every word was left out keeps its first one.

    Args:
        kinds: weights of some of `WORD_KINDS`.
    """
    names = sorted(kinds)
    share = np.array([kinds[name] for name in names])
    hits = gen.random(len(words)) < rate
    chosen = gen.choice(len(names), size=len(words), p=share / share.sum())
    text = _Text()
    for spot, word in enumerate(words):
        if hits[spot]:
            _spoil(text, word, names[int(chosen[spot])], gen, vocabulary)
        else:
            text.right(word)
    if not text.words and words:
        text = _Text().right(words[0])
        if len(words) > 1:
            text.missing()
    return text.fault("+".join(names), words)


def _spoil(text: _Text, word: str, kind: str, gen: np.random.Generator, vocabulary: Vocabulary) -> None:
    if kind == "del":
        text.missing()
    elif kind == "ins":
        other = vocabulary.draw(gen, [word, *text.words[-1:]]) or vocabulary.draw(gen, [word]) or word
        text.wrong(other).right(word)
    else:
        found = inject_text([word], kind, gen=gen, vocabulary=vocabulary)
        (text.right(word) if found is None else text.wrong(*found.words))


__all__ = [
    "OTHER_TEXT_KINDS",
    "TEXT_KINDS",
    "WORD_KINDS",
    "Fault",
    "Vocabulary",
    "compare",
    "inject_text",
    "inject_words",
]
