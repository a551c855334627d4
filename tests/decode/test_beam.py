"""Beam search against brute force over all sequences, its guards, and joint scores with CTC."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from speechkit.decode.beam import Found, beam_search, loops, normalised
from speechkit.decode.config import BeamConfig
from speechkit.decode.search import rescore
from speechkit.nn.attention import AttentionDecoder, DecoderState, Memory
from speechkit.nn.config import AttentionDecoderConfig

V = 4


class _Table:
    """A decoder whose next token depends on utterance, place and the token before; it reads `read` of the frames."""

    def __init__(self, num_utterances: int, *, seed: int = 0, num_frames: int = 6, stuck: bool = False) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.log_probs = (2 * torch.randn(num_utterances, 9, V, V, generator=generator)).log_softmax(-1)
        self.stuck = stuck
        frames = torch.arange(num_utterances).float()[:, None, None].expand(-1, num_frames, 1)
        self.memory = Memory(frames, frames, torch.ones(num_utterances, num_frames, dtype=torch.bool))

    def start(self, memory: Memory) -> DecoderState:
        zeros_BT = torch.zeros(memory.mask_BT.shape)
        zeros_B1 = torch.zeros(len(zeros_BT), 1)
        return DecoderState(memory.keys_BTA[:, 0], zeros_B1, zeros_B1, zeros_BT, zeros_BT)

    def step(self, token_B: Tensor, state: DecoderState, memory: Memory) -> tuple[Tensor, DecoderState]:
        utterance, place = state.hidden_BD[:, 0].long(), int(state.cell_BD[0, 0])
        weights = torch.zeros_like(state.weights_BT)
        weights[:, 0 if self.stuck else place % weights.shape[1]] = 1.0
        state = state._replace(cell_BD=state.cell_BD + 1, weights_BT=weights, read_BT=state.read_BT + weights)
        return self.log_probs[utterance, min(place, 8), token_B], state


def _log_prob(table: _Table, utterance: int, tokens: tuple[int, ...]) -> float:
    places = enumerate(zip((0, *tokens), (*tokens, 0), strict=True))
    return sum(float(table.log_probs[utterance, place, before, token]) for place, (before, token) in places)


def _all_sequences(max_tokens: int) -> list[tuple[int, ...]]:
    return [seq for size in range(max_tokens + 1) for seq in itertools.product(range(1, V), repeat=size)]


@pytest.mark.parametrize("length_norm", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_a_beam_of_all_prefixes_finds_what_brute_force_finds(seed: int, length_norm: float) -> None:
    table = _Table(3, seed=seed)
    limits = torch.tensor([3, 1, 2])
    lists = beam_search(table, table.memory, limits, size=60, length_norm=length_norm, loop_guard=False)
    for utterance, (found, limit) in enumerate(zip(lists, limits.tolist(), strict=True)):
        expected = [Found(seq, _log_prob(table, utterance, seq)) for seq in _all_sequences(limit)]
        expected.sort(key=lambda one: -normalised(one, length_norm))
        assert [one.tokens for one in found] == [one.tokens for one in expected]
        assert [one.log_prob for one in found] == pytest.approx([one.log_prob for one in expected], abs=1e-5)


def test_a_beam_of_one_takes_the_best_token_each_time() -> None:
    table = _Table(20)
    for utterance, [found] in enumerate(beam_search(table, table.memory, torch.full((20,), 8), size=1)):
        tokens, before = [], 0
        for place in range(9):
            before = int(table.log_probs[utterance, place, before].argmax())
            if before == 0 or place == 8:
                break
            tokens.append(before)
        assert found.tokens == tuple(tokens)
        assert found.log_prob == pytest.approx(_log_prob(table, utterance, found.tokens), abs=1e-5)


def test_a_wider_beam_finds_more_probable_sequences() -> None:
    table = _Table(50, seed=3)
    sums = [
        sum(found[0].log_prob for found in beam_search(table, table.memory, torch.full((50,), 8), size=size))
        for size in (1, 4, 16)
    ]
    assert sums[0] < sums[1] <= sums[2] + 1e-6


@pytest.mark.parametrize("size", [1, 4])
def test_utterances_of_a_batch_do_not_disturb_each_other(size: int) -> None:
    table = _Table(6, seed=5)
    limits = torch.tensor([8, 1, 3, 8, 2, 5])
    together = beam_search(table, table.memory, limits, size=size, length_norm=0.6)
    for utterance in range(6):
        memory = Memory(*(tensor[utterance : utterance + 1] for tensor in table.memory))
        alone = beam_search(table, memory, limits[utterance : utterance + 1], size=size, length_norm=0.6)
        assert alone[0] == together[utterance]


def test_no_hypothesis_is_longer_than_its_limit_and_those_cut_are_told() -> None:
    table = _Table(2)
    table.log_probs = torch.tensor([0.02, 0.9, 0.06, 0.02]).log().expand_as(table.log_probs)
    [[first], [second]] = beam_search(table, table.memory, torch.tensor([2, 5]), size=1, loop_guard=False)
    assert (first.tokens, second.tokens) == ((1,) * 2, (1,) * 5)
    assert first.is_cut and second.is_cut
    assert first.log_prob == pytest.approx(2 * math.log(0.9) + math.log(0.02), abs=1e-5)
    table.log_probs = torch.tensor([0.9, 0.06, 0.02, 0.02]).log().expand_as(table.log_probs)
    assert beam_search(table, table.memory, torch.tensor([2, 5]), size=1)[0] == [
        Found((), pytest.approx(math.log(0.9)))
    ]


@pytest.mark.parametrize("stuck", [True, False])
def test_repeats_are_a_loop_only_when_they_are_read_from_the_same_frames(stuck: bool) -> None:
    table = _Table(1, num_frames=40, stuck=stuck)
    table.log_probs = torch.tensor([0.02, 0.9, 0.06, 0.02]).log().expand_as(table.log_probs)
    [[found]] = beam_search(table, table.memory, torch.tensor([30]), size=1)
    assert found.tokens == (1,) * (4 if stuck else 30) and found.is_cut


def test_loops_of_one_to_four_tokens_are_seen() -> None:
    def is_loop(tokens: list[int], reread: float = 1.0) -> bool:
        return bool(loops(torch.tensor([tokens]), torch.full((1, len(tokens)), reread))[0])

    assert is_loop([5, 1, 1, 1, 1]) and not is_loop([1, 1, 1]) and not is_loop([1, 1, 1, 1, 5])
    assert is_loop([1, 2] * 3) and is_loop([1, 2, 3] * 3) and is_loop([9, *[1, 2, 3, 4] * 3])
    assert not is_loop([1, 2] * 2) and not is_loop([1, 2, 3, 4, 5] * 3)
    assert not is_loop([1, 1, 1, 1], reread=0.4) and not is_loop([])


def test_a_decoder_without_a_finite_log_prob_says_nothing() -> None:
    table = _Table(2)
    table.log_probs = torch.full_like(table.log_probs, math.nan)
    for [found] in beam_search(table, table.memory, torch.tensor([3, 3]), size=4):
        assert found.tokens == () and found.is_cut


def test_padding_does_not_change_what_a_real_decoder_finds() -> None:
    torch.manual_seed(0)
    config = AttentionDecoderConfig(dim=8, embedding_dim=5, attention_dim=7, location_channels=3, location_kernel=5)
    decoder = AttentionDecoder(V, 4, config).eval()
    for parameter in decoder.parameters():
        parameter.data *= 4  # far from uniform, so that paths differ
    x_BTE, frames = torch.randn(3, 12, 4), torch.tensor([12, 5, 8])
    with torch.inference_mode():
        together = beam_search(decoder, decoder.attention.memory(x_BTE, frames), frames, size=4, length_norm=0.6)
        for index, size in enumerate(frames.tolist()):
            memory = decoder.attention.memory(x_BTE[index : index + 1, :size], frames[index : index + 1])
            [alone] = beam_search(decoder, memory, frames[index : index + 1], size=4, length_norm=0.6)
            assert [one.tokens for one in alone] == [one.tokens for one in together[index]]
            pairs = zip(alone, together[index], strict=True)
            assert all(a.log_prob == pytest.approx(b.log_prob, abs=1e-4) for a, b in pairs)


def test_joint_scores_add_ctc_and_order_by_the_sum() -> None:
    log_probs_TV = torch.tensor([[0.1, 0.8, 0.1], [0.8, 0.1, 0.1], [0.1, 0.1, 0.8]]).log()
    found = [Found((2, 2), -1.0), Found((1, 2), -2.0), Found((), -3.0), Found((1, 1, 1, 1), -0.5)]
    joint = rescore(found, log_probs_TV, BeamConfig(ctc_weight=0.5, length_norm=0.0))
    by_tokens = {one.tokens: one.log_prob for one in joint}
    assert by_tokens[()] == pytest.approx(0.5 * -3.0 + 0.5 * math.log(0.1 * 0.8 * 0.1))
    assert by_tokens[1, 2] == pytest.approx(
        0.5 * -2.0
        + 0.5 * math.log(0.8 * 0.8 * 0.8 + 0.8 * 0.1 * 0.8 + 0.8 * 0.1 * 0.8 + 0.8 * 0.1 * 0.1 + 0.1 * 0.1 * 0.8),
        abs=1e-4,
    )
    assert joint[0].tokens == (1, 2) and joint[-1] == Found((1, 1, 1, 1), -math.inf)
    assert rescore(found[3:], log_probs_TV, BeamConfig(ctc_weight=0.5)) == found[3:]
    only_ctc = rescore(found, log_probs_TV, BeamConfig(ctc_weight=1.0, length_norm=0.0))
    assert only_ctc[0].tokens == (1, 2)
