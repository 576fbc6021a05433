"""The optimiser against torch's own classes."""

import copy

import pytest
import torch
from torch import nn

from rdh.config import make_config
from rdh.network import SGD, rate_factor


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
    groups = [(list(network[2].parameters()), 0.03), (list(network[0].parameters()), 0.01), ([], 1.0)]
    return SGD(groups, momentum, weight_decay)


@pytest.mark.parametrize(("momentum", "weight_decay"), [(0.9, 0.01), (0.0, 0.0), (0.5, 0.0)])
def test_sgd_steps_equal_those_of_torch(momentum, weight_decay):
    mine, theirs = two_layers(), two_layers()
    take_steps(mine, ours(mine, momentum, weight_decay), 6)
    groups = [{"params": theirs[2].parameters(), "lr": 0.03}, {"params": theirs[0].parameters(), "lr": 0.01}]
    take_steps(theirs, torch.optim.SGD(groups, momentum=momentum, weight_decay=weight_decay), 6)
    assert all(torch.equal(a, b) for a, b in zip(mine.parameters(), theirs.parameters(), strict=True))


def test_sgd_goes_on_from_its_state():
    whole, halved = two_layers(), two_layers()
    optimizer = ours(whole)
    take_steps(whole, optimizer, 3)
    take_steps(whole, optimizer, 3, seed=2)
    first, second = ours(halved), ours(halved)
    take_steps(halved, first, 3)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    take_steps(halved, second, 3, seed=2)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), halved.parameters(), strict=True))


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
        assert 0.4 * rate_factor(config, epoch) == pytest.approx(schedule.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        schedule.step()
    assert rate_factor(make_config(epochs=7, schedule="constant"), 5) == 1
