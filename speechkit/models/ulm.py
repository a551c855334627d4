"""Language models of units (Lakhotia et al. 2021), decoder-only or encoder-decoder, that prompts can steer.

Tokens: units 0..K-1, `end_id` = K, which starts and ends sequences, and `sep_id` = K + 1, which stands between what
is given and what is asked for, and in an encoder for masked units.
  decoder            reads [END source SEP target]
  encoder_decoder    encodes [END source END], decodes [SEP target]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from speechkit.audio.features import padding_mask
from speechkit.data.unit_batch import UnitBatch, pad
from speechkit.models.config import UlmConfig
from speechkit.models.loss import Loss
from speechkit.models.table import WEIGHTS_FILE
from speechkit.models.ulm_examples import IGNORED, Pair, draw_pairs
from speechkit.models.ulm_folder import load_weights, read_about
from speechkit.nn.cache import Cache, Memory, select_rows, without_columns
from speechkit.nn.injection import Injection, Prompt
from speechkit.nn.transformer import Transformer


class Padded(NamedTuple):
    """Token sequences padded behind, int64; what stands in the padding does not count."""

    tokens_BT: Tensor
    lengths_B: Tensor


@dataclass
class State:
    """What a step hands to the next."""

    cache: Cache
    injection: Injection
    memory: Memory | None

    def select(self, rows_N: Tensor) -> State:
        """The rows of a search, which may repeat and be left out."""
        memory = None if self.memory is None else self.memory.select(rows_N)
        return State(self.cache.select(rows_N), select_rows(self.injection, rows_N), memory)


class UnitLm(nn.Module):
    """States and logits of the next token, for whole sequences or step by step."""

    def __init__(self, config: UlmConfig, *, num_units: int) -> None:
        super().__init__()
        self.config, self.num_units = config, num_units
        self.num_tokens, self.end_id, self.sep_id = num_units + 2, num_units, num_units + 1
        width = config.embedding_dim or config.dim
        self.embedding = nn.Embedding(self.num_tokens, width)
        nn.init.normal_(self.embedding.weight, std=(2 / (5 * width)) ** 0.5 / config.embedding_scale)
        is_projected = config.embedding_dim is not None
        self.project_in = nn.Linear(width, config.dim, bias=False) if is_projected else None
        self.project_out = nn.Linear(config.dim, width, bias=False) if is_projected else None
        self.output = None if config.is_tied else nn.Linear(width, self.num_tokens, bias=False)
        two = config.architecture == "encoder_decoder"
        self.decoder = Transformer(config, num_layers=config.num_layers, is_decoder=True, has_memory=two)
        depth = config.num_encoder_layers
        self.encoder = Transformer(config, num_layers=depth, is_decoder=False, has_memory=False) if two else None

    def embed(self, tokens_BT: Tensor, injection: Injection | None = None) -> Tensor:
        """Vectors (B, T, D) of tokens, without positions; those of separators may be a prompt's."""
        x_BTD = self.embedding(tokens_BT)
        if self.project_in is not None:
            x_BTD = self.project_in(x_BTD)
        x_BTD = x_BTD * self.config.embedding_scale
        if injection is not None and injection.separator_BD is not None:
            is_separator_BT1 = (tokens_BT == self.sep_id)[..., None]
            x_BTD = torch.where(is_separator_BT1, injection.separator_BD[:, None], x_BTD)
        return x_BTD  # type: ignore[no-any-return]

    def logits(self, states_D: Tensor) -> Tensor:
        """(..., num_tokens) of the token after each state."""
        if self.project_out is not None:
            states_D = self.project_out(states_D)
        weight = self.embedding.weight if self.output is None else self.output.weight
        return nn.functional.linear(states_D, weight)

    def states(self, source: Padded, target: Padded, prompt: Prompt | None = None) -> Tensor:
        """What stands at the separator and at each target token, (B, U + 1, D), after the last norm.

        The source may hold separators, too (demonstrations).
        """
        prompt = prompt or Prompt()
        sep_BT = self._separators(source.lengths_B)
        if self.encoder is not None:
            read = join([sep_BT, target])
            memory = self._encode(source, prompt)
            return self._read(read, prompt.decoder, memory=memory)
        read = join([self._ends(source.lengths_B), source, sep_BT, target])
        states_BTD = self._read(read, prompt.decoder)
        places_U = torch.arange(target.tokens_BT.shape[1] + 1, device=states_BTD.device)
        places_BU = source.lengths_B[:, None] + 1 + places_U
        # in the padding of the targets a place may lie behind the end
        places_BU = places_BU.clamp(max=states_BTD.shape[1] - 1)
        return states_BTD.gather(1, places_BU[..., None].expand(-1, -1, states_BTD.shape[2]))

    def lm_states(self, tokens_BT: Tensor, lengths_B: Tensor, prompt: Prompt | None = None) -> Tensor:
        """What stands at the start and at each token of plain sequences, (B, T + 1, D).

        An encoder reads a single mask: that all units are to be guessed.
        """
        prompt, given = prompt or Prompt(), Padded(tokens_BT, lengths_B)
        if self.encoder is None:
            return self._read(join([self._ends(lengths_B), given]), prompt.decoder)
        memory = self._encode(self._separators(lengths_B), prompt)
        return self._read(join([self._separators(lengths_B), given]), prompt.decoder, memory=memory)

    @torch.no_grad()
    def start(
        self, source: Padded, prompt: Prompt | None = None, *, room: int, separator: bool = True
    ) -> tuple[Tensor, State]:
        """Read what is given; the states (B, D) after it, and what `step` needs to read `room` more tokens.

        Args:
            separator: read the separator behind the source, to ask for a target; else the source is to be continued,
                of which an encoder is told by a mask behind it.
        """
        prompt = prompt or Prompt()
        sep_BT, memory = self._separators(source.lengths_B), None
        if self.encoder is not None:
            memory = self._encode(source if separator else join([source, sep_BT]), prompt)
            read = sep_BT if separator else join([sep_BT, source])
        else:
            read = join([self._ends(source.lengths_B), source, *([sep_BT] * separator)])
        cache = Cache(room)
        states_BTD = self._read(read, prompt.decoder, memory=memory, cache=cache)
        last_B = states_BTD[torch.arange(len(states_BTD), device=states_BTD.device), read.lengths_B - 1]
        return last_B, State(cache, without_columns(prompt.decoder), memory)

    @torch.no_grad()
    def step(self, tokens_B: Tensor, state: State) -> tuple[Tensor, State]:
        """Read one more token of each row; the states (B, D) after it. The state given is used up."""
        x_B1D = self.embed(tokens_B[:, None], state.injection)
        out_B1D = self.decoder.step(x_B1D, state.cache, injection=state.injection, memory=state.memory)
        return out_B1D[:, 0], state

    def nats(self, tokens_BT: Tensor, lengths_B: Tensor) -> Tensor:
        """Negative log-probs (B, T + 1) of each unit and of the end, natural logarithm; 0 in the padding."""
        given = Padded(tokens_BT, lengths_B)
        goal = join([given, self._ends(lengths_B)]).tokens_BT
        goal_BT = goal.masked_fill(~padding_mask(lengths_B + 1, goal.shape[1]), IGNORED)
        return self._nats(self.lm_states(tokens_BT, lengths_B), goal_BT)

    def loss(self, batch: UnitBatch, *, progress: float) -> Loss:
        """Cross-entropy per predicted token over units and end.

        In training, some examples are read-outs, and an encoder reads masked copies; what is drawn follows torch's
        seed, which the trainer sets for each step, and the utterance id. Else it is that of the plain sequences.
        """
        del progress
        if not self.training:
            nats_BT = self.nats(batch.tokens_BT, batch.lengths_B)
            mean = nats_BT.sum() / (batch.lengths_B.sum() + len(nats_BT))
            return Loss(mean, {"nats": mean.detach()})
        rows = [row[:size] for row, size in zip(batch.tokens_BT.tolist(), batch.lengths_B.tolist(), strict=True)]
        pairs = draw_pairs(rows, batch.utt_ids, config=self.config, num_units=self.num_units, seed=torch.initial_seed())
        return self._loss_of(pairs)

    def _loss_of(self, pairs: Sequence[Pair]) -> Loss:
        device = self.embedding.weight.device
        read = padded([pair.read for pair in pairs], device)
        goal_BT = padded([pair.goal for pair in pairs], device).tokens_BT
        goal_BT = goal_BT.masked_fill(~padding_mask(read.lengths_B, goal_BT.shape[1]), IGNORED)
        memory = None
        if self.encoder is not None:
            memory = self._encode(padded([pair.source for pair in pairs], device), Prompt())
        nats_BT = self._nats(self._read(read, Injection(), memory=memory), goal_BT)
        counts_B = (goal_BT != IGNORED).sum(1)
        total = nats_BT.sum() / counts_B.sum()
        is_readout_B = torch.tensor([pair.is_readout for pair in pairs], device=device)
        parts = {}
        for name, rows_B in (("nats", ~is_readout_B), ("readout", is_readout_B)):
            if rows_B.any():
                parts[name] = (nats_BT[rows_B].sum() / counts_B[rows_B].sum()).detach()
        return Loss(total, parts)

    def _nats(self, states_BTD: Tensor, goal_BT: Tensor) -> Tensor:
        logits_BTV = self.logits(states_BTD)[..., : self.sep_id].float()  # the separator is never predicted
        flat = nn.functional.cross_entropy(
            logits_BTV.flatten(0, 1), goal_BT.flatten(), ignore_index=IGNORED, reduction="none"
        )
        return flat.view_as(goal_BT)

    def _read(
        self, read: Padded, injection: Injection, *, memory: Memory | None = None, cache: Cache | None = None
    ) -> Tensor:
        """What the decoder says at each token (B, T, D)."""
        x_BTD = self.embed(read.tokens_BT, injection)
        out_BTD = self.decoder(x_BTD, lengths_B=read.lengths_B, injection=injection, memory=memory, cache=cache)
        return out_BTD[:, -x_BTD.shape[1] :]  # type: ignore[no-any-return]

    def _encode(self, source: Padded, prompt: Prompt) -> Memory:
        assert self.encoder is not None
        ends, injection = self._ends(source.lengths_B), prompt.encoder or Injection()
        read = join([ends, source, ends])
        x_BTD = self.embed(read.tokens_BT, injection)
        encoded_BSD = self.encoder(x_BTD, lengths_B=read.lengths_B, injection=injection)
        return self.decoder.memory(encoded_BSD, read.lengths_B + encoded_BSD.shape[1] - x_BTD.shape[1])

    def _ends(self, like_B: Tensor) -> Padded:
        return Padded(torch.full_like(like_B, self.end_id)[:, None], torch.ones_like(like_B))

    def _separators(self, like_B: Tensor) -> Padded:
        return Padded(torch.full_like(like_B, self.sep_id)[:, None], torch.ones_like(like_B))


