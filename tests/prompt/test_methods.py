"""Methods: they start where they should, every trained tensor learns, and nothing else does."""

from __future__ import annotations

import pytest
import torch
from prompt_corpus import random_lm, some_task

from speechkit.models.ulm import Padded, UnitLm
from speechkit.prompt.config import FullConfig, HeadConfig, LoraConfig, MethodConfig, PromptConfig, TaskConfig
from speechkit.prompt.examples import Example
from speechkit.prompt.methods import embeddings_of, initial_tensors, real_columns
from speechkit.prompt.model import PromptedLm, collate
from speechkit.prompt.tasks import Task
from speechkit.prompt.verbalizer import make_label_map

SOURCES = [(1, 2, 3, 4), (7, 6, 5, 4), (0, 1)]
EXAMPLES = [Example("a", (1, 2, 3), (0,)), Example("b", (5, 4), (1,)), Example("c", (7, 7, 0, 2, 1), (2,))]
METHODS: list[MethodConfig] = [
    *(PromptConfig(where=where, projection=how) for where in ("input", "deep", "both") for how in ("post", "pre")),  # type: ignore[arg-type]
    LoraConfig(targets=("query", "key", "value", "output")),
    HeadConfig(),
    FullConfig(),
]
KINDS = ["decoder", "encoder_decoder"]


def name_of(method: MethodConfig) -> str:
    return "-".join(str(getattr(method, name)) for name in ("kind", "where", "projection") if hasattr(method, name))


def make(method: MethodConfig, lm: UnitLm, *, verbalizer: str = "linear", kind: str = "classification") -> PromptedLm:
    torch.manual_seed(1)
    task = some_task(num_labels=3, verbalizer=verbalizer, kind=kind)
    label_map = make_label_map(task, EXAMPLES, num_units=lm.num_units, seed=0)
    return PromptedLm(lm, task, method, label_map, initial_tensors(method, lm, SOURCES))


@pytest.mark.parametrize("architecture", KINDS)
@pytest.mark.parametrize("method", METHODS, ids=name_of)
def test_every_trained_tensor_learns_and_the_language_model_stays(method: MethodConfig, architecture: str) -> None:
    # in the original, input prompts are dead: every layer puts other keys and values at their places
    lm = random_lm(architecture)
    before = {name: own.clone() for name, own in lm.state_dict().items()}
    model = make(method, lm, kind="sequence").train()  # a decoder that reads one token has nothing to attend to
    start = {name: own.detach().clone() for name, own in model.named_parameters()}
    for _ in range(2):  # the second factor of a low-rank update starts at 0, which hides the first for a step
        model.zero_grad()
        model.loss(collate(EXAMPLES), progress=0.0).total.backward()
        with torch.no_grad():
            for own in model.parameters():
                own -= 10.0 * own.grad
    still = [name for name, own in model.named_parameters() if torch.equal(own, start[name])]
    assert [name for name in still if "key.bias" not in name] == []  # softmax does not see a bias of keys
    assert all(torch.equal(own, before[name]) for name, own in lm.state_dict().items())
    assert not any(own.requires_grad for own in lm.parameters())


@pytest.mark.parametrize("verbalizer", ["linear", "freq"])
@pytest.mark.parametrize("method", METHODS[:-1], ids=name_of)
def test_only_what_is_trained_is_stored(method: MethodConfig, verbalizer: str) -> None:
    lm = random_lm()
    model = make(method, lm, verbalizer=verbalizer)
    size = sum(own.numel() for own in model.state_dict().values())
    assert size == sum(own.numel() for own in model.parameters() if own.requires_grad)
    layers, width, length = 2, 16, 5
    expected = width + (3 * (lm.num_tokens + 1) if verbalizer == "linear" else 0)
    if isinstance(method, PromptConfig):
        expected += length * width * (method.where != "deep") + 2 * layers * length * width * (method.where != "input")
    if isinstance(method, LoraConfig):
        expected += 4 * layers * 2 * method.rank * width
    assert size == expected


def test_real_initialisation_starts_at_keys_and_values_of_the_model() -> None:
    # in the original, initialisation assigns to a loop variable, and prompts start at N(0, 1) whatever is asked for
    lm = random_lm()
    config = PromptConfig(where="both", length=4, init_noise=0.0)
    tensors = initial_tensors(config, lm, [(3,)])
    heard: list[torch.Tensor] = []
    handle = lm.decoder.layers[1].attention.register_forward_pre_hook(lambda _m, args: heard.append(args[0][0]))  # type: ignore[union-attr,operator]
    nothing = Padded(torch.zeros(1, 0, dtype=torch.int64), torch.tensor([0]))
    lm.states(Padded(torch.tensor([[3]]), torch.tensor([1])), nothing)
    handle.remove()
    attention = lm.decoder.layers[1].attention
    keys_TD = attention.key(heard[0])  # type: ignore[operator,union-attr]
    values_TD = attention.value(heard[0])  # type: ignore[operator,union-attr]
    for key_D, value_D in zip(tensors["decoder_keys"][1], tensors["decoder_values"][1], strict=True):
        own = (keys_TD - key_D).abs().amax(1) < 1e-6
        assert own.any() and torch.allclose(values_TD[own.int().argmax()], value_D, atol=1e-6)
    mean_D = embeddings_of(lm)[:8].mean(0)
    torch.testing.assert_close(tensors["decoder_input"], mean_D.expand(4, -1))
    torch.testing.assert_close(tensors["separator"], embeddings_of(lm)[lm.sep_id])


