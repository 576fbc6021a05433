"""Optimisers: SGD as in the paper, RMSprop as the fallback, and the schedules of learning rates.

These are torch's own updates without the classes of `torch.optim`. Those load torch's compiler (900
modules, 1.5 s on a CPU, longer than a short run trains), which nothing here uses.
"""

import math
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim.sgd import sgd

from rdh.config.run_config import RunConfig
from rdh.training.network import Network

Group = tuple[Sequence[Tensor], float]  # parameters and their initial rate
SMOOTHING, EPSILON = 0.99, 1e-8  # of RMSprop, torch's defaults


class SGD:
    """Stochastic gradient descent with momentum and weight decay.

    `rates` holds the present rate of every group and may be set. Groups without parameters are left
    out.

    Args:
        groups: Parameters and initial rate of each group.
        momentum: In [0, 1).
        weight_decay: Weight of the L2 penalty.
    """

    def __init__(
        self, groups: Sequence[Group], momentum: float = 0.0, weight_decay: float = 0.0
    ) -> None:
        self.groups = [list(parameters) for parameters, _ in groups if parameters]
        self.initial_rates = [rate for parameters, rate in groups if parameters]
        self.rates = list(self.initial_rates)
        self.momentum, self.weight_decay = momentum, weight_decay
        # one a parameter: None before the first step
        self.buffers: list[list[Any]] = [[None] * len(parameters) for parameters in self.groups]

    @torch.no_grad()
    def step(self) -> None:
        """Every parameter must have a gradient."""
        for parameters, rate, buffers in zip(self.groups, self.rates, self.buffers, strict=True):
            sgd(
                parameters,
                gradients_of(parameters),
                buffers,  # filled at the first step
                lr=rate,
                momentum=self.momentum,
                weight_decay=self.weight_decay,
                dampening=0,
                nesterov=False,
                maximize=False,
            )

    def zero_grad(self) -> None:
        for parameters in self.groups:
            for parameter in parameters:
                parameter.grad = None

    def state_dict(self) -> dict[str, list[list[Any]]]:
        return {"buffers": self.buffers}

    def load_state_dict(self, state: dict[str, list[list[Any]]]) -> None:
        """Takes over the buffers. ValueError if they are not those of these parameters."""
        for parameters, buffers, saved in zip(
            self.groups, self.buffers, state["buffers"], strict=True
        ):
            for position, (parameter, tensor) in enumerate(zip(parameters, saved, strict=True)):
                if tensor is not None and tensor.shape != parameter.shape:
                    raise ValueError(
                        f"a momentum buffer is {tuple(tensor.shape)}, not {tuple(parameter.shape)}"
                    )
                buffers[position] = (
                    None if tensor is None else tensor.to(parameter.device, copy=True)
                )


class RMSprop(SGD):
    """Steps divided by the root of the mean squared gradient (Tieleman and Hinton, 2012).

    The buffers hold that mean. There is no momentum.
    """

    def __init__(self, groups: Sequence[Group], weight_decay: float) -> None:
        super().__init__(groups, 0.0, weight_decay)
        self.buffers = [
            [torch.zeros_like(parameter) for parameter in parameters] for parameters in self.groups
        ]

    @torch.no_grad()
    def step(self) -> None:
        """Every parameter must have a gradient."""
        for parameters, rate, means in zip(self.groups, self.rates, self.buffers, strict=True):
            gradients = torch._foreach_add(
                gradients_of(parameters), parameters, alpha=self.weight_decay
            )
            torch._foreach_mul_(means, SMOOTHING)
            torch._foreach_addcmul_(means, gradients, gradients, 1 - SMOOTHING)
            roots = torch._foreach_sqrt(means)
            torch._foreach_add_(roots, EPSILON)
            torch._foreach_addcdiv_(parameters, gradients, roots, -rate)


def gradients_of(parameters: list[Tensor]) -> list[Tensor]:
    """Every parameter must have one."""
    return cast(list[Tensor], [parameter.grad for parameter in parameters])


def make_optimizer(network: Network, config: RunConfig) -> SGD:
    """The config's optimiser; the hash layer's rate is hash_lr_scale times the backbone's."""
    groups = [
        (list(network.head.parameters()), config.lr * config.hash_lr_scale),
        (list(network.backbone.parameters()), config.lr),
    ]
    if config.optimizer == "rmsprop":
        return RMSprop(groups, config.weight_decay)
    return SGD(groups, config.momentum, config.weight_decay)


def rate_factor(config: RunConfig, epoch: int) -> float:
    """What multiplies the initial learning rates in an epoch (0, 1, ...).

    cosine: falls to zero after the last epoch. step: a tenth after each third of the epochs.
    constant: 1.
    """
    if config.schedule == "cosine":
        return (1 + math.cos(math.pi * epoch / config.epochs)) / 2
    return 0.1 ** (3 * epoch // config.epochs) if config.schedule == "step" else 1.0
