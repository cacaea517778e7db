"""Counting a step's cost: operations and bytes against numbers worked out by hand and against the real step."""

import pytest
import torch
from torch import nn

from semcg import config as configs
from semcg.cost import count, operations, seconds
from semcg.devices import fabric_for
from semcg.runs.budget import step_on_noise


def linear():
    net = nn.Linear(100, 50, bias=False)
    adam = torch.optim.Adam(net.parameters(), lr=0.1, fused=True)

    def step(x):
        adam.zero_grad(set_to_none=True)
        net(x).square().sum().backward()
        adam.step()

    return step, (torch.zeros(10_000, 100),)


def test_a_linear_layer_by_hand():
    found = count(linear)
    product = 2 * 10_000 * 100 * 50  # two for each multiply-add
    assert found["operations"] == 2 * product  # forward, gradient of the weight; the input is owed none
    weight, output = 4 * 100 * 50, 4 * 10_000 * 50
    # itself, its gradient and Adam's two moments stay; its count of steps and a number or two as well
    assert 4 * weight <= found["kept"] < 4 * weight + 100
    # at the worst moment the output, and its square or its gradient, and what the product of two tensors needs
    assert 2 * output <= found["passing"] <= 4 * output


def test_what_is_counted_is_the_real_step():
    """The networks of a count hold no values; the operations are those of the step with values."""
    config = configs.make("smoke", segmenter_optimizer="sgd")
    fabric = fabric_for("cpu", "fp32")
    for kind in ("translation", "segmenter", "judge", "downstream"):
        found = count(lambda kind=kind: step_on_noise(kind, config, fabric))
        assert found["operations"] == operations(*step_on_noise(kind, config, fabric)), kind
        assert found["passing"] > 0


def test_the_leaf_split_needs_less():
    fabric = fabric_for("cpu", "fp32")
    whole, split = (
        count(
            lambda leaf=leaf: step_on_noise(
                "translation", configs.make("mini", leaf_split=leaf, segmenter_width=0.25), fabric
            )
        )
        for leaf in (False, True)
    )
    assert split["operations"] <= whole["operations"]
    assert split["passing"] < 0.7 * whole["passing"]
    assert split["kept"] == pytest.approx(whole["kept"], rel=1e-3)


def test_rounds_are_taken_in_turn():
    order = []
    steps = {name: lambda *_, name=name: order.append(name) for name in "ab"}
    found = seconds(steps, [torch.zeros(1)], rounds=2, warm=1)
    assert order == list("ababab")
    assert {name: len(taken) for name, taken in found.items()} == {"a": 2, "b": 2}
