"""Inputs of the real shapes, filled with random numbers, and networks with random weights.

The time of a step does not depend on what the numbers are.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from rdh.backbones import Centred, build
from rdh.config.run_config import RunConfig
from rdh.datasets import Split

# CIFAR-10's protocol trains on 5000: these divide by every batch size, so that steps are all alike
N_TRAIN, N_FEATURES, N_CLASSES = 5120, 1280, 10


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
        else:
            centers = torch.randn(N_CLASSES, N_FEATURES, generator=generator)
            self._data = (
                centers[classes] + torch.randn(N_TRAIN, N_FEATURES, generator=generator)
            ).to(device)

    def make_body(self) -> nn.Module:
        if not self._config.finetune:
            return Centred(self._data.mean(0))
        self._backbone = build(self._config.backbone, self._config.image_size, "none")
        self.n_features = self._backbone.n_features
        return self._backbone.module

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
