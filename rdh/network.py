"""The trained network: backbone (or nothing, for cached features) and hash layer; images or features in, logits out."""

import torch
from torch import Tensor, nn

from rdh.backbones import Backbone
from rdh.config import RunConfig
from rdh.methods import Method


class Network(nn.Module):
    """inputs -> logits (n, n_bits), float32. With a frozen backbone, `backbone` is None and inputs are its features."""

    def __init__(self, method: Method, n_features: int, backbone: Backbone | None) -> None:
        super().__init__()
        self.backbone = backbone.module if backbone else nn.Identity()
        self.head = method.head(n_features)

    def forward(self, inputs: Tensor) -> Tensor:
        features = self.backbone(inputs)
        with torch.autocast(
            features.device.type, enabled=False
        ):  # bfloat16 has 4 values around tau: hash layer in float32
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
