"""Utterances with NIST markup inside an ordinary score: only they take the slow network alignment."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from speechkit.errors import SpeechkitError
from speechkit.score.nist import NO_WORD, Markup, Step, align_marked, align_networks, has_markup, parse, with_times
from speechkit.score.normalize import Normalizer
from speechkit.score.pieces import Piece
from speechkit.score.timed import Item
from speechkit.score.transcripts import Transcripts, from_texts, split_words
from speechkit.score.units import split_transcripts
from speechkit.score.wer import Scored, score

TimedWord = tuple[str, float, float]
_NO_TIME = (math.nan, math.nan)  # of the marks of alternatives


def split_plain(texts: Transcripts, markup: Markup, *, is_marked: bool) -> Transcripts:
    """Cut the words of texts into units; texts with markup are cut when they are parsed."""
    if markup.unit == "word" or not is_marked:
        return split_transcripts(texts, markup.unit)
    return split_transcripts(texts, markup.unit, keep=[has_markup(text, markup) for text in texts.texts()])


def score_marked(scored: Scored, markup: Markup) -> Scored:
    """Replace the alignment of every utterance that has markup on either side.

    Raises:
        SpeechkitError: a brace is not closed, with file:line.
    """
    overrides = {}
    for u, (r, h) in enumerate(scored.pairs.tolist()):
        texts = scored.ref.text(r), scored.hyp.text(h) if h >= 0 else ""
        if any(has_markup(text, markup) for text in texts):
            where = [f"{side.source}:{side.lines[k]}" for side, k in ((scored.ref, r), (scored.hyp, h))]
            overrides[u] = align_marked(texts[0], texts[1], markup, where=where)
    found = scored.with_alignments(overrides)
    if not np.any(found.words[:, 3]):
        raise SpeechkitError("no reference has a word, so there is no error rate", where=scored.ref.source)
    return found


def align_by_time(piece: Piece, normalizers: tuple[Normalizer, Normalizer], markup: Markup) -> list[Step]:
    """Align a piece of two CTM files by the times of the words rather than by the words (sclite -T)."""
    networks = []
    for items, normalizer in zip((piece.ref, piece.hyp), normalizers, strict=True):
        words = [word for item in items for word in _normalised(item, normalizer)]
        network = parse(" ".join(word for word, _, _ in words), markup)
        networks.append(with_times(network, [(start, end) for _, start, end in words if not math.isnan(start)]))
    return align_networks(networks[0], networks[1], fragments=markup.fragments)


def _normalised(item: Item, normalizer: Normalizer) -> Iterator[TimedWord]:
    """The words and marks of an item; words that a rule makes of one share its time."""
    words = iter(item.words)
    for token in split_words(item.text):
        if item.num_lines > 1 and token in ("{", "/", "}"):
            yield token, *_NO_TIME
            continue
        word, start, end = next(words)
        text = normalizer.text(word) if word != NO_WORD else word
        yield from _spread(text, start, end) if "{" in text else _share(split_words(text), start, end)


def _spread(text: str, start: float, end: float) -> Iterator[TimedWord]:
    """The same for `{ a b / c }`: each alternative takes the whole time."""
    parts = text.replace("{", " ").replace("}", " ").split("/")
    for number, part in enumerate(parts):
        yield "/" if number else "{", *_NO_TIME
        yield from _share(split_words(part), start, end)
    yield "}", *_NO_TIME


def _share(words: list[str], start: float, end: float) -> Iterator[TimedWord]:
    step = (end - start) / max(1, len(words))
    for number, word in enumerate(words):
        yield word, start + number * step, start + number * step + step


def score_pieces(
    pieces: list[Piece],
    sources: tuple[str, str],
    normalizers: tuple[Normalizer, Normalizer],
    markup: Markup,
    *,
    is_marked: bool,
    ties: str,
) -> Scored:
    """Score two CTM files cut into pieces; each piece is an utterance."""
    sides = []
    for k, parts in enumerate(([p.ref for p in pieces], [p.hyp for p in pieces])):
        texts = [normalizers[k].text(" ".join(item.text for item in items)) for items in parts]
        lines = [items[0].line if items else 1 for items in parts]
        side = from_texts([p.name for p in pieces], texts, source=sources[k], lines=lines)
        sides.append(split_plain(side, markup, is_marked=is_marked))
    return score(sides[0], sides[1], ties=ties, with_chars=markup.unit == "word")
