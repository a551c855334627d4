"""Learning rate, clipping and weight averaging."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from speechkit.train.average import Average
from speechkit.train.config import OptimConfig
from speechkit.train.optim import learning_rate, make_optimizer, update


def test_learning_rate_rises_stays_and_falls() -> None:
    config = OptimConfig(num_steps=100, lr=1.0, warmup_steps=10, flat_share=0.5)
    rates = [learning_rate(step, config) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == rates[50] == 1.0
    assert rates[75] == pytest.approx(0.5) and rates[99] == pytest.approx(0.01, abs=0.005)
    assert all(a >= b for a, b in pairwise(rates[10:]))


def test_only_matrices_decay() -> None:
    groups = make_optimizer(nn.Linear(3, 2), OptimConfig(weight_decay=0.1)).param_groups
    assert [(len(group["params"]), group["weight_decay"]) for group in groups] == [(1, 0.1), (1, 0.0)]


def test_a_gradient_that_is_not_finite_changes_nothing() -> None:
    model = nn.Linear(2, 1)
    optimizer = make_optimizer(model, OptimConfig())
    before = model.weight.detach().clone()
    (model(torch.full((1, 2), float("nan"))).sum()).backward()
    assert update(model, optimizer, lr=0.1, clip_norm=1.0) != 0.0
    assert torch.equal(model.weight, before) and model.weight.grad is None


def test_average_follows_the_definition_and_is_put_back() -> None:
    model = nn.Linear(1, 1, bias=False)
    average = Average(model, decay=0.5)
    expected = model.weight.item()
    for step, value in enumerate([1.0, 2.0, 4.0]):
        model.weight.data.fill_(value)
        average.update(model, step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    with average.applied(model):
        assert model.weight.item() == pytest.approx(expected) and not model.training
    assert model.weight.item() == 4.0 and model.training


def test_the_update_moves_the_weights_by_the_learning_rate_it_is_given() -> None:
    model = nn.Linear(2, 1, bias=False)
    optimizer = make_optimizer(model, OptimConfig(lr=1.0, weight_decay=0.0))
    for lr in (0.25, 0.0, 0.5):
        before = model.weight.detach().clone()
        model(torch.ones(1, 2)).sum().backward()
        update(model, optimizer, lr=lr, clip_norm=10.0)
        torch.testing.assert_close(before - model.weight.detach(), torch.full((1, 2), lr))  # Adam: equal gradients


@pytest.mark.parametrize(("size", "taken"), [(100.0, 2.0), (1.0, 1.0)], ids=["long", "short"])
def test_only_a_gradient_longer_than_the_clip_norm_is_shortened_to_it(size: float, taken: float) -> None:
    model = nn.Linear(4, 1, bias=False)
    optimizer = make_optimizer(model, OptimConfig(beta1=0.5))
    model(torch.full((1, 4), size / 2)).sum().backward()
    assert update(model, optimizer, lr=0.1, clip_norm=2.0) == pytest.approx(size)  # before clipping, for the record
    mean_gradient = optimizer.state[model.weight]["exp_avg"]
    assert float(mean_gradient.norm()) == pytest.approx(0.5 * taken, rel=1e-4)
