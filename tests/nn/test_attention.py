"""Location-aware attention against plain loops, and the decoder: padding, single steps, gradients, sampling."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from speechkit.nn.attention import SENTENCE_ID, AttentionDecoder, DecoderState, LocationAttention, Memory
from speechkit.nn.config import AttentionDecoderConfig

CONFIG = AttentionDecoderConfig(
    dim=8, embedding_dim=5, attention_dim=7, location_channels=3, location_kernel=5, dropout=0.0
)
TOKENS = torch.tensor([[3, 1, 4, 4], [2, 5, 0, 0]])
FRAMES = torch.tensor([9, 6])


def _decoder(**changes: float) -> AttentionDecoder:
    torch.manual_seed(0)
    return AttentionDecoder(6, 4, CONFIG.model_copy(update=changes))


def _encoded() -> Tensor:
    return torch.randn(2, 9, 4, generator=torch.Generator().manual_seed(1))


def _slow_weights(attention: LocationAttention, query: Tensor, state: DecoderState, memory: Memory) -> list[float]:
    """One utterance, one scalar at a time, from the equations of Chorowski et al. 2015 (5)-(9)."""
    kernel, width = CONFIG.location_kernel, CONFIG.attention_dim
    before = [state.weights_BT[0].tolist(), state.read_BT[0].tolist()]
    query_part = (attention.query.weight @ query).tolist()
    energies = []
    for t in range(int(memory.mask_BT[0].sum())):
        filtered = [
            sum(
                float(attention.filters.weight[c, row, k]) * before[row][t + k - kernel // 2]
                for row in range(2)
                for k in range(kernel)
                if 0 <= t + k - kernel // 2 < len(before[row])
            )
            for c in range(CONFIG.location_channels)
        ]
        frame = memory.values_BTE[0, t].tolist()
        energy = 0.0
        for a in range(width):
            total = query_part[a] + float(attention.key.bias[a])
            total += sum(float(attention.key.weight[a, e]) * frame[e] for e in range(len(frame)))
            total += sum(float(attention.location.weight[a, c]) * filtered[c] for c in range(len(filtered)))
            energy += float(attention.energy.weight[0, a]) * math.tanh(total)
        energies.append(energy)
    top = sum(math.exp(energy) for energy in energies)
    return [math.exp(energy) / top for energy in energies]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("num_frames", [1, 3, 8])
def test_attention_equals_the_equations_one_number_at_a_time(num_frames: int, seed: int) -> None:
    torch.manual_seed(seed)
    attention = LocationAttention(8, 4, CONFIG)
    memory = attention.memory(torch.randn(1, num_frames + 2, 4), torch.tensor([num_frames]))
    weights = torch.rand(1, num_frames + 2) * memory.mask_BT
    zeros = torch.zeros(1, 8)
    state = DecoderState(zeros, zeros, torch.zeros(1, 4), weights, 3 * weights.flip(1) * memory.mask_BT)
    query = torch.randn(8)
    with torch.no_grad():
        fast = attention(query[None], state, memory)[0].tolist()
        slow = _slow_weights(attention, query, state, memory)
    assert fast[:num_frames] == pytest.approx(slow, rel=1e-5, abs=1e-7)
    assert fast[num_frames:] == [0.0, 0.0] and sum(fast) == pytest.approx(1.0)


def test_where_was_attended_before_changes_the_attention() -> None:
    decoder = _decoder()
    memory = decoder.attention.memory(_encoded(), FRAMES)
    start = decoder.start(memory)
    query = torch.randn(2, 8)
    with torch.no_grad():
        fresh = decoder.attention(query, start, memory)
        last = decoder.attention(query, start._replace(weights_BT=fresh), memory)
        read = decoder.attention(query, start._replace(read_BT=fresh), memory)
    assert not torch.allclose(fresh, last) and not torch.allclose(last, read)


def test_a_padded_utterance_gives_the_logits_it_gives_alone() -> None:
    decoder, x_BTE = _decoder(), _encoded()
    with torch.no_grad():
        together = decoder(TOKENS, decoder.attention.memory(x_BTE, FRAMES))
        alone = decoder(TOKENS[1:, :2], decoder.attention.memory(x_BTE[1:, :6], FRAMES[1:]))
    torch.testing.assert_close(together[1:, :3], alone, atol=1e-6, rtol=1e-5)


def test_single_steps_give_what_teacher_forcing_gives() -> None:
    decoder = _decoder().eval()
    memory = decoder.attention.memory(_encoded(), FRAMES)
    state, token_B = decoder.start(memory), torch.full((2,), SENTENCE_ID)
    with torch.no_grad():
        forced = decoder(TOKENS, memory).log_softmax(-1)
        for position in range(5):
            log_probs, state = decoder.step(token_B, state, memory)
            torch.testing.assert_close(log_probs, forced[:, position], atol=1e-5, rtol=1e-5)
            token_B = TOKENS[:, position] if position < 4 else token_B
    torch.testing.assert_close(state.read_BT.sum(1), torch.full((2,), 5.0))
    assert not state.read_BT[1, 6:].any()


def test_gradients_reach_every_weight() -> None:
    decoder = _decoder()
    decoder(TOKENS, decoder.attention.memory(_encoded(), FRAMES)).log_softmax(-1)[..., 1].sum().backward()
    silent = [name for name, p in decoder.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


def test_sampled_inputs_replace_the_right_ones_and_follow_the_seed() -> None:
    decoder = _decoder()
    memory = decoder.attention.memory(_encoded(), FRAMES)

    def logits(tokens: Tensor, sampling: float, seed: int) -> Tensor:
        torch.manual_seed(seed)
        with torch.no_grad():
            return decoder(tokens, memory, sampling=sampling)  # type: ignore[no-any-return]

    other = (TOKENS + 1) % 6
    assert not torch.equal(logits(TOKENS, 0.0, 0), logits(other, 0.0, 0))
    assert torch.equal(logits(TOKENS, 1.0, 0), logits(other, 1.0, 0))  # the given tokens are not looked at
    assert torch.equal(logits(TOKENS, 0.5, 0), logits(TOKENS, 0.5, 0))
    assert not torch.equal(logits(TOKENS, 1.0, 0), logits(TOKENS, 1.0, 1))


def test_sampled_tokens_follow_the_probabilities_of_the_decoder() -> None:
    decoder = _decoder()
    decoder.output.weight.data.zero_()
    decoder.output.bias.data = torch.tensor([0.0, 0.0, 0.7, 0.2, 0.1, 0.0]).log().clamp(min=-1e9)
    memory = Memory(
        *(tensor[:1].expand(4000, -1, *tensor.shape[2:]) for tensor in decoder.attention.memory(_encoded(), FRAMES))
    )
    torch.manual_seed(0)
    counts = decoder._draw(decoder.start(memory)).bincount(minlength=6) / 4000
    torch.testing.assert_close(counts, torch.tensor([0.0, 0.0, 0.7, 0.2, 0.1, 0.0]), atol=0.03, rtol=0.0)
