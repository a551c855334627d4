"""Beam search through a decoder that says one token after the other (Chan et al. 2016, section 3.3).

Rows of the search are hypotheses: N = B * K for B utterances and a beam of K. Token 0 ends a sentence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from speechkit.nn.attention import SENTENCE_ID, DecoderState, Memory

# repeats of a 1-, 2-, 3- and 4-gram in a row that make a loop, once they are read from frames read before
_LOOP_REPEATS = (4, 3, 3, 3)
_REREAD_SHARE = 0.5


class StepDecoder(Protocol):
    """What the search asks of a decoder; `AttentionDecoder` says what the values are."""

    def start(self, memory: Memory) -> DecoderState:
        """The state before the first token."""

    def step(self, token_B: Tensor, state: DecoderState, memory: Memory) -> tuple[Tensor, DecoderState]:
        """Log-probs (B, V) of what follows the token, and the state after it."""


class Found(NamedTuple):
    """A hypothesis: log_prob includes the end; is_cut tells that a guard ended it, not the model."""

    tokens: tuple[int, ...]
    log_prob: float
    is_cut: bool = False


_NOTHING = Found((), -math.inf, is_cut=True)  # where the decoder gives no finite log-prob


def normalised(found: Found, length_norm: float) -> float:
    """What ended hypotheses compete by."""
    return found.log_prob / math.pow(len(found.tokens) + 1, length_norm)


@torch.inference_mode()
def beam_search(
    decoder: StepDecoder,
    memory: Memory,
    max_tokens_B: Tensor,
    *,
    size: int,
    length_norm: float = 0.0,
    loop_guard: bool = True,
) -> list[list[Found]]:
    """The ended hypotheses of each utterance, best first, at least one and at most `size`.

    A search ends when `size` hypotheses have ended; so a beam of one is greedy search, and one of all prefixes exact.

    Args:
        max_tokens_B: int64, at least 1; a hypothesis of so many tokens has to end.
    Cost: O(max tokens x N x (T + V)) time.  Test: brute force over all sequences.
    """
    search = _Search(decoder, memory, max_tokens_B, size)
    while search.is_alive.any():
        search.extend(loop_guard)
    return [sorted(ended, key=lambda one: -normalised(one, length_norm)) or [_NOTHING] for ended in search.ended]


@dataclass
class _Rows:
    """The hypotheses in work: rows b * K .. b * K + K - 1 are those of utterance b."""

    tokens_NU: Tensor
    reread_NU: Tensor  # share of the attention of each step that fell on frames read before
    state: DecoderState
    scores_BK: Tensor

    def chosen(self, row_N: Tensor) -> _Rows:
        state = DecoderState(*(tensor[row_N] for tensor in self.state))
        return _Rows(self.tokens_NU[row_N], self.reread_NU[row_N], state, self.scores_BK)


class _Search:
    """The state of one search over a batch."""

    def __init__(self, decoder: StepDecoder, memory: Memory, max_tokens_B: Tensor, size: int) -> None:
        num_utterances, device = len(max_tokens_B), memory.mask_BT.device
        self.decoder, self.size = decoder, size
        self.memory = Memory(*(tensor.repeat_interleave(size, dim=0) for tensor in memory))
        self.max_tokens_N = max_tokens_B.to(device).repeat_interleave(size)
        scores_BK = torch.full((num_utterances, size), -torch.inf, dtype=torch.float64, device=device)
        scores_BK[:, 0] = 0.0  # all rows of an utterance are alike: one of them starts
        nothing_NU = torch.zeros(num_utterances * size, 0, device=device)
        self.rows = _Rows(nothing_NU.long(), nothing_NU, decoder.start(self.memory), scores_BK)
        self.ended: list[list[Found]] = [[] for _ in range(num_utterances)]

    @property
    def is_alive(self) -> Tensor:
        """(B,) utterances that still have a hypothesis to extend."""
        return self.rows.scores_BK.isfinite().any(1)

    def extend(self, loop_guard: bool) -> None:
        """Give every hypothesis its next token, keep the best, and put those that end away."""
        log_probs_NV, must_end_N = self._next(loop_guard)
        num_tokens = log_probs_NV.shape[1]
        candidates_BC = (self.rows.scores_BK.flatten()[:, None] + log_probs_NV).view(len(self.ended), -1)
        # twice the beam, for at most `size` of these can be ends
        scores_BC, index_BC = candidates_BC.topk(min(2 * self.size, candidates_BC.shape[1]))
        first_row_B1 = torch.arange(len(self.ended), device=index_BC.device)[:, None] * self.size
        row_BC, token_BC = first_row_B1 + index_BC // num_tokens, index_BC % num_tokens
        self._put_away(scores_BC, row_BC, token_BC, must_end_N)
        self._keep(scores_BC.masked_fill(token_BC == SENTENCE_ID, -torch.inf), row_BC, token_BC)

    def _next(self, loop_guard: bool) -> tuple[Tensor, Tensor]:
        """Log-probs (N, V) of the next token, -inf where a guard allows nothing but the end, and where it does."""
        rows, size_U = self.rows, self.rows.tokens_NU.shape[1]
        last_N = rows.tokens_NU[:, -1] if size_U else torch.full_like(self.max_tokens_N, SENTENCE_ID)
        read_NT = rows.state.read_BT.clamp(max=1.0)
        log_probs_NV, rows.state = self.decoder.step(last_N, rows.state, self.memory)
        log_probs_NV = log_probs_NV.nan_to_num(nan=-torch.inf, neginf=-torch.inf)
        reread_N = (rows.state.weights_BT * read_NT).sum(-1)
        rows.reread_NU = torch.cat((rows.reread_NU, reread_N[:, None]), dim=1)
        must_end_N = self.max_tokens_N <= size_U
        if loop_guard:
            must_end_N = must_end_N | loops(rows.tokens_NU, rows.reread_NU[:, :-1])
        other_V = torch.arange(log_probs_NV.shape[1], device=log_probs_NV.device) != SENTENCE_ID
        wanted_N = log_probs_NV.argmax(-1) == SENTENCE_ID
        return log_probs_NV.masked_fill(must_end_N[:, None] & other_V, -torch.inf), must_end_N & ~wanted_N

    def _put_away(self, scores_BC: Tensor, row_BC: Tensor, token_BC: Tensor, is_cut_N: Tensor) -> None:
        ends_BK = (token_BC == SENTENCE_ID)[:, : self.size] & scores_BC[:, : self.size].isfinite()
        for utterance, place in ends_BK.nonzero().tolist():
            row, ended = row_BC[utterance, place], self.ended[utterance]
            if len(ended) < self.size:
                tokens = tuple(self.rows.tokens_NU[row].tolist())
                ended.append(Found(tokens, float(scores_BC[utterance, place]), bool(is_cut_N[row])))

    def _keep(self, scores_BC: Tensor, row_BC: Tensor, token_BC: Tensor) -> None:
        is_done_B = torch.tensor([len(ended) == self.size for ended in self.ended], device=scores_BC.device)
        scores_BC = scores_BC.masked_fill(is_done_B[:, None], -torch.inf)
        missing = self.size - scores_BC.shape[1]  # fewer candidates than beam: a small vocabulary at the start
        scores_BC = torch.nn.functional.pad(scores_BC, (0, max(0, missing)), value=-torch.inf)
        scores_BK, best_BK = scores_BC.topk(self.size)
        best_BK = best_BK.clamp(max=row_BC.shape[1] - 1)
        row_N, token_N = row_BC.gather(1, best_BK).flatten(), token_BC.gather(1, best_BK).flatten()
        rows = self.rows.chosen(row_N)
        self.rows = _Rows(torch.cat((rows.tokens_NU, token_N[:, None]), dim=1), rows.reread_NU, rows.state, scores_BK)


def loops(tokens_NU: Tensor, reread_NU: Tensor) -> Tensor:
    """True (N,) where a hypothesis ends in repeats that were read from frames which it had read before.

    Words said several times are read from new frames each time, so they are no loop.
    """
    found_N = torch.zeros(len(tokens_NU), dtype=torch.bool, device=tokens_NU.device)
    for size, repeats in enumerate(_LOOP_REPEATS, start=1):
        length = size * repeats
        if tokens_NU.shape[1] < length:
            continue
        tail_NRS = tokens_NU[:, -length:].reshape(-1, repeats, size)
        is_repeat_N = (tail_NRS == tail_NRS[:, :1]).all(dim=2).all(dim=1)
        found_N |= is_repeat_N & (reread_NU[:, size - length :].mean(dim=1) > _REREAD_SHARE)
    return found_N
