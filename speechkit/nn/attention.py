"""Location-aware attention (Chorowski et al. 2015) and the LSTM decoder that looks through it (Chan et al. 2016).

Token 0, the blank of CTC, starts and ends a sentence here: the tokenizer never produces it.
Shape letters besides those of nn: A attention, E encoder output, N hypotheses (rows of a search), U positions.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from speechkit.audio.features import padding_mask
from speechkit.nn.config import AttentionDecoderConfig

SENTENCE_ID = 0


class Memory(NamedTuple):
    """What is attended to; the keys are computed once for all steps. mask_BT is True inside the utterances."""

    keys_BTA: Tensor
    values_BTE: Tensor
    mask_BT: Tensor


class DecoderState(NamedTuple):
    """What a step hands to the next: weights_BT is the last attention, read_BT the sum of all so far."""

    hidden_BD: Tensor
    cell_BD: Tensor
    context_BE: Tensor
    weights_BT: Tensor
    read_BT: Tensor


class LocationAttention(nn.Module):
    """Energies v . tanh(W query + V frame + U filters(last attention, sum of attention)), softmax over frames."""

    def __init__(self, query_dim: int, encoder_dim: int, config: AttentionDecoderConfig) -> None:
        super().__init__()
        dim, kernel = config.attention_dim, config.location_kernel
        self.key = nn.Linear(encoder_dim, dim)
        self.query = nn.Linear(query_dim, dim, bias=False)
        self.filters = nn.Conv1d(2, config.location_channels, kernel, padding=kernel // 2, bias=False)
        self.location = nn.Linear(config.location_channels, dim, bias=False)
        self.energy = nn.Linear(dim, 1, bias=False)

    def memory(self, values_BTE: Tensor, num_frames_B: Tensor) -> Memory:
        """Encoder output made ready; frames at or after num_frames_B are never attended to."""
        return Memory(self.key(values_BTE), values_BTE, padding_mask(num_frames_B, values_BTE.shape[1]))

    def forward(self, query_BD: Tensor, state: DecoderState, memory: Memory) -> Tensor:
        """Weights (B, T): at least 0, sum 1, exactly 0 in the padding."""
        before_BCT = self.filters(torch.stack((state.weights_BT, state.read_BT), dim=1))
        sum_BTA = memory.keys_BTA + self.query(query_BD)[:, None] + self.location(before_BCT.transpose(1, 2))
        energies_BT = self.energy(torch.tanh(sum_BTA)).squeeze(-1)
        return energies_BT.masked_fill(~memory.mask_BT, -torch.inf).softmax(-1)  # type: ignore[no-any-return]


class AttentionDecoder(nn.Module):
    """Log-probs of the next token given the tokens before and the encoder output."""

    def __init__(self, num_tokens: int, encoder_dim: int, config: AttentionDecoderConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_tokens, config.embedding_dim)
        self.cell = nn.LSTMCell(config.embedding_dim + encoder_dim, config.dim)
        self.attention = LocationAttention(config.dim, encoder_dim, config)
        self.output = nn.Linear(config.dim + encoder_dim, num_tokens)
        self.dropout = nn.Dropout(config.dropout)

    def start(self, memory: Memory) -> DecoderState:
        """The state before the first token: nothing said, nothing read."""
        size_B, size_T, size_E = memory.values_BTE.shape
        zeros_BD = memory.values_BTE.new_zeros(size_B, self.cell.hidden_size)
        zeros_BT = memory.values_BTE.new_zeros(size_B, size_T)
        return DecoderState(zeros_BD, zeros_BD, memory.values_BTE.new_zeros(size_B, size_E), zeros_BT, zeros_BT)

    def step(self, token_B: Tensor, state: DecoderState, memory: Memory) -> tuple[Tensor, DecoderState]:
        """Log-probs (B, V) of what follows `token_B`, which is SENTENCE_ID at the start; and the state after it."""
        state = self._advance(self.dropout(self.embedding(token_B)), state, memory)
        return self._logits(state.hidden_BD, state.context_BE).float().log_softmax(-1), state

    def forward(self, tokens_BU: Tensor, memory: Memory, *, sampling: float = 0.0) -> Tensor:
        """Logits (B, U + 1, V) of the tokens and of the end of the sentence, the right tokens given before each.

        Args:
            tokens_BU: int64; the padding has no effect on the logits before it.
            sampling: probability of giving a token drawn from the decoder itself instead (Bengio et al. 2015).
        """
        inputs_BU = nn.functional.pad(tokens_BU, (1, 0), value=SENTENCE_ID)
        embedded_BUM = self.dropout(self.embedding(inputs_BU))
        state = self.start(memory)
        hidden, context = [], []
        for position in range(inputs_BU.shape[1]):
            embedded_BM = embedded_BUM[:, position]
            if sampling > 0 and position > 0:
                embedded_BM = self._sample(embedded_BM, state, sampling)
            state = self._advance(embedded_BM, state, memory)
            hidden.append(state.hidden_BD)
            context.append(state.context_BE)
        return self._logits(torch.stack(hidden, dim=1), torch.stack(context, dim=1))

    def _advance(self, embedded_BM: Tensor, state: DecoderState, memory: Memory) -> DecoderState:
        hidden_BD, cell_BD = self.cell(
            torch.cat((embedded_BM, state.context_BE), dim=-1), (state.hidden_BD, state.cell_BD)
        )
        weights_BT = self.attention(hidden_BD, state, memory)
        context_BE = torch.bmm(weights_BT[:, None], memory.values_BTE).squeeze(1)
        return DecoderState(hidden_BD, cell_BD, context_BE, weights_BT, state.read_BT + weights_BT)

    def _logits(self, hidden_D: Tensor, context_E: Tensor) -> Tensor:
        return self.output(self.dropout(torch.cat((hidden_D, context_E), dim=-1)))  # type: ignore[no-any-return]

    @torch.no_grad()
    def _draw(self, state: DecoderState) -> Tensor:
        logits_BV = self._logits(state.hidden_BD, state.context_BE).float()
        return torch.multinomial(logits_BV.softmax(-1), 1).squeeze(1)

    def _sample(self, embedded_BM: Tensor, state: DecoderState, sampling: float) -> Tensor:
        is_own_B = torch.rand(len(embedded_BM), device=embedded_BM.device) < sampling
        own_BM = self.dropout(self.embedding(self._draw(state)))
        return torch.where(is_own_B[:, None], own_BM, embedded_BM)
