"""Posteriors of the edits of a transcript when any number of them may be made at once, by k2.

Each word is kept, replaced by a star, or left out; a star may stand in the gap before a kept word and after a last
word that is kept. Stars and separators are those of `kernels/ctc_edits.py`. The graph of all these texts is composed
with the CTC topology; sums are over all paths. Needs k2 and only numpy and torch (1.13 or newer) beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from speechkit.decode.k2_info import import_k2
from speechkit.errors import SpeechkitError

PURPOSE = "posteriors of several edits at once"
# k2 drops what is this far (natural log) below the best path; wide enough to be exact in float32
EXACT_BEAM = 100.0
_START = 0
_STAR = -2  # until labels are numbered
_FINAL = -1  # the label of arcs into the final state
Floats = NDArray[np.float64]


class EditPosteriors(NamedTuple):
    """Probabilities given the audio and the penalties; keep + star + skip of a word is 1.

    log_total: natural log of the sum over all edited texts; `log_prob - log_total` is that of no edit.
    """

    log_total: float
    keep_W: Floats
    star_W: Floats
    skip_W: Floats
    gap_star_G: Floats


class _Arc(NamedTuple):
    source: int
    target: int
    label: int
    weight: float
    edits: tuple[int, ...]  # columns of the posteriors that it counts for


class _Graph:
    """Acceptor of the tokens of all edited texts. Edits: word w has columns 3w (keep), 3w + 1 (star), 3w + 2 (skip),
    gap g column 3W + g.
    """

    def __init__(self, tokens: Sequence[int], words: Sequence[tuple[int, int]], penalties: tuple[float, float]) -> None:
        self.arcs: list[_Arc] = []
        self.words = [tuple(tokens[start:end]) for start, end in words]
        between = tokens[words[0][1] : words[1][0]] if len(words) > 1 else []
        self.separator = between[0] if len(between) else None
        self.star_weight, self.skip_weight = -penalties[0], -penalties[1]
        self.num_states = 1
        self.final = -1
        self._build()

    def _state(self) -> int:
        self.num_states += 1
        return self.num_states - 1

    def _build(self) -> None:
        num_words = len(self.words)
        chains = [[self._state() for _ in word] for word in self.words]
        self._inner = [chain[0] for chain in chains]
        self._starred = [self._state() for _ in self.words]
        self._after_gap = [self._state() for _ in range(num_words + 1)]
        for w, (word, chain) in enumerate(zip(self.words, chains, strict=True)):
            for place in range(1, len(word)):
                self._add(chain[place - 1], chain[place], word[place])
            self._add(self._after_gap[w], chain[0], word[0], edits=(3 * w,))
        ends = [(_START, -1)]
        ends += [(state, w) for w in range(num_words) for state in (chains[w][-1], self._starred[w])]
        separated = [self._state() for _ in self.words] if self.separator is not None else []
        for w, state in enumerate(separated):
            self._alternatives(state, w, ())
        self.final = self._state()
        for state, last in ends:
            for w in range(last + 1, num_words):
                skipped = tuple(range(last + 1, w))
                if separated and state != _START:
                    self._add(state, separated[w], self.separator, edits=self._skips(skipped))
                else:
                    self._alternatives(state, w, skipped)
            self._add(state, self.final, _FINAL, edits=self._skips(tuple(range(last + 1, num_words))))
        self._add(chains[-1][-1], self._after_gap[-1], _STAR, edits=(3 * num_words + num_words,))
        self._add(self._after_gap[-1], self.final, _FINAL)

    def _alternatives(self, state: int, w: int, skipped: tuple[int, ...]) -> None:
        """Word w kept, as a star, or kept after a star, from a state."""
        skips = self._skips(skipped)
        self._add(state, self._inner[w], self.words[w][0], edits=(*skips, 3 * w))
        self._add(state, self._starred[w], _STAR, edits=(*skips, 3 * w + 1))
        self._add(state, self._after_gap[w], _STAR, edits=(*skips, 3 * len(self.words) + w))

    @staticmethod
    def _skips(words: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(3 * w + 2 for w in words)

    def _add(self, source: int, target: int, label: int | None, *, edits: tuple[int, ...] = ()) -> None:
        skips = sum(edit < 3 * len(self.words) and edit % 3 == 2 for edit in edits)
        weight = skips * self.skip_weight + (self.star_weight if label == _STAR else 0.0)
        self.arcs.append(_Arc(source, target, _FINAL if label is None else label, weight, edits))


def edit_posteriors(
    log_probs_TV: torch.Tensor,
    tokens: Sequence[int],
    words: Sequence[tuple[int, int]],
    *,
    star_penalty: float = 6.0,
    skip_penalty: float = 0.0,
    star_frame_penalty: float = 0.0,
    blank_id: int = 0,
) -> EditPosteriors:
    """Probability of each edit, whatever the others.

    Args:
        log_probs_TV: natural log, read as float32; on the device where k2 shall work.
        tokens, words: of the transcript, as in `single_edits`; at least one word.
        star_penalty, skip_penalty: nats for each star and for each word that is left out.
        star_frame_penalty: nats for each frame of a star, besides.
    Raises:
        ConfigError: k2 is not installed or does not fit the installed torch.
        SpeechkitError: no words, no frames, or no text has a probability.
    Cost: O(W^2) arcs for runs of words that are left out.  Test: every combination of edits through torch's ctc_loss.
    """
    if not len(words) or not len(log_probs_TV):
        raise SpeechkitError("edits need at least one word and one frame")
    k2 = import_k2(PURPOSE)
    graph = _Graph(tokens, words, (star_penalty, skip_penalty))
    used = sorted(set(tokens))
    labels = {token: number for number, token in enumerate(used, start=1)} | {_STAR: len(used) + 1, _FINAL: _FINAL}
    topology = k2.ctc_topo(len(used) + 1, modified=False)
    acceptor = k2.arc_sort(_acceptor(k2, graph, labels))
    composed = k2.connect(k2.compose(topology, acceptor, treat_epsilons_specially=True))
    columns = torch.tensor([blank_id, *used], device=log_probs_TV.device)
    values = torch.nn.functional.pad(log_probs_TV.detach().float()[:, columns], (0, 1), value=-star_frame_penalty)
    frames = torch.tensor([[0, 0, len(values)]], dtype=torch.int32)
    decoding = k2.create_fsa_vec([k2.arc_sort(composed)]).to(log_probs_TV.device)
    lattice = k2.intersect_dense(decoding, k2.DenseFsaVec(values[None], frames), EXACT_BEAM)
    total = float(lattice.get_tot_scores(use_double_scores=True, log_semiring=True)[0])
    if total == -np.inf:
        raise SpeechkitError(f"no edit of the text has a probability in {len(values)} frames")
    posteriors = lattice.get_arc_post(use_double_scores=True, log_semiring=True).exp().cpu()
    arc_sums = torch.zeros(len(graph.arcs) + 1, dtype=torch.float64)
    arc_sums.index_add_(0, lattice.aux_labels.cpu().long().clamp(min=0), posteriors.double())
    sums = np.zeros(4 * len(words) + 1)
    for arc, share in zip(graph.arcs, arc_sums[1:].tolist(), strict=True):
        sums[list(arc.edits)] += share
    by_word = sums[: 3 * len(words)].reshape(-1, 3)
    return EditPosteriors(total, by_word[:, 0], by_word[:, 1], by_word[:, 2], sums[3 * len(words) :])


def _acceptor(k2: Any, graph: _Graph, labels: dict[int, int]) -> Any:
    """The graph as a k2 Fsa, arcs sorted by source; aux_labels number the arcs of the graph from 1."""
    order = sorted(range(len(graph.arcs)), key=lambda number: graph.arcs[number].source)
    rows = np.zeros((len(order), 4), dtype=np.int32)
    for row, number in zip(rows, order, strict=True):
        arc = graph.arcs[number]
        row[:3] = arc.source, arc.target, labels[arc.label]
    weights = np.array([graph.arcs[number].weight for number in order], dtype=np.float32)
    rows[:, 3] = weights.view(np.int32)  # k2 keeps the score's bits in the fourth column
    fsa = k2.Fsa(torch.from_numpy(rows))
    fsa.aux_labels = torch.tensor([number + 1 for number in order], dtype=torch.int32)
    return fsa
