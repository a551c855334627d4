"""NIST's markup of transcripts, aligned as sclite aligns it.

`{ a / b c / @ }` offers alternatives (`@` is no word), `(word)` may be left out, `part-` and `-part` are fragments
that match words they begin or end, `word;tag` carries tags. Both sides become acyclic networks of word arcs, and
the cheapest pair of paths is found with sclite's weights and preferences (SCTK, net_dp.c, word.c).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from speechkit.errors import SpeechkitError
from speechkit.kernels.edit import COR, DEL, INS, SUB
from speechkit.score.units import split_word

Step = tuple[int, str | None, str | None]
# sclite adds its weights in single precision, and the rounding decides some ties
Cost = np.float32
_FREE, _GAP, _SUB, _OPTIONAL_GAP, _NO_WORD_GAP, _NO_WORD_PAIR = map(Cost, (0, 3, 4, 2, 0.001, 1))
_WRONG_WORD = 0.001
_FAR = Cost(999999999.9)
NO_WORD = "@"


@dataclass(frozen=True)
class Markup:
    """What is recognised.

    fragments: `part-` matches a word that begins with it (sclite -F).
    optional: `(word)` may be left out (sclite -D).
    unit: what a word is cut into, see `units` (sclite -c).
    """

    fragments: bool = False
    optional: bool = False
    unit: str = "word"


@dataclass
class Network:
    """Word arcs in topological order; arc 0 is the start.

    times: start and end of each arc in seconds; empty unless words are aligned by time.
    before[a]: arcs that may precede arc a, in sclite's order; ends: arcs that may be last.
    """

    words: list[str] = field(default_factory=lambda: [""])
    before: list[list[int]] = field(default_factory=lambda: [[]])
    times: list[tuple[float, float]] = field(default_factory=list)
    optional: list[bool] = field(default_factory=lambda: [False])
    ends: list[int] = field(default_factory=lambda: [0])


def has_markup(text: str, markup: Markup) -> bool:
    """Whether `text` needs the network alignment rather than the plain one."""
    if markup.optional and "(" in text:
        return True
    return (markup.fragments and "-" in text) or any(mark in text for mark in "{@;*")


def parse(text: str, markup: Markup, where: str = "") -> Network:
    """The network of a transcript.

    Raises:
        SpeechkitError: a brace is not closed; `where` is named.
    """
    network = Network()
    network.ends = _add(network, text, [0], markup, where)
    return network if markup.unit == "word" else _in_units(network, markup.unit)


def _add(network: Network, text: str, entry: list[int], markup: Markup, where: str) -> list[int]:
    at = 0
    while at < len(text):
        if text[at] <= " ":
            at += 1
        elif text[at] == "{":
            end = _closing(text, at, where)
            ends = [_add(network, part, entry, markup, where) for part in _alternatives(text[at + 1 : end])]
            entry = [arc for arcs in ends for arc in arcs] or entry
            at = end + 1
        else:
            end = at
            while end < len(text) and text[end] > " ":
                end += 1
            entry = _add_word(network, text[at:end], entry, markup)
            at = end
    return entry


def _closing(text: str, at: int, where: str) -> int:
    depth = 0
    for spot in range(at, len(text)):
        depth += (text[spot] == "{") - (text[spot] == "}")
        if depth == 0:
            return spot
    raise SpeechkitError(
        f"`{text[at : at + 30]}` opens alternatives that are never closed",
        where=where,
        expected="`{ a / b }`",
        hint="close the brace, or score without --markup nist when `{` is part of a word",
    )


def _alternatives(text: str) -> list[str]:
    parts, depth, begin = [], 0, 0
    for at, char in enumerate(text):
        depth += (char == "{") - (char == "}")
        if char == "/" and depth == 0:
            parts.append(text[begin:at])
            begin = at + 1
    return [part for part in [*parts, text[begin:]] if part.strip()]


def _add_word(network: Network, token: str, entry: list[int], markup: Markup) -> list[int]:
    word = re.sub(r"\\(.)", r"\1", re.split(r"(?<!\\);", token, maxsplit=1)[0])
    if len(word) > 1 and word.endswith("*"):
        word = word[:-1]
    optional = markup.optional and len(word) > 2 and word[0] == "(" and word[-1] == ")"
    network.words.append(word[1:-1] if optional else word)
    network.before.append(entry)
    network.optional.append(optional)
    return [len(network.words) - 1]


def _in_units(network: Network, unit: str) -> Network:
    """The network with every word cut into a chain of arcs.

    Among equals sclite takes the first arc into a node, and the arcs of a cut word move to the end of that order, in
    the order in which it walks the nodes: depth first, the last branch first.
    """
    nodes = {id(arcs): arcs for arcs in [*network.before[1:], network.ends]}
    node_after = {arc: arcs for arcs in nodes.values() for arc in arcs}
    leaving: dict[int, list[int]] = {key: [] for key in nodes}
    for arc, arcs in enumerate(network.before[1:], start=1):
        leaving[id(arcs)].append(arc)
    parts = [split_word(word, unit) for word in network.words]
    stack, seen = [node_after[0]], {id(node_after[0])}
    while stack:
        out = leaving[id(stack.pop())]
        for arc in out:
            if id(node_after[arc]) not in seen:
                seen.add(id(node_after[arc]))
                stack.append(node_after[arc])
        for arc in out:
            if network.optional[arc] or len(parts[arc]) > 1:
                node_after[arc].remove(arc)
                node_after[arc].append(arc)
    found, last = Network(), [0]
    for arc in range(1, len(network.words)):
        entry = [last[a] for a in network.before[arc]]
        for part in parts[arc]:
            found.words.append(part)
            found.before.append(entry)
            found.optional.append(network.optional[arc])
            entry = [len(found.words) - 1]
        last += entry
    found.ends = [last[a] for a in network.ends]
    return found


def is_same(ref: str, hyp: str, fragments: bool) -> bool:
    """Whether two words match; a fragment matches what begins or ends with it."""
    if ref == hyp:
        return True
    if not fragments:
        return False
    for part, other in ((ref, hyp), (hyp, ref)):
        if len(part) > 1 and part[0] == "-":
            return other.endswith(part[1:])
        if len(part) > 1 and part[-1] == "-":
            return other.startswith(part[:-1])
    return False


def _gap(network: Network, arc: int) -> Cost:
    if network.words[arc] == NO_WORD:
        return _NO_WORD_GAP
    if network.times:
        return Cost(network.times[arc][1] - network.times[arc][0])
    return _OPTIONAL_GAP if network.optional[arc] else _GAP


def _pair(ref: Network, a: int, hyp: Network, b: int, fragments: bool) -> Cost:
    if ref.times:
        apart = abs(ref.times[a][0] - hyp.times[b][0]) + abs(ref.times[a][1] - hyp.times[b][1])
        return Cost(apart + (0 if is_same(ref.words[a], hyp.words[b], fragments) else _WRONG_WORD))
    if ref.words[a] == NO_WORD and hyp.words[b] == NO_WORD:
        return _NO_WORD_PAIR
    return _FREE if is_same(ref.words[a], hyp.words[b], fragments) else _SUB


Way = tuple[Cost, int, int]
Cells = list[list[Way]]  # cost, arc before on the reference side, arc before on the hypothesis side


def _fill(ref: Network, hyp: Network, fragments: bool) -> Cells:
    cells: Cells = [[(_FAR, -1, -1)] * len(hyp.words) for _ in ref.words]
    for a in range(len(ref.words)):
        row = cells[a]
        for b in range(len(hyp.words)):
            row[b] = _best_way(cells, (ref, a), (hyp, b), fragments)
    return cells


def _best_way(cells: Cells, at_ref: tuple[Network, int], at_hyp: tuple[Network, int], fragments: bool) -> Way:
    (ref, a), (hyp, b) = at_ref, at_hyp
    if a == 0 and b == 0:
        return _FREE, -1, -1
    pair = gone = extra = (_FAR, -1, -1)
    if b:  # min keeps the first of equals, as sclite does
        extra = _plus(min(((cells[a][q][0], a, q) for q in hyp.before[b]), key=_cost), _gap(hyp, b))
    if a:
        gone = _plus(min(((cells[p][b][0], p, b) for p in ref.before[a]), key=_cost), _gap(ref, a))
    if a and b:
        best = min(((cells[p][q][0], p, q) for p in ref.before[a] for q in hyp.before[b]), key=_cost)
        pair = _plus(best, _pair(ref, a, hyp, b, fragments))
    if pair[0] <= gone[0] and pair[0] <= extra[0]:
        return pair
    return gone if gone[0] < extra[0] else extra


def _cost(way: Way) -> Cost:
    return way[0]


def _plus(way: Way, step: Cost) -> Way:
    return way[0] + step, way[1], way[2]


def with_times(network: Network, times: list[tuple[float, float]]) -> Network:
    """The same network with the time of each word, in the order in which the text was parsed."""
    network.times = [(0.0, 0.0), *times]
    return network


def align_networks(ref: Network, hyp: Network, *, fragments: bool = False) -> list[Step]:
    """The steps of the cheapest pair of paths in order of time; words that may be left out and are, count as correct.

    Cost: O(arcs of ref * arcs of hyp) in plain Python, for the few utterances with markup.
    """
    cells = _fill(ref, hyp, fragments)
    a, b = min(((p, q) for p in ref.ends for q in hyp.ends), key=lambda end: cells[end[0]][end[1]][0])
    steps: list[Step] = []
    while a or b:
        _, p, q = cells[a][b]
        step = _step(ref, hyp, (a, b), (p, q), fragments)
        if step is not None:
            steps.append(step)
        a, b = p, q
    return steps[::-1]


def _step(ref: Network, hyp: Network, here: tuple[int, int], before: tuple[int, int], fragments: bool) -> Step | None:
    (a, b), (p, q) = here, before
    if a == p:
        word = hyp.words[b]
        if word == NO_WORD:
            return None
        return (COR, f"({word})", f"({word})") if hyp.optional[b] else (INS, None, word)
    if b == q:
        word = ref.words[a]
        if word == NO_WORD:
            return None
        return (COR, f"({word})", f"({word})") if ref.optional[a] else (DEL, word, None)
    if ref.words[a] == NO_WORD and hyp.words[b] == NO_WORD:
        return None
    same = is_same(ref.words[a], hyp.words[b], fragments)
    return COR if same else SUB, ref.words[a], hyp.words[b]


def align_marked(ref: str, hyp: str, markup: Markup, *, where: Sequence[str] = ("", "")) -> list[Step]:
    """Align two transcripts with markup.

    Raises:
        SpeechkitError: a brace is not closed; `where` names the places of both.
    """
    networks = parse(ref, markup, where[0]), parse(hyp, markup, where[1])
    return align_networks(*networks, fragments=markup.fragments)
