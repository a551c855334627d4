"""Search for labels: equal to the slow way, and wide beams to brute force."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from speechkit.models.config import UlmConfig
from speechkit.models.ulm import Padded, UnitLm, padded
from speechkit.prompt.config import LoraConfig, MethodConfig, PromptConfig, TaskConfig
from speechkit.prompt.examples import Example
from speechkit.prompt.methods import initial_tensors
from speechkit.prompt.model import PromptedLm, collate
from speechkit.prompt.search import Found, Outputs, search, search_labels
from speechkit.prompt.tasks import Task
from speechkit.prompt.verbalizer import LabelMap

K = 8
KINDS = ["decoder", "encoder_decoder"]
SOURCES = [(1, 2, 3, 4, 5), (7,), (0, 6, 0), (), (3, 3, 1, 0, 2, 2, 5)]


def make_lm(kind: str) -> UnitLm:
    torch.manual_seed(3)
    sizes: dict[str, Any] = {"dim": 16, "num_heads": 2, "num_layers": 2, "num_encoder_layers": 1, "ff_dim": 32}
    return UnitLm(UlmConfig(architecture=kind, dropout=0.0, **sizes), num_units=K).eval()


def make(
    kind: str, task: Task, method: MethodConfig | None = None, *, seed: int = 4, sharpness: float = 6.0
) -> PromptedLm:
    """A random prompt and verbalizer, sharp enough that labels depend on what is read."""
    lm = make_lm(kind)
    torch.manual_seed(seed)
    method = method or PromptConfig(length=3, init_noise=1.0)
    tensors = {
        name: tensor + torch.randn_like(tensor) for name, tensor in initial_tensors(method, lm, [(1, 2)]).items()
    }
    tokens = (*[label % K for label in range(len(task.labels))], *[lm.end_id] * task.is_sequence)
    model = PromptedLm(lm, task, method, LabelMap("hidden", tokens), tensors).eval()
    with torch.no_grad():
        model.verbalizer.weight.mul_(sharpness)
        # what all sources have in common decides nothing
        read = padded(SOURCES)
        states = lm.states(read, Padded(read.tokens_BT[:, :0], torch.zeros_like(read.lengths_B)), model.prompt())
        model.verbalizer.bias.sub_(states.mean(0)[0] @ model.verbalizer.weight)
    return model


def sequence_task(num_labels: int = 3) -> Task:
    return Task(TaskConfig(name="digits", kind="sequence", label=("text",)), (tuple("abcdefgh"[:num_labels]),))


def slot_task() -> Task:
    config = TaskConfig(name="order", kind="slots", label=("action", "place", "who"))
    return Task(config, (("on", "off"), ("hall", "loft", "none"), ("me", "you")))


def log_probs_of(model: PromptedLm, source: tuple[int, ...], labels: tuple[int, ...]) -> Tensor:
    """Log-probs (L,) of the next label: the whole prefix is read again, alone."""
    given = padded([source])
    read = torch.tensor([list(labels)], dtype=torch.int64).view(1, -1)
    target = Padded(model.verbalizer.token_of(read), torch.tensor([len(labels)]))
    states = model.lm.states(given, target, model.prompt())
    found: Tensor = model.verbalizer(states[:, -1], model.lm)[0]
    task = model.task
    if task.config.kind == "slots":
        allowed = list(task.allowed(len(labels)))
        only = torch.full_like(found, -math.inf)
        only[allowed] = found[allowed].log_softmax(-1)
        return only
    return found


@torch.no_grad()
def slow_search(model: PromptedLm, source: tuple[int, ...], *, beam_size: int, max_labels: int) -> Found:
    """The same beam search, an utterance alone, with lists and without a cache."""
    task = model.task
    num_places = max_labels if task.num_slots is None else task.num_slots
    live: list[tuple[tuple[int, ...], float]] = [((), 0.0)]
    ended: list[tuple[tuple[int, ...], float]] = []
    for place in range(num_places + task.is_sequence):
        candidates = []
        for labels, log_prob in live:
            for label, own in enumerate(log_probs_of(model, source, labels).tolist()):
                is_late = task.is_sequence and place == num_places and label != task.end_label
                if not is_late and own > -math.inf:
                    candidates.append(((*labels, label), log_prob + own))
        best = sorted(candidates, key=lambda own: -own[1])[:beam_size]
        ended += [own for own in best if task.is_sequence and own[0][-1] == task.end_label]
        live = [own for own in best if not (task.is_sequence and own[0][-1] == task.end_label)]
        if len(ended) >= beam_size or not live:
            break
    if not task.is_sequence:
        ended = live
    labels, log_prob = max(ended, key=lambda own: own[1] / len(own[0]))
    return Found(tuple(label for label in labels if label != task.end_label or not task.is_sequence), log_prob)


def check_equal(found: list[Found], expected: list[Found]) -> None:
    assert [own.labels for own in found] == [own.labels for own in expected]
    assert [own.log_prob for own in found] == pytest.approx([own.log_prob for own in expected], abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("beam_size", [1, 3])
@pytest.mark.parametrize("method", [PromptConfig(length=3, init_noise=1.0), LoraConfig(rank=2)], ids=["prompt", "lora"])
def test_sequences_equal_whole_prefixes_read_again(kind: str, beam_size: int, method: MethodConfig) -> None:
    model = make(kind, sequence_task(), method)
    batch = collate([Example(str(number), source) for number, source in enumerate(SOURCES)])
    found = search_labels(model, batch, beam_size=beam_size, max_labels=6)
    check_equal(found, [slow_search(model, source, beam_size=beam_size, max_labels=6) for source in SOURCES])
    assert len({own.labels for own in found}) > 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("beam_size", [1, 2])
def test_slots_equal_whole_prefixes_read_again_and_keep_to_their_labels(kind: str, beam_size: int) -> None:
    model = make(kind, slot_task())
    batch = collate([Example(str(number), source) for number, source in enumerate(SOURCES)])
    found = search_labels(model, batch, beam_size=beam_size)
    check_equal(found, [slow_search(model, source, beam_size=beam_size, max_labels=9) for source in SOURCES])
    for own in found:
        assert [label in model.task.allowed(place) for place, label in enumerate(own.labels)] == [True] * 3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [4, 5])
def test_a_wide_beam_finds_the_best_of_all_sequences(kind: str, seed: int) -> None:
    task, most = sequence_task(2), 3
    model = make(kind, task, seed=seed, sharpness=1.0)
    batch = collate([Example(str(number), source) for number, source in enumerate(SOURCES)])
    found = search_labels(model, batch, beam_size=2**5, max_labels=most)
    every = [labels for size in range(most + 1) for labels in itertools.product(range(2), repeat=size)]
    for own, source in zip(found, SOURCES, strict=True):
        totals = {}
        for labels in every:
            read = (*labels, task.end_label)
            steps = [log_probs_of(model, source, read[:place])[label].item() for place, label in enumerate(read)]
            totals[labels] = sum(steps)
        best = max(every, key=lambda labels: totals[labels] / (len(labels) + 1))
        assert own.labels == best
        assert own.log_prob == pytest.approx(totals[best], abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_wide_beam_finds_the_best_of_all_slots(kind: str) -> None:
    model = make(kind, slot_task(), sharpness=1.0)
    batch = collate([Example(str(number), source) for number, source in enumerate(SOURCES)])
    found = search_labels(model, batch, beam_size=12)
    choices = list(itertools.product(*[model.task.allowed(place) for place in range(3)]))
    for own, source in zip(found, SOURCES, strict=True):
        totals = [
            sum(log_probs_of(model, source, row[:place])[label].item() for place, label in enumerate(row))
            for row in choices
        ]
        assert own.labels == choices[totals.index(max(totals))]
        assert own.log_prob == pytest.approx(max(totals), abs=1e-4)


def test_the_power_of_the_length_decides_between_short_and_long() -> None:
    lm = make_lm("decoder")
    log_probs_L = torch.tensor([0.75, 0.25]).log()  # label 0, end
    outputs = Outputs(
        lambda states_ND, _: log_probs_L.expand(len(states_ND), -1),
        lambda labels_N, _: labels_N,
        end_label=1,
        num_places=4,
    )
    for power, size in ((0.0, 0), (1.0, 4)):
        (found,) = search(lm, padded([(1, 2, 3)]), None, outputs, beam_size=5, length_power=power)
        assert found.labels == (0,) * size
        assert found.log_prob == pytest.approx(size * math.log(0.75) + math.log(0.25))


def test_the_longest_sequence_ends() -> None:
    model = make("decoder", sequence_task(), sharpness=1.0)
    with torch.no_grad():
        model.verbalizer.bias[model.task.end_label] = -50.0
    batch = collate([Example(str(number), source) for number, source in enumerate(SOURCES)])
    for beam_size in (1, 4):
        found = search_labels(model, batch, beam_size=beam_size, max_labels=3)
        assert [len(own.labels) for own in found] == [3] * len(SOURCES)
        assert all(own.log_prob < -40 for own in found)


def test_masks_and_outputs_of_each_utterance_are_kept_apart() -> None:
    """Two tasks in one batch: each row has its own labels, tokens and masks, as alone."""
    lm = make_lm("decoder")
    torch.manual_seed(9)
    weight_BDL = 3 * torch.randn(2, 16, 4)
    tokens_BL = torch.tensor([[0, 1, 2, K], [5, 6, 7, K]])
    masks_BL = torch.tensor([[0.0, 0.0, -math.inf, 0.0], [-math.inf, 0.0, 0.0, 0.0]])

    def outputs(rows: list[int]) -> Outputs:
        own = torch.tensor(rows)
        return Outputs(
            lambda states_ND, owner_N: torch.einsum("nd,ndl->nl", states_ND, weight_BDL[own[owner_N]]).log_softmax(-1),
            lambda labels_N, owner_N: tokens_BL[own[owner_N], labels_N],
            end_label=3,
            num_places=5,
            masks=(masks_BL[own],),
        )

    sources, rows = [SOURCES[0], SOURCES[1], SOURCES[4]], [0, 1, 0]
    together = search(lm, padded(sources), None, outputs(rows), beam_size=2)
    alone = [
        search(lm, padded([source]), None, outputs([row]), beam_size=2)[0]
        for source, row in zip(sources, rows, strict=True)
    ]
    check_equal(together, alone)
    assert all(2 not in own.labels for own, row in zip(together, rows, strict=True) if row == 0)
    assert all(0 not in own.labels for own, row in zip(together, rows, strict=True) if row == 1)
