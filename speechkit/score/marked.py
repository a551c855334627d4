"""Utterances with NIST markup inside an ordinary score: only they take the slow network alignment."""

from __future__ import annotations

import numpy as np

from speechkit.errors import SpeechkitError
from speechkit.score.nist import Markup, Step, align_marked, align_networks, has_markup, parse, with_times
from speechkit.score.normalize import Normalizer
from speechkit.score.timed import Item, Piece
from speechkit.score.transcripts import from_texts
from speechkit.score.wer import Scored, score


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


def align_by_time(piece: Piece, normalizer: Normalizer, markup: Markup) -> list[Step]:
    """Align a piece of two CTM files by the times of the words rather than by the words (sclite -T)."""
    sides = (piece.ref, piece.hyp)
    networks = [with_times(parse(normalizer.text(_text(items)), markup), _times(items)) for items in sides]
    return align_networks(networks[0], networks[1], fragments=markup.fragments)


def score_pieces(pieces: list[Piece], sources: tuple[str, str], normalizer: Normalizer, *, ties: str) -> Scored:
    """Score two CTM files cut into pieces; each piece is an utterance."""
    sides = []
    for source, items in zip(sources, ([p.ref for p in pieces], [p.hyp for p in pieces]), strict=True):
        texts = [normalizer.text(_text(part)) for part in items]
        lines = [part[0].line if part else 1 for part in items]
        sides.append(from_texts([p.name for p in pieces], texts, source=source, lines=lines))
    return score(sides[0], sides[1], ties=ties)


def _text(items: list[Item]) -> str:
    return " ".join(item.text for item in items)


def _times(items: list[Item]) -> list[tuple[float, float]]:
    return [(start, end) for item in items for _, start, end in item.words]
