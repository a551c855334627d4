"""A transformer over embedded tokens, as decoder or encoder, that takes prompts of each example and has a KV cache.

Shape letters besides those of nn: E width of a head, H heads (of keys and values in caches), M columns that are
attended to, P prompt positions. Prompt vectors have position 0: no rotation, no embedding of a position.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from speechkit.audio.features import padding_mask
from speechkit.errors import SpeechkitError
from speechkit.nn.cache import Cache, Memory
from speechkit.nn.config import TransformerConfig
from speechkit.nn.injection import Injection, LayerInjection, LowRank
from speechkit.nn.positions import rotate, rotation, sinusoids

_NO_INJECTION, _NO_LAYER = Injection(), LayerInjection()


@dataclass
class _Pass:
    """What the layers share while they read: `mask` is broadcast to (B, H, T, M), None with is_causal or no padding."""

    turn: tuple[Tensor, Tensor] | None
    mask: Tensor | None
    is_causal: bool
    injection: Injection
    cache: Cache | None = None
    is_step: bool = False
    memory: Memory | None = None


def _linear(layer: nn.Linear, x_BTI: Tensor, low: LowRank | None = None) -> Tensor:
    out_BTO = layer(x_BTI)
    return out_BTO if low is None else out_BTO + (x_BTI @ low.a_BIR) @ low.b_BRO  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Multi-head attention with any number of heads of keys and values that divides that of the queries."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.query = nn.Linear(config.dim, config.query_dim, bias=config.has_qkv_bias)
        self.key = nn.Linear(config.dim, config.key_dim, bias=config.has_qkv_bias)
        self.value = nn.Linear(config.dim, config.key_dim, bias=config.has_qkv_bias)
        self.output = nn.Linear(config.query_dim, config.dim, bias=config.has_bias)

    def heads(self, x_BTD: Tensor) -> Tensor:
        """(B, H, T, E)."""
        return x_BTD.view(*x_BTD.shape[:2], -1, self.config.head_width).transpose(1, 2)

    def attend(self, q_BHTE: Tensor, k_BHME: Tensor, v_BHME: Tensor, shared: _Pass) -> Tensor:
        """What the queries read, heads side by side (B, T, H * E)."""
        groups = self.config.num_heads // self.config.kv_heads
        if groups > 1:
            k_BHME, v_BHME = k_BHME.repeat_interleave(groups, 1), v_BHME.repeat_interleave(groups, 1)
        out_BHTE = nn.functional.scaled_dot_product_attention(
            q_BHTE, k_BHME, v_BHME, attn_mask=shared.mask, is_causal=shared.is_causal
        )
        return out_BHTE.transpose(1, 2).flatten(2)

    def columns(self, own: LayerInjection, is_projected: bool, size_B: int) -> tuple[Tensor, Tensor] | None:
        """Keys and values (B, H, P, E) of a deep prompt."""
        if own.columns is None:
            return None
        keys_BPD, values_BPD = own.columns
        if not is_projected:
            keys_BPD, values_BPD = self.key(keys_BPD), self.value(values_BPD)
        keys, values = self.heads(keys_BPD), self.heads(values_BPD)
        return keys.expand(size_B, -1, -1, -1), values.expand(size_B, -1, -1, -1)

    def forward(self, x_BTD: Tensor, number: int, shared: _Pass) -> Tensor:
        """Self-attention of layer `number`."""
        own = shared.injection.layers[number] if shared.injection.layers else _NO_LAYER
        q = self.heads(_linear(self.query, x_BTD, own.low_rank.get("query")))
        k = self.heads(_linear(self.key, x_BTD, own.low_rank.get("key")))
        v = self.heads(_linear(self.value, x_BTD, own.low_rank.get("value")))
        if shared.turn is not None:
            q, k = rotate(q, shared.turn), rotate(k, shared.turn)
        if shared.cache is not None and shared.is_step:
            k, v = shared.cache.append(number, k, v)
        else:
            columns = self.columns(own, shared.injection.is_projected, len(x_BTD))
            if columns is not None:
                k, v = torch.cat([columns[0], k], 2), torch.cat([columns[1], v], 2)
            if shared.cache is not None:
                shared.cache.add_layer(k, v)
        return _linear(self.output, self.attend(q, k, v, shared), own.low_rank.get("output"))


class CrossAttention(Attention):
    """Attention of a decoder to the output of an encoder."""

    def memory(self, encoded_BSD: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, H, S, E) that serve all steps."""
        return self.heads(self.key(encoded_BSD)), self.heads(self.value(encoded_BSD))

    def forward(self, x_BTD: Tensor, number: int, shared: _Pass) -> Tensor:
        """Reads the memory of layer `number`."""
        assert shared.memory is not None
        q_BHTE = self.heads(self.query(x_BTD))
        reading = replace(shared, mask=shared.memory.mask_B11M, is_causal=False)
        return self.output(self.attend(q_BHTE, *shared.memory.layers[number], reading))  # type: ignore[no-any-return]