def test_initialisation_follows_what_is_asked_for_and_torchs_seed() -> None:
    lm = random_lm()

    def draw(seed: int, **fields: object) -> dict[str, torch.Tensor]:
        torch.manual_seed(seed)
        return initial_tensors(PromptConfig.model_validate(fields), lm, SOURCES)

    noise = draw(0, init="noise")
    assert all(0.01 < own.std() < 0.03 for name, own in noise.items() if name != "separator")
    real = draw(0)
    assert real["decoder_keys"].std() > 2 * noise["decoder_keys"].std()
    assert all(torch.equal(real[name], own) for name, own in draw(0).items())
    assert not torch.equal(real["decoder_keys"], draw(1)["decoder_keys"])


def test_columns_before_the_projections_become_those_behind_them() -> None:
    lm = random_lm()
    torch.manual_seed(3)
    pre = real_columns(lm, SOURCES, PromptConfig(projection="pre"))
    torch.manual_seed(3)
    post = real_columns(lm, SOURCES, PromptConfig(projection="post"))
    for number, layer in enumerate(lm.decoder.layers):
        torch.testing.assert_close(layer.attention.key(pre["decoder_keys"][number]), post["decoder_keys"][number])  # type: ignore[union-attr,operator]
        torch.testing.assert_close(layer.attention.value(pre["decoder_values"][number]), post["decoder_values"][number])  # type: ignore[union-attr,operator]


@pytest.mark.parametrize("architecture", KINDS)
def test_projecting_once_is_the_same_as_in_every_pass(architecture: str) -> None:
    lm = random_lm(architecture)
    model = make(PromptConfig(projection="pre", dropout=0.0), lm)
    batch = collate(EXAMPLES)
    assert not model.train().prompt().decoder.is_projected
    in_training = model.log_probs(batch)
    assert model.eval().prompt().decoder.is_projected
    torch.testing.assert_close(model.log_probs(batch), in_training)


def test_prompts_are_dropped_in_training_only_and_the_frozen_model_never_is() -> None:
    lm = random_lm()
    model = make(PromptConfig(dropout=0.5), lm).train()
    assert not lm.training
    columns = model.prompt().decoder.layers[0].columns
    assert columns is not None and 0.2 < (columns.keys_BPD == 0).float().mean() < 0.8
    kept = model.eval().prompt().decoder.layers[0].columns
    assert kept is not None and (kept.keys_BPD != 0).all()
    batch = collate(EXAMPLES)
    assert torch.equal(model.log_probs(batch), model.log_probs(batch))


def test_the_loss_is_that_of_the_labels_alone_with_the_end_of_a_sequence() -> None:
    lm = random_lm()
    model = make(HeadConfig(), lm, kind="sequence").eval()
    examples = [Example("a", (1, 2, 3), (0, 2)), Example("b", (4, 5), (1,)), Example("c", (6,), (2, 1, 0))]
    total, count = 0.0, 0
    for example in examples:
        log_probs_UL = model.log_probs(collate([example]))[0]
        wanted = [*example.labels, model.task.end_label]
        total -= sum(log_probs_UL[place, label].item() for place, label in enumerate(wanted))
        count += len(wanted)
    assert model.loss(collate(examples), progress=0.0).total.item() == pytest.approx(total / count, abs=1e-5)


def test_labels_of_other_slots_get_no_probability() -> None:
    lm = random_lm()
    task = Task(TaskConfig(name="s", kind="slots", label=("a", "b")), (("x", "y"), ("x", "z", "w")))
    method = PromptConfig(length=2)
    label_map = make_label_map(task, [Example("a", (1,), (0, 2))], num_units=8, seed=0)
    model = PromptedLm(lm, task, method, label_map, initial_tensors(method, lm, SOURCES)).eval()
    probs_BUL = model.log_probs(collate([Example("a", (1, 2), (1, 4)), Example("b", (3,), (0, 2))])).exp()
    assert probs_BUL.shape == (2, 2, 5)
    torch.testing.assert_close(probs_BUL[:, 0, :2].sum(-1), torch.ones(2))
    torch.testing.assert_close(probs_BUL[:, 1, 2:].sum(-1), torch.ones(2))


def test_padding_changes_nothing() -> None:
    model = make(PromptConfig(), random_lm()).eval()
    together = model.log_probs(collate(EXAMPLES))
    for row, example in enumerate(EXAMPLES):
        torch.testing.assert_close(model.log_probs(collate([example]))[0], together[row], atol=1e-6, rtol=1e-5)
