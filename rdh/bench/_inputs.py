"""Inputs of CIFAR-10's shapes, filled with random numbers.

The time of a step does not depend on what the numbers are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from rdh.config.run_config import RunConfig
from rdh.datasets import Dataset, Split
from rdh.datasets.cifar10 import CLASS_NAMES, SIDE
from rdh.inputs.load import FeatureInputs, ImageInputs, Inputs
from rdh.inputs.pixels import OnDevice

N_FEATURES, N_CLASSES = 1280, len(CLASS_NAMES)
# CIFAR-10's protocol trains on 5000. This divides by every batch size, so all steps are alike.
N_TRAIN = 5120


@dataclass(frozen=True)
class Repeated:
    """A protocol: every item is a training item, again and again until there are `most`."""

    most: int

    def split(self, labels: np.ndarray, class_names: Sequence[str], seed: int) -> Split:
        """Query and gallery are all items, once each."""
        ids = np.arange(len(labels))
        return Split(ids, ids, np.resize(ids, self.most))


def labelled(labels: np.ndarray, most: int) -> Dataset:
    """A data set of these labels with `most` training items; it has no images of its own."""
    return Dataset("cifar10", labels, CLASS_NAMES, "", Repeated(most), image_shape=(SIDE, SIDE, 3))


def labels_in_turn(n: int) -> np.ndarray:
    """Labels uint8 (n, 10): the classes in turn."""
    return np.eye(N_CLASSES, dtype=np.uint8)[np.arange(n) % N_CLASSES]


def random_pixels(n: int) -> np.ndarray:
    """Images of CIFAR-10's shape, uint8 (n, 32, 32, 3)."""
    return np.random.default_rng(0).integers(0, 256, (n, SIDE, SIDE, 3), dtype=np.uint8)


def random_inputs(config: RunConfig, device: torch.device) -> Inputs:
    """N_TRAIN training items: images for a config that finetunes, else features around centres."""
    if config.finetune:
        dataset, pixels = labelled(labels_in_turn(256), N_TRAIN), random_pixels(256)
        return ImageInputs(config, dataset, dataset.split(0), device, OnDevice(pixels, device))
    rng = np.random.default_rng(0)
    labels = labels_in_turn(N_TRAIN)
    centres = rng.standard_normal((N_CLASSES, N_FEATURES), dtype=np.float32)
    noise = rng.standard_normal((N_TRAIN, N_FEATURES), dtype=np.float32)
    dataset = labelled(labels, N_TRAIN)
    return FeatureInputs(dataset, dataset.split(0), labels @ centres + noise, device)
