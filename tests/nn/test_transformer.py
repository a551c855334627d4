"""The transformer against a slow one and against those of the package transformers, and what its prompts do."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from speechkit.errors import SpeechkitError
from speechkit.nn.cache import Cache
from speechkit.nn.config import TransformerConfig
from speechkit.nn.injection import Columns, Injection, LayerInjection, LowRank
from speechkit.nn.positions import rotate, rotation, sinusoids
from speechkit.nn.transformer import Transformer

DIM = 32  # the last values of a tensor round differently where a width is no multiple of the vector registers
KINDS: dict[str, dict[str, Any]] = {
    "own": {},
    "llama": {
        "norm": "rms", "activation": "swiglu", "has_bias": False, "has_qkv_bias": False, "num_kv_heads": 2,
        "rotary_base": 500.0,
    },
    "qwen": {"norm": "rms", "activation": "swiglu", "has_bias": False, "num_kv_heads": 1, "head_dim": 6},
    "gslm": {"activation": "relu", "positions": "sinusoidal", "position_offset": 2, "has_final_norm": False},
    "opt": {"activation": "relu", "positions": "learned", "position_offset": 2, "is_pre_norm": False},
    "mbart": {"activation": "gelu_tanh", "positions": "learned", "has_embedding_norm": True},
}  # fmt: skip


def make(*, is_decoder: bool = True, has_memory: bool = False, **fields: Any) -> Transformer:
    torch.manual_seed(1)
    config = TransformerConfig(**{"dim": DIM, "num_heads": 4, "ff_dim": 64, "max_positions": 32, **fields})
    model = Transformer(config, num_layers=2, is_decoder=is_decoder, has_memory=has_memory)
    for parameter in model.parameters():  # no symmetry that would hide a fault
        nn.init.normal_(parameter, std=0.25)
    return model.eval()


def slow(model: Transformer, x_TD: Tensor, *, memory_SD: Tensor | None = None) -> Tensor:
    """One sequence, position by position and head by head, from the formulas."""
    config = model.config
    x = x_TD.clone()
    for t in range(len(x)):
        if config.positions == "learned":
            x[t] = x[t] + model.position_embedding.weight[t + config.position_offset]  # type: ignore[union-attr]
        elif config.positions == "sinusoidal":
            half = DIM // 2
            for i in range(half):
                angle = (t + config.position_offset) * 10_000 ** (-i / (half - 1))
                x[t, i] += math.sin(angle)
                x[t, half + i] += math.cos(angle)
    if model.embedding_norm is not None:
        x = model.embedding_norm(x)
    for layer in model.layers:
        blocks = [(layer.attention_norm, lambda y, own=layer.attention: slow_attention(model, own, y, y))]
        if layer.cross is not None:
            blocks.append(
                (layer.cross_norm, lambda y, own=layer.cross: slow_attention(model, own, y, memory_SD, is_cross=True))
            )
        blocks.append((layer.feed_forward_norm, lambda y, own=layer.feed_forward: slow_feed_forward(config, own, y)))
        for norm, block in blocks:
            x = x + block(norm(x)) if config.is_pre_norm else norm(x + block(x))
    return x if model.final_norm is None else model.final_norm(x)


def slow_attention(model: Transformer, own: Any, x_TD: Tensor, y_SD: Any, *, is_cross: bool = False) -> Tensor:
    config, width = model.config, model.config.head_width
    q, k, v = own.query(x_TD), own.key(y_SD), own.value(y_SD)
    out = torch.zeros(len(x_TD), config.query_dim)
    for head in range(config.num_heads):
        own_kv = head * config.kv_heads // config.num_heads
        for t in range(len(x_TD)):
            seen = range(len(y_SD)) if is_cross or not model.is_decoder else range(t + 1)
            scores = []
            for s in seen:
                query = q[t, head * width : (head + 1) * width]
                key = k[s, own_kv * width : (own_kv + 1) * width]
                if config.positions == "rotary" and not is_cross:
                    query, key = turned(query, t, config.rotary_base), turned(key, s, config.rotary_base)
                scores.append(query @ key / math.sqrt(width))
            weights = torch.stack(scores).softmax(0)
            values = torch.stack([v[s, own_kv * width : (own_kv + 1) * width] for s in seen])
            out[t, head * width : (head + 1) * width] = weights @ values
    return own.output(out)  # type: ignore[no-any-return]


def turned(vector_E: Tensor, position: int, base: float) -> Tensor:
    half = len(vector_E) // 2
    out = vector_E.clone()
    for i in range(half):
        angle = position * base ** (-i / half)
        a, b = vector_E[i], vector_E[half + i]
        out[i], out[half + i] = (
            a * math.cos(angle) - b * math.sin(angle),
            a * math.sin(angle) + b * math.cos(angle),
        )
    return out


def slow_feed_forward(config: TransformerConfig, own: Any, x: Tensor) -> Tensor:
    inner = own.inner(x)
    if config.activation == "swiglu":
        gate = own.gate(x)
        return own.output(gate / (1 + (-gate).exp()) * inner)  # type: ignore[no-any-return]
    if config.activation == "relu":
        return own.output(inner.clamp(min=0))  # type: ignore[no-any-return]
    if config.activation == "gelu":
        return own.output(inner * 0.5 * (1 + torch.erf(inner / math.sqrt(2))))  # type: ignore[no-any-return]
    cubed = math.sqrt(2 / math.pi) * (inner + 0.044715 * inner**3)
    return own.output(0.5 * inner * (1 + cubed.tanh()))  # type: ignore[no-any-return]


def lengths(*sizes: int) -> Tensor:
    return torch.tensor(sizes)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_decoder", [True, False], ids=["decoder", "encoder"])
def test_every_kind_equals_its_formulas_in_a_padded_batch(kind: str, is_decoder: bool) -> None:
    model = make(is_decoder=is_decoder, **KINDS[kind])
    x_BTD = torch.randn(3, 7, DIM)
    sizes = [7, 3, 5]
    out_BTD = model(x_BTD, lengths_B=lengths(*sizes))
    for row, size in enumerate(sizes):
        assert torch.allclose(out_BTD[row, :size], slow(model, x_BTD[row, :size]), atol=2e-5)


@pytest.mark.parametrize("kind", ["own", "mbart"])
def test_cross_attention_equals_its_formula_and_does_not_read_padding(kind: str) -> None:
    model = make(has_memory=True, **KINDS[kind])
    x_BTD, encoded_BSD = torch.randn(2, 4, DIM), torch.randn(2, 6, DIM)
    memory = model.memory(encoded_BSD, lengths(6, 2))
    out_BTD = model(x_BTD, lengths_B=lengths(4, 3), memory=memory)
    for row, (size, num_read) in enumerate([(4, 6), (3, 2)]):
        expected = slow(model, x_BTD[row, :size], memory_SD=encoded_BSD[row, :num_read])
        assert torch.allclose(out_BTD[row, :size], expected, atol=2e-5)


def prompts(
    size_B: int, *, config: TransformerConfig, is_projected: bool = True, columns: int = 3, inputs: int = 2
) -> Injection:
    width = config.key_dim if is_projected else config.dim
    sizes = {"query": config.query_dim, "key": config.key_dim, "value": config.key_dim}

    def low(name: str) -> LowRank:
        first = config.query_dim if name == "output" else config.dim
        return LowRank(torch.randn(size_B, first, 2), torch.randn(size_B, 2, sizes.get(name, config.dim)))

    layers = tuple(
        LayerInjection(
            columns=Columns(torch.randn(size_B, columns, width), torch.randn(size_B, columns, width)),
            low_rank={name: low(name) for name in ("query", "key", "value", "output")},
        )
        for _ in range(2)
    )
    return Injection(input_BPD=torch.randn(size_B, inputs, config.dim), layers=layers, is_projected=is_projected)


def rows_of(injection: Injection, rows: Tensor) -> Injection:
    layers = tuple(
        LayerInjection(
            columns=None if own.columns is None else Columns(*(tensor[rows] for tensor in own.columns)),
            low_rank={name: LowRank(*(tensor[rows] for tensor in low)) for name, low in own.low_rank.items()},
        )
        for own in injection.layers
    )
    inputs = None if injection.input_BPD is None else injection.input_BPD[rows]
    return Injection(input_BPD=inputs, layers=layers, is_projected=injection.is_projected)


@pytest.mark.parametrize("is_decoder", [True, False], ids=["decoder", "encoder"])
@pytest.mark.parametrize("is_projected", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_of_many_prompts_has_the_bits_of_a_run_for_each(
    kind: str, is_projected: bool, is_decoder: bool
) -> None:
    model = make(is_decoder=is_decoder, **KINDS[kind])
    size_B = 6
    x_BTD, lengths_B = torch.randn(size_B, 5, DIM), lengths(5, 2, 4, 1, 3, 5)
    injection = prompts(size_B, config=model.config, is_projected=is_projected)
    together = model(x_BTD, lengths_B=lengths_B, injection=injection)
    for rows in (torch.arange(0, 3), torch.arange(3, 6)):
        alone = model(x_BTD[rows], lengths_B=lengths_B[rows], injection=rows_of(injection, rows))
        assert torch.equal(together[rows], alone)


def test_one_row_of_a_prompt_serves_all_examples() -> None:
    model = make()
    x_BTD, lengths_B = torch.randn(3, 4, DIM), lengths(4, 4, 2)
    one = prompts(1, config=model.config)
    each = rows_of(one, torch.zeros(3, dtype=torch.int64))
    assert torch.allclose(
        model(x_BTD, lengths_B=lengths_B, injection=one), model(x_BTD, lengths_B=lengths_B, injection=each), atol=1e-5
    )


def test_zero_low_rank_changes_nothing() -> None:
    model = make()
    x_BTD = torch.randn(2, 4, DIM)
    zero = LowRank(torch.randn(1, DIM, 2), torch.zeros(1, 2, DIM))
    injection = Injection(layers=(LayerInjection(low_rank={"query": zero, "output": zero}),) * 2)
    plain = model(x_BTD, lengths_B=lengths(4, 4))
    assert torch.equal(model(x_BTD, lengths_B=lengths(4, 4), injection=injection), plain)


def test_low_rank_updates_equal_changed_weights() -> None:
    model = make()
    x_BTD = torch.randn(1, 5, DIM)
    low = {name: LowRank(torch.randn(1, DIM, 3), torch.randn(1, 3, DIM)) for name in ("query", "key", "value")}
    given = model(x_BTD, lengths_B=lengths(5), injection=Injection(layers=(LayerInjection(low_rank=low),) * 2))
    with torch.no_grad():
        for layer in model.layers:
            for name, (a, b) in low.items():
                getattr(layer.attention, name).weight += (a[0] @ b[0]).T  # type: ignore[union-attr,operator]
    assert torch.allclose(model(x_BTD, lengths_B=lengths(5)), given, atol=1e-4)


def test_columns_before_the_projection_are_read_like_tokens_without_a_turn() -> None:
    model = make()
    x_BTD, columns = torch.randn(1, 4, DIM), torch.randn(1, 3, DIM)
    before = tuple(LayerInjection(columns=Columns(columns, columns)) for _ in range(2))
    after = tuple(
        LayerInjection(columns=Columns(layer.attention.key(columns), layer.attention.value(columns)))  # type: ignore[union-attr,operator]
        for layer in model.layers
    )
    found = [
        model(x_BTD, lengths_B=lengths(4), injection=Injection(layers=layers, is_projected=is_projected))
        for layers, is_projected in ((before, False), (after, True))
    ]
    assert torch.equal(*found)
    assert not torch.allclose(found[0], model(x_BTD, lengths_B=lengths(4)))


@pytest.mark.parametrize("is_decoder", [True, False], ids=["decoder", "encoder"])
def test_every_token_sees_the_columns_and_a_decoder_no_later_token(is_decoder: bool) -> None:
    model = make(is_decoder=is_decoder)
    injection = prompts(1, config=model.config)
    x_BTD = torch.randn(1, 5, DIM, requires_grad=True)
    columns = injection.layers[0].columns
    assert columns is not None and injection.input_BPD is not None
    columns.keys_BPD.requires_grad_()
    injection.input_BPD.requires_grad_()
    for t in range(5):
        out = model(x_BTD, lengths_B=lengths(5), injection=injection)[0, 2 + t].square().sum()
        by_token, by_column, by_input = torch.autograd.grad(out, [x_BTD, columns.keys_BPD, injection.input_BPD])
        assert (by_token[0].abs().sum(1) > 0).tolist() == [not is_decoder or s <= t for s in range(5)]
        assert (by_column.abs().sum(2) > 0).all()
        assert (by_input.abs().sum(2) > 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_steps_give_what_a_whole_pass_gives(kind: str) -> None:
    model = make(**KINDS[kind])
    injection = prompts(3, config=model.config)
    x_BTD = torch.randn(3, 9, DIM)
    first = [5, 2, 4]
    with torch.no_grad():
        cache = Cache(room=4)
        model(x_BTD[:, :5], lengths_B=lengths(*first), injection=injection, cache=cache)
        taken = torch.stack([x_BTD[row, size : size + 4] for row, size in enumerate(first)])
        found = [model.step(taken[:, t : t + 1], cache, injection=injection) for t in range(4)]
        for row, size in enumerate(first):
            own = rows_of(injection, torch.tensor([row]))
            whole = model(x_BTD[row : row + 1, : size + 4], lengths_B=lengths(size + 4), injection=own)
            assert torch.allclose(torch.cat(found, 1)[row], whole[0, -4:], atol=5e-5, rtol=1e-5)
        with pytest.raises(ValueError, match="no room"):
            model.step(taken[:, :1], cache, injection=injection)


def test_rows_of_a_cache_can_be_reordered_and_repeated() -> None:
    model = make()
    x_BTD, more_NTD = torch.randn(2, 4, DIM), torch.randn(3, 2, DIM)
    rows = torch.tensor([1, 0, 1])
    with torch.no_grad():
        cache = Cache(room=2)
        model(x_BTD, lengths_B=lengths(4, 2), cache=cache)
        chosen = cache.select(rows)
        found = torch.cat([model.step(more_NTD[:, t : t + 1], chosen) for t in range(2)], 1)
        sizes = [2, 4, 2]
        for n, (row, size) in enumerate(zip(rows.tolist(), sizes, strict=True)):
            whole = torch.cat([x_BTD[row, :size], more_NTD[n]])[None]
            assert torch.allclose(found[n], model(whole, lengths_B=lengths(size + 2))[0, -2:], atol=2e-5)


def test_learned_positions_end() -> None:
    model = make(positions="learned", max_positions=4)
    model(torch.randn(1, 6, DIM), lengths_B=lengths(4))  # padding may lie behind the end
    with pytest.raises(SpeechkitError, match="5 tokens is longer than the model has positions"):
        model(torch.randn(1, 6, DIM), lengths_B=lengths(5))
    cache = Cache(room=1)
    with torch.no_grad():
        model(torch.randn(1, 4, DIM), lengths_B=lengths(4), cache=cache)
        with pytest.raises(SpeechkitError, match="5 tokens"):
            model.step(torch.randn(1, 1, DIM), cache)


def test_layers_must_have_columns_of_one_size() -> None:
    model = make()
    with pytest.raises(ValueError, match=r"\[2, 3\] positions"):
        one, two = (prompts(1, config=model.config, columns=size).layers[0] for size in (2, 3))
        model(torch.randn(1, 4, DIM), lengths_B=lengths(4), injection=Injection(layers=(one, two)))


@pytest.mark.parametrize(
    "fields, complaint",
    [
        ({"dim": 18, "num_heads": 4}, "not a multiple of num_heads 4"),
        ({"num_heads": 4, "num_kv_heads": 3}, "not a multiple of num_kv_heads 3"),
        ({"dim": 12, "num_heads": 4}, "heads of 3 values can not be rotated"),
    ],
)
def test_widths_that_do_not_fit_are_refused(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        TransformerConfig(**fields)


def test_turning_keeps_lengths_and_depends_on_distance_only() -> None:
    q, k = torch.randn(2, 1, 1, 1, 8)
    scores = []
    for first in (0, 11):
        q_turn, k_turn = (rotation(torch.tensor([[at]]), 8, 10_000.0) for at in (first + 5, first))
        assert torch.allclose(rotate(q, q_turn).norm(), q.norm())
        scores.append((rotate(q, q_turn) * rotate(k, k_turn)).sum())
    assert torch.allclose(scores[0], scores[1], atol=1e-5)


def test_sinusoids_of_an_odd_width_end_in_zero() -> None:
    assert sinusoids(torch.tensor([[3]]), 5).shape == (1, 1, 5)
    assert sinusoids(torch.tensor([[3]]), 5)[0, 0, 4] == 0
