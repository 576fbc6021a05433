"""Optimisers: what the run's settings choose, steps of our own former classes, and schedules."""

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.optim import Optimizer

from rdh.config.run_config import make_config
from rdh.training.optimizers import load_state, make_optimizer, rate_factor, set_rates

# The parameters after six steps of the classes that stood here until November 2026.
AFTER_SIX_STEPS = {
    ("sgd", 0.9, 0.01): """
        -0.724726 -0.60729 -0.489854 -0.201883 -0.079282 0.043318 0.224108 0.299186 0.374264
        0.575341 0.679355 0.783369 -1.135059 -0.658746 -0.325419 0.476197 -0.293586 -0.033124
        -0.101986 -0.376073 0.132767 0.046396 0.261678 0.605286 0.389606 -0.019933""",
    ("sgd", 0.0, 0.0): """
        -0.8299 -0.701793 -0.573687 -0.33066 -0.221218 -0.111776 0.082973 0.186831 0.290688
        0.473057 0.599505 0.725953 -0.993329 -0.515928 0.015906 0.693428 -0.511395 -0.425202
        -0.503967 -0.437971 0.435075 0.616993 0.470528 0.559722 -0.217944 0.151685""",
    ("rmsprop", 0.9, 0.01): """
        -0.710468 -0.568457 -0.429473 -0.170604 -0.032065 0.097388 0.147649 0.295961 0.153419
        0.567466 0.70899 0.844023 -1.071175 -0.561996 0.088798 0.652244 -0.525563 -0.416181
        -0.336171 -0.612509 0.490241 0.869805 0.343211 0.576096 -0.253948 0.435111""",
}
NAMES = ("sgd", "rmsprop", "adam", "adamw")


def two_layers() -> SimpleNamespace:
    """Fixed weights on every machine."""
    layers = {"backbone": nn.Linear(3, 4), "head": nn.Linear(4, 2)}
    with torch.no_grad():
        weights = [weight for layer in layers.values() for weight in layer.parameters()]
        for place, weight in enumerate(weights):
            values = torch.linspace(-0.9, 0.7 + 0.1 * place, weight.numel())
            weight.copy_(values.reshape(weight.shape))
    return SimpleNamespace(**layers, learned=nn.Identity(), weights=weights)


def optimizer_of(network: SimpleNamespace, name: str = "sgd", **fields: float) -> Optimizer:
    return make_optimizer(network, make_config(optimizer=name, lr=0.01, hash_lr_scale=3, **fields))


def take_steps(network: SimpleNamespace, optimizer: Optimizer, *steps: int) -> None:
    for step in steps:
        optimizer.zero_grad()
        inputs = torch.linspace(-1, 1, 15).reshape(5, 3) * (1 + 0.3 * step)
        network.head(network.backbone(inputs).tanh()).square().sum().backward()
        optimizer.step()


def assert_equal(one: SimpleNamespace, other: SimpleNamespace) -> None:
    assert all(torch.equal(a, b) for a, b in zip(one.weights, other.weights, strict=True))


@pytest.mark.parametrize(("name", "momentum", "weight_decay"), AFTER_SIX_STEPS)
def test_steps_are_those_of_our_own_former_optimisers(name, momentum, weight_decay):
    network = two_layers()
    optimizer = optimizer_of(network, name, momentum=momentum, weight_decay=weight_decay)
    take_steps(network, optimizer, *range(6))
    found = torch.cat([weight.detach().flatten() for weight in network.weights])
    expected = [float(word) for word in AFTER_SIX_STEPS[name, momentum, weight_decay].split()]
    torch.testing.assert_close(found, torch.tensor(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_an_optimiser_goes_on_from_its_state(name):
    whole, halved = two_layers(), two_layers()
    take_steps(whole, optimizer_of(whole, name), *range(6))
    first, second = optimizer_of(halved, name), optimizer_of(halved, name)
    take_steps(halved, first, 0, 1, 2)
    load_state(second, copy.deepcopy(first.state_dict()))
    take_steps(halved, second, 3, 4, 5)
    assert_equal(whole, halved)


@pytest.mark.parametrize(("name", "key"), [("sgd", "momentum_buffer"), ("rmsprop", "square_avg")])
def test_an_optimiser_goes_on_from_the_buffers_of_an_old_checkpoint(name, key):
    whole, halved = two_layers(), two_layers()
    take_steps(whole, optimizer_of(whole, name), *range(6))
    first, second = optimizer_of(halved, name), optimizer_of(halved, name)
    take_steps(halved, first, 0, 1, 2)
    buffers = [
        [first.state[weight][key] for weight in group["params"]] for group in first.param_groups
    ]
    load_state(second, {"buffers": copy.deepcopy(buffers)})
    take_steps(halved, second, 3, 4, 5)
    assert_equal(whole, halved)
    with pytest.raises(ValueError, match="buffers are those of another network"):
        load_state(second, {"buffers": buffers[:1]})


def test_an_old_checkpoint_from_before_the_first_step_has_no_buffers_yet():
    whole, resumed = two_layers(), two_layers()
    take_steps(whole, optimizer_of(whole), 0, 1)
    optimizer = optimizer_of(resumed)
    load_state(optimizer, {"buffers": [[None, None], [None, None]]})
    take_steps(resumed, optimizer, 0, 1)
    assert_equal(whole, resumed)


@pytest.mark.parametrize("name", NAMES)
def test_the_hash_layer_has_a_rate_of_its_own_which_the_schedule_scales(name):
    network = two_layers()
    optimizer = optimizer_of(network, name)
    assert type(optimizer).__name__.lower() == name
    assert optimizer.param_groups[0]["params"][0] is network.head.weight
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.03, 0.01])
    set_rates(optimizer, 0.5)
    set_rates(optimizer, 0.1)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.003, 0.001])


def test_a_frozen_backbone_has_no_group():
    network = SimpleNamespace(head=nn.Linear(3, 2), learned=nn.Identity(), backbone=nn.Flatten())
    assert len(make_optimizer(network, make_config()).param_groups) == 1


def test_the_cosine_schedule_equals_torchs():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=7)
    config = make_config(epochs=7)
    for epoch in range(7):
        assert 0.4 * rate_factor(config, epoch) == pytest.approx(
            schedule.get_last_lr()[0], rel=1e-9
        )
        optimizer.step()
        schedule.step()
    assert rate_factor(make_config(epochs=7, schedule="constant"), 5) == 1


def test_the_step_schedule_is_a_tenth_after_each_third():
    config = make_config(epochs=9, schedule="step")
    factors = [rate_factor(config, epoch) for epoch in range(9)]
    assert factors == pytest.approx([1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01])
    assert rate_factor(make_config(epochs=1, schedule="step"), 0) == 1
