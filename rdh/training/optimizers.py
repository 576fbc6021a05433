"""Optimisers: those of `torch.optim`, with the rates of a run, and schedules of these rates."""

import math
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from rdh.config.run_config import RunConfig

CLASSES: dict[str, type[Optimizer]] = {
    "sgd": torch.optim.SGD,
    "rmsprop": torch.optim.RMSprop,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}
# the buffer of each parameter in checkpoints until November 2026
OLD_BUFFERS = {torch.optim.SGD: "momentum_buffer", torch.optim.RMSprop: "square_avg"}


def make_optimizer(network: nn.Module, config: RunConfig) -> Optimizer:
    """The config's optimiser; the hash layer's rate is hash_lr_scale times the backbone's.

    The first group is the hash layer and what the method learns beside it. A backbone without
    parameters has no group. Each group keeps its rate at the start as `initial_lr`.

    Args:
        network: With the parts `head`, `learned` and `backbone`.
        config: The run's.
    """
    rates = {("head", "learned"): config.lr * config.hash_lr_scale, ("backbone",): config.lr}
    groups = [
        {"params": parameters, "lr": rate, "initial_lr": rate}
        for parts, rate in rates.items()
        if (parameters := [one for part in parts for one in getattr(network, part).parameters()])
    ]
    options: dict[str, Any] = {"weight_decay": config.weight_decay}
    if config.optimizer == "sgd":
        options["momentum"] = config.momentum
    return CLASSES[config.optimizer](groups, **options)


def set_rates(optimizer: Optimizer, factor: float) -> None:
    """Sets the rate of each group to `factor` times its rate at the start."""
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor


def load_state(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Takes over the state of a checkpoint, one of our own former optimisers included.

    Raises:
        ValueError: It is not one of these parameters.
    """
    if "buffers" in state:
        state = _of_torch(optimizer, state["buffers"])
    optimizer.load_state_dict(state)


def _of_torch(optimizer: Optimizer, buffers: list[list[Any]]) -> dict[str, Any]:
    """What torch would have kept where our own optimisers kept these buffers."""
    state = optimizer.state_dict()
    name = OLD_BUFFERS[type(optimizer)]
    if [len(group["params"]) for group in state["param_groups"]] != [len(row) for row in buffers]:
        raise ValueError("the optimizer's buffers are those of another network")
    flat = [buffer for row in buffers for buffer in row]
    step = {} if name == "momentum_buffer" else {"step": torch.zeros(())}  # RMSprop never reads it
    kept = {place: {name: buffer, **step} for place, buffer in enumerate(flat)}
    return state | {"state": kept}


def rate_factor(config: RunConfig, epoch: int) -> float:
    """What multiplies the initial learning rates in an epoch (0, 1, ...).

    cosine: falls to zero after the last epoch. step: a tenth after each third of the epochs.
    constant: 1.
    """
    if config.schedule == "cosine":
        return (1 + math.cos(math.pi * epoch / config.epochs)) / 2
    return 0.1 ** (3 * epoch // config.epochs) if config.schedule == "step" else 1.0
