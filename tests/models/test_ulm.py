"""Unit language models: what is read, steps and beams, prompts of each example, and what they learn."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch

from speechkit.data.unit_batch import UnitBatch
from speechkit.models.config import UlmConfig
from speechkit.models.ulm import Padded, State, UnitLm, join, padded
from speechkit.models.ulm_examples import IGNORED, draw_pairs, masked
from speechkit.nn.injection import Columns, Injection, LayerInjection, LowRank, Prompt
from speechkit.rng import rng

K, DIM = 10, 32
END, SEP = K, K + 1
NUM_STEPS = 30
KINDS = ["decoder", "encoder_decoder"]
SOURCES = [[1, 2, 3, 4, 5], [7], [0, 9, 0], []]
TARGETS = [[3, 1], [2, 2, 2, 8], [], [5]]


def make(architecture: str = "decoder", **fields: Any) -> UnitLm:
    torch.manual_seed(2)
    sizes = {"dim": DIM, "num_heads": 4, "num_layers": 2, "num_encoder_layers": 2, "ff_dim": 64, "dropout": 0.0}
    return UnitLm(UlmConfig(architecture=architecture, **{**sizes, **fields}), num_units=K).eval()


def some_prompt(size_B: int, *, has_encoder: bool, seed: int = 5) -> Prompt:
    torch.manual_seed(seed)

    def injection() -> Injection:
        layers = tuple(
            LayerInjection(
                Columns(torch.randn(size_B, 4, DIM), torch.randn(size_B, 4, DIM)),
                {"query": LowRank(torch.randn(size_B, DIM, 2), 0.3 * torch.randn(size_B, 2, DIM))},
            )
            for _ in range(2)
        )
        return Injection(torch.randn(size_B, 3, DIM), layers, separator_BD=torch.randn(size_B, DIM))

    return Prompt(injection(), injection() if has_encoder else None)


def rows_of(prompt: Prompt, rows: list[int]) -> Prompt:
    def pick(own: Injection | None) -> Injection | None:
        if own is None:
            return None
        layers = tuple(
            LayerInjection(
                Columns(*(tensor[rows] for tensor in layer.columns)) if layer.columns else None,
                {name: LowRank(*(tensor[rows] for tensor in low)) for name, low in layer.low_rank.items()},
            )
            for layer in own.layers
        )
        assert own.input_BPD is not None and own.separator_BD is not None
        return Injection(own.input_BPD[rows], layers, separator_BD=own.separator_BD[rows])

    decoder = pick(prompt.decoder)
    assert decoder is not None
    return Prompt(decoder, pick(prompt.encoder))


def test_blocks_are_joined_row_by_row() -> None:
    joined = join([padded([[1], [1]]), padded([[2, 3], []]), padded([[], [4, 5]])])
    assert joined.lengths_B.tolist() == [3, 3]
    assert joined.tokens_BT[:, :3].tolist() == [[1, 2, 3], [1, 4, 5]]
    assert joined.tokens_BT.shape == (2, 5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_prompted", [False, True])
def test_a_padded_batch_gives_what_single_utterances_give(kind: str, is_prompted: bool) -> None:
    lm = make(kind)
    prompt = some_prompt(4, has_encoder=kind != "decoder") if is_prompted else None
    states = lm.states(padded(SOURCES), padded(TARGETS), prompt)
    plain = lm.lm_states(*padded(SOURCES), prompt)
    for row, (source, target) in enumerate(zip(SOURCES, TARGETS, strict=True)):
        own = rows_of(prompt, [row]) if prompt else None
        alone = lm.states(padded([source]), padded([target]), own)
        assert alone.shape == (1, max(1, len(target)) + 1, DIM)
        assert torch.allclose(states[row, : len(target) + 1], alone[0, : len(target) + 1], atol=1e-5)
        alone = lm.lm_states(*padded([source]), own)
        assert torch.allclose(plain[row, : len(source) + 1], alone[0, : len(source) + 1], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_in_the_padding_does_not_count(kind: str) -> None:
    lm = make(kind)
    source, target = padded(SOURCES), padded(TARGETS)
    other_BT = torch.tensor([[*row, *[6] * (5 - len(row))] for row in SOURCES])
    other = Padded(other_BT, source.lengths_B)
    for row, size in enumerate(map(len, TARGETS)):
        assert torch.equal(lm.states(source, target)[row, : size + 1], lm.states(other, target)[row, : size + 1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_prompted", [False, True])
def test_start_and_steps_give_the_states_of_a_whole_pass(kind: str, is_prompted: bool) -> None:
    lm = make(kind)
    prompt = some_prompt(4, has_encoder=kind != "decoder") if is_prompted else None
    target = torch.tensor([[1, 2, 0], [SEP, 4, 4], [9, 8, 7], [0, 0, 0]])
    whole = lm.states(padded(SOURCES), Padded(target, torch.full((4,), 3)), prompt)
    found, state = lm.start(padded(SOURCES), prompt, room=3)
    assert torch.allclose(found, whole[:, 0], atol=1e-5)
    for t in range(3):
        found, state = lm.step(target[:, t], state)
        assert torch.allclose(found, whole[:, t + 1], atol=1e-5)


def test_a_continuation_goes_on_without_a_separator() -> None:
    lm = make()
    rows = [[1, 2, 3], [7, 8]]
    found, state = lm.start(padded(rows), room=1, separator=False)
    after, _ = lm.step(torch.tensor([4, 5]), state)
    for row, (units, more) in enumerate(zip(rows, (4, 5), strict=True)):
        whole = lm.lm_states(*padded([[*units, more]]))[0]
        assert torch.allclose(found[row], whole[-2], atol=1e-5)
        assert torch.allclose(after[row], whole[-1], atol=1e-5)


def test_an_encoder_is_told_of_a_continuation_by_a_mask() -> None:
    lm = make("encoder_decoder")
    found, _ = lm.start(padded([[1, 2, 3]]), room=1, separator=False)
    # the same as restoring [1 2 3 SEP] after [SEP 1 2 3] was written
    expected = lm.states(padded([[1, 2, 3, SEP]]), padded([[1, 2, 3]]))
    assert torch.allclose(found[0], expected[0, -1], atol=1e-5)


def test_a_decoder_reads_all_that_an_encoder_says_of_prompt_and_source() -> None:
    lm, prompt = make("encoder_decoder"), some_prompt(1, has_encoder=True)
    assert lm.encoder is not None and prompt.encoder is not None
    read, asked = torch.tensor([[END, *SOURCES[0], END]]), torch.tensor([[SEP, *TARGETS[0]]])
    x_BTD = lm.embed(read, prompt.encoder)
    encoded_BSD = lm.encoder(x_BTD, lengths_B=torch.tensor([7]), injection=prompt.encoder)
    assert encoded_BSD.shape[1] == 3 + 7
    memory = lm.decoder.memory(encoded_BSD, torch.tensor([10]))
    y_BTD = lm.embed(asked, prompt.decoder)
    expected = lm.decoder(y_BTD, lengths_B=torch.tensor([3]), injection=prompt.decoder, memory=memory)[:, -3:]
    assert torch.allclose(lm.states(padded(SOURCES[:1]), padded(TARGETS[:1]), prompt), expected, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_a_search_can_be_selected(kind: str) -> None:
    lm = make(kind)
    prompt = some_prompt(4, has_encoder=kind != "decoder")
    rows = [2, 0, 0]
    _, state = lm.start(padded(SOURCES), prompt, room=2)
    chosen: State = state.select(torch.tensor(rows))
    more = torch.tensor([[1, SEP], [2, 2], [3, 4]])
    for t in range(2):
        found, chosen = lm.step(more[:, t], chosen)
    whole = lm.states(padded([SOURCES[row] for row in rows]), Padded(more, torch.full((3,), 2)), rows_of(prompt, rows))
    assert torch.allclose(found, whole[:, 2], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_of_many_prompts_has_the_bits_of_a_run_for_each(kind: str) -> None:
    lm = make(kind)
    prompt = some_prompt(4, has_encoder=kind != "decoder")
    source, target = padded(SOURCES), padded(TARGETS)
    together = lm.states(source, target, prompt)
    for row in range(4):
        parts = [Padded(part.tokens_BT[[row]], part.lengths_B[[row]]) for part in (source, target)]
        alone = lm.states(*parts, rows_of(prompt, [row]))
        assert torch.equal(together[[row]], alone)


@pytest.mark.parametrize("kind", KINDS)
def test_the_prompts_of_both_stacks_and_the_separator_matter(kind: str) -> None:
    lm = make(kind)
    prompt = some_prompt(1, has_encoder=kind != "decoder")
    source, target = padded(SOURCES[:1]), padded(TARGETS[:1])
    plain, steered = lm.states(source, target), lm.states(source, target, prompt)
    assert not torch.allclose(plain, steered, atol=1e-3)
    if prompt.encoder is not None:
        assert not torch.allclose(lm.states(source, target, Prompt(prompt.decoder)), steered, atol=1e-3)
    own = lm.embed(torch.tensor([SEP]))
    same = Prompt(Injection(separator_BD=own))
    assert torch.allclose(lm.states(source, target, same), plain, atol=1e-6)


def test_tied_and_projected_outputs_equal_their_formulas() -> None:
    states = torch.randn(3, DIM)
    lm = make(embedding_dim=8)
    assert lm.project_out is not None
    assert torch.allclose(lm.logits(states), states @ lm.project_out.weight.T @ lm.embedding.weight.T, atol=1e-5)
    untied = make(is_tied=False)
    assert untied.output is not None
    assert torch.equal(untied.logits(states), untied.output(states))
    assert lm.logits(states).shape == (3, K + 2)


def test_nats_are_those_of_the_softmax_over_units_and_end() -> None:
    lm = make()
    rows = [[1, 2], [3]]
    nats = lm.nats(*padded(rows))
    for row, units in enumerate(rows):
        logits = lm.logits(lm.lm_states(*padded([units])))[0]
        expected = [-logits[t, : K + 1].log_softmax(0)[goal] for t, goal in enumerate([*units, END])]
        assert torch.allclose(nats[row, : len(expected)], torch.stack(expected), atol=1e-5)
    assert nats[1, 2] == 0
    loss = lm.loss(UnitBatch(["a", "b"], *padded(rows)), progress=0.0)
    assert torch.allclose(loss.total, nats.sum() / 5)


def config(architecture: str = "decoder", **fields: Any) -> UlmConfig:
    return UlmConfig(architecture=architecture, **fields)


def test_a_readout_may_name_units_in_the_order_they_are_spoken() -> None:
    units, own = [k % K for k in range(11)], config(readout_share=1.0, readout_units=4, readout_order="spoken")
    starts = set()
    for seed in range(20):
        pair = draw_pairs([units], ["u"], config=own, num_units=K, seed=seed)[0]
        told = pair.read[pair.read.index(K + 1) + 1 :]
        starts.add(told[0])
        assert told == units[units.index(told[0]) :: 3] and len(told) <= 4
    assert starts == {0, 1, 2}
    both = config(readout_share=1.0, readout_units=4, readout_order="both")
    found = [draw_pairs([units], ["u"], config=both, num_units=K, seed=seed)[0].goal for seed in range(40)]
    spoken = sum(goal[12:-1] == sorted(goal[12:-1]) or goal[12:-1] == units[goal[12] :: 3] for goal in found)
    assert 8 < spoken < 32


def test_a_readout_names_distinct_units_behind_the_separator() -> None:
    units = [4, 1, 4, 7, 2]
    pair = draw_pairs([units], ["u"], config=config(readout_share=1.0, readout_units=3), num_units=K, seed=0)[0]
    asked = pair.read[7:]
    assert pair.read[:7] == [END, *units, SEP]
    assert len(asked) == 3 == len(set(asked)) and set(asked) <= set(units)
    assert pair.goal == [*units, IGNORED, *asked, END]
    assert pair.is_readout
    coded = draw_pairs([units], ["u"], config=config("encoder_decoder", readout_share=1.0), num_units=K, seed=0)[0]
    assert coded.source == units
    assert coded.read[0] == SEP and sorted(coded.read[1:]) == [1, 2, 4, 7]
    assert coded.goal == [*coded.read[1:], END]


def test_examples_are_drawn_by_seed_and_id_not_by_order() -> None:
    rows, names = [[1, 2, 3, 4]] * 40, [f"u{n}" for n in range(40)]
    own = config(readout_share=0.5)
    pairs = draw_pairs(rows, names, config=own, num_units=K, seed=3)
    assert draw_pairs(rows, names[::-1], config=own, num_units=K, seed=3)[::-1] == pairs
    assert 8 < sum(pair.is_readout for pair in pairs) < 32
    assert pairs != draw_pairs(rows, names, config=own, num_units=K, seed=4)


def test_masks_stand_for_spans_of_the_wanted_share() -> None:
    own = config("encoder_decoder", suffix_share=0.0)
    units = list(range(1000))
    for number in range(5):
        copy = masked(units, rng(0, number), own, -1)
        kept = [unit for unit in copy if unit != -1]
        assert kept == sorted(kept) and len(kept) == 700
        assert all(a != -1 or b != -1 for a, b in pairwise(copy))
    assert 2.5 < 300 / copy.count(-1) < 7.0
    assert masked([5], rng(0, "one"), own, -1) == [-1]
    assert masked([], rng(0, "none"), own, -1) == []


def test_a_masked_suffix_ends_in_one_mask() -> None:
    own = config("encoder_decoder", suffix_share=1.0)
    lengths = set()
    for number in range(60):
        copy = masked([1, 2, 3], rng(0, number), own, -1)
        assert copy == [*[1, 2, 3][: len(copy) - 1], -1]
        lengths.add(len(copy))
    assert lengths == {1, 2, 3, 4}


@pytest.mark.parametrize("kind", KINDS)
def test_training_follows_torchs_seed_and_lowers_the_loss(kind: str) -> None:
    lm = make(kind, readout_share=0.3)
    lm.train()
    chain = [[(start + step) % K for step in range(6)] for start in range(K)]
    batch = UnitBatch([f"u{n}" for n in range(K)], *padded(chain))
    seen: list[float] = []
    for step in range(NUM_STEPS):
        torch.manual_seed(step)
        loss = lm.loss(batch, progress=step / NUM_STEPS)
        if step == 0:
            torch.manual_seed(step)
            assert torch.equal(lm.loss(batch, progress=0.0).total, loss.total)
            assert set(loss.parts) == {"nats", "readout"}
        lm.zero_grad()
        loss.total.backward()
        with torch.no_grad():
            for parameter in lm.parameters():
                parameter -= 0.01 * 0.95**step * parameter.grad.sign()  # type: ignore[union-attr]
        seen.append(float(loss.total.detach()))
    assert seen[0] > 0.9 * math.log(K + 1)
    assert seen[-1] < 0.6 * seen[0]


def test_the_untrained_model_knows_nothing() -> None:
    lm = make(dim=64, num_layers=4)
    rows = [rng(0, n).integers(0, K, 50).tolist() for n in range(8)]
    mean = lm.loss(UnitBatch(list("abcdefgh"), *padded(rows)), progress=0).total
    assert abs(float(mean.detach()) - math.log(K + 1)) < 0.5
