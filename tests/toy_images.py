"""A data set of random pictures and a backbone of one matrix, for extraction in milliseconds.

`python -m tests.toy_images CACHE GATE` extracts the features in a process of its own. After the
second batch it writes GATE.waiting and waits for GATE.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from rdh.backbones import Backbone
from rdh.datasets import BadImage, Dataset
from rdh.datasets._tools.splits import PerClass
from rdh.inputs import features

N_FEATURES = 3


class Pictures(Dataset):
    """n pictures in two classes. They have 5 x 4 pixels, or the size that `sizes` names.

    Those in `bad` can't be decoded. `read` holds the ids that were asked for, in order.
    """

    def __init__(
        self,
        n: int = 40,
        bad: tuple[int, ...] = (),
        sizes: bool = False,
        fingerprint: str = "pictures",
    ) -> None:
        rng = np.random.default_rng(0)
        shape = None if sizes else (5, 4, 3)
        labels = np.eye(2, dtype=np.uint8)[np.arange(n) % 2]
        super().__init__(
            "pictures", labels, ["even", "odd"], fingerprint, PerClass(2, 5), image_shape=shape
        )
        self.pixels = [
            rng.integers(0, 256, (*(rng.integers(4, 9, 2) if sizes else (5, 4)), 3), np.uint8)
            for _ in range(n)
        ]
        self.bad, self.read = set(bad), []

    def read_image(self, item_id: int) -> np.ndarray:
        self.read.append(item_id)
        if item_id in self.bad:
            raise BadImage(f"picture {item_id} cannot be decoded.")
        return self.pixels[item_id]


def matrix_backbone(
    name: str = "matrix", image_size: int = 4, weights: str = "pretrained"
) -> Backbone:
    """Three sums of pixels; stands in for `rdh.backbones.build`."""
    layer = nn.Linear(3 * image_size * image_size, N_FEATURES, bias=False)
    weight = (
        torch.randn(layer.weight.shape, generator=torch.Generator().manual_seed(0)) / image_size
    )
    layer.weight.data.copy_(weight)
    return Backbone(
        nn.Sequential(nn.Flatten(), layer), N_FEATURES, 3, (0.5,) * 3, (0.25,) * 3, "matrix.pth"
    )


def expected_features(dataset: Pictures, image_size: int = 4) -> np.ndarray:
    """The features, one by one without a cache. Zeros if a picture can't be decoded."""
    backbone, rows = matrix_backbone(image_size=image_size), []
    for item_id, pixels in enumerate(dataset.pixels):
        image = torch.from_numpy(pixels).permute(2, 0, 1).unsqueeze(0)
        row = backbone.module(backbone.prepare(image, image_size)).detach().half().numpy()[0]
        rows.append(row * (item_id not in dataset.bad))
    return np.stack(rows)


@pytest.fixture
def toy_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of 5 through the matrix."""
    monkeypatch.setattr(features, "build", matrix_backbone)
    monkeypatch.setattr(features, "BATCH", 5)


class Interrupted(Exception):
    """What `interrupt_at` raises."""


def interrupt_at(n_images: int) -> Callable[[int, int], None]:
    """A progress function that ends the work as soon as so many images are done."""

    def progress(done: int, total: int) -> None:
        if done == n_images:
            raise Interrupted

    return progress


def main(cache: Path, gate: Path) -> None:
    features.build, features.BATCH = matrix_backbone, 5

    def progress(done: int, total: int) -> None:
        if done == 10:
            gate.with_suffix(".waiting").touch()
            while not gate.exists():
                time.sleep(0.01)

    dataset = Pictures(bad=(3,))
    features.extract_features(
        dataset,
        "matrix",
        4,
        device=torch.device("cpu"),
        bad_images="skip",
        root=cache,
        progress=progress,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
