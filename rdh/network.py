"""The trained network: backbone (or nothing, for cached features) and hash layer; images or features in, logits out."""

import torch
from torch import Tensor, nn

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


def make_optimizer(network: Network, config: RunConfig) -> torch.optim.Optimizer:
    """SGD as the paper trains; the hash layer's rate is hash_lr_scale times the backbone's."""
    groups = [
        {"params": list(network.head.parameters()), "lr": config.lr * config.hash_lr_scale},
        {"params": list(network.backbone.parameters()), "lr": config.lr},
    ]
    groups = [group for group in groups if group["params"]]
    return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay)


def make_schedule(optimizer: torch.optim.Optimizer, config: RunConfig) -> torch.optim.lr_scheduler.LRScheduler:
    """Stepped once an epoch: cosine to zero over all epochs, or constant."""
    if config.schedule == "constant":
        return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=config.epochs)
