"""Random crops and flips of training images on the device, in one resampling.

The random numbers are torch's own, and their state is in every checkpoint. So a resumed run sees
the same images as one that was never interrupted.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from rdh.backbones import resized
from rdh.config.run_config import RunConfig

ZOOM = (0.25, 1.0)  # share of the image's area that a training crop keeps
MARGIN = 8 / 7  # crops of 224 pixels come from images of 256


def stored_side(config: RunConfig) -> int:
    """The side in pixels at which images are kept: the backbone's, or more if crops are taken."""
    return round(config.image_size * MARGIN) if config.augment else config.image_size


def augmented(images: Tensor, image_size: int) -> Tensor:
    """A random resized crop and flip of each image.

    Args:
        images: float (n, channels, height, width).
        image_size: Pixels a side.

    Returns:
        (n, channels, image_size, image_size).
    """
    # Resampling between four pixels would pass over the others.
    if max(images.shape[-2:]) > 2 * image_size:
        images = resized(images, round(image_size * MARGIN))
    n, device = len(images), images.device
    scale = torch.empty(n, device=device).uniform_(*ZOOM).sqrt()
    shift = (torch.rand(n, 2, device=device) * 2 - 1) * (1 - scale).unsqueeze(1)
    flip = torch.where(torch.rand(n, device=device) < 0.5, -1.0, 1.0)
    theta = torch.zeros(n, 2, 3, device=device)
    theta[:, 0, 0], theta[:, 1, 1] = scale * flip, scale
    theta[:, :, 2] = shift
    grid = F.affine_grid(theta, [n, images.shape[1], image_size, image_size], align_corners=False)
    return F.grid_sample(
        images, grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )
