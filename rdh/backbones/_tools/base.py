"""What a backbone is: a module, its number of features, and its preprocessing."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

Maker = Callable[[int, str], "Backbone"]  # (image_size, weights: "pretrained", "none" or a path)


@dataclass(frozen=True)
class Backbone:
    """A network with its preprocessing.

    module maps float32 (n, channels, side, side) to (n, n_features). weights names the initial
    weights, for cache keys.
    """

    module: nn.Module
    n_features: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    weights: str

    def prepare(self, images: Tensor, image_size: int | None) -> Tensor:
        """Images as the module takes them.

        Args:
            images: uint8 (n, 1 or 3, height, width).
            image_size: pixels a side; None: the images keep their size.

        Returns:
            Normalised float32 (n, channels, image_size, image_size) on the images' device.
        """
        x = images.float() / 255
        if x.shape[1] != self.channels:
            x = x.expand(-1, self.channels, -1, -1) if x.shape[1] == 1 else x.mean(1, keepdim=True)
        if image_size and x.shape[-2:] != (image_size, image_size):
            x = resized(x, image_size)
        return (x - on_device(self.mean, x.device)) / on_device(self.std, x.device)


def resized(images: Tensor, image_size: int) -> Tensor:
    """(n, C, H, W) -> (n, C, image_size, image_size), antialiased; uint8 stays uint8."""
    return F.interpolate(
        images, (image_size, image_size), mode="bilinear", antialias=True, align_corners=False
    )


@cache
def on_device(values: tuple[float, ...], device: torch.device) -> Tensor:
    """The values as float32 (1, C, 1, 1).

    They are kept, because copying numbers to a GPU waits for it, and a step should not wait.
    """
    return torch.tensor(values, device=device).view(1, -1, 1, 1)


def backbone(
    title: str,
    pretrained: bool,
    min_image_size: int = 1,
    only_image_size: int | None = None,
    trainable: bool = True,
) -> Callable[[Maker], Maker]:
    """Marks a function as a backbone.

    `rdh.catalog` reads the arguments from the source, and RunConfig checks settings by them.

    Args:
        title: short, for tables.
        pretrained: whether it has pretrained weights.
        min_image_size: the smallest image that it takes, pixels a side.
        only_image_size: the only one that it takes, if so.
        trainable: whether there is a network to train.
    """
    return lambda function: function


def stacked(images: np.ndarray | list[np.ndarray], image_size: int) -> Tensor:
    """Images of a data set as one uint8 tensor (n, channels, height, width).

    Images of unequal shapes are first made squares of image_size with three channels.

    Args:
        images: (height, width, channels) each, as a data set's `images` returns them.
        image_size: pixels a side.
    """
    if isinstance(images, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
    squares = []
    for image in images:
        pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).unsqueeze(0)
        squares.append(resized(pixels.expand(-1, 3, -1, -1), image_size))
    return torch.cat(squares)
