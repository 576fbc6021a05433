"""Inputs of the real shapes, filled with random numbers: a step's time does not depend on what the
numbers are.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from rdh.backbones import Backbone, Centred
from rdh.config.run_config import RunConfig
from rdh.datasets import Split

N_TRAIN, N_FEATURES, N_CLASSES = 5000, 1280, 10


class RandomInputs:
    """Features or images of the CIFAR-10 protocol's shapes, filled with random numbers."""

    def __init__(self, config: RunConfig, device: torch.device) -> None:
        generator = torch.Generator().manual_seed(0)
        self.device, self.is_cuda, self.top_k = device, device.type == "cuda", None
        classes = torch.arange(N_TRAIN) % N_CLASSES
        self.train_labels = torch.eye(N_CLASSES)[classes].to(device)
        self.labels = self.train_labels.cpu().numpy().astype(np.uint8)
        self.split = Split(*(np.arange(N_TRAIN),) * 3)
        self._config, self.n_features = config, N_FEATURES
        if config.finetune:
            self._data = torch.randint(
                0, 256, (256, 3, 32, 32), dtype=torch.uint8, generator=generator
            ).to(device)
            self._backbone = untrained_alexnet()
            self.n_features = self._backbone.n_features
        else:
            centers = torch.randn(N_CLASSES, N_FEATURES, generator=generator)
            self._data = (
                centers[classes] + torch.randn(N_TRAIN, N_FEATURES, generator=generator)
            ).to(device)

    def make_body(self) -> nn.Module:
        return self._backbone.module if self._config.finetune else Centred(self._data.mean(0))

    def batch(self, positions: Tensor) -> Tensor:
        if self._config.finetune:
            return self._backbone.prepare(
                self._data[positions % len(self._data)], self._config.image_size
            )
        return self._data[positions]

    def batches(self, item_ids: np.ndarray) -> Iterator[Tensor]:
        yield self.batch(torch.from_numpy(item_ids).to(self.device))

    def probe_ids(self, n: int) -> np.ndarray:
        return np.arange(n)


def untrained_alexnet() -> Backbone:
    """AlexNet's layers with random weights: the time of a step is the same, and nothing is
    downloaded.
    """
    from torchvision.models import alexnet

    module = alexnet()
    module.classifier = module.classifier[:-1]
    return Backbone(module, 4096, 3, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "random")
