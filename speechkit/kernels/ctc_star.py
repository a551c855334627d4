"""CTC for transcripts with faults: any word may be a star, and a star may stand in any gap.

A star is a label of its own, the last column of the log-probs.  With the mean of the non-blank probabilities as its
emission and both weights falling over training this is Omni-temporal classification (Gao et al. 2023); with stars in
gaps only, Star temporal classification (Pratap et al. 2022); with emission 0 the posteriors of the stars say which
words of a transcript the model does not believe, however many they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from speechkit.kernels import ctc_graph
from speechkit.kernels.ctc import as_numpy, attach_gradient
from speechkit.kernels.ctc_graph import Floats, Graph, LogProbs

Range = tuple[int, int]


class StarGraph(NamedTuple):
    """The graph of a transcript of W words, with the states that tell its alternatives apart.

    Args:
        first_W, star_W: state of each word's first token, and of the star in its place (-1: none).
        gap_G: state of the star in each gap, G = W + 1 (-1: none); gap g lies before word g.
    """

    graph: Graph
    first_W: NDArray[np.int64]
    star_W: NDArray[np.int64]
    gap_G: NDArray[np.int64]


class StarPosteriors(NamedTuple):
    """Log-odds in nats that each word is a star (W,), that each gap holds one (W + 1,), and the total log-prob."""

    word_W: Floats
    gap_G: Floats
    log_prob: float


class _Builder:
    """Collects states and arcs; a junction is the place between two tokens groups (words and separators)."""

    def __init__(self, blank_id: int, star_id: int) -> None:
        self.blank_id, self.star_id = blank_id, star_id
        self.labels: list[int] = []
        self.arcs: list[tuple[int, int, float]] = []  # destination, source, weight
        self.start: list[float] = []

    def state(self, label: int, sources: Sequence[int], weight: float = 0.0, *, starts: bool = False) -> int:
        """A state that can stay, entered from `sources` that do not repeat its label."""
        new = len(self.labels)
        self.labels.append(label)
        self.start.append(weight if starts else -math.inf)
        self.arcs.append((new, new, 0.0))
        self.enter(new, sources, weight)
        return new

    def enter(self, state: int, sources: Sequence[int], weight: float = 0.0) -> None:
        label = self.labels[state]
        self.arcs += [(state, s, weight) for s in sources if label == self.blank_id or self.labels[s] != label]

    def spell(self, tokens: Sequence[int], sources: Sequence[int], *, starts: bool) -> tuple[int, int]:
        """The chain of a group of tokens with optional blanks between; its first and last state."""
        first = last = self.state(tokens[0], sources, starts=starts)
        for token in tokens[1:]:
            blank = self.state(self.blank_id, [last])
            last = self.state(token, [last, blank])
        return first, last

    def finish(self, ends: Sequence[int]) -> Graph:
        arcs = sorted(arc for arc in self.arcs if arc[2] > -math.inf)
        to = np.array([arc[0] for arc in arcs], np.int64)
        end_S = np.full(len(self.labels), -math.inf)
        end_S[list(ends)] = 0.0
        return Graph(
            np.array(self.labels, np.int64),
            np.searchsorted(to, np.arange(len(self.labels) + 1)).astype(np.int64),
            np.array([arc[1] for arc in arcs], np.int64),
            np.array([arc[2] for arc in arcs], np.float64),
            np.array(self.start, np.float64),
            end_S,
        )


def star_graph(
    tokens: Sequence[int], words: Sequence[Range], *, word_weights: Sequence[float], gap_weight: float, star_id: int,
    blank_id: int = 0,
) -> StarGraph:  # fmt: skip
    """The alternatives of a transcript.

    Args:
        words: first and end token of each word; tokens between words are separators, which a star beside them may
            take with it.
        word_weights: natural log weight (W,) of a star in place of each word; -inf forbids it.
        gap_weight: of each star in a gap; -inf forbids them.
    """
    builder = _Builder(blank_id, star_id)
    first_W, star_W, gap_G = (np.full(n, -1, np.int64) for n in (len(words), len(words), len(words) + 1))
    before: list[int] = []  # states after which the next group may begin
    skipping: list[int] = []  # stars whose separator is skipped
    is_start = True
    for number, (start, end) in enumerate(words):
        gap_states, gap_G[number] = _gap(builder, before, gap_weight, starts=is_start)
        sources = before + gap_states
        previous_end = words[number - 1][1] if number else start
        separators = list(tokens[previous_end:start])
        if separators:
            _, last = builder.spell(separators, sources, starts=False)
            after_separator = [last, builder.state(builder.blank_id, [last])]
            without_separator = sources
            sources = after_separator + skipping
        else:
            without_separator = []
        first_W[number], last = builder.spell(tokens[start:end], sources, starts=is_start)
        before, skipping = [last], []
        weight = word_weights[number]
        if weight > -math.inf:
            star = builder.state(star_id, sources, weight, starts=is_start)
            if separators and number == len(words) - 1:
                builder.enter(star, without_separator, weight)  # the last word takes the separator before it
            star_W[number] = star
            before.append(star)
            skipping = [star]
        is_start = False
    gap_states, gap_G[-1] = _gap(builder, before, gap_weight, starts=is_start)
    return StarGraph(builder.finish(before + gap_states), first_W, star_W, gap_G)


def _gap(builder: _Builder, before: Sequence[int], weight: float, *, starts: bool) -> tuple[list[int], int]:
    """The blank and the star between two words: any number of stars."""
    blank = builder.state(builder.blank_id, before, starts=starts)
    if weight == -math.inf:
        return [blank], -1
    star = builder.state(builder.star_id, [*before, blank], weight, starts=starts)
    builder.enter(blank, [star])
    return [blank, star], star


def star_posteriors(log_probs_TV: LogProbs, star: StarGraph) -> StarPosteriors:
    """What the log-probs, with the column of the star, say about each word and gap; -inf where there is no star.

    Cost: O(T S) time, 8 T S bytes.
    """
    graph = star.graph
    alpha_TS = np.empty((len(log_probs_TV), len(graph.labels_S)))
    total = ctc_graph.forward(log_probs_TV, *graph, alpha_TS)
    entered_S = np.zeros(len(graph.labels_S) + 1)  # the last: what -1 points at
    if total > -math.inf:
        ctc_graph.posteriors(log_probs_TV, *graph, alpha_TS, total, entered_S[:-1])
    with np.errstate(divide="ignore"):
        word_W = np.log(entered_S[star.star_W]) - np.log(np.maximum(entered_S[star.first_W], 1e-300))
        # entered twice counts twice, but not as more than certain
        used_G = np.minimum(entered_S[star.gap_G], 1.0 - 1e-15)
        gap_G = np.log(used_G) - np.log1p(-used_G)
    return StarPosteriors(word_W, gap_G, float(total))


def with_star(log_probs_BTV: Tensor, blank_id: int = 0) -> Tensor:
    """Log-probs with a last column for the star: the log of the mean probability of the non-blank labels."""
    num_labels = log_probs_BTV.shape[-1] - 1
    others = torch.cat([log_probs_BTV[..., :blank_id], log_probs_BTV[..., blank_id + 1 :]], -1)
    star = others.logsumexp(-1, keepdim=True) - math.log(num_labels)
    return torch.cat([log_probs_BTV, star], -1)


def _one_loss(values_TV: LogProbs, graph: Graph, grad_TV: LogProbs) -> float:
    if not len(values_TV):
        return math.inf
    gamma_TS = np.empty((len(values_TV), len(graph.labels_S)))
    total = ctc_graph.forward(values_TV, *graph, gamma_TS)
    if total == -math.inf:
        return math.inf
    ctc_graph.posteriors(values_TV, *graph, gamma_TS, total, np.zeros(len(graph.labels_S)))
    target = torch.from_numpy(grad_TV)[: len(values_TV)]
    target.index_add_(1, torch.from_numpy(graph.labels_S), torch.from_numpy(-gamma_TS).to(target.dtype))
    return -float(total)


def graph_loss(log_probs_BTV: Tensor, num_frames_B: Tensor, graphs: Sequence[Graph]) -> Tensor:
    """Negative natural log probability (B,) of the graphs, differentiable in the log-probs.

    Args:
        log_probs_BTV: float32 or float64 with a column for every label of the graphs (`with_star`).
        num_frames_B: int64; frames at or after it are ignored and get gradient zero.
    Returns:
        (B,); infinite with gradient zero where no path fits the frames.
    """
    values = as_numpy(log_probs_BTV)
    grad, losses = np.zeros_like(values), np.zeros(len(graphs), dtype=values.dtype)
    for b, (num_frames, graph) in enumerate(zip(num_frames_B.tolist(), graphs, strict=True)):
        losses[b] = _one_loss(values[b, :num_frames], graph, grad[b])
    return attach_gradient(log_probs_BTV, losses, grad)


def warm() -> None:
    """Compile every kernel for the types in use (float32 log-probs), or load it from the cache."""
    values = torch.zeros((1, 2, 3), requires_grad=True)
    star = star_graph([1], [(0, 1)], word_weights=[-1.0], gap_weight=-1.0, star_id=2)
    graph_loss(values, torch.tensor([2]), [star.graph]).sum().backward()  # type: ignore[no-untyped-call]
