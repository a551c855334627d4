"""Word confusion networks of several transcripts of one utterance (after ROVER, Fiscus 1997).

The transcript nearest to all others is the backbone; the others are aligned with it. Words that several transcripts
add at the same place make a network of their own, by the same rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from speechkit.kernels.edit import DEL, INS, align_words

Slot = dict[int, str]  # the word of each labeler that has one; the others of the utterance say nothing there


def build_networks(transcripts: Sequence[Mapping[int, Sequence[str]]]) -> list[list[Slot]]:
    """The slots of each utterance in order of time.

    Args:
        transcripts: of each utterance the words by labeler.
    """
    backbones = _backbones(transcripts)
    pairs = [
        (number, labeler)
        for number, texts in enumerate(transcripts)
        for labeler in texts
        if labeler != backbones[number]
    ]
    aligned = align_words(
        [transcripts[number][backbones[number]] for number, _ in pairs],
        [transcripts[number][labeler] for number, labeler in pairs],
    )
    networks: list[list[Slot]] = []
    added: list[dict[int, dict[int, list[str]]]] = []  # by utterance and gap, the words of each labeler
    for number, texts in enumerate(transcripts):
        networks.append([{backbones[number]: word} for word in texts[backbones[number]]])
        added.append({})
    for pair, (number, labeler) in enumerate(pairs):
        ops = aligned.ops_of(pair).tolist()
        _add(networks[number], added[number], labeler, transcripts[number][labeler], ops)
    _insert(networks, added)
    return networks


def _backbones(transcripts: Sequence[Mapping[int, Sequence[str]]]) -> list[int]:
    """The labeler whose words are nearest to all others, of each utterance; of equals the first."""
    pairs = [(number, a, b) for number, texts in enumerate(transcripts) for a in texts for b in texts if a < b]
    errors = align_words(
        [transcripts[number][a] for number, a, _ in pairs], [transcripts[number][b] for number, _, b in pairs]
    ).counts.sum(axis=1)
    distance = [dict.fromkeys(sorted(texts), 0) for texts in transcripts]
    for (number, a, b), count in zip(pairs, errors.tolist(), strict=True):
        distance[number][a] += count
        distance[number][b] += count
    return [min(own, key=own.__getitem__) for own in distance]


def _add(
    network: list[Slot], added: dict[int, dict[int, list[str]]], labeler: int, words: Sequence[str], ops: Sequence[int]
) -> None:
    slot = word = 0
    for op in ops:
        if op == INS:
            added.setdefault(slot, {}).setdefault(labeler, []).append(words[word])
        elif op != DEL:
            network[slot][labeler] = words[word]
        slot += op != INS
        word += op != DEL


def _insert(networks: list[list[Slot]], added: Sequence[Mapping[int, Mapping[int, list[str]]]]) -> None:
    """Put the networks of added words into their gaps."""
    places = [(number, gap) for number, gaps in enumerate(added) for gap in gaps]
    if not places:
        return
    inner = build_networks([added[number][gap] for number, gap in places])
    for (number, gap), slots in sorted(zip(places, inner, strict=True), key=lambda item: -item[0][1]):
        networks[number][gap:gap] = slots


__all__ = ["Slot", "build_networks"]
