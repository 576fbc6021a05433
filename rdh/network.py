"""The trained network: backbone (or nothing, for cached features) and hash layer; images or features in, logits out."""

import math

import torch
from torch import Tensor, nn
from torch.optim.sgd import sgd

from rdh.config import RunConfig
from rdh.methods import Method


class Centred(nn.Module):
    """What stands for a frozen backbone: its features (n, n_features) less their mean over the training items.

    Features after a ReLU share a large common part. Left in, it drives all codes into one corner together, and a method that
    compares with stored codes (DPSH) never gets out: measured on CIFAR-10, 32 bits, 99.9 % of all entries dead, MAP .10.
    """

    def __init__(self, mean: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)  # in the checkpoint: new images are encoded with it

    def forward(self, features: Tensor) -> Tensor:
        return features - self.mean


class Network(nn.Module):
    """inputs -> logits (n, n_bits), float32. body: the backbone, or `Centred` where the inputs are a frozen one's features."""

    def __init__(self, method: Method, n_features: int, body: nn.Module) -> None:
        super().__init__()
        self.backbone = body
        self.head = method.head(n_features)

    def forward(self, inputs: Tensor) -> Tensor:
        features = self.backbone(inputs)
        with torch.autocast(features.device.type, enabled=False):  # bfloat16 has 4 values around tau
            return self.head(features.float())


class SGD:
    """Stochastic gradient descent with momentum and weight decay: torch's own update, without `torch.optim.SGD` around it.

    The class loads torch's compiler (900 modules, 1.5 s on a CPU, more than a short run trains), which nothing here uses.
    groups: (parameters, initial rate); `rates` hold the present ones and may be set.
    """

    def __init__(self, groups: list[tuple[list[nn.Parameter], float]], momentum: float, weight_decay: float) -> None:
        self.groups = [parameters for parameters, _ in groups if parameters]
        self.initial_rates = [rate for parameters, rate in groups if parameters]
        self.rates = list(self.initial_rates)
        self.momentum, self.weight_decay = momentum, weight_decay
        self.buffers: list[list[Tensor | None]] = [[None] * len(parameters) for parameters in self.groups]

    @torch.no_grad()
    def step(self) -> None:
        """Every parameter must have a gradient."""
        for parameters, rate, buffers in zip(self.groups, self.rates, self.buffers, strict=True):
            sgd(
                parameters,
                [parameter.grad for parameter in parameters],
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

    def state_dict(self) -> dict[str, list[list[Tensor | None]]]:
        return {"buffers": self.buffers}

    def load_state_dict(self, state: dict[str, list[list[Tensor | None]]]) -> None:
        """ValueError where the buffers are not those of these parameters."""
        for parameters, buffers, saved in zip(self.groups, self.buffers, state["buffers"], strict=True):
            for position, (parameter, tensor) in enumerate(zip(parameters, saved, strict=True)):
                if tensor is not None and tensor.shape != parameter.shape:
                    raise ValueError(f"a momentum buffer is {tuple(tensor.shape)}, not {tuple(parameter.shape)}")
                buffers[position] = None if tensor is None else tensor.to(parameter.device, copy=True)


def make_optimizer(network: Network, config: RunConfig) -> SGD:
    """SGD as the paper trains; the hash layer's rate is hash_lr_scale times the backbone's."""
    groups = [
        (list(network.head.parameters()), config.lr * config.hash_lr_scale),
        (list(network.backbone.parameters()), config.lr),
    ]
    return SGD(groups, config.momentum, config.weight_decay)


def rate_factor(config: RunConfig, epoch: int) -> float:
    """What the initial learning rates are multiplied with in an epoch (0, 1, ...): 1, or cosine to zero after the last."""
    return (1 + math.cos(math.pi * epoch / config.epochs)) / 2 if config.schedule == "cosine" else 1.0
