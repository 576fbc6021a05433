"""The optimisers and schedules against torch's own classes."""

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from rdh.config.run_config import make_config
from rdh.training.optimizers import SGD, RMSprop, make_optimizer, rate_factor


def two_layers() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))


def take_steps(network: nn.Module, optimizer: SGD | torch.optim.SGD, n: int, seed: int = 1) -> None:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(n):
        optimizer.zero_grad()
        network(torch.randn(5, 4, generator=generator)).square().sum().backward()
        optimizer.step()


def ours(network: nn.Sequential, momentum: float = 0.9, weight_decay: float = 0.01) -> SGD:
    groups = [
        (list(network[2].parameters()), 0.03),
        (list(network[0].parameters()), 0.01),
        ([], 1.0),
    ]
    return SGD(groups, momentum, weight_decay)


@pytest.mark.parametrize(("momentum", "weight_decay"), [(0.9, 0.01), (0.0, 0.0), (0.5, 0.0)])
def test_sgd_steps_equal_those_of_torch(momentum, weight_decay):
    mine, theirs = two_layers(), two_layers()
    take_steps(mine, ours(mine, momentum, weight_decay), 6)
    groups = [
        {"params": theirs[2].parameters(), "lr": 0.03},
        {"params": theirs[0].parameters(), "lr": 0.01},
    ]
    take_steps(theirs, torch.optim.SGD(groups, momentum=momentum, weight_decay=weight_decay), 6)
    for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_sgd_goes_on_from_its_state():
    whole, halved = two_layers(), two_layers()
    optimizer = ours(whole)
    take_steps(whole, optimizer, 3)
    take_steps(whole, optimizer, 3, seed=2)
    first, second = ours(halved), ours(halved)
    take_steps(halved, first, 3)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    take_steps(halved, second, 3, seed=2)
    assert all(
        torch.equal(a, b) for a, b in zip(whole.parameters(), halved.parameters(), strict=True)
    )


def test_a_state_of_other_parameters_is_refused():
    network = two_layers()
    optimizer = ours(network)
    take_steps(network, optimizer, 1)
    state = optimizer.state_dict()
    state["buffers"][0][0] = torch.zeros(7)
    with pytest.raises(ValueError, match=r"a momentum buffer is \(7,\), not \(3, 6\)"):
        ours(network).load_state_dict(state)
    with pytest.raises(ValueError):
        ours(network).load_state_dict({"buffers": state["buffers"][:1]})


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


@pytest.mark.parametrize("weight_decay", [0.01, 0.0])
def test_rmsprop_steps_equal_those_of_torch(weight_decay):
    mine, theirs = two_layers(), two_layers()
    take_steps(mine, RMSprop([(list(mine.parameters()), 0.01)], weight_decay), 6)
    take_steps(
        theirs, torch.optim.RMSprop(theirs.parameters(), lr=0.01, weight_decay=weight_decay), 6
    )
    for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_rmsprop_goes_on_from_its_state():
    whole, halved = two_layers(), two_layers()
    optimizer = RMSprop([(list(whole.parameters()), 0.01)], 0.0)
    take_steps(whole, optimizer, 3)
    take_steps(whole, optimizer, 3, seed=2)
    first, second = (RMSprop([(list(halved.parameters()), 0.01)], 0.0) for _ in range(2))
    take_steps(halved, first, 3)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    take_steps(halved, second, 3, seed=2)
    assert all(
        torch.equal(a, b) for a, b in zip(whole.parameters(), halved.parameters(), strict=True)
    )


@pytest.mark.parametrize(("name", "kind"), [("sgd", SGD), ("rmsprop", RMSprop)])
def test_the_hash_layer_has_a_rate_of_its_own(name, kind):
    network = SimpleNamespace(head=nn.Linear(3, 2), backbone=nn.Linear(4, 3))
    optimizer = make_optimizer(network, make_config(lr=0.02, hash_lr_scale=10, optimizer=name))
    assert type(optimizer) is kind and optimizer.rates == pytest.approx([0.2, 0.02])
    assert optimizer.groups[0][0] is network.head.weight
