"""The search of `decode/graph.py` through k2: CTC topology composed with the word graph, then shortest path.

Runs on the device of the log-probs. Needs k2 and only numpy, torch (1.13 or newer) and numba beside it.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from speechkit.decode.graph import GraphPath, WordGraph, check_fit
from speechkit.decode.k2_info import import_k2

PURPOSE = "graph decoding with k2"
# Scores of the best path do not depend on it: k2 prunes only what is this far below the best path.
OUTPUT_BEAM = 1.0
NO_LIMIT = 1 << 30


def k2_decode(
    log_probs_TV: Tensor,
    graph: WordGraph,
    *,
    blank_id: int = 0,
    search_beam: float | None = None,
    max_active: int = NO_LIMIT,
) -> GraphPath:
    """Best word sequence of the graph by k2: the score of `graph_decode`, and its words unless two sequences tie.

    Args:
        log_probs_TV: natural log, read as float32.
        search_beam: natural log; None searches without pruning, a beam is faster on large graphs and may
            miss the best path.
        max_active: most graph states kept per frame when there is a beam.
    Raises:
        ConfigError: k2 is not installed or does not fit the installed torch.
        SpeechkitError: as `graph_decode`.
    """
    k2 = import_k2(PURPOSE)
    check_fit(log_probs_TV, graph, blank_id)
    if len(log_probs_TV) == 0 or len(graph.src) == 0:  # k2 holds neither; only silence is left
        return GraphPath((), float(log_probs_TV[:, blank_id].double().sum()) + float(graph.final[0]))
    decoding_graph, columns = _decoding_graph(graph, blank_id, str(log_probs_TV.device))
    if decoding_graph is None:
        return GraphPath((), -math.inf)
    used = log_probs_TV.detach().float()[:, columns.to(log_probs_TV.device)]
    segments = torch.tensor([[0, 0, len(used)]], dtype=torch.int32)
    emissions = k2.DenseFsaVec(used[None], segments)
    if search_beam is None:
        lattice = k2.intersect_dense(decoding_graph, emissions, OUTPUT_BEAM)
    else:
        lattice = k2.intersect_dense_pruned(
            decoding_graph, emissions, search_beam, OUTPUT_BEAM, min_active_states=1, max_active_states=max_active
        )
    score = float(lattice.get_tot_scores(use_double_scores=True, log_semiring=False)[0])
    if score == -math.inf:
        return GraphPath((), score)
    best = k2.shortest_path(lattice, use_double_scores=True)
    return GraphPath(tuple(graph.words[i] for i in best.aux_labels.tolist() if i > 0), score)


@functools.lru_cache(maxsize=4)
def _decoding_graph(graph: WordGraph, blank_id: int, device: str) -> tuple[Any, Tensor]:
    """CTC topology x graph as a k2 FsaVec, and the columns of the log-probs that its labels 0 .. K stand for.

    None instead of the FsaVec when no final state can be reached, which k2 can not hold.

    k2's topology has K * K arcs and its blank is label 0, so only the graph's own tokens get labels.
    """
    k2 = import_k2(PURPOSE)
    tokens, label = np.unique(graph.token, return_inverse=True)
    topology = k2.ctc_topo(len(tokens), modified=False)
    grammar = k2.arc_sort(_acceptor(k2, graph, label + 1))
    composed = k2.connect(k2.compose(topology, grammar, treat_epsilons_specially=True))
    columns = torch.from_numpy(np.concatenate([[blank_id], tokens]).astype(np.int64))
    if composed.num_arcs == 0:
        return None, columns
    return k2.create_fsa_vec([k2.arc_sort(composed)]).to(device), columns


def _acceptor(k2: Any, graph: WordGraph, label: Any) -> Any:
    """The word graph as a k2 Fsa: labels are renumbered tokens, aux_labels words; arcs sorted by source."""
    ends = np.flatnonzero(graph.final > -np.inf)
    last_state = len(graph.final)
    src = np.concatenate([graph.src, ends])
    order = np.argsort(src, kind="stable")
    arcs = np.zeros((len(src), 4), dtype=np.int32)
    arcs[:, 0] = src
    arcs[:, 1] = np.concatenate([graph.dst, np.full(len(ends), last_state)])
    arcs[:, 2] = np.concatenate([label, np.full(len(ends), -1)])
    words = np.concatenate([graph.word, np.full(len(ends), -1)]).astype(np.int32)[order]
    scores = np.concatenate([graph.weight, graph.final[ends]]).astype(np.float32)[order]
    arcs = arcs[order]
    arcs[:, 3] = scores.view(np.int32)  # k2 keeps the score's bits in the fourth column
    fsa = k2.Fsa(torch.from_numpy(arcs))
    fsa.aux_labels = torch.from_numpy(words)
    return fsa