class FeedForward(nn.Module):
    """Two linear layers, or three with a gate (SwiGLU, Shazeer 2020)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.activation = config.activation
        self.inner = nn.Linear(config.dim, config.ff_dim, bias=config.has_bias)
        self.gate = nn.Linear(config.dim, config.ff_dim, bias=config.has_bias) if self.activation == "swiglu" else None
        self.output = nn.Linear(config.ff_dim, config.dim, bias=config.has_bias)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """The same shape."""
        inner_BTF = self.inner(x_BTD)
        if self.gate is not None:
            inner_BTF = nn.functional.silu(self.gate(x_BTD)) * inner_BTF
        elif self.activation == "relu":
            inner_BTF = inner_BTF.relu()
        else:
            approximate = "tanh" if self.activation == "gelu_tanh" else "none"
            inner_BTF = nn.functional.gelu(inner_BTF, approximate=approximate)
        return self.output(inner_BTF)  # type: ignore[no-any-return]


def _norm(config: TransformerConfig) -> nn.Module:
    make = nn.LayerNorm if config.norm == "layer" else nn.RMSNorm
    return make(config.dim, eps=config.norm_eps)


class Layer(nn.Module):
    """Self-attention, cross-attention where there is a memory, feed-forward; each added to its input."""

    def __init__(self, config: TransformerConfig, *, has_memory: bool) -> None:
        super().__init__()
        self.is_pre_norm = config.is_pre_norm
        self.attention, self.attention_norm = Attention(config), _norm(config)
        self.cross = CrossAttention(config) if has_memory else None
        self.cross_norm = _norm(config) if has_memory else None
        self.feed_forward, self.feed_forward_norm = FeedForward(config), _norm(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x_BTD: Tensor, number: int, shared: _Pass) -> Tensor:
        """The same shape."""
        inner = self._before(self.attention_norm, x_BTD)
        x_BTD = self._add(x_BTD, self.attention(inner, number, shared), self.attention_norm)
        if self.cross is not None and self.cross_norm is not None:
            inner = self._before(self.cross_norm, x_BTD)
            x_BTD = self._add(x_BTD, self.cross(inner, number, shared), self.cross_norm)
        inner = self._before(self.feed_forward_norm, x_BTD)
        return self._add(x_BTD, self.feed_forward(inner), self.feed_forward_norm)

    def _before(self, norm: nn.Module, x_BTD: Tensor) -> Tensor:
        return norm(x_BTD) if self.is_pre_norm else x_BTD

    def _add(self, x_BTD: Tensor, change_BTD: Tensor, norm: nn.Module) -> Tensor:
        sum_BTD = x_BTD + self.dropout(change_BTD)
        return sum_BTD if self.is_pre_norm else norm(sum_BTD)  # type: ignore[no-any-return]


class Transformer(nn.Module):
    """Layers with what stands around them: positions, norms; the embedding of tokens is the caller's.

    Args:
        is_decoder: positions see none behind them, and read the memory where has_memory.
    """

    def __init__(self, config: TransformerConfig, *, num_layers: int, is_decoder: bool, has_memory: bool) -> None:
        super().__init__()
        self.config, self.is_decoder = config, is_decoder
        is_learned = config.positions == "learned"
        table = nn.Embedding(config.max_positions + config.position_offset, config.dim) if is_learned else None
        self.position_embedding = table
        self.embedding_norm = _norm(config) if config.has_embedding_norm else None
        self.layers = nn.ModuleList(Layer(config, has_memory=has_memory) for _ in range(num_layers))
        self.final_norm = _norm(config) if config.has_final_norm else None
        self.dropout = nn.Dropout(config.dropout)
        self._initialise()

    def _initialise(self) -> None:
        # Nguyen and Salazar 2019; what is added to the residual stream starts smaller, as in GPT-2
        std = math.sqrt(2 / (5 * self.config.dim))
        for name, parameter in self.named_parameters():
            if parameter.dim() > 1:
                is_last = name.endswith("output.weight")
                nn.init.normal_(parameter, std=std / math.sqrt(2 * len(self.layers)) if is_last else std)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(
        self,
        x_BTD: Tensor,
        *,
        lengths_B: Tensor,
        injection: Injection = _NO_INJECTION,
        memory: Memory | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """Read whole sequences.

        Args:
            x_BTD: embedded tokens, padded behind; injection.input_BPD goes in front of them.
            cache: an empty one of `new_cache` is filled.
        Returns:
            (B, P + T, D): what stands at prompt vectors and tokens; in the padding anything.
        """
        size_B, size_T, _ = x_BTD.shape
        positions_1T = torch.arange(size_T, device=x_BTD.device)[None]
        self._check_room(lengths_B)
        x_BTD = self._embed(x_BTD, positions_1T)
        num_inputs = 0 if injection.input_BPD is None else injection.input_BPD.shape[1]
        if injection.input_BPD is not None:
            x_BTD = torch.cat([injection.input_BPD.expand(size_B, -1, -1), x_BTD], 1)
        num_columns = _num_columns(injection)
        positions_1T = nn.functional.pad(positions_1T, (num_inputs, 0))
        mask = self._mask(lengths_B, size_T, num_inputs, num_columns)
        is_causal = self.is_decoder and mask is None
        shared = _Pass(self._turn(positions_1T), mask, is_causal, injection, cache=cache, memory=memory)
        if cache is not None:
            cache.begin(lengths_B, prompt=num_columns + num_inputs)
        return self._run(x_BTD, shared)

    def step(
        self, x_B1D: Tensor, cache: Cache, *, injection: Injection = _NO_INJECTION, memory: Memory | None = None
    ) -> Tensor:
        """Read one more token of each row (B, 1, D); the cache is changed."""
        self._check_room(cache.positions_B + 1)
        x_B1D = self._embed(x_B1D, cache.positions_B[:, None])
        mask = padding_mask(cache.lengths_B + 1, cache.used + 1)[:, None, None, :]
        turn = self._turn(cache.positions_B[:, None])
        shared = _Pass(turn, mask, False, injection, cache=cache, is_step=True, memory=memory)
        out_B1D = self._run(x_B1D, shared)
        cache.advance()
        return out_B1D

    def memory(self, encoded_BSD: Tensor, lengths_B: Tensor) -> Memory:
        """The output of an encoder made ready for cross-attention; positions at or after lengths_B are not read."""
        layers = [layer.cross.memory(encoded_BSD) for layer in self.layers]  # type: ignore[union-attr,operator]
        return Memory(layers, padding_mask(lengths_B, encoded_BSD.shape[1])[:, None, None, :])

    def _run(self, x_BTD: Tensor, shared: _Pass) -> Tensor:
        for number, layer in enumerate(self.layers):
            x_BTD = layer(x_BTD, number, shared)
        return x_BTD if self.final_norm is None else self.final_norm(x_BTD)

    def _embed(self, x_BTD: Tensor, positions_BT: Tensor) -> Tensor:
        config = self.config
        numbers_BT = positions_BT + config.position_offset
        if self.position_embedding is not None:
            # only padding lies behind the last position
            x_BTD = x_BTD + self.position_embedding(numbers_BT.clamp(max=self.position_embedding.num_embeddings - 1))
        elif config.positions == "sinusoidal":
            x_BTD = x_BTD + sinusoids(numbers_BT, config.dim).to(x_BTD.dtype)
        if self.embedding_norm is not None:
            x_BTD = self.embedding_norm(x_BTD)
        return self.dropout(x_BTD)  # type: ignore[no-any-return]

    def _check_room(self, lengths_B: Tensor) -> None:
        if self.position_embedding is not None and int(lengths_B.max()) > self.config.max_positions:
            raise SpeechkitError(
                f"a sequence of {int(lengths_B.max())} tokens is longer than the model has positions",
                expected=f"at most {self.config.max_positions} tokens: units, ends and separators",
            )

    def _turn(self, positions_BT: Tensor) -> tuple[Tensor, Tensor] | None:
        if self.config.positions != "rotary":
            return None
        return rotation(positions_BT, self.config.head_width, self.config.rotary_base)

    def _mask(self, lengths_B: Tensor, size_T: int, num_inputs: int, num_columns: int) -> Tensor | None:
        """Columns of prompts are seen by all; None where causality says all, as padding lies behind."""
        if not self.is_decoder:
            return padding_mask(lengths_B + num_inputs + num_columns, num_columns + num_inputs + size_T)[:, None, None]
        if not num_columns:
            return None
        size = num_inputs + size_T
        seen = torch.ones(size, num_columns + size, dtype=torch.bool, device=lengths_B.device)
        return seen.tril(num_columns)


def _num_columns(injection: Injection) -> int:
    sizes = {0 if own.columns is None else own.columns.keys_BPD.shape[1] for own in injection.layers}
    if len(sizes) > 1:
        raise ValueError(f"the layers have deep prompts of {sorted(sizes)} positions; they must have as many")
    return sizes.pop() if sizes else 0