def padded(rows: Sequence[Sequence[int]], device: torch.device | None = None) -> Padded:
    """Sequences as tensors."""
    tokens_BT, lengths_B = pad(rows)
    return Padded(tokens_BT.to(device), lengths_B.to(device))


def join(parts: Sequence[Padded]) -> Padded:
    """The rows of several blocks behind each other, padded behind with 0; as wide as all blocks together."""
    lengths_B = torch.stack([part.lengths_B for part in parts]).sum(0)
    width = sum(part.tokens_BT.shape[1] for part in parts)
    tokens_BT = torch.zeros(len(lengths_B), width + 1, dtype=torch.int64, device=lengths_B.device)
    begins_B = torch.zeros_like(lengths_B)
    for part in parts:
        size = part.tokens_BT.shape[1]
        is_token_BT = padding_mask(part.lengths_B, size)
        places_BT = begins_B[:, None] + torch.arange(size, device=lengths_B.device)
        # what is padding goes into the last column, which is dropped
        tokens_BT.scatter_(1, places_BT.masked_fill(~is_token_BT, width), part.tokens_BT)
        begins_B = begins_B + part.lengths_B
    return Padded(tokens_BT[:, :width], lengths_B)


def empty_ulm(config: UlmConfig, *, num_units: int) -> UnitLm:
    """A model whose weights are still to be filled in; torch's random numbers stay as they are."""
    # on torch's meta device no weights would be drawn, but that takes more than a second to load
    with torch.random.fork_rng(devices=[]):
        return UnitLm(config, num_units=num_units)


def load_ulm(folder: Path) -> tuple[UnitLm, dict[str, Any]]:
    """The model of a folder, in eval mode on the CPU, and what it was made with (see `ulm_folder`).

    Raises:
        SpeechkitError: the folder is unfinished or damaged, or the model is worse than a bigram model.
    """
    config, about = read_about(folder)
    lm = empty_ulm(config, num_units=about["num_units"])
    load_weights(lm, folder / WEIGHTS_FILE)
    return lm.eval(), about
